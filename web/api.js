// The calls of the API that the page makes, each with the session's token and the chosen tenant.

import { ApiError, sendJson, SessionEndedError } from "./http.js";
import { currentUser, idToken, isLoggedIn, renew } from "./session.js";

const PAGE_LIMIT = 500;
const LONGEST_SEARCH = 64; // Characters that the API takes.

/** Sends with the ID token; a 401 renews the session once and tries again. */
async function call(path, { tenant, headers = {}, ...options } = {}) {
  const send = () =>
    sendJson(path, {
      ...options,
      headers: { ...headers, Authorization: `Bearer ${idToken()}`, ...tenantHeader(tenant) },
    });
  if (!isLoggedIn()) throw new SessionEndedError("no session");
  const used = idToken();
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  }
  // Another call may have renewed the session while this one was on its way.
  if (idToken() === used) await renew();
  if (!isLoggedIn()) throw new SessionEndedError("logged out meanwhile");
  try {
    return await send();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      throw new SessionEndedError("refused after renewal", { cause: error });
    }
    throw error;
  }
}

function tenantHeader(tenant) {
  // A customer's tenant is in its token, and from a customer the header is refused.
  return tenant && currentUser()?.role === "internal_ops" ? { "X-Tenant": tenant } : {};
}

export function getMe(options) {
  return call("/api/me", options);
}

/** One page of devices: {items, next_cursor}. Without a tenant, internal_ops sees all tenants'. */
export function listDevices({ tenant, cursor, q, signal } = {}) {
  const query = { limit: PAGE_LIMIT, cursor, q: q?.slice(0, LONGEST_SEARCH) || undefined };
  return call("/api/devices", { tenant, query, signal });
}

export function getDevice(tenant, id, signal) {
  return call(`/api/devices/${encodeURIComponent(id)}`, { tenant, signal });
}

/** The points of a device, in its template's order. */
export async function listPoints(tenant, id, signal) {
  return (await call(`/api/devices/${encodeURIComponent(id)}/points`, { tenant, signal })).items;
}

/** The last reading of each point of a device. */
export async function getLatest(tenant, device, signal) {
  return (await call("/api/data/latest", { tenant, query: { device }, signal })).items;
}

/**
 * Readings or rollups of up to ten points; `from` and `to` are RFC 3339, `to` defaults to now.
 * `agg` is a level, or "auto"; `thin` "none" has long series end with next_from instead.
 */
export function getReadings(tenant, { device, points, from, to, agg, maxPoints, thin }, signal) {
  const query = { device, point: points.join(","), from, to, agg, max_points: maxPoints, thin };
  return call("/api/data/points", { tenant, query, signal });
}

/** One page of a tenant's exports, newest first: {items, next_cursor}. */
export function listExports({ tenant, limit, cursor, signal }) {
  return call("/api/exports", { tenant, query: { limit, cursor }, signal });
}

export function getExport(tenant, id, signal) {
  return call(exportPath(id), { tenant, signal });
}

/** Asks for an export. Sent again with the same `key`, it is the same export. */
export function createExport(tenant, body, key, signal) {
  const headers = { "Idempotency-Key": key };
  return call("/api/exports", { tenant, method: "POST", body, headers, signal });
}

export function cancelExport(tenant, id) {
  return call(`${exportPath(id)}/cancel`, { tenant, method: "POST" });
}

/** Where a finished export's file can be fetched from now, for minutes: {url, file_name}. */
export function getDownload(tenant, id) {
  return call(`${exportPath(id)}/download`, { tenant });
}

function exportPath(id) {
  return `/api/exports/${encodeURIComponent(id)}`;
}
