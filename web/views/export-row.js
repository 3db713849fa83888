// One export of the history: what it holds, how far it is, and what can be done with it.

import { isRunning, statusOf } from "../data/exports.js";
import { toMs } from "../data/instants.js";
import { h, icon, setAttribute, setText } from "../dom.js";
import { formatDateTime } from "../format.js";
import { t } from "../i18n.js";
import { makeAge, updateAge } from "./badge.js";
import {
  kindOf, mailText, periodText, pointsOf, progressText, resultText, titleOf,
} from "./export-words.js";

/** `onCancel(id)` and `onDownload(id)` may take their time; what they throw is theirs to show. */
export function makeExportRow({ id }, { onCancel, onDownload }) {
  const name = `export-${id}`;
  return h(
    "li",
    { class: "export", tabindex: "-1", "aria-labelledby": name },
    h(
      "div",
      { class: "export-head" },
      h("h3", { class: "export-title", id: name, translate: "no" }),
      h(
        "span",
        { class: "badge export-badge" },
        h("span", { class: "badge-dot", "aria-hidden": "true" }),
        h("span", { class: "badge-word" }),
      ),
    ),
    h("p", { class: "export-points", translate: "no" }),
    h("p", { class: "export-kind" }),
    h(
      "div",
      { class: "export-progress" },
      h("progress", { max: 1, "aria-label": t("exports.progress") }),
      h("span", { class: "export-progress-text" }),
    ),
    h("p", { class: "export-result" }),
    h("p", { class: "export-error" }, icon("alert"), h("span", { translate: "no" })),
    h("p", { class: "export-mail" }, icon("alert"), h("span", {})),
    h("p", { class: "export-asked" }, h("span", { class: "export-who" }), makeAge()),
    h(
      "details",
      { class: "export-details" },
      h("summary", {}, t("exports.details")),
      h("dl", {}),
    ),
    h(
      "div",
      { class: "export-actions" },
      action("download", "exports.download", "is-primary", () => onDownload(id)),
      action("close", "exports.cancel", "", () => onCancel(id)),
    ),
    h("p", { class: "export-trouble", role: "alert" }),
  );
}

function action(image, key, kind, run) {
  const button = h(
    "button",
    { type: "button", class: `button is-small ${kind} is-${image}`, on: { click: onClick } },
    icon(image),
    h("span", {}, t(key)),
  );
  async function onClick() {
    if (button.getAttribute("aria-disabled")) return;
    setAttribute(button, "aria-disabled", "true"); // Not disabled, which would lose the focus.
    await run();
    setAttribute(button, "aria-disabled", null);
  }
  return button;
}

export function updateExportRow(row, job) {
  const part = (name) => row.querySelector(`.export-${name}`);
  const title = titleOf(job);
  const status = statusOf(job);
  row.dataset.status = status;
  setText(part("title"), title);
  setText(row.querySelector(".badge-word"), t(`exports.status.${status}`));
  setText(part("points"), pointsOf(job));
  setText(part("kind"), `${periodText(job)} · ${kindOf(job)}`);
  showProgress(part("progress"), job);
  showText(part("result"), resultText(job));
  part("error").hidden = !job.error;
  setText(part("error").lastElementChild, job.error?.message ?? "");
  const mail = mailText(job);
  part("mail").hidden = mail === "";
  setText(part("mail").lastElementChild, mail);
  setText(part("who"), t("exports.asked_by", { email: job.requested_by }));
  updateAge(part("asked").lastElementChild, job.created_at);
  updateDetails(part("details"), job);
  const download = row.querySelector(".button.is-download");
  const cancel = row.querySelector(".button.is-close");
  const focused = document.activeElement;
  download.hidden = status !== "COMPLETED";
  cancel.hidden = !isRunning(job);
  part("actions").hidden = download.hidden && cancel.hidden;
  setAttribute(download, "aria-label", t("exports.download_of", { title }));
  setAttribute(cancel, "aria-label", t("exports.cancel_of", { title }));
  // A button that goes takes the focus with it: leave it where the person was.
  if (focused.hidden && row.contains(focused)) row.focus();
}

function showText(element, text) {
  element.hidden = text === "";
  setText(element, text);
}

function showProgress(element, job) {
  const [bar, text] = element.children;
  element.hidden = !isRunning(job);
  // Without a value the bar says that something goes on, and not how far.
  if (job.status === "PENDING") bar.removeAttribute("value");
  else bar.value = job.progress;
  setText(text, progressText(job));
  setAttribute(bar, "aria-valuetext", progressText(job));
}

function updateDetails(details, job) {
  const times = ["created_at", "started_at", "finished_at", "expires_at"].filter((name) => job[name]);
  const lines = times.map((name) => [t(`exports.${name}`), formatDateTime(toMs(job[name]))]);
  if (job.sha256) lines.push(["SHA-256", job.sha256]);
  const list = details.lastElementChild;
  const key = JSON.stringify(lines);
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(
    ...lines.map(([term, text]) =>
      h("div", {}, h("dt", { translate: "no" }, term), h("dd", { translate: "no" }, text)),
    ),
  );
}

/** Says what went wrong with an action; "" takes it away. */
export function showTrouble(row, text) {
  setText(row.querySelector(".export-trouble"), text);
}
