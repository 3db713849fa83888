// Who is logged in.
//
// The tokens live in this module's memory and in sessionStorage, nowhere else. sessionStorage is
// what lets a reload keep the session; it belongs to one tab and ends with it, which suits the
// shared computers of a ward or a plant better than localStorage. A script injected into the page
// could read either, so the defence is elsewhere: a Content-Security-Policy without inline
// scripts, and a page that never builds markup from strings. Tokens are never part of a URL.

import { ApiError, sendJson, SessionEndedError } from "./http.js";

const KEY = "traksense.session";

let tokens = restore();
let user = null;
let renewal = null;

function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return kept?.id_token ? kept : null;
  } catch {
    return null; // Blocked storage or a damaged entry: log in again.
  }
}

function keep(next) {
  tokens = next;
  try {
    if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is blocked: the session lasts until the page is reloaded.
  }
}

export function isLoggedIn() {
  return tokens !== null;
}

export function idToken() {
  return tokens?.id_token ?? null;
}

/** The person of GET /api/me, once loaded: {id, email, role, tenant}. */
export function currentUser() {
  return user;
}

export function setUser(next) {
  user = next;
}

/**
 * Logs in. Returns {} or, where Cognito asks for something first, {challenge, session, …}.
 * Throws ApiError (400, 401, 403 or 422: wrong credentials; 429: too many) or UnreachableError.
 */
export async function logIn(email, password) {
  return begin(await sendJson("/api/auth/login", { method: "POST", body: { email, password } }));
}

/** Answers a challenge with {new_password} or {code}. Returns and throws as `logIn`. */
export async function answerChallenge(session, given) {
  const body = { session, ...given };
  return begin(await sendJson("/api/auth/challenge", { method: "POST", body }));
}

/** Has a code for a new password mailed, where there is such an account. */
export async function requestCode(email) {
  await sendJson("/api/auth/forgot", { method: "POST", body: { email } });
}

/** Sets a new password by a code. Throws ApiError (422: `errors` says which and why). */
export async function resetPassword(email, code, newPassword) {
  const body = { email, code, new_password: newPassword };
  await sendJson("/api/auth/reset", { method: "POST", body });
}

function begin(answer) {
  if (answer.challenge) return answer;
  user = null;
  keep(pickTokens(answer));
  return {};
}

export function logOut() {
  user = null;
  keep(null);
}

/**
 * Renews the tokens once, however many requests ask for it at the same time.
 * Throws SessionEndedError when the refresh token is no longer good, UnreachableError when nobody
 * answers (the session is kept: it may still be good).
 */
export function renew() {
  renewal ??= requestRenewal().finally(() => {
    renewal = null;
  });
  return renewal;
}

async function requestRenewal() {
  const before = tokens;
  if (!before?.refresh_token) throw new SessionEndedError("no session");
  try {
    const answer = await sendJson("/api/auth/refresh", {
      method: "POST",
      body: { refresh_token: before.refresh_token },
    });
    if (tokens === before) keep({ ...before, ...pickTokens(answer) });
  } catch (error) {
    if (error instanceof ApiError && error.status < 500 && error.status !== 429) {
      if (tokens === before) logOut();
      throw new SessionEndedError("refresh refused", { cause: error });
    }
    throw error;
  }
}

function pickTokens({ id_token, access_token, refresh_token }) {
  // Cognito sends no new refresh token with a renewal unless rotation is on.
  return { id_token, access_token, ...(refresh_token ? { refresh_token } : {}) };
}
