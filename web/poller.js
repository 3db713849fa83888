// Doing something again and again, politely: not while the tab is hidden, later and later while
// it fails.

import { ApiError, SessionEndedError, UnreachableError } from "./http.js";

const LONGEST_WAIT_MS = 60_000;

/**
 * Runs `task(signal)` now and then every `intervalMs` after it ended. On an error the wait doubles
 * up to a minute, with some jitter so that a fleet of screens does not come back at once.
 * `onSuccess()`; `onFailure(error, waitMs)`; a SessionEndedError ends it through `onSessionEnd`.
 */
export function startPoller({ task, intervalMs, onSuccess, onFailure, onSessionEnd }) {
  let timer = null;
  let failures = 0;
  let running = null;
  let stopped = false;

  async function run() {
    clearTimeout(timer);
    if (stopped || running || document.hidden) return;
    running = new AbortController();
    let wait = intervalMs;
    try {
      await task(running.signal);
      failures = 0;
      if (!stopped) onSuccess?.();
    } catch (error) {
      if (stopped) return;
      if (error instanceof SessionEndedError) {
        stop();
        onSessionEnd(error);
        return;
      }
      if (!(error instanceof ApiError || error instanceof UnreachableError)) console.error(error);
      failures += 1;
      wait = Math.min(LONGEST_WAIT_MS, intervalMs * 2 ** (failures - 1));
      wait = Math.max(wait, (error.retryAfterSeconds ?? 0) * 1000) * (1 + Math.random() / 5);
      onFailure?.(error, wait);
    } finally {
      running = null;
    }
    if (!stopped) timer = setTimeout(run, wait);
  }

  function stop() {
    stopped = true;
    clearTimeout(timer);
    running?.abort();
    document.removeEventListener("visibilitychange", run);
    window.removeEventListener("online", run);
  }

  document.addEventListener("visibilitychange", run);
  window.addEventListener("online", run);
  run();
  return { stop, runNow: run };
}
