// Marks of a time axis at round hours and midnights of a time zone that is not the browser's.

import { wallToMs, zoneOffset } from "../zone.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY,
];

/** {ticks, step}: instants in [from, to] that are round in the zone, `most` of them or fewer. */
export function timeTicks(from, to, most, timeZone) {
  const step = STEPS.find((candidate) => (to - from) / candidate <= most) ?? STEPS.at(-1);
  const ticks = [];
  const firstWall = Math.ceil((from + zoneOffset(from, timeZone)) / step) * step;
  for (let wall = firstWall; ; wall += step) {
    const tick = wallToMs(wall, timeZone);
    if (tick > to) return { ticks, step };
    if (tick >= from) ticks.push(tick);
  }
}

/** Whether an instant is midnight in the zone. */
export function isMidnight(ms, timeZone) {
  return (ms + zoneOffset(ms, timeZone)) % DAY === 0;
}
