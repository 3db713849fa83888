// The list of devices, grouped by site, searched as one types, walked with the arrow keys.

import { h, icon, reconcile, setText } from "../dom.js";
import { formatCount } from "../format.js";
import { t } from "../i18n.js";
import { deviceLink, tenantLink } from "../router.js";
import { makeAge, makeBadge, updateAge, updateBadge } from "./badge.js";
import { errorBlock, loadingBlock } from "./messages.js";

const SERVER_SEARCH_DELAY_MS = 300;

export function deviceListView({ devices, tenant, onSearch }) {
  const input = h("input", {
    class: "input", type: "search", id: "device-search", autocomplete: "off", spellcheck: "false",
    placeholder: t("devices.search_hint"), "aria-describedby": "device-count",
  });
  const count = h("p", { class: "sidebar-count", id: "device-count", role: "status" });
  const groups = h("div", { class: "device-groups" });
  const message = h("div", {}, loadingBlock());
  const element = h(
    "div",
    { class: "device-list" },
    h("a", { class: "sidebar-title", href: tenantLink(tenant) }, t("devices.title")),
    h(
      "div",
      { class: "search" },
      h("label", { class: "visually-hidden", for: "device-search" }, t("devices.search")),
      icon("search"),
      input,
    ),
    count,
    message,
    groups,
  );
  let selected = null;
  let searchTimer;

  function update() {
    if (!devices.isLoaded) return;
    const sites = devices.bySite(input.value);
    const shown = sites.reduce((sum, [, members]) => sum + members.length, 0);
    message.replaceChildren();
    setText(count, countText(shown));
    reconcile(groups, sites, ([site]) => site, makeGroup, (group, [, members]) => {
      reconcile(group.lastElementChild, members, ({ id }) => id, makeRow, updateRow);
    });
  }

  function countText(shown) {
    const isSearch = input.value.trim() !== "";
    if (shown === 0) return t(isSearch ? "devices.none_found" : "devices.none");
    if (isSearch) return t("devices.found", { n: shown, count: formatCount(shown) });
    const text = t("devices.count", { n: shown, count: formatCount(shown) });
    const online = devices.onlineCount;
    return devices.isComplete
      ? `${text} · ${t("devices.online_count", { n: online, count: formatCount(online) })}`
      : t("devices.partial", { count: formatCount(shown) });
  }

  function makeGroup([site]) {
    const id = `site-${site}`;
    return h(
      "section",
      { class: "device-group", "aria-labelledby": id },
      h("h2", { class: "device-group-title", id, translate: "no" }, site),
      h("ul", {}),
    );
  }

  function makeRow({ id }) {
    return h(
      "li",
      {},
      h(
        "a",
        { class: "device-row", href: deviceLink(tenant, id), data: { device: id } },
        h("span", { class: "device-row-name", translate: "no" }),
        h("span", { class: "device-row-kind", translate: "no" }),
        h("span", { class: "device-row-state" }, makeBadge(), makeAge()),
      ),
    );
  }

  function updateRow(row, device) {
    const [name, kind, state] = row.firstElementChild.children;
    setText(name, device.name);
    setText(kind, device.template?.code ?? "");
    updateBadge(state.firstElementChild, device);
    updateAge(state.lastElementChild, device.last_seen);
    mark(row.firstElementChild);
  }

  function mark(link) {
    if (link.dataset.device === selected) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }

  input.addEventListener("input", () => {
    update();
    if (devices.isComplete) return;
    clearTimeout(searchTimer);
    searchTimer = setTimeout(onSearch, SERVER_SEARCH_DELAY_MS);
  });
  element.addEventListener("keydown", (event) => moveFocus(event, input, groups));

  return {
    element,
    update,
    search: () => input.value.trim(),
    select(id) {
      selected = id;
      for (const link of groups.querySelectorAll(".device-row")) mark(link);
    },
    /** Without a list, says why; a list that is there stays, and the next refresh mends it. */
    showError(error, retry) {
      if (!devices.isLoaded) message.replaceChildren(errorBlock(error, retry));
    },
  };
}

function moveFocus(event, input, groups) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
  const places = [input, ...groups.querySelectorAll(".device-row")];
  const at = places.indexOf(document.activeElement);
  const next = places[at + step];
  if (at < 0 || !next) return;
  event.preventDefault();
  next.focus();
}
