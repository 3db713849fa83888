// A form of the log-in: fields, a message, one button, and what can go wrong.

import { h, icon } from "../dom.js";
import { ApiError, UnreachableError } from "../http.js";
import { t } from "../i18n.js";

const REFUSED = new Set([400, 401, 403, 404]);

/**
 * The children of the card for one step. `send(values)` does the work; a refusal is shown with the
 * catalogue key `wrong`, and a rule that the API names (422) in its own words.
 */
export function formOf({ title, lead, fields, extra = [], submit, busy, wrong, say, send, links = [] }) {
  const message = h("p", { class: "login-message", role: "alert", id: "login-message" });
  const button = h("button", { class: "button is-primary", type: "submit" }, t(submit));

  function complain(...content) {
    message.classList.remove("is-good");
    message.replaceChildren(icon("alert"), h("span", {}, ...content));
  }

  async function onSubmit(event) {
    event.preventDefault();
    const empty = fields.find(({ input }) => !input.value.trim());
    if (empty) {
      complain(t("login.incomplete"));
      empty.input.focus();
      return;
    }
    message.replaceChildren();
    button.disabled = true;
    button.textContent = t(busy);
    try {
      const values = fields.map(({ name, input }) => [name, input.value]);
      await send(Object.fromEntries(values), complain);
    } catch (error) {
      complain(explain(error, wrong));
      if (error instanceof ApiError) fields.at(-1).input.select();
    }
    button.disabled = false;
    button.textContent = t(submit);
  }

  if (say) {
    message.classList.toggle("is-good", say.endsWith("_sent"));
    message.append(h("span", {}, t(say)));
  }
  return [
    h("h1", {}, t(title)),
    h("p", { class: "login-lead" }, lead),
    ...extra,
    h(
      "form",
      { novalidate: true, "aria-describedby": "login-message", on: { submit: onSubmit } },
      ...fields.map(({ row }) => row),
      message,
      button,
    ),
    links.length ? h("p", { class: "login-links" }, ...links) : null,
  ].filter(Boolean);
}

/** A labelled input. */
export function field(name, attributes, hint = null) {
  const id = `login-${name}`;
  const input = h("input", {
    id,
    class: "input",
    ...(hint ? { "aria-describedby": `${id}-hint` } : {}),
    ...attributes,
  });
  const label = h("label", { for: id }, t(`login.${name}`));
  const help = hint ? h("p", { class: "field-hint", id: `${id}-hint` }, hint) : null;
  return { name, input, row: h("div", { class: "field" }, ...[label, input, help].filter(Boolean)) };
}

/** A password that is being chosen, which can be looked at. */
export function newPasswordField() {
  const made = field(
    "new_password",
    { type: "password", autocomplete: "new-password", required: true },
    t("login.new_password_hint"),
  );
  const shown = h("input", {
    type: "checkbox",
    on: { change: () => { made.input.type = shown.checked ? "text" : "password"; } },
  });
  made.row.append(h("label", { class: "login-show" }, shown, h("span", {}, t("login.show"))));
  return made;
}

/** Six digits. */
export function codeField() {
  return field("code", {
    type: "text", inputmode: "numeric", autocomplete: "one-time-code", maxlength: 6,
    pattern: "[0-9]{6}", class: "input login-code", required: true,
  });
}

/** A button that looks like a link. */
export function linkTo(key, onClick) {
  return h("button", { class: "link-button", type: "button", on: { click: onClick } }, t(key));
}

function explain(error, wrong) {
  if (error instanceof UnreachableError) return t("login.unreachable");
  if (!(error instanceof ApiError)) {
    console.error(error);
    return t("login.failed", { status: "" });
  }
  if (error.status === 429) return t("login.too_many");
  const rule = error.status === 422 ? error.problem.errors?.[0] : null;
  // Only what a field of ours was refused for is worth reading; an address that is none is no account.
  if (rule && /^body\.(new_password|code)$/.test(rule.loc)) return rule.msg;
  if (REFUSED.has(error.status) || error.status === 422) return t(wrong);
  return t("login.failed", { status: error.status });
}
