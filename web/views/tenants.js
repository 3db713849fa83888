// Choosing a tenant, for those who work for all of them.

import { h } from "../dom.js";
import { listTenants } from "../data/tenants.js";
import { formatCount } from "../format.js";
import { SessionEndedError } from "../http.js";
import { t } from "../i18n.js";
import { tenantLink } from "../router.js";
import { emptyBlock, errorBlock, loadingBlock } from "./messages.js";

export function tenantsView({ onSessionEnd }) {
  const body = h("div", {});
  const element = h(
    "main",
    { class: "page" },
    h("h1", {}, t("tenants.title")),
    h("p", { class: "lead" }, t("tenants.lead")),
    body,
  );
  let loading;

  async function load() {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    body.replaceChildren(loadingBlock());
    try {
      const tenants = await listTenants(signal);
      if (!signal.aborted) body.replaceChildren(tenants.length ? listOf(tenants) : nobody());
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SessionEndedError) onSessionEnd();
      else body.replaceChildren(errorBlock(error, load));
    }
  }

  load();
  return { element, title: t("tenants.title"), destroy: () => loading.abort() };
}

function nobody() {
  return emptyBlock(t("tenants.empty.title"), t("tenants.empty.text"));
}

function listOf(tenants) {
  return h(
    "ul",
    { class: "tenant-list" },
    ...tenants.map(({ slug, devices, online }) =>
      h(
        "li",
        {},
        h(
          "a",
          { class: "tenant", href: tenantLink(slug) },
          h("span", { class: "tenant-name", translate: "no" }, slug),
          h("span", { class: "tenant-count" }, t("devices.count", { n: devices, count: formatCount(devices) })),
          h("span", { class: "tenant-count" }, t("devices.online_count", { n: online, count: formatCount(online) })),
        ),
      ),
    ),
  );
}
