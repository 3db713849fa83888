// One JSON request, and the ways in which it can fail.

import { synchronise } from "./clock.js";
import { currentLocale } from "./i18n.js";

const TIMEOUT_MS = 25_000;
const GATEWAY_STATUSES = new Set([502, 503, 504]);

/** The server answered with an error; `problem` is its RFC 9457 body, or {}. */
export class ApiError extends Error {
  constructor(status, problem, retryAfterSeconds) {
    super(problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No answer: network, server or gateway away, or too slow. */
export class UnreachableError extends Error {}

/** The session is over and could not be renewed; the person has to log in again. */
export class SessionEndedError extends Error {}

/**
 * Sends one request and returns the decoded JSON; null for an answer that has none.
 * Throws ApiError, UnreachableError, or AbortError when `signal` fires.
 */
export async function sendJson(path, { method = "GET", query, body, headers = {}, signal } = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null) url.searchParams.set(name, value);
  }
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  let payload;
  try {
    response = await fetch(url, {
      method,
      headers: {
        Accept: "application/json",
        "Accept-Language": currentLocale(),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    synchronise(response.headers.get("Date"));
    payload = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new UnreachableError("no answer", { cause: error });
  }
  if (GATEWAY_STATUSES.has(response.status)) throw new UnreachableError(`HTTP ${response.status}`);
  if (!response.ok) {
    throw new ApiError(
      response.status,
      decodeProblem(payload),
      Number(response.headers.get("Retry-After")) || null,
    );
  }
  if (!payload && (response.status === 202 || response.status === 204)) return null;
  try {
    return JSON.parse(payload);
  } catch (error) {
    throw new UnreachableError("the answer is no JSON", { cause: error });
  }
}

function decodeProblem(payload) {
  try {
    const problem = JSON.parse(payload);
    return problem && typeof problem === "object" ? problem : {};
  } catch {
    return {}; // A proxy's page: the status says all that we can use.
  }
}
