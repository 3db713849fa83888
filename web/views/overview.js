// What a tenant's place shows before a device is chosen: how many talk, and which do not.

import { h, reconcile, setText } from "../dom.js";
import { formatCount } from "../format.js";
import { t } from "../i18n.js";
import { deviceLink } from "../router.js";
import { makeAge, updateAge } from "./badge.js";

export function overviewView({ devices, tenant }) {
  const total = figure("overview.devices");
  const online = figure("overview.online");
  const offline = figure("overview.offline");
  const silentList = h("ul", { class: "silent-list" });
  const silent = h(
    "section",
    { class: "section", hidden: true },
    h("h2", { class: "section-title" }, t("overview.silent")),
    silentList,
  );
  const element = h(
    "div",
    { class: "page overview" },
    h("h1", { translate: "no" }, tenant),
    h("p", { class: "lead" }, t("overview.lead")),
    h("dl", { class: "figures", hidden: true }, total.row, online.row, offline.row),
    silent,
  );

  function onDevices() {
    if (!devices.isLoaded) return;
    const all = devices.devices;
    const quiet = all
      .filter(({ is_online }) => !is_online)
      .sort((a, b) => (b.last_seen ?? "").localeCompare(a.last_seen ?? ""));
    element.querySelector(".figures").hidden = false;
    setText(total.value, formatCount(all.length));
    setText(online.value, formatCount(devices.onlineCount));
    setText(offline.value, formatCount(quiet.length));
    offline.row.classList.toggle("is-bad", quiet.length > 0);
    silent.hidden = quiet.length === 0;
    reconcile(silentList, quiet, ({ id }) => id, makeRow, (row, device) => {
      updateAge(row.querySelector("time"), device.last_seen);
    });
  }

  function makeRow({ id, name, site }) {
    return h(
      "li",
      {},
      h(
        "a",
        { class: "silent", href: deviceLink(tenant, id) },
        h("span", { class: "silent-name", translate: "no" }, name),
        h("span", { class: "silent-site", translate: "no" }, site),
        makeAge(),
      ),
    );
  }

  onDevices();
  return { element, onDevices, destroy() {} };
}

function figure(key) {
  const value = h("dd", {}, "–");
  return { value, row: h("div", { class: "figure" }, h("dt", {}, t(key)), value) };
}
