// What must be said beside the chart for it to be honest.

import { formatDateTime, formatTimeZone } from "../format.js";
import { t } from "../i18n.js";
import { labelOf } from "../words.js";

export function chartNotes(allSeries) {
  const notes = [t("chart.zone", { zone: formatTimeZone() })];
  const rollups = allSeries.filter(({ agg }) => agg !== "raw");
  for (const [agg, series] of Map.groupBy(rollups, (one) => one.agg)) {
    const level = t(`level.${agg}`);
    notes.push(t("chart.averaged", { points: names(series), level }));
  }
  const say = (key, series) => {
    if (series.length > 0) notes.push(t(key, { points: names(series) }));
  };
  say("chart.degraded", allSeries.filter(({ isDegraded }) => isDegraded));
  say("chart.thinned", allSeries.filter(({ reduction }) => reduction === "lttb"));
  say("chart.changes", allSeries.filter(({ reduction }) => reduction === "changes"));
  for (const { point, availableFrom, cutAt } of allSeries) {
    if (availableFrom !== null) {
      const from = formatDateTime(availableFrom);
      notes.push(t("chart.available", { point: labelOf(point), from }));
    }
    if (cutAt !== null) {
      const until = formatDateTime(cutAt);
      notes.push(t("chart.cut", { point: labelOf(point), until }));
    }
  }
  return notes;
}

function names(series) {
  return series.map(({ point }) => labelOf(point)).join(", ");
}
