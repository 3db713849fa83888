// The last value of each point, with what a person needs to trust it: unit, age, limits, quality.

import { announce, h, icon, setAttribute, setText } from "../dom.js";
import { toMs } from "../data/instants.js";
import { formatExactly, formatNumber } from "../format.js";
import { t } from "../i18n.js";
import { attention, formatValue, labelOf, limitsOf } from "../words.js";
import { makeAge, updateAge } from "./badge.js";

const STALE_AFTER_MS = 5 * 60_000;
const LONG_TEXT = 7; // Characters that fit at full size.

export function pointCards(points) {
  const cards = new Map(points.map((point) => [point.id, makeCard(point)]));
  const element = h(
    "section",
    { class: "section", "aria-label": t("cards.title") },
    h("h2", { class: "visually-hidden" }, t("cards.title")),
    h("ul", { class: "cards" }, ...[...cards.values()].map((card) => card.element)),
  );

  /**
   * A value is stale when its device is silent, or when the device has gone on talking without
   * it. How often a sensor speaks is its own affair: age alone says nothing.
   */
  function update(latest, device) {
    const readings = new Map(latest.map((reading) => [reading.point_id, reading]));
    const newest = Math.max(
      device.last_seen ? toMs(device.last_seen) : 0,
      ...latest.filter(({ ts }) => ts).map(({ ts }) => toMs(ts)),
    );
    for (const [id, card] of cards) {
      const reading = readings.get(id);
      const lag = reading?.ts ? newest - toMs(reading.ts) : 0;
      card.show(reading, !device.is_online || lag > STALE_AFTER_MS);
    }
  }

  return {
    element,
    update,
    showDisconnected() {
      for (const card of cards.values()) card.showStale(true);
    },
  };
}

function makeCard(point) {
  const value = h("span", { class: "card-number" }, "–");
  const unit = h("span", { class: "card-unit" }, point.type === "num" ? (point.unit ?? "") : "");
  const note = h("p", { class: "card-note" });
  const age = makeAge();
  const stale = h("span", { class: "card-stale", hidden: true }, icon("clock"), t("cards.stale"));
  const element = h(
    "li",
    { class: `card is-${point.type}`, data: { point: point.name } },
    h("h3", { class: "card-label", translate: "no" }, labelOf(point)),
    h("p", { class: "card-value", translate: "no" }, value, unit),
    note,
    h("p", { class: "card-time" }, age, stale),
  );
  let alert = null;

  function showNote(reading) {
    const next = attention(point, reading.value);
    element.classList.toggle("is-alert", next !== null);
    const text = next ? alertText(point, next) : qualityText(reading);
    if (note.textContent !== text) note.replaceChildren(...(next ? [icon("alert")] : []), text);
    if (next && next !== alert) announce(t("cards.announce", { label: labelOf(point), text }));
    alert = next;
  }

  return {
    element,
    show(reading, isStale) {
      const isThere = reading?.ts && reading.value !== null;
      updateAge(age, isThere ? reading.ts : null, t("cards.no_reading"));
      element.classList.toggle("is-empty", !isThere);
      this.showStale(isThere && isStale);
      if (!isThere) return;
      const text = formatValue(point, reading.value);
      setText(value, text);
      element.classList.toggle("is-long", text.length > LONG_TEXT);
      setAttribute(value, "title", point.type === "num" ? formatExactly(reading.value) : null);
      showNote(reading);
    },
    showStale(isStale) {
      stale.hidden = !isStale;
      element.classList.toggle("is-stale", Boolean(isStale));
    },
  };
}

function alertText(point, kind) {
  const { low, high } = limitsOf(point);
  const withUnit = (limit) => [formatNumber(limit), point.unit].filter(Boolean).join(" ");
  if (kind === "above") return t("cards.above", { limit: withUnit(high) });
  if (kind === "below") return t("cards.below", { limit: withUnit(low) });
  return t("cards.fault");
}

function qualityText({ qual }) {
  return qual ? t("cards.quality", { code: qual }) : "";
}
