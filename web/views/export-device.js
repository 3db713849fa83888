// Whose readings an export holds: every device of the tenant, or one of them.

import { getDevice } from "../api.js";
import { DeviceList } from "../data/devices.js";
import { h } from "../dom.js";
import { ApiError, SessionEndedError } from "../http.js";
import { t } from "../i18n.js";

const SEARCH_DELAY_MS = 300;

/** `onChange(id)`, "" being all. A fleet too large for a list is searched by the server. */
export function exportDevice({ tenant, onChange, onSessionEnd }) {
  const devices = new DeviceList(tenant);
  const select = h("select", {
    class: "input", id: "export-device",
    on: { change: onSelect },
  });
  const search = h("input", {
    class: "input", type: "search", id: "export-device-search", autocomplete: "off",
    placeholder: t("devices.search_hint"), "aria-label": t("devices.search"), hidden: true,
  });
  const trouble = h("p", { class: "field-hint is-bad", role: "alert" });
  const element = h(
    "div",
    { class: "form-field" },
    h("label", { for: "export-device" }, t("exports.device")),
    search,
    select,
    trouble,
  );
  let loading = null;
  let timer;
  let wanted = "";
  let kept = null; // The chosen device where the list does not reach to it.

  function onSelect() {
    wanted = select.value;
    onChange(wanted);
  }

  async function load() {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    try {
      await devices.refresh(search.value.trim(), signal);
      if (wanted && !isListed()) await keep(signal);
      if (signal.aborted) return;
      trouble.replaceChildren();
      search.hidden = devices.isComplete;
      draw();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SessionEndedError) onSessionEnd();
      else showTrouble();
    }
  }

  const isListed = () => devices.devices.some(({ id }) => id === wanted);

  async function keep(signal) {
    if (kept?.id === wanted) return;
    try {
      kept = await getDevice(tenant, wanted, signal);
    } catch (error) {
      if (!(error instanceof ApiError && [400, 404, 422].includes(error.status))) throw error;
      kept = null; // A link to what is not there: the form then says all devices.
    }
  }

  function showTrouble() {
    const again = { class: "link-button", type: "button", on: { click: load } };
    trouble.replaceChildren(t("exports.no_devices"), " ", h("button", again, t("action.retry")));
  }

  function draw() {
    const groups = devices
      .bySite("")
      .map(([site, members]) => h("optgroup", { label: site }, ...members.map(optionOf)));
    select.replaceChildren(
      h("option", { value: "" }, t("exports.all_devices")),
      ...(kept?.id === wanted && !isListed() ? [optionOf(kept)] : []),
      ...groups,
    );
    select.value = wanted;
    if (select.selectedIndex >= 0) return;
    select.value = "";
    onSelect();
  }

  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(load, SEARCH_DELAY_MS);
  });
  draw();
  load();
  return {
    element,
    show(id) {
      if (id === wanted) return;
      wanted = id;
      load();
    },
    focus: () => select.focus(),
    destroy() {
      clearTimeout(timer);
      loading?.abort();
    },
  };
}

function optionOf({ id, name }) {
  return h("option", { value: id, translate: "no" }, name);
}
