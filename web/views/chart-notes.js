// What must be said beside the chart for it to be honest.

import { formatDateTime, formatTimeZone } from "../format.js";
import { t } from "../i18n.js";
import { labelOf } from "../words.js";

export function chartNotes(allSeries) {
  const names = (series) => series.map(({ point }) => labelOf(point)).join(", ");
  const notes = [t("chart.zone", { zone: formatTimeZone() })];
  const thinned = allSeries.filter((series) => series.thinned);
  if (thinned.length > 0) notes.push(t("chart.thinned", { points: names(thinned) }));
  for (const series of allSeries) {
    if (series.agg !== "raw") {
      notes.push(t("chart.averaged", { point: labelOf(series.point), level: series.agg }));
    }
    if (series.cutAt !== null) {
      const until = formatDateTime(series.cutAt);
      notes.push(t("chart.cut", { point: labelOf(series.point), until }));
    }
  }
  return notes;
}
