// What stands where content would be: loading, nothing there, something went wrong.

import { h, icon } from "../dom.js";
import { ApiError, UnreachableError } from "../http.js";
import { t } from "../i18n.js";

export function loadingBlock() {
  return h(
    "div",
    { class: "message", role: "status" },
    h("span", { class: "spinner", "aria-hidden": "true" }),
    h("p", {}, t("state.loading")),
  );
}

export function emptyBlock(title, text, ...more) {
  return h(
    "div",
    { class: "message" },
    h("h2", { class: "message-title" }, title),
    h("p", {}, text),
    ...more,
  );
}

/** An error in words, with a way to try again where that can help. */
export function errorBlock(error, retry) {
  const reason = reasonOf(error);
  return h(
    "div",
    { class: "message is-error", role: "alert" },
    icon(reason === "unreachable" ? "cloudOff" : "alert"),
    h("h2", { class: "message-title" }, t(`error.${reason}.title`)),
    h("p", {}, t(`error.${reason}.text`, { status: error.status ?? "" })),
    retry && reason !== "not_found" && reason !== "forbidden"
      ? h("button", { class: "button", type: "button", on: { click: retry } }, t("action.retry"))
      : null,
  );
}

/** The kind of an error: the middle of its catalogue keys. */
export function reasonOf(error) {
  if (error instanceof UnreachableError) return "unreachable";
  if (!(error instanceof ApiError)) return "unexpected";
  if ([400, 404, 422].includes(error.status)) return "not_found"; // A hand-made link.
  if (error.status === 403) return "forbidden";
  if (error.status === 429) return "too_many";
  return "server";
}

/** The API's own words of a refusal where it has any, ours for the rest. */
export function refusalText(error) {
  const { detail, errors = [] } = error instanceof ApiError ? error.problem : {};
  const said = [detail, ...errors.map(({ msg }) => msg)].filter(Boolean);
  if (error.status < 500 && said.length) return [...new Set(said)].join(" ");
  return t(`error.${reasonOf(error)}.text`, { status: error.status ?? "" });
}
