// The place in the page, kept in the URL's fragment so that it can be linked to and survives a
// log-in: #/tenants, #/t/{tenant}, #/t/{tenant}/d/{device}?points=a,b&range=24h,
// #/t/{tenant}/exports?device={device}&points=a,b&range=24h; #/exports is one's own tenant's.

export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?");
  let parts;
  try {
    parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return { name: "home" }; // A broken escape in a hand-made link.
  }
  const query = new URLSearchParams(search);
  if (parts.length === 1 && parts[0] === "tenants") return { name: "tenants" };
  if (parts.length === 1 && parts[0] === "exports") return { name: "own_exports" };
  if (parts[0] === "t" && parts.length === 2) return { name: "tenant", tenant: parts[1] };
  if (parts[0] === "t" && parts[2] === "d" && parts.length === 4) {
    return { name: "device", tenant: parts[1], device: parts[3], query };
  }
  if (parts[0] === "t" && parts[2] === "exports" && parts.length === 3) {
    return { name: "exports", tenant: parts[1], query };
  }
  return { name: "home" };
}

export function tenantLink(tenant) {
  return `#/t/${encodeURIComponent(tenant)}`;
}

export function deviceLink(tenant, device) {
  return `${tenantLink(tenant)}/d/${encodeURIComponent(device)}`;
}

/** The exports of a tenant; `choices` fill the form in. */
export function exportsLink(tenant, choices = {}) {
  return `${tenantLink(tenant)}/exports${toSearch(choices)}`;
}

export function currentRoute() {
  return parse(location.hash);
}

/** Goes to a place without leaving an entry to come back to. */
export function replace(hash) {
  history.replaceState(null, "", hash);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Writes what is being looked at into the place, without going anywhere. */
export function noteQuery(values) {
  history.replaceState(null, "", location.hash.split("?")[0] + toSearch(values));
}

/** "?name=value&…" with the commas of lists left readable; what is null or empty is left out. */
function toSearch(values) {
  const search = Object.entries(values)
    .filter(([, value]) => value)
    .map(([name, value]) => `${name}=${value.split(",").map(encodeURIComponent).join(",")}`)
    .join("&");
  return search ? `?${search}` : "";
}
