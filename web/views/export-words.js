// What an export is, in words.

import { statusOf } from "../data/exports.js";
import { toMs } from "../data/instants.js";
import { formatBytes, formatCount, formatMinute, formatPercent, formatWait } from "../format.js";
import { now } from "../clock.js";
import { t } from "../i18n.js";

const MOST_NAMED = 6;
const NBSP = "\u00a0";

export function titleOf({ device }) {
  return device ?? t("exports.all_devices");
}

export function pointsOf({ points }) {
  if (!points) return t("exports.all_points");
  const named = points.slice(0, MOST_NAMED).join(", ");
  const rest = points.length - MOST_NAMED;
  return rest > 0 ? t("exports.points_more", { points: named, count: formatCount(rest) }) : named;
}

export function periodText({ from, to }) {
  return t("exports.period_of", { from: formatMinute(toMs(from)), to: formatMinute(toMs(to)) });
}

/** "Original readings · CSV · for spreadsheets" */
export function kindOf({ agg, format, for_spreadsheet }) {
  const sheet = for_spreadsheet ? t("exports.for_sheet") : null;
  const level =
    agg === "raw" ? t("exports.of_raw") : t("exports.of_averages", { level: t(`level.${agg}`) });
  return [level, t(`exports.format.${format}`), sheet].filter(Boolean).join(" · ");
}

/** How far it is: "42% · 1,234 rows". */
export function progressText({ status, progress, record_count }) {
  if (status === "PENDING") return t("exports.waiting");
  return together([formatPercent(progress), record_count ? rowsText(record_count) : null]);
}

/** What came of it: rows, size, and how long the file is there. */
export function resultText(job) {
  const status = statusOf(job);
  if (status !== "COMPLETED" && status !== "EXPIRED") return "";
  const parts = [
    job.record_count === null ? null : rowsText(job.record_count),
    job.file_size === null ? null : formatBytes(job.file_size),
  ];
  if (status === "COMPLETED" && job.expires_at) {
    parts.push(t("exports.expires_in", { wait: formatWait(toMs(job.expires_at) - now()) }));
  }
  return together(parts);
}

/** The parts in one line, of which none is broken within. */
function together(parts) {
  return parts.filter(Boolean).map((part) => part.replaceAll(" ", NBSP)).join(" · ");
}

function rowsText(count) {
  return t("exports.rows", { n: count, count: formatCount(count) });
}

/** What is to be known of the e-mail of its end; "" where it is on its way or went out. */
export function mailText(job) {
  if (job.notification !== "refused" && job.notification !== "unsent") return "";
  const said = t(`exports.mail_${job.notification}`, { email: job.requested_by });
  return statusOf(job) === "COMPLETED" ? `${said} ${t("exports.mail_download")}` : said;
}

/**
 * What to say of a change: an end, an e-mail that did not arrive, or each further quarter; null
 * where it is not worth a word.
 */
export function changeText(before, after) {
  const values = { title: titleOf(after) };
  const isEnd = before.status !== after.status && after.status !== "PROCESSING";
  const mail = before.notification === after.notification ? "" : mailText(after);
  const said = [isEnd ? t(`exports.now.${after.status}`, values) : "", mail].filter(Boolean);
  if (said.length) return said.join(". ");
  const quarter = ({ progress }) => Math.floor(progress * 4);
  if (after.status !== "PROCESSING" || quarter(after) <= quarter(before)) return null;
  return t("exports.now.progress", { ...values, percent: formatPercent(after.progress) });
}
