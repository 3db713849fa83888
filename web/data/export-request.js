// What the form of an export holds, how it is kept in the place, and the request made of it.
//
// Choices: {device: id or "", points: names or [] for all, period, from, to: wall times of the
// tenant's zone, used where the period is "custom", agg, format, isSheet}.

import { RANGES } from "../ranges.js";
import { fromWallText, monthStart, toWallText } from "../zone.js";
import { toTs } from "./instants.js";

const DAY = 86_400_000;
const LENGTHS = { "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY };

export const PERIODS = [...Object.keys(LENGTHS), "this_month", "last_month", "custom"];
export const AGGS = ["raw", "1m", "5m", "1h"];
export const FORMATS = ["csv", "csv.gz", "parquet"];

/** The choices that a place names, the usual ones for the rest. */
export function choicesFrom(query, nowMs, timeZone) {
  const one = (name, known) => (known.includes(query.get(name)) ? query.get(name) : known[0]);
  const choices = {
    device: query.get("device") ?? "",
    points: (query.get("points") ?? "").split(",").filter(Boolean),
    period: one("range", PERIODS),
    from: toWallText(nowMs - LENGTHS["7d"], timeZone),
    to: toWallText(nowMs, timeZone),
    agg: one("agg", AGGS),
    format: one("format", FORMATS),
    isSheet: query.get("sheet") === "1",
  };
  const ofChart = RANGES.find(({ name }) => name === query.get("range"));
  if (ofChart && !PERIODS.includes(ofChart.name)) {
    const from = toWallText(nowMs - ofChart.ms, timeZone);
    return { ...choices, period: "custom", from };
  }
  for (const name of ["from", "to"]) {
    const text = query.get(name) ?? "";
    if (fromWallText(text, timeZone) !== null) choices[name] = text.slice(0, 16);
  }
  return choices;
}

/** The choices as a place holds them, the reverse of `choicesFrom`. */
export function toQuery({ device, points, period, from, to, agg, format, isSheet }) {
  const isCustom = period === "custom";
  return {
    device,
    points: device ? points.join(",") : "",
    range: period,
    from: isCustom ? from : "",
    to: isCustom ? to : "",
    agg,
    format,
    sheet: isSheet ? "1" : "",
  };
}

/** {fromMs, toMs} of the choices; null each where a time is missing. */
export function periodOf({ period, from, to }, nowMs, timeZone) {
  if (period === "custom") {
    return { fromMs: fromWallText(from, timeZone), toMs: fromWallText(to, timeZone) };
  }
  if (period === "this_month") return { fromMs: monthStart(nowMs, timeZone), toMs: nowMs };
  if (period === "last_month") {
    return { fromMs: monthStart(nowMs, timeZone, -1), toMs: monthStart(nowMs, timeZone) };
  }
  return { fromMs: nowMs - LENGTHS[period], toMs: nowMs };
}

/** What is wrong with a period: "incomplete", "order", "future", or null. */
export function complaintAbout({ fromMs, toMs }, nowMs) {
  if (fromMs === null || toMs === null) return "incomplete";
  if (fromMs >= toMs) return "order";
  return fromMs >= nowMs ? "future" : null;
}

/** The body of POST /api/exports. */
export function toBody(choices, { fromMs, toMs }, locale) {
  const { device, points, agg, format, isSheet } = choices;
  return {
    ...(device ? { device } : {}),
    ...(device && points.length ? { points } : {}),
    from: toTs(fromMs),
    to: toTs(toMs),
    agg,
    format,
    locale,
    for_spreadsheet: isSheet && format !== "parquet",
  };
}
