// The exports of a tenant: a history, newest first, of which what still runs is followed.

import { getExport, listExports } from "../api.js";
import { now } from "../clock.js";
import { ApiError } from "../http.js";
import { instantKey, toMs } from "./instants.js";

const PAGE = 20;
const MAILED_WITHIN_MS = 120_000; // What takes longer is shown when the page is opened again.

export function isRunning({ status }) {
  return status === "PENDING" || status === "PROCESSING";
}

/** Whether there will soon be more to say of it. */
export function isUnderWay(job) {
  if (isRunning(job)) return true;
  return job.notification === "pending" && toMs(job.finished_at) > now() - MAILED_WITHIN_MS;
}

/** The status by the clock: a file that was to go by now is not offered any more. */
export function statusOf({ status, expires_at }) {
  const isOver = status === "COMPLETED" && expires_at !== null && toMs(expires_at) <= now();
  return isOver ? "EXPIRED" : status;
}

export class ExportList {
  constructor(tenant) {
    this.tenant = tenant;
    this.jobs = [];
    this.nextCursor = null; // Of what is older than all that is held; null where nothing is.
    this.isLoaded = false;
  }

  get isAnyUnderWay() {
    return this.jobs.some(isUnderWay);
  }

  /** Fetches the newest, and what runs among the older; returns the changes, as `take` does. */
  async refresh(signal) {
    const page = await listExports({ tenant: this.tenant, limit: PAGE, signal });
    const listed = new Set(page.items.map(({ id }) => id));
    const older = this.jobs.filter((job) => isUnderWay(job) && !listed.has(job.id));
    const renewed = await Promise.all(older.map(({ id }) => this.fetchIfThere(id, signal)));
    const isGap = this.isLoaded && !this.jobs.some(({ id }) => listed.has(id));
    if (!this.isLoaded || isGap) {
      // So much is new that the pages no longer meet: begin anew.
      this.jobs = this.jobs.filter(isRunning);
      this.nextCursor = page.next_cursor;
    }
    this.isLoaded = true;
    const gone = new Set(older.filter((_, at) => renewed[at] === null).map(({ id }) => id));
    this.jobs = this.jobs.filter(({ id }) => !gone.has(id));
    return this.take([...page.items, ...renewed.filter(Boolean)]);
  }

  async fetchIfThere(id, signal) {
    try {
      return await getExport(this.tenant, id, signal);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** Fetches the next older page. */
  async loadMore(signal) {
    const page = await listExports({
      tenant: this.tenant, limit: PAGE, cursor: this.nextCursor, signal,
    });
    this.nextCursor = page.next_cursor;
    this.take(page.items);
  }

  /** Takes what the API said of exports; returns [before, after] of each that was known. */
  take(jobs) {
    const held = new Map(this.jobs.map((job) => [job.id, job]));
    const changes = [];
    for (const job of jobs) {
      const before = held.get(job.id);
      // What has ended never runs again: an answer that says so was only longer on its way.
      if (before && !isRunning(before) && isRunning(job)) continue;
      if (before) changes.push([before, job]);
      held.set(job.id, job);
    }
    const order = ({ id, created_at }) => `${instantKey(created_at)} ${id}`;
    this.jobs = [...held.values()].sort((a, b) => (order(a) < order(b) ? 1 : -1));
    return changes;
  }
}
