// A choice of one among a few, as radio buttons that look like one control.

import { h } from "../dom.js";

/** `options` are [value, text]; the hint, if any, is tied to the group. */
export function choiceGroup({ name, legend, options, value, onChange, hint = null }) {
  const inputs = options.map(([option]) =>
    h("input", {
      type: "radio",
      class: "visually-hidden",
      name,
      id: `${name}-${option}`,
      value: option,
      checked: option === value,
      on: { change: () => onChange(option) },
    }),
  );
  if (hint) hint.id = `${name}-hint`;
  return h(
    "fieldset",
    { class: "choice", "aria-describedby": hint ? hint.id : null },
    h("legend", {}, legend),
    h(
      "div",
      { class: "choice-options" },
      ...options.map(([option, text], at) =>
        h("span", { class: "range" }, inputs[at], h("label", { for: `${name}-${option}` }, text)),
      ),
    ),
    hint,
  );
}
