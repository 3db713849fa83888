// The chart on the page: an ECharts instance that follows its container, the theme and the data.

import { UnreachableError } from "../http.js";
import { readTheme, SERIES_COLORS } from "./theme.js";
import { makeOption } from "./options.js";
import { makePanels } from "./panels.js";
import { tooltipContent } from "./tooltip.js";

/** ECharts is a megabyte, so it is fetched when the first chart is made. */
async function loadEcharts() {
  try {
    return await import("/vendor/echarts/echarts.esm.min.js");
  } catch (error) {
    throw new UnreachableError("ECharts did not come", { cause: error });
  }
}

/**
 * Makes a chart in `container`. `colorOf(point)` is the point's place among the device's; places
 * beyond the colours start over. Throws UnreachableError when ECharts cannot be fetched.
 */
export async function makeLiveChart(container, colorOf) {
  const echarts = await loadEcharts();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let theme = readTheme();
  let shown = null;
  const colorIndex = (point) => colorOf(point) % SERIES_COLORS;

  const chart = echarts.init(container, null, { renderer: "canvas", height: 320 });

  function draw() {
    if (!shown || container.clientWidth === 0) return;
    const panels = makePanels(shown.series);
    const series = panels.flatMap((panel) => panel.series);
    const { option, height } = makeOption({
      panels,
      from: shown.from,
      to: shown.to,
      width: container.clientWidth,
      theme,
      colorOf: colorIndex,
      tooltip: {
        formatter: ([first]) =>
          tooltipContent({
            ms: first.axisValue,
            series,
            colorFor: (point) => theme.series[colorIndex(point)],
          }),
      },
    });
    const shape = panels.map(({ kind, title }) => `${kind} ${title}`).join();
    container.style.height = `${height}px`;
    chart.resize({ width: container.clientWidth, height });
    chart.setOption(option, { notMerge: shape !== shown.shape, replaceMerge: ["series"] });
    shown.shape = shape;
  }

  const followSize = new ResizeObserver(draw);
  followSize.observe(container);
  const followTheme = () => {
    theme = readTheme();
    if (shown) shown.shape = null;
    draw();
  };
  dark.addEventListener("change", followTheme);

  return {
    /** Draws series over [from, to] in milliseconds. */
    show({ series, from, to }) {
      shown = { series, from, to, shape: shown?.shape };
      draw();
    },
    destroy() {
      followSize.disconnect();
      dark.removeEventListener("change", followTheme);
      chart.dispose();
    },
  };
}
