// Which points the chart draws; also its legend.

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { labelOf } from "../words.js";
import { SERIES_COLORS } from "../chart/theme.js";

export const MOST_POINTS = 10; // As many as the API gives in one answer.

export function pointPicker({ points, chosen, colorOf, onChange }) {
  let picked = new Set(chosen);
  const full = h("p", { class: "picker-full", role: "status" });
  const chips = points.map((point) => {
    const chip = h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": String(picked.has(point)),
        data: { point: point.name, color: (colorOf(point) % SERIES_COLORS) + 1 },
        on: { click: () => toggle(point, chip) },
      },
      h("span", { class: "swatch", "aria-hidden": "true" }),
      h("span", { translate: "no" }, labelOf(point)),
      point.unit ? h("span", { class: "chip-unit", translate: "no" }, point.unit) : null,
    );
    return chip;
  });

  function toggle(point, chip) {
    full.textContent = "";
    if (picked.has(point)) picked.delete(point);
    else if (picked.size >= MOST_POINTS) {
      full.textContent = t("chart.full", { count: MOST_POINTS });
      return;
    } else picked.add(point);
    chip.setAttribute("aria-pressed", String(picked.has(point)));
    onChange(points.filter((one) => picked.has(one)));
  }

  return h(
    "div",
    { class: "picker" },
    h("div", { class: "chips", role: "group", "aria-label": t("chart.points") }, ...chips),
    full,
  );
}
