// The readings of one point in the shown window, fed page by page and then as they arrive.

import { instantKey, toMs } from "./instants.js";

const LONGEST_SILENCE_FACTOR = 8; // A silence this much longer than usual is a gap in the line.
const SHORTEST_GAP_MS = 60_000;

/**
 * Rows are {ms, value}, in order, those of rollups also with {min, max}, value being the average.
 * Num rows are kept whole; others only where they change.
 */
export class Series {
  constructor(point) {
    this.point = point;
    this.rows = [];
    this.lastTs = null; // The newest instant seen, as the API wrote it.
    this.agg = "raw"; // The level that the API answered with.
    this.isDegraded = false; // A finer level would have fitted, and no longer reaches back.
    this.reduction = null; // How the API left rows out: "lttb" of numbers, "changes" of states.
    this.availableFrom = null; // Where what is kept begins, if that is later than the window.
    this.cutAt = null; // Rows after this instant exist and were not fetched.
    this.steps = []; // Milliseconds between the newest readings: how often it usually speaks.
  }

  /** Takes over what an answer of the API says beside its rows. */
  describe({ agg, degraded, reduction, available_from }) {
    this.agg = agg;
    this.isDegraded = degraded;
    this.reduction = reduction;
    this.availableFrom = available_from === null ? null : toMs(available_from);
  }

  /**
   * Adds API rows, [ts, value, qual] or [ts, avg, min, max, count]. Those not newer than the last
   * are ones that we have; but the last bucket may have been filling still.
   */
  add(rows) {
    let added = 0;
    for (const [ts, value, min, max] of rows) {
      const extent = this.agg === "raw" ? {} : { min, max };
      if (this.lastTs !== null) {
        const isNewer = instantKey(ts) > instantKey(this.lastTs);
        if (!isNewer) {
          const isLast = instantKey(ts) === instantKey(this.lastTs);
          if (isLast && this.agg !== "raw") Object.assign(this.rows.at(-1), { value, ...extent });
          continue;
        }
        // Between changes lies any time: it says nothing of how often the point speaks.
        if (this.reduction !== "changes") this.noteStep(toMs(ts) - toMs(this.lastTs));
      }
      this.push({ ms: toMs(ts), value, ...extent });
      this.lastTs = ts;
      added += 1;
    }
    return added;
  }

  noteStep(step) {
    this.steps.push(step);
    if (this.steps.length > 101) this.steps.shift();
  }

  push(row) {
    const previous = this.rows.at(-1);
    if (previous && this.isSilence(row.ms - previous.ms)) {
      this.rows.push({ ms: previous.ms + 1, value: null });
    } else if (this.point.type !== "num" && this.sameRun(row.value)) {
      previous.ms = row.ms;
      return;
    }
    this.rows.push(row);
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
    for (const row of this.rows) {
      if (row.ms < fromMs || typeof row.value !== "number") continue;
      const low = row.min ?? row.value;
      const high = row.max ?? row.value;
      if (min === null || low < min) min = low;
      if (max === null || high > max) max = high;
    }
    return { min, max };
  }

  /** The last value from an instant on, null when there is none. */
  lastSince(fromMs) {
    const row = this.rows.findLast(({ ms, value }) => ms >= fromMs && value !== null);
    return row?.value ?? null;
  }
}
