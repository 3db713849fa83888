// What is shown for the instant under the pointer. Built as nodes: labels are text, never markup.

import { h } from "../dom.js";
import { formatDateTime } from "../format.js";
import { formatValue, labelOf } from "../words.js";

export function tooltipContent({ ms, series, colorFor }) {
  return h(
    "div",
    { class: "chart-tooltip-body" },
    h("div", { class: "chart-tooltip-time" }, formatDateTime(ms)),
    ...series.map((one) => {
      const value = one.valueAt(ms);
      const swatch = h("span", { class: "swatch" });
      swatch.style.backgroundColor = colorFor(one.point);
      const unit = value !== null && one.point.unit ? ` ${one.point.unit}` : "";
      return h(
        "div",
        { class: "chart-tooltip-row" },
        swatch,
        h("span", {}, labelOf(one.point)),
        h("strong", {}, formatValue(one.point, value) + unit),
      );
    }),
  );
}
