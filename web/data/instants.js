// RFC 3339 instants. Dates hold milliseconds and readings microseconds, so their order and
// equality are taken from the text.

/** A string that sorts as the instant does: "…12Z" and "…12.000000Z" give the same one. */
export function instantKey(ts) {
  const [, seconds, fraction = ""] = /^(.{19})(?:\.(\d+))?/.exec(ts);
  return `${seconds}.${fraction.padEnd(6, "0")}`;
}

export function toMs(ts) {
  return Date.parse(ts);
}

export function toTs(ms) {
  return new Date(ms).toISOString();
}
