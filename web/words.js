// What the value of a point means in words, and whether it is a reason to look.

import { formatNumber } from "./format.js";
import { has, t } from "./i18n.js";

// A bool answers its name with yes or no ("Door open: no"); a relay has better words.
const RELAY = /(^|_)(rele|relay)(_|$)/i;
const FAULT = /(^|_)(fault|falha|alarm|alarme|erro|error)(_|$)/i;
const ALERT_WORDS = new Set(["FAULT", "ALARM", "ERROR", "FALHA"]);

/** The value of a point as text, without its unit. An enum value that has no word is itself. */
export function formatValue(point, value) {
  if (value === null || value === undefined) return "–";
  if (point.type === "num") return formatNumber(value);
  if (point.type === "bool") {
    return t(`bool.${RELAY.test(point.name) ? "relay" : "plain"}.${value ? "true" : "false"}`);
  }
  if (point.type === "enum") return enumWord(String(value));
  return String(value);
}

function enumWord(value) {
  const key = `enum.${value.toUpperCase()}`;
  return has(key) ? t(key) : value;
}

/** Why a value deserves attention: "above", "below", "fault", or null. */
export function attention(point, value) {
  if (point.type === "num" && typeof value === "number") {
    const { low, high } = limitsOf(point);
    if (high !== null && value > high) return "above";
    if (low !== null && value < low) return "below";
  }
  if (point.type === "bool" && value === true && FAULT.test(point.name)) return "fault";
  if (point.type === "enum" && ALERT_WORDS.has(String(value).toUpperCase())) return "fault";
  return null;
}

/** A point's limits as {low, high}, null where it has none. */
export function limitsOf(point) {
  const bound = (value) => (typeof value === "number" ? value : null);
  return { low: bound(point.limits?.low), high: bound(point.limits?.high) };
}

/** The name that a person reads. */
export function labelOf(point) {
  return point.label || point.name;
}
