// The chart's colours, from the page's style sheets, so that light and dark are said once.

export const SERIES_COLORS = 10;

export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    surface: color("surface"),
    text: color("text"),
    muted: color("muted"),
    line: color("line"),
    grid: color("grid"),
    danger: color("danger"),
    font: getComputedStyle(document.body).fontFamily,
    series: Array.from({ length: SERIES_COLORS }, (_, index) => color(`series-${index + 1}`)),
  };
}
