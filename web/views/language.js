// The switch between the languages, each named in itself.

import { h } from "../dom.js";
import { currentLocale, LOCALES, t } from "../i18n.js";

export function languageSwitch(onChange) {
  return h(
    "div",
    { class: "language", role: "group", "aria-label": t("language.label") },
    ...LOCALES.map((locale) =>
      h(
        "button",
        {
          type: "button",
          lang: locale,
          class: "language-option",
          "aria-pressed": String(locale === currentLocale()),
          "aria-label": t(`language.${locale}`),
          data: { locale },
          on: { click: () => onChange(locale) },
        },
        t(`language.${locale}.short`),
      ),
    ),
  );
}
