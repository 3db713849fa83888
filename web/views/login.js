// Logging in: a card that shows one step after the other.

import { h, icon } from "../dom.js";
import { languageSwitch } from "./language.js";
import { STEPS } from "./login-steps.js";

/**
 * `notice` is a catalogue key of why the person is here again, or null. `state` is that of an
 * earlier view, so that another language keeps the step: {step, data}.
 */
export function loginView({ notice, state, onLoggedIn, onLanguage }) {
  const card = h("main", { class: "login-card" });
  const view = {
    element: h(
      "div",
      { class: "login" },
      card,
      h("footer", { class: "login-footer" }, languageSwitch(onLanguage)),
    ),
    notice,
    state: null,
    focus: () => card.querySelector("input:not([readonly]), button")?.focus(),
    destroy() {},
  };

  /** Shows a step: `data` is what it needs to know, `say` a catalogue key to show with it. */
  function show(step, data = {}, say = null) {
    view.state = { step, data };
    const moves = { show, focus: view.focus, done: onLoggedIn };
    card.replaceChildren(
      h("div", { class: "brand" }, icon("pulse"), h("span", { translate: "no" }, "TrakSense")),
      ...STEPS[step](data, moves, say),
    );
    view.focus();
  }

  show(state?.step ?? "password", state?.data, notice);
  return view;
}
