// Which points of a device an export holds: all of them, or those that are ticked.

import { listPoints } from "../api.js";
import { h } from "../dom.js";
import { SessionEndedError } from "../http.js";
import { t } from "../i18n.js";
import { labelOf } from "../words.js";
import { errorBlock, loadingBlock } from "./messages.js";

/**
 * `onChange(names)` is told of each choice, [] being all. `show(device, names, agg)` shows the
 * points of a device, "" being none. `check()` is whether something is chosen that has values.
 */
export function exportPoints({ tenant, onChange, onSessionEnd }) {
  const all = h("input", { type: "checkbox", id: "export-all-points", on: { change: onAll } });
  const list = h("div", { class: "export-point-list" });
  const hint = h("p", { class: "field-hint", id: "export-points-hint" }, t("exports.only_numbers"));
  const choices = h(
    "div",
    {},
    h("label", { class: "check" }, all, h("span", {}, t("exports.all_points"))),
    list,
    hint,
  );
  const body = h("div", {});
  const element = h(
    "fieldset",
    { class: "choice", hidden: true, "aria-describedby": hint.id },
    h("legend", {}, t("exports.points")),
    body,
  );
  let loading = null;
  let shown = { device: "", names: [], agg: "raw" };
  let points = [];

  async function load() {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    points = [];
    body.replaceChildren(loadingBlock());
    try {
      const found = await listPoints(tenant, shown.device, signal);
      if (signal.aborted) return;
      points = found.filter(({ is_contracted }) => is_contracted !== false);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SessionEndedError) onSessionEnd();
      else body.replaceChildren(errorBlock(error, load));
      return;
    }
    const known = points.map(({ name }) => name);
    const names = shown.names.filter((name) => known.includes(name));
    all.checked = names.length === 0;
    list.replaceChildren(...points.map((point) => pointCheck(point, names.includes(point.name))));
    body.replaceChildren(choices);
    showLevel();
    report();
  }

  function pointCheck({ name, type, ...point }, isChecked) {
    return h(
      "label",
      { class: "check" },
      h("input", {
        type: "checkbox", name: "export-point", value: name, checked: isChecked, data: { type },
        on: { change: report },
      }),
      h("span", { translate: "no" }, labelOf({ name, ...point })),
    );
  }

  function onAll() {
    if (!all.checked) list.querySelector("input:not(:disabled)")?.focus();
    showLevel();
    report();
  }

  /** Averages exist of numbers only: the others cannot be chosen then. */
  function showLevel() {
    const isRaw = shown.agg === "raw";
    list.hidden = all.checked;
    for (const box of list.querySelectorAll("input")) {
      box.disabled = !isRaw && box.dataset.type !== "num";
    }
    hint.hidden = isRaw || points.every(({ type }) => type === "num");
  }

  const chosen = () =>
    [...list.querySelectorAll("input:checked:not(:disabled)")].map(({ value }) => value);

  function report() {
    shown = { ...shown, names: all.checked ? [] : chosen() };
    onChange(shown.names);
  }

  return {
    element,
    show(device, names, agg) {
      const isOther = device !== shown.device;
      shown = { device, names, agg };
      element.hidden = !device;
      if (!device) loading?.abort();
      else if (isOther) load();
      else {
        showLevel();
        if (points.length) report();
      }
    },
    check() {
      if (!shown.device || loading === null) return true;
      if (!all.checked) return chosen().length > 0;
      return shown.agg === "raw" || points.length === 0 || points.some(({ type }) => type === "num");
    },
    focus: () => (all.checked ? all : list.querySelector("input") ?? all).focus(),
    destroy: () => loading?.abort(),
  };
}
