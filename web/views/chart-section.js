// The chart with its choices: which points, how far back. Follows new readings.

import { makeLiveChart } from "../chart/live-chart.js";
import { now } from "../clock.js";
import { Readings } from "../data/readings.js";
import { h, setText } from "../dom.js";
import { ApiError, SessionEndedError, UnreachableError } from "../http.js";
import { t } from "../i18n.js";
import { recall, remember } from "../preferences.js";
import { rangeNamed } from "../ranges.js";
import { noteQuery } from "../router.js";
import { labelOf } from "../words.js";
import { chartNotes } from "./chart-notes.js";
import { MOST_POINTS, pointPicker } from "./point-picker.js";
import { rangePicker } from "./range-picker.js";
import { errorBlock, loadingBlock, emptyBlock } from "./messages.js";
import { summaryTable } from "./summary-table.js";

const FIRST_POINTS = 3;
const RELOAD_AFTER_POLLS = 60; // What a device sent late, behind what is shown, comes in then.
const RELOAD_AFTER_MS = 10 * 60_000; // So long hidden, a whole new window is less work.

export function chartSection({ tenant, device, points, query, onSessionEnd, onChoice }) {
  const drawable = points.filter(({ type }) => type !== "text");
  let chosen = initialPoints(drawable, query.get("points"));
  let range = rangeNamed(query.get("range") ?? recall("range"));
  let readings = null; // Null until a whole window is loaded.
  let chart = null; // A promise: ECharts is on its way while the readings are.
  let loading = null;
  let mayReload = false; // The load failed for want of a network: it is worth another try.
  let polls = 0;
  let followedAt = 0;

  const canvas = h("div", { class: "chart-canvas", role: "img" });
  const overlay = h("div", { class: "chart-overlay", hidden: true });
  const notes = h("ul", { class: "chart-notes" });
  const summary = summaryTable();
  const colorOf = (point) => drawable.indexOf(point);
  const picker = pointPicker({ points: drawable, chosen, colorOf, onChange: choosePoints });
  const element = h(
    "section",
    { class: "section chart", "aria-labelledby": "chart-title", hidden: drawable.length === 0 },
    h(
      "div",
      { class: "chart-head" },
      h("h2", { class: "section-title", id: "chart-title" }, t("chart.title")),
      rangePicker(range, chooseRange),
    ),
    picker,
    h("div", { class: "chart-frame" }, canvas, overlay),
    notes,
    summary.element,
  );

  function choosePoints(next) {
    chosen = next;
    load();
  }

  function chooseRange(next) {
    range = next;
    remember("range", next.name);
    load();
  }

  function noteChoice() {
    const choice = { points: chosen.map(({ name }) => name).join(","), range: range.name };
    noteQuery(choice);
    onChoice(choice);
  }

  async function load({ isQuiet = false } = {}) {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    if (!isQuiet) {
      mayReload = false;
      noteChoice();
      readings = null;
      cover(loadingBlock());
    }
    if (chosen.length === 0) {
      cover(emptyBlock(t("chart.nothing_chosen.title"), t("chart.nothing_chosen.text")));
      return;
    }
    const next = new Readings({ tenant, device, points: chosen, rangeMs: range.ms });
    try {
      chart ??= makeLiveChart(canvas, colorOf);
      await Promise.all([chart, next.load(signal)]);
      if (signal.aborted) return;
      readings = next;
      polls = 0;
      followedAt = now();
      cover(null);
      await draw();
    } catch (error) {
      if (signal.aborted) return;
      if (isQuiet) throw error;
      await showFailure(error);
    } finally {
      if (loading?.signal === signal) loading = null;
    }
  }

  async function showFailure(error) {
    if (error instanceof SessionEndedError) return onSessionEnd();
    mayReload = error instanceof UnreachableError;
    if (!(mayReload || error instanceof ApiError)) console.error(error);
    await chart?.catch(() => {
      chart = null; // It was ECharts that did not come: ask for it again.
    });
    return cover(errorBlock(error, () => load()));
  }

  function cover(block) {
    overlay.hidden = block === null;
    overlay.replaceChildren(...(block ? [block] : []));
    canvas.classList.toggle("is-covered", block !== null);
  }

  async function draw() {
    const to = now();
    const from = to - range.ms;
    if (readings.isEmpty) cover(emptyBlock(t("chart.empty.title"), t("chart.empty.text")));
    else if (!overlay.hidden) cover(null);
    (await chart).show({ series: readings.series, from, to });
    canvas.setAttribute("aria-label", description());
    notes.replaceChildren(...chartNotes(readings.series).map((text) => h("li", {}, text)));
    summary.update(readings.series, from);
  }

  function description() {
    const names = chosen.map(labelOf).join(", ");
    return t("chart.description", { points: names, range: t(`range.${range.name}.long`) });
  }

  /** Fetches what is new since the last call; the whole window where that is long ago. */
  async function follow(signal) {
    if (loading) return;
    if (!readings) {
      if (mayReload) await load();
      return;
    }
    polls += 1;
    if (polls >= RELOAD_AFTER_POLLS || now() - followedAt > RELOAD_AFTER_MS) {
      await load({ isQuiet: true });
      return;
    }
    const followed = readings;
    await followed.follow(signal);
    if (followed !== readings) return;
    followedAt = now();
    await draw();
  }

  if (drawable.length > 0) load();
  return {
    element,
    follow: drawable.length > 0 ? follow : async () => {},
    destroy() {
      loading?.abort();
      chart?.then((made) => made.destroy(), () => {});
    },
  };
}

/** The points that the link names; else the first measurements and the first state. */
function initialPoints(drawable, wanted) {
  const named = (wanted ?? "").split(",").filter(Boolean);
  const fromLink = drawable.filter(({ name }) => named.includes(name)).slice(0, MOST_POINTS);
  if (fromLink.length > 0) return fromLink;
  const nums = drawable.filter(({ type }) => type === "num").slice(0, FIRST_POINTS);
  const state =
    drawable.find(({ type }) => type === "enum") ?? drawable.find(({ type }) => type === "bool");
  return drawable.filter((point) => nums.includes(point) || point === state);
}
