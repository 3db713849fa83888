// The words on screen: one flat catalogue per language, fetched when it is first needed.

import { recall, remember } from "./preferences.js";

export const LOCALES = ["pt-BR", "en"];
const DEFAULT_LOCALE = "pt-BR";

let locale = DEFAULT_LOCALE;
let catalogue = {};
let plurals = new Intl.PluralRules(DEFAULT_LOCALE);

export function currentLocale() {
  return locale;
}

/** The language chosen before on this browser, Portuguese where none was. */
export function preferredLocale() {
  const kept = recall("locale");
  return LOCALES.includes(kept) ? kept : DEFAULT_LOCALE;
}

/** Loads a language and makes it the page's. Throws when its catalogue cannot be had. */
export async function useLocale(next) {
  const response = await fetch(`/i18n/${next}.json`);
  if (!response.ok) throw new Error(`catalogue ${next}: ${response.status}`);
  catalogue = await response.json();
  locale = next;
  plurals = new Intl.PluralRules(next);
  document.documentElement.lang = next;
  remember("locale", next);
}

export function has(key) {
  return Object.hasOwn(catalogue, key);
}

/** The text of a key with its {placeholders} filled. `n` also chooses between .one and .other. */
export function t(key, values = {}) {
  const name = !has(key) && "n" in values ? `${key}.${pluralForm(values.n)}` : key;
  if (!has(name)) {
    console.error(`no text for ${name} in ${locale}`);
    return name;
  }
  return catalogue[name].replace(/\{(\w+)\}/g, (whole, field) =>
    field in values ? String(values[field]) : whole,
  );
}

function pluralForm(n) {
  return plurals.select(Number(n)) === "one" ? "one" : "other";
}
