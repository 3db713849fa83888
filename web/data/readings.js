// Fetching the readings of a window: whole at first, at the level that the API finds to fit, then
// only what is newer, at that same level.

import { getReadings } from "../api.js";
import { now } from "../clock.js";
import { toMs, toTs } from "./instants.js";
import { Series } from "./series.js";

const NUM_POINTS_PER_SERIES = 4200; // Two per pixel of a large screen; 14 days of five minutes.
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
    await this.fetchGroup(nums, { from, agg: "auto", maxPoints: NUM_POINTS_PER_SERIES }, signal);
    await this.fetchGroup(others, { from, agg: "auto", maxPoints: PAGE_ROWS }, signal);
  }

  /** Fetches only what is newer than the last seen of each point; returns how many rows came. */
  async follow(signal) {
    const startMs = now() - this.rangeMs;
    const start = toTs(startMs);
    const groups = Map.groupBy(this.series, ({ agg, lastTs }) =>
      [agg, lastTs !== null && toMs(lastTs) > startMs ? lastTs : start].join(" "),
    );
    let added = 0;
    for (const [key, group] of groups) {
      const [agg, from] = key.split(" ");
      added += await this.fetchGroup(group, { from, agg, maxPoints: PAGE_ROWS }, signal);
    }
    for (const series of this.series) series.dropBefore(startMs);
    return added;
  }

  /** Fetches series from one instant on, page after page where the API says that there is more. */
  async fetchGroup(group, question, signal) {
    if (group.length === 0) return 0;
    const answer = await this.fetchPage(group, question, signal);
    let added = 0;
    for (const series of group) {
      const page = answer.find(({ point_id }) => point_id === series.point.id);
      if (!page) continue;
      if (question.agg === "auto") series.describe(page);
      added += await this.takePages(series, page, signal);
    }
    return added;
  }

  async fetchPage(group, { from, agg, maxPoints }, signal) {
    const question = {
      device: this.device,
      points: group.map(({ point }) => point.id),
      from,
      to: toTs(Math.max(now(), toMs(from)) + AHEAD_MS),
      agg,
      maxPoints: Math.min(maxPoints, Math.floor(ANSWER_ROWS / group.length)),
      thin: agg === "auto" ? undefined : "none", // What is new is wanted whole.
    };
    return (await getReadings(this.tenant, question, signal)).series;
  }

  async takePages(series, firstPage, signal) {
    let page = firstPage;
    let added = series.add(page.rows);
    // Changes go on as changes, and all else at the level that was found.
    const agg = series.reduction === "changes" ? "auto" : series.agg;
    for (let count = 1; page?.next_from && count < MOST_PAGES; count += 1) {
      const question = { from: page.next_from, agg, maxPoints: PAGE_ROWS };
      [page] = await this.fetchPage([series], question, signal);
      if (page) added += series.add(page.rows);
    }
    series.cutAt = page?.next_from ? toMs(page.next_from) : null;
    return added;
  }

  get isEmpty() {
    return this.series.every(({ rows }) => rows.length === 0);
  }
}
