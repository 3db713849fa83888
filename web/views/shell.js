// The frame around everything after the log-in: who, where, which language, and the way out.

import { h, icon, setAttribute, setText } from "../dom.js";
import { t } from "../i18n.js";
import { exportsLink, tenantLink } from "../router.js";
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
  const places = {
    devices: navLink("devices", "devices.title"),
    exports: navLink("download", "exports.title"),
  };
  const nav = h(
    "nav",
    { class: "topbar-nav", "aria-label": t("nav.label"), hidden: true },
    ...Object.values(places),
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
      nav,
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
    /** Says whose place it is, and which of its places; without a tenant there is none. */
    showTenant(slug, place) {
      tenant.hidden = !slug;
      nav.hidden = !slug;
      setText(tenantName, slug ?? "");
      if (!slug) return;
      places.devices.href = tenantLink(slug);
      places.exports.href = exportsLink(slug);
      for (const [name, link] of Object.entries(places)) {
        setAttribute(link, "aria-current", name === place ? "page" : null);
      }
    },
  };
}

function navLink(image, key) {
  return h(
    "a",
    { class: `nav-link is-${image}`, title: t(key) },
    icon(image),
    h("span", { class: "nav-word" }, t(key)),
  );
}
