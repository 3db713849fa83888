// Where the page starts: language, session, and which screen the place in the URL calls for.

import { getMe } from "./api.js";
import { h } from "./dom.js";
import { useTimeZone } from "./format.js";
import { SessionEndedError } from "./http.js";
import { preferredLocale, t, useLocale } from "./i18n.js";
import { currentRoute, exportsLink, replace, tenantLink } from "./router.js";
import { currentUser, isLoggedIn, logOut, setUser } from "./session.js";
import { exportsView } from "./views/exports.js";
import { loginView } from "./views/login.js";
import { emptyBlock, errorBlock, loadingBlock } from "./views/messages.js";
import { shellView } from "./views/shell.js";
import { tenantsView } from "./views/tenants.js";
import { workspaceView } from "./views/workspace.js";

const BRAND = "TrakSense";
const root = document.getElementById("app");

let shell = null;
let screen = null; // {key, view}
let zoneTenant = null; // The tenant in whose time zone times are shown.
let turns = 0; // Counts what took the screen, so that what comes too late is let go.

function showTitle(title) {
  document.title = title ? `${title} · ${BRAND}` : BRAND;
}

function closeScreen() {
  turns += 1;
  screen?.view.destroy();
  screen = null;
}

/** Takes everything down, for a log-out or another language. */
function clear() {
  closeScreen();
  shell = null;
}

function showLogin(notice = null, state = null) {
  clear();
  const view = loginView({ notice, state, onLoggedIn: render, onLanguage: changeLanguage });
  screen = { key: "login", view };
  showTitle(t("login.title"));
  root.replaceChildren(view.element);
  view.focus();
}

function endSession() {
  logOut();
  showLogin("login.expired");
}

async function changeLanguage(locale) {
  try {
    await useLocale(locale);
  } catch (error) {
    console.error(error); // The catalogue did not come; the page stays as it was.
    return;
  }
  const { notice, state } = screen?.key === "login" ? screen.view : {};
  clear();
  if (isLoggedIn()) await render();
  else showLogin(notice ?? null, state);
  root.querySelector(`[data-locale="${locale}"]`)?.focus();
}

/**
 * Waits for what a screen needs, in its place. Returns null when it failed, which is then shown,
 * or when the person has gone elsewhere meanwhile.
 */
async function fetchFor(place, request) {
  closeScreen();
  const turn = turns;
  place.replaceChildren(h("main", { class: "alone" }, loadingBlock()));
  try {
    const answer = await request();
    return turn === turns ? answer : null;
  } catch (error) {
    if (turn !== turns) return null;
    if (error instanceof SessionEndedError) endSession();
    else place.replaceChildren(h("main", { class: "alone" }, errorBlock(error, render)));
    return null;
  }
}

async function render() {
  if (!isLoggedIn()) return showLogin();
  if (!currentUser()) {
    const me = await fetchFor(root, () => getMe());
    if (!me) return undefined;
    setUser(me);
    useZoneOf(me.tenant, me);
  }
  const user = currentUser();
  const route = currentRoute();
  if (route.name === "own_exports") {
    return replace(user.tenant ? exportsLink(user.tenant) : "#/tenants");
  }
  if (route.name === "home" || (route.name === "tenants" && user.tenant)) {
    return replace(user.tenant ? tenantLink(user.tenant) : "#/tenants");
  }
  if (!shell) {
    closeScreen();
    shell = shellView({ user, onLanguage: changeLanguage, onLogOut: leave });
    root.replaceChildren(shell.element);
  }
  shell.showTenant(route.tenant ?? null, route.name === "exports" ? "exports" : "devices");
  if (route.name === "tenants") {
    return open("tenants", () => tenantsView({ onSessionEnd: endSession }));
  }
  return showTenant(user, route);
}

async function showTenant(user, route) {
  const { tenant } = route;
  if (user.tenant && tenant !== user.tenant) return showForeign(user);
  if (tenant !== zoneTenant) {
    const profile = await fetchFor(shell.content, () => getMe({ tenant }));
    if (!profile) return undefined;
    useZoneOf(tenant, profile);
  }
  const next = currentRoute();
  if (next.name === "exports") {
    open(`exports ${tenant}`, () => exportsView({ tenant, onSessionEnd: endSession }));
  } else {
    open(`tenant ${tenant}`, () =>
      workspaceView({ tenant, onSessionEnd: endSession, onTitle: showTitle }),
    );
  }
  return screen.view.show(next);
}

function useZoneOf(tenant, profile) {
  zoneTenant = tenant;
  useTimeZone(profile.time_zone);
}

/** Shows a screen, keeping it when it is the one that is there. */
function open(key, make) {
  if (screen?.key === key) return;
  closeScreen();
  screen = { key, view: make() };
  shell.content.replaceChildren(screen.view.element);
  showTitle(screen.view.title);
}

function showForeign(user) {
  const home = h("a", { class: "button", href: tenantLink(user.tenant) }, t("action.home"));
  open("foreign", () => ({
    element: h(
      "main",
      { class: "alone" },
      emptyBlock(t("error.not_found.title"), t("error.not_found.text"), home),
    ),
    destroy() {},
  }));
}

function leave() {
  logOut();
  history.replaceState(null, "", "#/");
  showLogin();
}

/** Waits for the first catalogue however long the network is away: without it nothing can be said. */
async function loadFirstLocale(wait = 500) {
  try {
    await useLocale(preferredLocale());
  } catch (error) {
    console.error(error);
    await new Promise((resolve) => setTimeout(resolve, wait));
    await loadFirstLocale(Math.min(wait * 2, 10_000));
  }
}

await loadFirstLocale();
window.addEventListener("hashchange", render);
await render();
