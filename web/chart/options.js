// The ECharts option for a set of panels.

import { currentTimeZone, formatDay, formatHour, formatNumber } from "../format.js";
import { t } from "../i18n.js";
import { limitsOf } from "../words.js";
import { placePanels, plotTop } from "./panels.js";
import { isMidnight, timeTicks } from "./ticks.js";

const PIXELS_PER_TICK = 84;
const PIXELS_PER_DIGIT = 8;
const MANY_ROWS = 3000; // A line so dense is drawn thinner, or it is a blot.
const DAY = 86_400_000;

/** {option, height}. `colorOf(point)` is an index into the theme's series colours. */
export function makeOption({ panels, from, to, width, theme, colorOf, tooltip }) {
  const height = placePanels(panels);
  const left = leftMargin(panels, width);
  const right = 14;
  const mostTicks = Math.max(2, (width - left - right) / PIXELS_PER_TICK);
  const time = timeTicks(from, to, mostTicks, currentTimeZone());
  const option = {
    animation: false,
    textStyle: { fontFamily: theme.font, color: theme.text },
    axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: theme.muted } },
    tooltip: {
      trigger: "axis",
      confine: true,
      transitionDuration: 0,
      backgroundColor: theme.surface,
      borderColor: theme.line,
      textStyle: { color: theme.text },
      ...tooltip,
    },
    title: panels.map((panel) => titleOf(panel, theme)),
    grid: panels.map((panel) => ({
      left, right, top: plotTop(panel), height: panel.height, outerBoundsMode: "none",
    })),
    xAxis: panels.map((panel, index) =>
      timeAxis({ index, isLast: index === panels.length - 1, from, to, time, theme }),
    ),
    yAxis: panels.map((panel, index) =>
      panel.kind === "num" ? numAxis(index, theme) : laneAxis(panel, index, left, theme),
    ),
    series: panels.flatMap((panel, index) =>
      panel.series.map((series) =>
        lineOf(panel, series, index, theme, theme.series[colorOf(series.point)]),
      ),
    ),
  };
  return { option, height };
}

/** Room for what the axes say: words of states, and numbers that may be long. */
function leftMargin(panels, width) {
  const isNarrow = width < 480;
  const hasWords = panels.some(({ kind }) => kind === "lane");
  const words = hasWords ? (isNarrow ? 98 : 112) : 0;
  const numbers = panels.filter(({ kind }) => kind === "num").map(longestNumber);
  return Math.max(isNarrow ? 44 : 56, words, 18 + PIXELS_PER_DIGIT * Math.max(0, ...numbers));
}

/** Characters of the longest label of a panel's axis, about. */
function longestNumber({ series }) {
  const ends = series.flatMap((one) => Object.values(one.range()));
  const known = ends.filter((value) => value !== null);
  return Math.max(0, ...known.map((value) => formatNumber(Math.trunc(value)).length));
}

function titleOf(panel, theme) {
  return {
    text: panel.title,
    left: 0,
    top: panel.top,
    padding: [4, 0],
    textStyle: { color: theme.muted, fontSize: 12, fontWeight: 600, fontFamily: theme.font },
  };
}

function timeAxis({ index, isLast, from, to, time, theme }) {
  return {
    type: "time",
    gridIndex: index,
    min: from,
    max: to,
    axisLine: { onZero: false, lineStyle: { color: theme.line } },
    axisTick: { show: isLast, customValues: time.ticks, lineStyle: { color: theme.line } },
    splitLine: { show: true, lineStyle: { color: theme.grid } },
    axisLabel: {
      show: isLast,
      customValues: time.ticks,
      color: theme.muted,
      hideOverlap: true,
      formatter: (ms) =>
        time.step >= DAY || isMidnight(ms, currentTimeZone()) ? formatDay(ms) : formatHour(ms),
    },
    axisPointer: { label: { show: false } },
  };
}

function numAxis(index, theme) {
  return {
    type: "value",
    gridIndex: index,
    scale: true,
    splitNumber: 4,
    min: ({ min, max }) => (min === max ? Math.floor(min - flatMargin(min)) : null),
    max: ({ min, max }) => (min === max ? Math.ceil(max + flatMargin(max)) : null),
    axisLabel: { color: theme.muted, formatter: formatNumber },
    splitLine: { lineStyle: { color: theme.grid } },
  };
}

/** What to show above and below a line that never moves. */
function flatMargin(value) {
  return Math.max(1, Math.abs(value) * 0.1);
}

function laneAxis({ words }, index, left, theme) {
  const places = words.map((_, place) => place);
  return {
    type: "value",
    gridIndex: index,
    min: -0.5,
    max: words.length - 0.5,
    axisTick: { show: false, customValues: places }, // Where the lines across are, too.
    splitLine: { show: true, lineStyle: { color: theme.grid } },
    axisLabel: {
      customValues: places,
      color: theme.muted,
      width: left - 10,
      overflow: "truncate",
      formatter: (place) => words[place]?.word ?? "",
    },
  };
}

function lineOf(panel, series, index, theme, color) {
  const { point } = series;
  const isNum = panel.kind === "num";
  const place = isNum ? null : new Map(panel.words.map(({ value }, at) => [value, at]));
  const { rows } = series;
  return {
    type: "line",
    id: point.id,
    xAxisIndex: index,
    yAxisIndex: index,
    data: rows.map(({ ms, value }) => [ms, isNum || value === null ? value : place.get(value)]),
    step: isNum ? false : "end",
    showSymbol: rows.length === 1,
    symbol: "circle",
    symbolSize: 5,
    lineStyle: { width: lineWidth(isNum, rows.length), color },
    itemStyle: { color },
    emphasis: { disabled: true },
    markLine: isNum ? limitLines(point, theme, color) : undefined,
  };
}

function lineWidth(isNum, rows) {
  if (!isNum) return 2.2;
  return rows > MANY_ROWS ? 1.2 : 1.6;
}

function limitLines(point, theme, color) {
  const { low, high } = limitsOf(point);
  const data = [
    ...(high === null ? [] : [{ yAxis: high, name: t("chart.high", { value: formatNumber(high) }) }]),
    ...(low === null ? [] : [{ yAxis: low, name: t("chart.low", { value: formatNumber(low) }) }]),
  ];
  return {
    silent: true,
    symbol: "none",
    data,
    lineStyle: { color, type: "dashed", width: 1.2 },
    label: {
      position: "insideEndTop", formatter: "{b}", color, fontSize: 11,
      // Readable where a curve runs behind it.
      backgroundColor: theme.surface, padding: [1, 4], borderRadius: 3,
    },
  };
}
