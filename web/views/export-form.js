// Asking for an export. What is chosen stands in the place, so that it can be linked to and
// survives another language or a log-in.

import { createExport } from "../api.js";
import { now } from "../clock.js";
import {
  AGGS, choicesFrom, complaintAbout, FORMATS, PERIODS, periodOf, toBody, toQuery,
} from "../data/export-request.js";
import { h, icon } from "../dom.js";
import { currentTimeZone, formatTimeZone } from "../format.js";
import { ApiError, SessionEndedError, UnreachableError } from "../http.js";
import { currentLocale, t } from "../i18n.js";
import { noteQuery } from "../router.js";
import { choiceGroup } from "./choice.js";
import { exportDevice } from "./export-device.js";
import { exportPoints } from "./export-points.js";
import { refusalText } from "./messages.js";

/** `onAsked(job)` gets the export that the API took on. */
export function exportForm({ tenant, query, onAsked, onSessionEnd }) {
  const zone = currentTimeZone();
  let choices = choicesFrom(query, now(), zone);
  let unanswered = null; // {asked, body, key} of a request that nobody answered.

  const device = exportDevice({ tenant, onSessionEnd, onChange: chooseDevice });
  const points = exportPoints({ tenant, onSessionEnd, onChange: (names) => choose({ points: names }) });
  const from = timeField("from");
  const to = timeField("to");
  const custom = h(
    "div",
    { class: "form-times" },
    from.row,
    to.row,
    h("p", { class: "field-hint" }, t("chart.zone", { zone: formatTimeZone() })),
  );
  const levelHint = h("p", { class: "field-hint" });
  const formatHint = h("p", { class: "field-hint" });
  const sheet = h("input", {
    type: "checkbox", role: "switch", id: "export-sheet", "aria-describedby": "export-sheet-hint",
    on: { change: () => choose({ isSheet: sheet.checked }) },
  });
  const sheetHint = h("p", { class: "field-hint", id: "export-sheet-hint" });
  const sheetRow = h(
    "div",
    { class: "form-field" },
    h("label", { class: "check is-switch" }, sheet, h("span", {}, t("exports.sheet"))),
    sheetHint,
  );
  const message = h("p", { class: "form-message", role: "alert" });
  const button = h("button", { class: "button is-primary", type: "submit" }, t("exports.submit"));
  const groups = h("div", { class: "form-groups" });
  const element = h(
    "form",
    { class: "export-form", novalidate: true, on: { submit: onSubmit } },
    device.element,
    points.element,
    groups,
    sheetRow,
    h("p", { class: "field-hint" }, t("exports.mail")),
    message,
    button,
  );

  function timeField(name) {
    const id = `export-${name}`;
    const input = h("input", {
      class: "input", type: "datetime-local", id, required: true,
      on: { change: () => choose({ [name]: input.value.slice(0, 16) }) },
    });
    return { input, row: h("div", {}, h("label", { for: id }, t(`exports.${name}`)), input) };
  }

  function group(name, key, known, hint) {
    return choiceGroup({
      name: `export-${name}`,
      legend: t(`exports.${name}`),
      options: known.map((option) => [option, t(`exports.${name}.${option}`)]),
      value: choices[key],
      onChange: (value) => choose({ [key]: value }),
      hint,
    });
  }

  function chooseDevice(id) {
    choose({ device: id, points: [] });
  }

  function choose(change) {
    choices = { ...choices, ...change };
    noteQuery(toQuery(choices));
    message.replaceChildren();
    if ("device" in change || "agg" in change) points.show(choices.device, choices.points, choices.agg);
    showHints();
  }

  function showHints() {
    custom.hidden = choices.period !== "custom";
    levelHint.textContent = t(choices.agg === "raw" ? "exports.raw_hint" : "exports.rollup_hint");
    formatHint.textContent = t(`exports.hint.${choices.format}`);
    sheetRow.hidden = choices.format === "parquet";
    sheetHint.textContent = t(choices.isSheet ? "exports.sheet_on" : "exports.sheet_off", {
      zone: formatTimeZone(),
    });
  }

  /** Puts the choices into every control. */
  function fill() {
    groups.replaceChildren(
      group("range", "period", PERIODS, null),
      custom,
      group("agg", "agg", AGGS, levelHint),
      group("format", "format", FORMATS, formatHint),
    );
    from.input.value = choices.from;
    to.input.value = choices.to;
    sheet.checked = choices.isSheet;
    device.show(choices.device);
    points.show(choices.device, choices.points, choices.agg);
    showHints();
  }

  function complain(text) {
    message.replaceChildren(icon("alert"), h("span", {}, text));
  }

  /** What is to be sent; null where something is missing, which is then said. */
  function request() {
    const asked = JSON.stringify([choices, currentLocale()]);
    // The first may have come through: the same key makes a second one the same export.
    if (unanswered?.asked === asked) return unanswered;
    const period = periodOf(choices, now(), zone);
    const wrong = complaintAbout(period, now());
    if (wrong) {
      complain(t(`exports.period.${wrong}`));
      (period.fromMs === null ? from : to).input.focus();
      return null;
    }
    if (!points.check()) {
      complain(t("exports.no_points"));
      points.focus();
      return null;
    }
    return { asked, body: toBody(choices, period, currentLocale()), key: crypto.randomUUID() };
  }

  async function onSubmit(event) {
    event.preventDefault();
    if (button.getAttribute("aria-disabled")) return;
    message.replaceChildren();
    const next = request();
    if (!next) return;
    button.setAttribute("aria-disabled", "true");
    button.textContent = t("exports.sending");
    try {
      const job = await createExport(tenant, next.body, next.key);
      unanswered = null;
      onAsked(job);
    } catch (error) {
      unanswered = error instanceof UnreachableError ? next : null;
      if (error instanceof SessionEndedError) {
        onSessionEnd();
        return;
      }
      if (!(error instanceof UnreachableError || error instanceof ApiError)) console.error(error);
      complain(refusalText(error));
    }
    button.removeAttribute("aria-disabled");
    button.textContent = t("exports.submit");
  }

  fill();
  return {
    element,
    show(next) {
      choices = choicesFrom(next, now(), zone);
      message.replaceChildren();
      fill();
    },
    destroy() {
      device.destroy();
      points.destroy();
    },
  };
}
