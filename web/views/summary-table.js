// The chart in figures, for those who cannot see it or want the number.

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { formatValue, labelOf } from "../words.js";

export function summaryTable() {
  const rows = h("tbody", {});
  const head = ["point", "min", "max", "last"].map((column) =>
    h("th", { scope: "col" }, t(`summary.${column}`)),
  );
  const element = h(
    "details",
    { class: "summary" },
    h("summary", {}, t("summary.title")),
    h("div", { class: "table-scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...head)), rows)),
  );

  function update(allSeries, fromMs) {
    if (!element.open) return;
    rows.replaceChildren(
      ...allSeries.map((series) => {
        const { point } = series;
        const { min, max } = series.range(fromMs);
        const last = series.lastSince(fromMs);
        const text = (value) =>
          [formatValue(point, value), value === null ? null : point.unit].filter(Boolean).join(" ");
        return h(
          "tr",
          {},
          h("th", { scope: "row", translate: "no" }, labelOf(point)),
          ...[min, max, last].map((value) => h("td", { translate: "no" }, text(value))),
        );
      }),
    );
  }

  let latest = null;
  element.addEventListener("toggle", () => latest && update(...latest));
  return {
    element,
    update(...values) {
      latest = values;
      update(...values);
    },
  };
}
