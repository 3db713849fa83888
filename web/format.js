// Numbers and times as a person of the current language reads them.

import { now } from "./clock.js";
import { currentLocale, t } from "./i18n.js";

const DEFAULT_TIME_ZONE = "America/Sao_Paulo";
const BYTE_UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

const made = new Map();
let timeZone = DEFAULT_TIME_ZONE;

/** The zone that times are shown in: the tenant's, wherever the browser is. */
export function currentTimeZone() {
  return timeZone;
}

/** Shows times in a zone from now on; in the default where this browser does not know it. */
export function useTimeZone(zone) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    timeZone = zone ?? DEFAULT_TIME_ZONE;
  } catch (error) {
    console.warn(error);
    timeZone = DEFAULT_TIME_ZONE;
  }
}

function formatter(kind, Type, options) {
  const key = `${currentLocale()} ${timeZone} ${kind}`;
  if (!made.has(key)) made.set(key, new Type(currentLocale(), options));
  return made.get(key);
}

function dateFormat(kind, options) {
  return formatter(kind, Intl.DateTimeFormat, { timeZone, hourCycle: "h23", ...options });
}

/** A measured value: up to three decimals, or four significant digits where it is tiny. */
export function formatNumber(value) {
  const tiny = value !== 0 && Math.abs(value) < 0.01;
  return tiny
    ? formatter("tiny", Intl.NumberFormat, { maximumSignificantDigits: 4 }).format(value)
    : formatter("number", Intl.NumberFormat, { maximumFractionDigits: 3 }).format(value);
}

/** Every digit that was stored, for a tooltip. */
export function formatExactly(value) {
  return formatter("exact", Intl.NumberFormat, { maximumSignificantDigits: 17 }).format(value);
}

export function formatCount(value) {
  return formatter("count", Intl.NumberFormat, { maximumFractionDigits: 0 }).format(value);
}

/** "14:32:10" */
export function formatTimeOfDay(ms) {
  return dateFormat("time", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
}

/** "14:32" */
export function formatHour(ms) {
  return dateFormat("hour", { hour: "2-digit", minute: "2-digit" }).format(ms);
}

/** "qui., 20/11" */
export function formatDay(ms) {
  return dateFormat("day", { weekday: "short", day: "2-digit", month: "2-digit" }).format(ms);
}

/** "20/11/2025, 14:32:10" */
export function formatDateTime(ms) {
  return dateFormat("full", {
    day: "2-digit",
    month: currentLocale() === "en" ? "short" : "2-digit",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).format(ms);
}

/** "20/11/2025, 14:32" */
export function formatMinute(ms) {
  return dateFormat("minute", {
    day: "2-digit",
    month: currentLocale() === "en" ? "short" : "2-digit",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  }).format(ms);
}

/** A part of a whole, 0 to 1; "100%" only where it is the whole. */
export function formatPercent(part) {
  const percent = Math.min(100, Math.max(0, Math.floor(part * 100 + 1e-9)));
  return formatter("percent", Intl.NumberFormat, { style: "percent" }).format(percent / 100);
}

/** "512 bytes", "1,2 MB": the size of a file, in powers of a thousand. */
export function formatBytes(count) {
  const step = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  const unit = BYTE_UNITS[step];
  const options = { style: "unit", unit, maximumFractionDigits: step > 1 ? 1 : 0 };
  return formatter(unit, Intl.NumberFormat, options).format(count / 1000 ** step);
}

/** The zone that times are shown in: "Horário de Brasília (America/Sao_Paulo)". */
export function formatTimeZone() {
  const parts = dateFormat("zone", { timeZoneName: "longGeneric" }).formatToParts(now());
  return `${parts.find((part) => part.type === "timeZoneName").value} (${timeZone})`;
}

/** How long ago: "agora", "há 12 s", "há 5 min", "há 3 h", "há 2 d". */
export function formatAge(ms) {
  const seconds = Math.floor((now() - ms) / 1000);
  if (seconds < 2) return t("age.now");
  if (seconds < 60) return t("age.seconds", { count: seconds });
  if (seconds < 3600) return t("age.minutes", { count: Math.floor(seconds / 60) });
  if (seconds < 172_800) return t("age.hours", { count: Math.floor(seconds / 3600) });
  return t("age.days", { count: Math.floor(seconds / 86_400) });
}

/** "10 s", "2 min", "3 h": a wait. */
export function formatWait(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 60) return t("wait.seconds", { count: seconds });
  return seconds < 5400
    ? t("wait.minutes", { count: Math.round(seconds / 60) })
    : t("wait.hours", { count: Math.round(seconds / 3600) });
}
