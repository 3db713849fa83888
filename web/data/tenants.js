// The tenants that internal_ops can choose from, gathered from the devices of all of them.

import { listDevices } from "../api.js";

/** [{slug, devices, online}], by slug. */
export async function listTenants(signal) {
  const tenants = new Map();
  let cursor;
  do {
    const page = await listDevices({ cursor, signal });
    for (const { tenant, is_online } of page.items) {
      const known = tenants.get(tenant) ?? { slug: tenant, devices: 0, online: 0 };
      known.devices += 1;
      known.online += is_online ? 1 : 0;
      tenants.set(tenant, known);
    }
    cursor = page.next_cursor;
  } while (cursor);
  return [...tenants.values()].sort((a, b) => a.slug.localeCompare(b.slug));
}
