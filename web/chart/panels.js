// Which series share a panel, and where the panels stand: one above the other on a common time
// axis, a panel for each unit and a narrow lane for each point that holds words.

import { t } from "../i18n.js";
import { formatValue, labelOf } from "../words.js";

const TITLE_HEIGHT = 28;
const ONLY_PANEL_HEIGHT = 300;
const PANEL_HEIGHT = 190;
const LANE_STATE_HEIGHT = 24;
const PANEL_GAP = 14;
const TIME_AXIS_HEIGHT = 30;

/** [{kind: "num" | "lane", title, series, words}] in the order of the series. */
export function makePanels(allSeries) {
  const nums = allSeries.filter(({ point }) => point.type === "num");
  const byUnit = Map.groupBy(nums, ({ point }) => point.unit ?? "");
  const numPanels = [...byUnit].map(([unit, series]) => ({
    kind: "num",
    title: unit || t("chart.no_unit"),
    series,
  }));
  const lanes = allSeries
    .filter(({ point }) => point.type !== "num")
    .map((series) => ({
      kind: "lane",
      title: labelOf(series.point),
      series: [series],
      words: laneWords(series),
    }));
  return [...numPanels, ...lanes];
}

/** The values of a lane from bottom to top, with their words. */
function laneWords({ point, rows }) {
  const values = point.type === "bool" ? [false, true] : [...(point.enum_values ?? [])];
  for (const { value } of rows) {
    if (value !== null && !values.includes(value)) values.push(value);
  }
  return values.map((value) => ({ value, word: formatValue(point, value) }));
}

/** Adds `top` (of the title) and `height` (of the plot) to each panel; returns the whole height. */
export function placePanels(panels) {
  let y = 0;
  for (const panel of panels) {
    panel.top = y;
    panel.height = plotHeight(panel, panels.length);
    y += TITLE_HEIGHT + panel.height + PANEL_GAP;
  }
  return y - PANEL_GAP + TIME_AXIS_HEIGHT;
}

function plotHeight(panel, count) {
  if (panel.kind === "lane") return Math.max(2, panel.words.length) * LANE_STATE_HEIGHT;
  return count === 1 ? ONLY_PANEL_HEIGHT : PANEL_HEIGHT;
}

export function plotTop(panel) {
  return panel.top + TITLE_HEIGHT;
}
