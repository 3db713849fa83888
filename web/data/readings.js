// Fetching the readings of a window: whole at first, then only what is newer.

import { getReadings } from "../api.js";
import { now } from "../clock.js";
import { toMs, toTs } from "./instants.js";
import { Series } from "./series.js";

const NUM_POINTS_PER_SERIES = 4000; // About two per pixel of a large screen.
const PAGE_ROWS = 50_000;
const ANSWER_ROWS = 100_000; // What the API gives at most over all series of an answer.
const MOST_PAGES = 25;
// A device's clock may be ahead of ours; readings up to 15 minutes ahead are accepted.
const AHEAD_MS = 20 * 60_000;

/** The readings of some points of one device since `now - rangeMs`. */
export class Readings {
  constructor({ tenant, device, points, rangeMs }) {
    this.tenant = tenant;
    this.device = device;
    this.rangeMs = rangeMs;
    this.series = points.map((point) => new Series(point));
  }

  /** Fetches the whole window. Throws what the API's call throws. */
  async load(signal) {
    const from = toTs(now() - this.rangeMs);
    const nums = this.series.filter(({ point }) => point.type === "num");
    const others = this.series.filter(({ point }) => point.type !== "num");
    await this.fetchGroup(nums, from, NUM_POINTS_PER_SERIES, signal);
    await this.fetchGroup(others, from, PAGE_ROWS, signal);
  }

  /** Fetches only what is newer than the last seen of each point; returns how many rows came. */
  async follow(signal) {
    const startMs = now() - this.rangeMs;
    const start = toTs(startMs);
    const groups = Map.groupBy(this.series, ({ lastTs }) =>
      lastTs !== null && toMs(lastTs) > startMs ? lastTs : start,
    );
    let added = 0;
    for (const [from, group] of groups) {
      added += await this.fetchGroup(group, from, PAGE_ROWS, signal);
    }
    for (const series of this.series) series.dropBefore(startMs);
    return added;
  }

  /** Fetches series from one instant on, page after page where the API says that there is more. */
  async fetchGroup(group, from, wantedPoints, signal) {
    if (group.length === 0) return 0;
    const answer = await this.fetchPage(group, from, wantedPoints, signal);
    let added = 0;
    for (const series of group) {
      const page = answer.find(({ point_id }) => point_id === series.point.id);
      if (page) added += await this.takePages(series, page, signal);
    }
    return added;
  }

  async fetchPage(group, from, wantedPoints, signal) {
    const maxPoints = Math.min(wantedPoints, Math.floor(ANSWER_ROWS / group.length));
    const to = toTs(Math.max(now(), toMs(from)) + AHEAD_MS);
    const points = group.map(({ point }) => point.id);
    const question = { device: this.device, points, from, to, maxPoints };
    const answer = await getReadings(this.tenant, question, signal);
    return answer.series;
  }

  async takePages(series, firstPage, signal) {
    let page = firstPage;
    series.agg = page.agg ?? "raw";
    let added = series.add(page.rows);
    for (let count = 1; page?.next_from && count < MOST_PAGES; count += 1) {
      [page] = await this.fetchPage([series], page.next_from, PAGE_ROWS, signal);
      if (page) added += series.add(page.rows);
    }
    series.cutAt = page?.next_from ? toMs(page.next_from) : null;
    if (page?.truncated && !page.next_from) series.thinned = true;
    return added;
  }

  get isEmpty() {
    return this.series.every(({ rows }) => rows.length === 0);
  }
}
