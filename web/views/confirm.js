// Asking before something that cannot be taken back.

import { h } from "../dom.js";

let count = 0;

/** Asks within `parent`; resolves with whether the person agreed. Escape is a no. */
export function confirmIn(parent, { title, text, yes, no }) {
  count += 1;
  const id = `confirm-${count}`;
  const close = (value) => () => dialog.close(value);
  const dialog = h(
    "dialog",
    { class: "confirm", "aria-labelledby": `${id}-title`, "aria-describedby": `${id}-text` },
    h("h2", { id: `${id}-title` }, title),
    h("p", { id: `${id}-text` }, text),
    h(
      "div",
      { class: "confirm-buttons" },
      h("button", { class: "button", type: "button", autofocus: true, on: { click: close("no") } }, no),
      h("button", { class: "button is-danger", type: "button", on: { click: close("yes") } }, yes),
    ),
  );
  parent.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    dialog.showModal();
  });
}
