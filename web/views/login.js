// Logging in.

import { h, icon } from "../dom.js";
import { ApiError, UnreachableError } from "../http.js";
import { t } from "../i18n.js";
import { logIn } from "../session.js";
import { languageSwitch } from "./language.js";

const WRONG_CREDENTIALS = new Set([400, 401, 403, 404, 422]);

/** `notice` is a catalogue key of why the person is here again, or null. */
export function loginView({ notice, onLoggedIn, onLanguage }) {
  const email = field("email", {
    type: "email", name: "email", autocomplete: "username", inputmode: "email",
    autocapitalize: "none", spellcheck: "false", required: true,
  });
  const password = field("password", {
    type: "password", name: "password", autocomplete: "current-password", required: true,
  });
  const message = h("p", { class: "login-message", role: "alert", id: "login-message" });
  const submit = h("button", { class: "button is-primary", type: "submit" }, t("login.submit"));

  function say(key, values) {
    message.replaceChildren(icon("alert"), h("span", {}, t(key, values)));
  }

  async function onSubmit(event) {
    event.preventDefault();
    if (!email.input.value.trim() || !password.input.value) {
      say("login.incomplete");
      (email.input.value.trim() ? password : email).input.focus();
      return;
    }
    message.replaceChildren();
    submit.disabled = true;
    submit.textContent = t("login.busy");
    try {
      const { challenge } = await logIn(email.input.value.trim(), password.input.value);
      if (challenge) say("login.challenge", { challenge });
      else return onLoggedIn();
    } catch (error) {
      say(...explain(error));
      if (isRefusal(error)) password.input.select();
    }
    submit.disabled = false;
    submit.textContent = t("login.submit");
    return undefined;
  }

  if (notice) message.append(h("span", {}, t(notice)));
  const element = h(
    "div",
    { class: "login" },
    h(
      "main",
      { class: "login-card" },
      h("div", { class: "brand" }, icon("pulse"), h("span", { translate: "no" }, "TrakSense")),
      h("h1", {}, t("login.title")),
      h("p", { class: "login-lead" }, t("login.lead")),
      h(
        "form",
        { novalidate: true, "aria-describedby": "login-message", on: { submit: onSubmit } },
        email.row,
        password.row,
        message,
        submit,
      ),
    ),
    h("footer", { class: "login-footer" }, languageSwitch(onLanguage)),
  );
  return { element, notice, focus: () => email.input.focus(), destroy() {} };
}

function field(name, attributes) {
  const id = `login-${name}`;
  const input = h("input", { id, class: "input", ...attributes });
  return { input, row: h("div", { class: "field" }, h("label", { for: id }, t(`login.${name}`)), input) };
}

function isRefusal(error) {
  return error instanceof ApiError && WRONG_CREDENTIALS.has(error.status);
}

function explain(error) {
  if (isRefusal(error)) return ["login.wrong"];
  if (error instanceof UnreachableError) return ["login.unreachable"];
  if (error instanceof ApiError && error.status === 429) return ["login.too_many"];
  if (!(error instanceof ApiError)) console.error(error);
  return ["login.failed", { status: error.status ?? "" }];
}
