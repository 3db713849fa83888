// One device: its state, the last value of each point, and a chart, all kept up to date.

import { getDevice, getLatest, listPoints } from "../api.js";
import { announce, h, icon, setText } from "../dom.js";
import { formatTimeOfDay, formatWait } from "../format.js";
import { SessionEndedError } from "../http.js";
import { t } from "../i18n.js";
import { startPoller } from "../poller.js";
import { now } from "../clock.js";
import { exportsLink, tenantLink } from "../router.js";
import { makeAge, makeBadge, updateAge, updateBadge } from "./badge.js";
import { chartSection } from "./chart-section.js";
import { emptyBlock, errorBlock, loadingBlock, reasonOf } from "./messages.js";
import { pointCards } from "./point-cards.js";

const INTERVAL_MS = 5000;

export function deviceView({ tenant, id, query, onSessionEnd, onTitle, onDevice }) {
  const back = h("a", { class: "back", href: tenantLink(tenant) }, icon("back"), t("devices.title"));
  const body = h("div", {});
  const element = h("div", { class: "page device" }, back, body);
  const loading = new AbortController();
  let live = null;

  async function load() {
    body.replaceChildren(loadingBlock());
    try {
      const [device, points] = await Promise.all([
        getDevice(tenant, id, loading.signal),
        listPoints(tenant, id, loading.signal),
      ]);
      if (loading.signal.aborted) return;
      onTitle(device.name);
      live = liveDevice({ tenant, device, points, query, onSessionEnd, onDevice });
      body.replaceChildren(live.element);
    } catch (error) {
      if (loading.signal.aborted) return;
      if (error instanceof SessionEndedError) onSessionEnd();
      else body.replaceChildren(errorBlock(error, load));
    }
  }

  load();
  return {
    element,
    destroy() {
      loading.abort();
      live?.destroy();
    },
  };
}

function liveDevice({ tenant, device, points, query, onSessionEnd, onDevice }) {
  const contracted = points.filter(({ is_contracted }) => is_contracted !== false);
  const badge = makeBadge();
  const age = makeAge();
  const banner = h("div", { class: "banner", role: "status", hidden: true });
  const cards = pointCards(contracted);
  const exportLink = h(
    "a",
    { class: "button is-small device-export", href: exportsLink(tenant, { device: device.id }) },
    icon("download"),
    t("device.export"),
  );
  const chart = chartSection({
    tenant,
    device: device.id,
    points: contracted,
    query,
    onSessionEnd,
    // The form opens with what is being looked at.
    onChoice: (choice) => {
      exportLink.href = exportsLink(tenant, { device: device.id, ...choice });
    },
  });
  const element = h(
    "article",
    {},
    h(
      "header",
      { class: "device-header" },
      h("h1", { translate: "no" }, device.name),
      h("p", { class: "device-state" }, badge, h("span", {}, t("device.last_seen")), age),
      facts(device),
      contracted.length ? exportLink : null,
    ),
    banner,
    ...(contracted.length
      ? [cards.element, chart.element]
      : [emptyBlock(t("device.no_points.title"), t("device.no_points.text"))]),
  );
  let current = device;
  let updatedAt = now();

  function showDevice(next) {
    if (next.is_online !== current.is_online) {
      announce(t(next.is_online ? "device.now_online" : "device.now_offline", { name: next.name }));
    }
    current = next;
    updateBadge(badge, next);
    updateAge(age, next.last_seen);
    onDevice(next);
  }

  async function refresh(signal) {
    const [next, latest] = await Promise.all([
      getDevice(tenant, device.id, signal),
      getLatest(tenant, device.id, signal),
    ]);
    showDevice(next);
    cards.update(latest, next);
    await chart.follow(signal);
    updatedAt = now();
  }

  function showFailure(error, wait) {
    const reason = reasonOf(error);
    const text = t(reason === "unreachable" ? "live.unreachable" : "live.failed", {
      time: formatTimeOfDay(updatedAt),
      wait: formatWait(wait),
    });
    const again = { class: "button is-small", type: "button", on: { click: () => poller.runNow() } };
    banner.replaceChildren(
      icon("cloudOff"),
      h("p", {}, text),
      h("button", again, t("action.retry_now")),
    );
    banner.hidden = false;
    cards.showDisconnected();
  }

  function showSuccess() {
    if (banner.hidden) return;
    const hadFocus = banner.contains(document.activeElement);
    banner.hidden = true;
    banner.replaceChildren();
    announce(t("live.recovered"));
    if (hadFocus) document.getElementById("content").focus();
  }

  showDevice(device);
  const poller = startPoller({
    intervalMs: INTERVAL_MS,
    task: refresh,
    onSuccess: showSuccess,
    onFailure: showFailure,
    onSessionEnd,
  });
  return {
    element,
    destroy() {
      poller.stop();
      chart.destroy();
    },
  };
}

function facts({ site, template, metadata }) {
  const shown = [
    ["device.site", site],
    ["device.template", template ? t("device.template_version", template) : null],
    ["device.firmware", metadata?.fw ?? metadata?.fw_version ?? null],
  ].filter(([, value]) => value);
  const list = h("dl", { class: "facts" });
  for (const [key, value] of shown) {
    const text = h("dd", { translate: "no" });
    setText(text, String(value));
    list.append(h("div", {}, h("dt", {}, t(key)), text));
  }
  return list;
}
