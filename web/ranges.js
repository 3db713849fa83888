// The windows that the chart can show.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const RANGES = [
  { name: "1h", ms: HOUR },
  { name: "6h", ms: 6 * HOUR },
  { name: "24h", ms: DAY },
  { name: "7d", ms: 7 * DAY },
  // Raw readings are kept for 14 days: asking for the very edge would give a coarser level.
  { name: "14d", ms: 14 * DAY - 5 * MINUTE },
];
export const DEFAULT_RANGE = "6h";

export function rangeNamed(name) {
  return RANGES.find((range) => range.name === name) ?? rangeNamed(DEFAULT_RANGE);
}
