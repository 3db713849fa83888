// A tenant's place: its devices on one side, what was chosen on the other.

import { DeviceList } from "../data/devices.js";
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { startPoller } from "../poller.js";
import { refreshAges } from "./badge.js";
import { deviceView } from "./device.js";
import { deviceListView } from "./device-list.js";
import { overviewView } from "./overview.js";

const LIST_INTERVAL_MS = 15_000;
const AGE_INTERVAL_MS = 1000;

export function workspaceView({ tenant, onSessionEnd, onTitle }) {
  const devices = new DeviceList(tenant);
  const list = deviceListView({ devices, tenant, onSearch: () => poller.runNow() });
  const detail = h("main", { class: "detail", tabindex: "-1" });
  const sidebar = h("nav", { class: "sidebar", "aria-label": t("devices.title") }, list.element);
  const element = h("div", { class: "workspace" }, sidebar, detail);
  let current = null;
  let shownId;

  const poller = startPoller({
    intervalMs: LIST_INTERVAL_MS,
    task: (signal) => devices.refresh(list.search(), signal),
    onSuccess() {
      list.update();
      current.onDevices?.();
    },
    onFailure: (error) => list.showError(error, () => poller.runNow()),
    onSessionEnd,
  });
  const ages = setInterval(() => {
    if (!document.hidden) refreshAges(element);
  }, AGE_INTERVAL_MS);

  /** Shows a device, or the overview where the route names none. */
  function show(route) {
    const id = route.name === "device" ? route.device : null;
    element.classList.toggle("has-device", id !== null);
    list.select(id);
    if (id === shownId) return;
    const isFirst = shownId === undefined;
    shownId = id;
    current?.destroy();
    current = id
      ? deviceView({ tenant, id, query: route.query, onSessionEnd, onTitle, onDevice })
      : overviewView({ devices, tenant });
    onTitle(current.title ?? tenant);
    detail.replaceChildren(current.element);
    window.scrollTo(0, 0);
    if (!isFirst) placeFocus(id);
  }

  function onDevice(device) {
    devices.take(device);
    list.update();
  }

  /** On a phone list and device take turns: focus goes where the eye does. */
  function placeFocus(id) {
    const isHidden = (part) => getComputedStyle(part).display === "none";
    if (id && isHidden(sidebar)) detail.focus({ preventScroll: true });
    else if (!id && isHidden(detail)) sidebar.querySelector("a").focus({ preventScroll: true });
  }

  return {
    element,
    show,
    destroy() {
      poller.stop();
      clearInterval(ages);
      current?.destroy();
    },
  };
}
