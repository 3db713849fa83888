// The wall clock of a time zone that is not the browser's. A wall time is held as the milliseconds
// that it would be in UTC.

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

/** The instant at which a zone's clock shows a wall time; one that it skips is an hour later. */
export function wallToMs(wall, timeZone) {
  const guess = wall - zoneOffset(wall, timeZone);
  return wall - zoneOffset(guess, timeZone); // Again, as the offset may change between.
}

/** What a zone's clock shows at an instant, as an input of date and time holds it: "2025-11-20T14:32". */
export function toWallText(ms, timeZone) {
  return new Date(ms + zoneOffset(ms, timeZone)).toISOString().slice(0, 16);
}

/** The instant of such a text, null where it is none. */
export function fromWallText(text, timeZone) {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text)) return null;
  const wall = Date.parse(`${text.slice(0, 16)}Z`);
  return Number.isNaN(wall) ? null : wallToMs(wall, timeZone);
}

/** The first instant of the month in which an instant lies, or of one `months` later. */
export function monthStart(ms, timeZone, months = 0) {
  const wall = new Date(ms + zoneOffset(ms, timeZone));
  return wallToMs(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + months, 1), timeZone);
}
