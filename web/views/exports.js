// The exports of a tenant: asking for one, and the history with what can be downloaded. It asks
// the API again only while something runs.

import { cancelExport, getDownload } from "../api.js";
import { now } from "../clock.js";
import { ExportList } from "../data/exports.js";
import { announce, h, icon, reconcile } from "../dom.js";
import { formatTimeOfDay, formatWait } from "../format.js";
import { ApiError, SessionEndedError, UnreachableError } from "../http.js";
import { t } from "../i18n.js";
import { startPoller } from "../poller.js";
import { confirmIn } from "./confirm.js";
import { exportForm } from "./export-form.js";
import { makeExportRow, showTrouble, updateExportRow } from "./export-row.js";
import { changeText, titleOf } from "./export-words.js";
import { emptyBlock, errorBlock, loadingBlock, refusalText } from "./messages.js";

const INTERVAL_MS = 2000;
const TICK_MS = 1000;
const NARROW = "(max-width: 1080px)";

export function exportsView({ tenant, onSessionEnd }) {
  const exports = new ExportList(tenant);
  const formPlace = h("div", {});
  const disclosure = h(
    "details",
    { class: "export-new" },
    h("summary", {}, h("h2", { class: "section-title" }, t("exports.new"))),
    formPlace,
  );
  const message = h("div", {}, loadingBlock());
  const banner = h("div", { class: "banner", role: "status", hidden: true });
  const list = h("ul", { class: "export-list" });
  const more = h(
    "button",
    { class: "button export-more", type: "button", hidden: true, on: { click: showMore } },
    t("exports.more"),
  );
  const moreTrouble = h("p", { class: "export-trouble", role: "alert" });
  const history = h(
    "section",
    { class: "export-history", "aria-labelledby": "export-history" },
    h("h2", { class: "section-title", id: "export-history" }, t("exports.history")),
    banner,
    message,
    list,
    moreTrouble,
    more,
  );
  const element = h(
    "main",
    { class: "page exports" },
    h("h1", {}, t("exports.title")),
    h("p", { class: "lead" }, t("exports.lead", { tenant })),
    h("div", { class: "export-columns" }, disclosure, history),
  );
  const leaving = new AbortController();
  let form = null;
  let poller = null;
  let updatedAt = now();

  function follow() {
    if (leaving.signal.aborted) return; // The answer came after the person had gone elsewhere.
    poller?.stop();
    let changes = [];
    poller = startPoller({
      intervalMs: INTERVAL_MS,
      async task(signal) {
        changes = await exports.refresh(signal);
      },
      onSuccess() {
        updatedAt = now();
        banner.hidden = true;
        draw();
        tell(changes);
        if (!exports.isAnyUnderWay) stop();
      },
      onFailure: showFailure,
      onSessionEnd,
    });
  }

  function stop() {
    poller?.stop();
    poller = null;
  }

  function draw() {
    message.replaceChildren(
      ...(exports.jobs.length
        ? []
        : [emptyBlock(t("exports.empty.title"), t("exports.empty.text"))]),
    );
    const make = (job) => makeExportRow(job, { onCancel: cancel, onDownload: download });
    reconcile(list, exports.jobs, ({ id }) => id, make, updateExportRow);
    more.hidden = exports.nextCursor === null;
  }

  function tell(changes) {
    const said = changes.map(([before, after]) => changeText(before, after)).filter(Boolean);
    if (said.length) announce(said.join(" "));
  }

  function showFailure(error, wait) {
    if (!exports.isLoaded) {
      message.replaceChildren(errorBlock(error, () => poller.runNow()));
      return;
    }
    const text = t("exports.stale", { time: formatTimeOfDay(updatedAt), wait: formatWait(wait) });
    const again = { class: "button is-small", type: "button", on: { click: () => poller.runNow() } };
    banner.replaceChildren(
      icon("cloudOff"), h("p", {}, text), h("button", again, t("action.retry_now")),
    );
    banner.hidden = false;
  }

  const rowOf = (id) => [...list.children].find(({ dataset }) => dataset.key === id);

  /** Does something for an export; what goes wrong is said in its row, if it is still there. */
  async function act(id, work) {
    showTrouble(rowOf(id), "");
    try {
      await work();
    } catch (error) {
      if (leaving.signal.aborted) return;
      if (error instanceof SessionEndedError) {
        onSessionEnd();
        return;
      }
      if (!(error instanceof ApiError || error instanceof UnreachableError)) console.error(error);
      const row = rowOf(id);
      if (row) showTrouble(row, refusalText(error));
      follow(); // It may have ended or expired meanwhile: show how it is.
    }
  }

  async function cancel(id) {
    const title = titleOf(exports.jobs.find((job) => job.id === id));
    const isSure = await confirmIn(element, {
      title: t("exports.confirm.title"),
      text: t("exports.confirm.text", { title }),
      yes: t("exports.confirm.yes"),
      no: t("exports.confirm.no"),
    });
    if (!isSure) return;
    await act(id, async () => {
      const job = await cancelExport(tenant, id);
      if (!job) return follow();
      tell(exports.take([job]));
      return draw();
    });
  }

  async function download(id) {
    await act(id, async () => {
      const { url, file_name: name } = await getDownload(tenant, id);
      const link = h("a", { href: url, download: name ?? "", rel: "noopener" });
      link.click();
    });
  }

  async function showMore() {
    more.disabled = true;
    moreTrouble.textContent = "";
    const last = list.lastElementChild;
    try {
      await exports.loadMore(leaving.signal);
      draw();
      last?.nextElementSibling?.focus();
    } catch (error) {
      if (leaving.signal.aborted) return;
      if (error instanceof SessionEndedError) onSessionEnd();
      else moreTrouble.textContent = refusalText(error);
    } finally {
      more.disabled = false;
    }
  }

  function onAsked(job) {
    if (leaving.signal.aborted) return;
    exports.take([job]);
    draw();
    announce(t("exports.now.asked", { title: titleOf(job) }));
    if (matchMedia(NARROW).matches) disclosure.open = false;
    const row = rowOf(job.id);
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    follow();
  }

  const ticks = setInterval(() => {
    // Ages and the time that a file has left.
    if (!document.hidden && exports.isLoaded) draw();
  }, TICK_MS);
  follow();

  return {
    element,
    title: t("exports.title"),
    show({ query }) {
      if (form && [...query].length === 0) return;
      disclosure.open = [...query].length > 0 || !matchMedia(NARROW).matches;
      if (form) {
        form.show(query);
        return;
      }
      form = exportForm({ tenant, query, onAsked, onSessionEnd });
      formPlace.replaceChildren(form.element);
      window.scrollTo(0, 0);
    },
    destroy() {
      leaving.abort();
      clearInterval(ticks);
      stop();
      form?.destroy();
    },
  };
}
