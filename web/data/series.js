// The readings of one point in the shown window, fed page by page and then as they arrive.

import { instantKey, toMs } from "./instants.js";

const LONGEST_SILENCE_FACTOR = 8; // A silence this much longer than usual is a gap in the line.
const SHORTEST_GAP_MS = 60_000;

/** Rows are {ms, value}, in order. Num rows are kept whole; others only where they change. */
export class Series {
  constructor(point) {
    this.point = point;
    this.rows = [];
    this.lastTs = null; // The newest instant seen, as the API wrote it.
    this.thinned = false; // The API left rows out evenly: more than it was asked for.
    this.agg = "raw"; // What the API answered with; a rollup where raw no longer reaches back.
    this.cutAt = null; // Rows after this instant exist and were not fetched.
    this.steps = []; // Milliseconds between the newest readings: how often it usually speaks.
  }

  /** Adds API rows [ts, value, …]; those not newer than the last are ones that we have. */
  add(rows) {
    let added = 0;
    for (const [ts, value] of rows) {
      if (this.lastTs !== null && instantKey(ts) <= instantKey(this.lastTs)) continue;
      const ms = toMs(ts);
      if (this.lastTs !== null) this.noteStep(ms - toMs(this.lastTs));
      this.push(ms, value);
      this.lastTs = ts;
      added += 1;
    }
    return added;
  }

  noteStep(step) {
    this.steps.push(step);
    if (this.steps.length > 101) this.steps.shift();
  }

  push(ms, value) {
    const previous = this.rows.at(-1);
    if (previous && this.isSilence(ms - previous.ms)) {
      this.rows.push({ ms: previous.ms + 1, value: null });
    } else if (this.point.type !== "num" && this.sameRun(value)) {
      previous.ms = ms;
      return;
    }
    this.rows.push({ ms, value });
  }

  /** Whether the last two rows are the two ends of a run of this very value. */
  sameRun(value) {
    const [before, last] = this.rows.slice(-2);
    return last?.value === value && before?.value === value;
  }

  isSilence(step) {
    if (step <= SHORTEST_GAP_MS || this.steps.length < 5) return false;
    const usual = [...this.steps].sort((a, b) => a - b)[this.steps.length >> 1];
    return step > usual * LONGEST_SILENCE_FACTOR;
  }

  /** Lets go of what left the window, keeping the row that leads into it. */
  dropBefore(ms) {
    const first = this.rows.findIndex((row) => row.ms >= ms);
    if (first > 1) this.rows.splice(0, first - 1);
  }

  /** The index of the last row at or before an instant, -1 when there is none. */
  indexAt(ms) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].ms <= ms) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The value that held at an instant; null in a gap or before the first. */
  valueAt(ms) {
    const index = this.indexAt(ms);
    return index < 0 ? null : this.rows[index].value;
  }

  /** {min, max} of the numbers from an instant on, nulls when there are none. */
  range(fromMs = -Infinity) {
    let min = null;
    let max = null;
    for (const { ms, value } of this.rows) {
      if (ms < fromMs || typeof value !== "number") continue;
      if (min === null || value < min) min = value;
      if (max === null || value > max) max = value;
    }
    return { min, max };
  }

  /** The last value from an instant on, null when there is none. */
  lastSince(fromMs) {
    const row = this.rows.findLast(({ ms, value }) => ms >= fromMs && value !== null);
    return row?.value ?? null;
  }
}
