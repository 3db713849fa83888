// The devices of a tenant, as a list that is kept up to date and can be searched.

import { listDevices } from "../api.js";
import { currentLocale } from "../i18n.js";

const MOST_PAGES = 4; // 2,000 devices; a larger fleet is searched by the server.

export class DeviceList {
  constructor(tenant) {
    this.tenant = tenant;
    this.devices = [];
    this.isComplete = true;
    this.isLoaded = false;
  }

  /** Fetches the devices, or those that match where the fleet is too large to hold. */
  async refresh(search, signal) {
    const q = this.isComplete ? "" : search;
    const devices = [];
    let cursor;
    let pages = 0;
    do {
      const page = await listDevices({ tenant: this.tenant, cursor, q, signal });
      devices.push(...page.items);
      cursor = page.next_cursor;
      pages += 1;
    } while (cursor && pages < MOST_PAGES);
    this.devices = devices;
    if (!q) this.isComplete = !cursor;
    this.isLoaded = true;
  }

  /** Takes a device's newer state, if it is one of the list. */
  take(device) {
    this.devices = this.devices.map((known) => (known.id === device.id ? device : known));
  }

  /** The devices that match a search by name, site or kind, as [site, devices] in order. */
  bySite(search) {
    const wanted = fold(search).split(/\s+/).filter(Boolean);
    const matches = this.devices.filter((device) => {
      const text = fold(`${device.name} ${device.site} ${device.template?.code ?? ""}`);
      return wanted.every((word) => text.includes(word));
    });
    const order = new Intl.Collator(currentLocale(), { numeric: true }).compare;
    matches.sort((a, b) => order(a.site, b.site) || order(a.name, b.name));
    return [...Map.groupBy(matches, ({ site }) => site)];
  }

  get onlineCount() {
    return this.devices.filter(({ is_online }) => is_online).length;
  }
}

/** Lower case without accents: "Câmara" is found by "camara". */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
