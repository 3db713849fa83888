// Marks of a time axis at round hours and midnights of a time zone that is not the browser's.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY,
];

const formats = new Map();

/** Milliseconds by which a zone's wall clock is ahead of UTC at an instant. */
export function zoneOffset(ms, timeZone) {
  if (!formats.has(timeZone)) {
    formats.set(
      timeZone,
      new Intl.DateTimeFormat("en-US", {
        timeZone,
        hourCycle: "h23",
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
      }),
    );
  }
  const parts = {};
  for (const { type, value } of formats.get(timeZone).formatToParts(ms)) parts[type] = Number(value);
  const wall = Date.UTC(
    parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second,
  );
  return wall - Math.floor(ms / 1000) * 1000;
}

/** {ticks, step}: instants in [from, to] that are round in the zone, `most` of them or fewer. */
export function timeTicks(from, to, most, timeZone) {
  const step = STEPS.find((candidate) => (to - from) / candidate <= most) ?? STEPS.at(-1);
  const ticks = [];
  const firstWall = Math.ceil((from + zoneOffset(from, timeZone)) / step) * step;
  for (let wall = firstWall; ; wall += step) {
    const guess = wall - zoneOffset(wall, timeZone);
    const tick = wall - zoneOffset(guess, timeZone); // Again, as the offset may change between.
    if (tick > to) return { ticks, step };
    if (tick >= from) ticks.push(tick);
  }
}

/** Whether an instant is midnight in the zone. */
export function isMidnight(ms, timeZone) {
  return (ms + zoneOffset(ms, timeZone)) % DAY === 0;
}
