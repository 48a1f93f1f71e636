// A page keeps itself up to date: it asks once a second, and is answered only where something has changed. A tab that
// nobody sees rests, and catches up as soon as it is shown; a panel that does not answer is asked ever less often.
"use strict";

const SECOND = 1000;
const SLOWEST = 8 * SECOND;
const HIDDEN = 15 * SECOND; // a hidden tab whose sound is on looks for arrivals, and no tab without
const live = document.getElementById("live");
let stamp = "";
let timer = null;
let pause = SECOND;
let skew = 0; // of this device's clock, in milliseconds
let rings = false;

function look() {
  clearTimeout(timer);
  timer = null;
  if (live) htmx.trigger(live, "look");
}

function plan() {
  clearTimeout(timer);
  timer = null;
  if (!document.hidden) timer = setTimeout(look, pause);
  else if (rings) timer = setTimeout(look, Math.max(pause, HIDDEN));
}

document.addEventListener("visibilitychange", () => (document.hidden ? plan() : look()));
window.addEventListener("online", look);
window.addEventListener("pageshow", (event) => event.persisted && look());

document.addEventListener("htmx:config:request", (event) => {
  const { request, sourceElement, sourceEvent } = event.detail.ctx;
  const action = sourceEvent?.submitter?.getAttribute("formaction");
  if (action) request.action = action;
  if (sourceElement !== live) return;
  request.timeout = "8s";
  if (stamp) request.headers["If-None-Match"] = stamp;
});

function isOurs(event) {
  return live !== null && event.detail.ctx?.sourceElement === live;
}

document.addEventListener("htmx:after:request", (event) => {
  if (!isOurs(event)) return;
  const { status, headers } = event.detail.ctx.response;
  const answered = status < 400;
  tellStale(!answered);
  pause = answered ? SECOND : Math.min(pause * 2, SLOWEST);
  if (!answered) return;
  stamp = headers.get("ETag") ?? "";
  const date = Date.parse(headers.get("Date") ?? "");
  if (!Number.isNaN(date) && Math.abs(date - Date.now()) > 2 * SECOND) skew = date - Date.now();
});

document.addEventListener("htmx:error", (event) => {
  if (!isOurs(event)) return;
  tellStale(true);
  pause = Math.min(pause * 2, SLOWEST);
});

document.addEventListener("htmx:finally:request", (event) => isOurs(event) && plan());

function tellStale(stale) {
  const notice = document.getElementById("stale");
  if (notice) notice.hidden = !stale;
}

// -- what counts down ----------------------------------------------------------------------------------------

const lang = document.documentElement.lang;

function written(number) {
  return lang === "fa" ? number.replace(/\d/g, (digit) => "۰۱۲۳۴۵۶۷۸۹"[Number(digit)]) : number;
}

function clock(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const end = [minutes, seconds % 60].map((part) => String(part).padStart(2, "0")).join(":");
  return written(hours ? `${hours}:${end}` : end);
}

function count() {
  let over = false;
  for (const place of document.querySelectorAll("[data-until]")) {
    const left = Math.max(0, Math.ceil((Number(place.dataset.until) - Date.now() - skew) / SECOND));
    const text = clock(left);
    if (place.textContent !== text) {
      place.textContent = text;
      over ||= left === 0;
    }
  }
  if (over) look(); // what it waited for is there
}

setInterval(() => document.hidden || count(), SECOND / 2);
document.addEventListener("htmx:after:swap", count);

// -- badge, title and sound ----------------------------------------------------------------------------------

const title = document.title;
const button = document.querySelector("[data-sound]");
const sound = button ? new Audio(button.dataset.sound) : null;

function stored(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch {
    // a browser that keeps nothing asks again on every page
  }
  return null;
}

async function ring() {
  const blocked = document.getElementById("sound-blocked");
  try {
    sound.currentTime = 0;
    await sound.play();
    blocked.hidden = true;
  } catch (problem) {
    if (problem.name === "NotAllowedError") blocked.hidden = false; // the next click lifts it, see below
  }
}

function showSound() {
  rings = stored("bazang.sound") === "on";
  button.hidden = false;
  button.setAttribute("aria-pressed", String(rings));
  button.classList.toggle("sound-on", rings);
}

function heed() {
  const arrivals = document.getElementById("arrivals");
  if (!arrivals) return;
  const { waiting, newest } = arrivals.dataset;
  document.title = waiting === "0" ? title : `(${written(waiting)}) ${title}`;
  const name = `bazang.newest.${button?.dataset.user ?? ""}`; // of the page itself: what is polled is shared
  const known = stored(name);
  if (known !== null && Number(newest) > Number(known) && rings) ring();
  if (known === null || Number(newest) > Number(known)) stored(name, newest); // and no other tab rings again
}

if (button) {
  showSound();
  button.addEventListener("click", () => {
    stored("bazang.sound", rings ? "off" : "on");
    showSound();
    say(rings ? button.dataset.on : button.dataset.off);
    if (rings) ring(); // so one knows it, and the browser knows that it is wanted
    else document.getElementById("sound-blocked").hidden = true;
    plan();
  });
  window.addEventListener("storage", (event) => event.key === "bazang.sound" && showSound());
  document.addEventListener("click", () => {
    const blocked = document.getElementById("sound-blocked");
    if (!blocked.hidden) ring();
  });
}

document.addEventListener("htmx:after:swap", heed);
heed();
plan();

// -- dialogs and chosen rows ---------------------------------------------------------------------------------

const dialog = document.getElementById("dialog");

// What HTMX put into the dialog is shown; what was done there closes it, and is seen at once.
document.addEventListener("htmx:after:swap", () => {
  if (dialog?.childElementCount && !dialog.open) {
    closeMenus();
    dialog.showModal();
  }
  showChosen();
});
function openDialog(address) {
  htmx.ajax("GET", address, { target: "#dialog", swap: "innerHTML", source: dialog });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  openDialog(link.href);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-dialog]")) return;
  event.preventDefault();
  const address = event.submitter?.getAttribute("formaction") ?? event.target.action;
  openDialog(`${address}?${new URLSearchParams(new FormData(event.target))}`);
});
document.addEventListener("acted", () => {
  if (dialog?.open) dialog.close();
  closeMenus();
  for (const box of document.querySelectorAll("[data-chooses]:checked")) box.checked = false;
  showChosen();
  look();
});
dialog?.addEventListener("close", () => dialog.replaceChildren());
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-closes]") && dialog?.open) {
    event.preventDefault();
    dialog.close();
  }
});

function closeMenus() {
  for (const menu of document.querySelectorAll("[popover]:popover-open")) menu.hidePopover();
}

function showChosen() {
  const boxes = [...document.querySelectorAll("[data-chooses]")];
  const chosen = boxes.filter((box) => box.checked).length;
  const bar = document.getElementById("chosen");
  if (!bar) return;
  bar.hidden = chosen === 0;
  const text = written(bar.dataset.text.replace("#", String(chosen)));
  const place = bar.querySelector("[data-chosen]");
  if (place.textContent !== text) place.textContent = text;
  const all = document.querySelector("[data-chooses-all]");
  if (!all) return;
  all.checked = chosen > 0 && chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-chooses-all]")) {
    for (const box of document.querySelectorAll("[data-chooses]")) box.checked = event.target.checked;
  }
  if (event.target.matches("[data-chooses], [data-chooses-all]")) showChosen();
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});
showChosen();
