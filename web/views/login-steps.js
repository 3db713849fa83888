// The steps of logging in. Each gives the children of the card; `moves` leads to the next one.

import { h } from "../dom.js";
import { ApiError } from "../http.js";
import { t } from "../i18n.js";
import { answerChallenge, logIn, requestCode, resetPassword } from "../session.js";
import { codeField, field, formOf, linkTo, newPasswordField } from "./login-form.js";

const STEP_OF = {
  NEW_PASSWORD_REQUIRED: "newPassword",
  SOFTWARE_TOKEN_MFA: "code",
  MFA_SETUP: "setup",
};

function emailField(value = "", attributes = {}) {
  return field("email", {
    type: "email", name: "email", autocomplete: "username", inputmode: "email",
    autocapitalize: "none", spellcheck: "false", required: true, value, ...attributes,
  });
}

/** Goes where an answer of the API leads: in, or to what the user pool wants first. */
function follow(answer, email, { show, done }) {
  if (!answer.challenge) return done();
  return show(STEP_OF[answer.challenge], { ...answer, email });
}

/** Answers a challenge; one that took too long begins anew. */
async function respond({ session, email }, given, moves) {
  try {
    return follow(await answerChallenge(session, given), email, moves);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    return moves.show("password", { email }, "login.too_late");
  }
}

function backLink(moves, email) {
  return linkTo("login.back", () => moves.show("password", { email }));
}

function passwordStep({ email }, moves, say) {
  const emailInput = emailField(email);
  const fields = [
    emailInput,
    field("password", {
      type: "password", name: "password", autocomplete: "current-password", required: true,
    }),
  ];
  return formOf({
    title: "login.title",
    lead: t("login.lead"),
    fields,
    submit: "login.submit",
    busy: "login.busy",
    wrong: "login.wrong",
    say,
    send: async (given) => {
      const address = given.email.trim();
      await follow(await logIn(address, given.password), address, moves);
    },
    links: [
      linkTo("login.forgot", () => moves.show("forgot", { email: emailInput.input.value.trim() })),
    ],
  });
}

function newPasswordStep(data, moves, say) {
  return formOf({
    title: "login.new_password_title",
    lead: t("login.new_password_lead"),
    // Read only, for password managers to know whose it is.
    fields: [emailField(data.email, { readonly: true }), newPasswordField()],
    submit: "login.new_password_submit",
    busy: "login.saving",
    wrong: "login.too_late",
    say,
    send: (given) => respond(data, { new_password: given.new_password }, moves),
    links: [backLink(moves, data.email)],
  });
}

function codeStep(data, moves, say) {
  return formOf({
    title: "login.code_title",
    lead: t("login.code_lead"),
    fields: [codeField()],
    submit: "login.code_submit",
    busy: "login.checking",
    wrong: "login.wrong_code",
    say,
    send: (given) => respond(data, { code: digits(given.code) }, moves),
    links: [backLink(moves, data.email)],
  });
}

function setupStep(data, moves, say) {
  return formOf({
    title: "login.setup_title",
    lead: t("login.setup_lead"),
    extra: [
      h("p", { class: "login-secret", translate: "no" }, data.secret.replace(/(.{4})/g, "$1 ").trim()),
      h("p", { class: "login-links" }, h("a", { href: data.secret_uri }, t("login.setup_open"))),
    ],
    fields: [codeField()],
    submit: "login.setup_submit",
    busy: "login.checking",
    wrong: "login.wrong_code",
    say,
    send: (given) => respond(data, { code: digits(given.code) }, moves),
    links: [backLink(moves, data.email)],
  });
}

function forgotStep({ email }, moves, say) {
  return formOf({
    title: "login.forgot_title",
    lead: t("login.forgot_lead"),
    fields: [emailField(email)],
    submit: "login.forgot_submit",
    busy: "login.sending",
    wrong: "login.wrong_email",
    say,
    send: async (given) => {
      const address = given.email.trim();
      await requestCode(address);
      moves.show("reset", { email: address }, "login.code_sent");
    },
    links: [backLink(moves, email)],
  });
}

function resetStep({ email }, moves, say) {
  return formOf({
    title: "login.reset_title",
    lead: t("login.reset_lead", { email }),
    fields: [codeField(), newPasswordField()],
    submit: "login.new_password_submit",
    busy: "login.saving",
    wrong: "login.wrong_code",
    say,
    send: async (given) => {
      await resetPassword(email, digits(given.code), given.new_password);
      await follow(await logIn(email, given.new_password), email, moves);
    },
    links: [
      linkTo("login.send_again", () => moves.show("forgot", { email })),
      backLink(moves, email),
    ],
  });
}

function digits(code) {
  return code.replace(/\s/g, "");
}

export const STEPS = {
  password: passwordStep,
  newPassword: newPasswordStep,
  code: codeStep,
  setup: setupStep,
  forgot: forgotStep,
  reset: resetStep,
};
