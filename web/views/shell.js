// The frame around everything after the log-in: who, where, which language, and the way out.

import { h, icon, setText } from "../dom.js";
import { t } from "../i18n.js";
import { tenantLink } from "../router.js";
import { languageSwitch } from "./language.js";

export function shellView({ user, onLanguage, onLogOut }) {
  const tenantName = h("span", { class: "topbar-tenant-name", translate: "no" });
  const isOps = user.role === "internal_ops";
  const tenant = h(
    isOps ? "a" : "span",
    { class: "topbar-tenant", hidden: true, ...(isOps ? { href: "#/tenants" } : {}) },
    tenantName,
    isOps ? icon("switch") : null,
    isOps ? h("span", { class: "visually-hidden" }, t("tenants.change")) : null,
  );
  const home = h(
    "a",
    { class: "brand", href: user.tenant ? tenantLink(user.tenant) : "#/tenants" },
    icon("pulse"),
    h("span", { class: "brand-name", translate: "no" }, "TrakSense"),
  );
  const content = h("div", { class: "content", id: "content", tabindex: "-1" });
  const element = h(
    "div",
    { class: "shell" },
    h(
      "button",
      { class: "skip", type: "button", on: { click: () => content.focus() } },
      t("action.skip"),
    ),
    h(
      "header",
      { class: "topbar" },
      home,
      tenant,
      h(
        "div",
        { class: "topbar-end" },
        languageSwitch(onLanguage),
        h(
          "span",
          { class: "topbar-user" },
          h("span", { class: "topbar-email", translate: "no" }, user.email),
          h("span", { class: "topbar-role" }, t(`role.${user.role}`)),
        ),
        h(
          "button",
          { class: "button is-quiet", type: "button", on: { click: onLogOut }, title: t("action.log_out") },
          icon("signOut"),
          h("span", { class: "topbar-logout-word" }, t("action.log_out")),
        ),
      ),
    ),
    content,
  );
  return {
    element,
    content,
    showTenant(slug) {
      tenant.hidden = !slug;
      setText(tenantName, slug ?? "");
    },
  };
}
