// How far back the chart goes.

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { RANGES } from "../ranges.js";

export function rangePicker(current, onChange) {
  return h(
    "fieldset",
    { class: "ranges" },
    h("legend", { class: "visually-hidden" }, t("chart.range")),
    ...RANGES.map((range) => {
      const id = `range-${range.name}`;
      return h(
        "span",
        { class: "range" },
        h("input", {
          type: "radio",
          name: "range",
          id,
          value: range.name,
          class: "visually-hidden",
          checked: range === current,
          on: { change: () => onChange(range) },
        }),
        h("label", { for: id, title: t(`range.${range.name}.long`) }, t(`range.${range.name}`)),
      );
    }),
  );
}
