// Ask once a second for what has changed on the page. A hidden tab does not ask, and asks at once when it is shown. If
// the panel does not answer, the pauses become longer.

import { showsNotices } from "./notice.js";
import { isSoundOn } from "./sound_setting.js";

export const SECOND = 1000;
const LONGEST_PAUSE = 8 * SECOND;
const HIDDEN_PAUSE = 15 * SECOND; // a hidden tab asks only if it has to ring or to show a notification

const element = document.getElementById("live");
let etag = "";
let timer = null;
let pause = SECOND;
let skew = 0; // milliseconds by which the server's clock is ahead of this device's
let isLeaving = false; // a form was sent that loads another page

export function poll() {
  clearTimeout(timer);
  timer = null;
  if (element && !isLeaving) htmx.trigger(element, "poll");
}

export function schedulePoll() {
  clearTimeout(timer);
  timer = null;
  if (isLeaving) return;
  if (!document.hidden) timer = setTimeout(poll, pause);
  else if (isSoundOn() || showsNotices()) timer = setTimeout(poll, Math.max(pause, HIDDEN_PAUSE));
}

// Return the time of the server in milliseconds.
export function serverTime() {
  return Date.now() + skew;
}

function isPoll(event) {
  return element !== null && event.detail.ctx?.sourceElement === element;
}

function showStale(isStale) {
  const notice = document.getElementById("stale");
  if (notice) notice.hidden = !isStale;
}

function handleFailure() {
  showStale(true);
  pause = Math.min(pause * 2, LONGEST_PAUSE);
}

function handleAnswer(headers) {
  showStale(false);
  pause = SECOND;
  etag = headers.get("ETag") ?? "";
  const date = Date.parse(headers.get("Date") ?? "");
  if (!Number.isNaN(date) && Math.abs(date - Date.now()) > 2 * SECOND) skew = date - Date.now();
}

document.addEventListener("visibilitychange", () => (document.hidden ? schedulePoll() : poll()));
window.addEventListener("online", poll);
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  isLeaving = false;
  poll();
});

// When somebody logs out, the server refuses the poll before the browser has the next page. The refusal would lead to
// another page than the one that was asked for.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return; // htmx sends it, or it may be a download
  isLeaving = true;
  clearTimeout(timer);
  if (element) htmx.trigger(element, "htmx:abort");
});

document.addEventListener("htmx:config:request", (event) => {
  const { request, sourceElement, sourceEvent } = event.detail.ctx;
  const action = sourceEvent?.submitter?.getAttribute("formaction");
  if (action) request.action = action;
  if (sourceElement !== element) return;
  request.timeout = "8s";
  if (etag) request.headers["If-None-Match"] = etag;
});

document.addEventListener("htmx:after:request", (event) => {
  if (!isPoll(event)) return;
  const { status, headers } = event.detail.ctx.response;
  if (status < 400) handleAnswer(headers);
  else handleFailure();
});

document.addEventListener("htmx:error", (event) => isPoll(event) && !isLeaving && handleFailure());
document.addEventListener("htmx:finally:request", (event) => isPoll(event) && schedulePoll());

schedulePoll();
