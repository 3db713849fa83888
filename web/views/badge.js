// Whether a device talks to us, as a dot and a word: never by colour alone.

import { h, setAttribute, setText } from "../dom.js";
import { formatAge, formatDateTime } from "../format.js";
import { toMs } from "../data/instants.js";
import { t } from "../i18n.js";

export function makeBadge() {
  return h(
    "span",
    { class: "badge" },
    h("span", { class: "badge-dot", "aria-hidden": "true" }),
    h("span", { class: "badge-word" }),
  );
}

export function updateBadge(badge, { is_online }) {
  badge.classList.toggle("is-online", is_online);
  setText(badge.lastElementChild, t(is_online ? "device.online" : "device.offline"));
}

export function makeAge() {
  return h("time", { class: "age" });
}

/** Shows how long ago an instant was; `ts` null is "never". */
export function updateAge(element, ts, never = t("device.never_seen")) {
  if (!ts) {
    element.removeAttribute("datetime");
    element.removeAttribute("title");
    setText(element, never);
    return;
  }
  const ms = toMs(ts);
  if (element.getAttribute("datetime") !== ts) {
    setAttribute(element, "datetime", ts);
    setAttribute(element, "title", formatDateTime(ms));
  }
  setText(element, formatAge(ms));
}

/** Renews every age under `root` as time passes. */
export function refreshAges(root) {
  for (const element of root.querySelectorAll("time.age[datetime]")) {
    setText(element, formatAge(toMs(element.getAttribute("datetime"))));
  }
}
