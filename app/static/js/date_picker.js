// A calendar beside a date field, Persian or Gregorian. The button with data-picks holds the id of the field.

import {
  DAY, dateInMonth, firstOfMonth, firstOfWeek, format, nextMonth, parseDate, parts, previousMonth, spellDate, today,
  writeDate,
} from "./dates.js";
import { LANGUAGE, localDigits } from "./digits.js";

const IS_RTL = document.documentElement.dir === "rtl";
const SVG = "http://www.w3.org/2000/svg";
const STEPS = { ArrowUp: -7, ArrowDown: 7, ArrowLeft: IS_RTL ? 1 : -1, ArrowRight: IS_RTL ? -1 : 1 }; // in days
let picker = null; // the open one: {box, button, field, calendar, day}

// -- building the calendar -----------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Return a button with an icon of the same file as the icon of the picker's button.
function iconButton(icon, label, handleClick) {
  const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS(SVG, tag));
  const file = picker.button.querySelector("use").getAttribute("href").split("#")[0];
  svg.setAttribute("class", "icon flip");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${file}#${icon}`);
  svg.append(use);
  const button = make("button", { type: "button", class: "btn btn-icon btn-sm", "aria-label": label }, svg);
  button.addEventListener("click", handleClick);
  return button;
}

function weekdayHead() {
  const start = firstOfWeek(picker.day);
  const cells = [0, 1, 2, 3, 4, 5, 6].map((index) => start + index * DAY).map((day) => {
    const name = format(day, picker.calendar, { weekday: "long" });
    const short = format(day, picker.calendar, { weekday: LANGUAGE === "fa" ? "narrow" : "short" });
    return make("th", { scope: "col", abbr: name }, LANGUAGE === "fa" ? short : short.slice(0, 2));
  });
  return make("thead", {}, make("tr", {}, ...cells));
}

function weekRows() {
  const { calendar, day, field } = picker;
  const begin = firstOfMonth(day, calendar), end = nextMonth(day, calendar);
  const chosen = parseDate(field.value);
  const rows = [];
  for (let week = firstOfWeek(begin); week < end; week += 7 * DAY) {
    const row = make("tr");
    for (let at = week; at < week + 7 * DAY; at += DAY) {
      row.append(make("td", {}, ...(at >= begin && at < end ? [dayButton(at, chosen)] : [])));
    }
    rows.push(row);
  }
  return rows;
}

function dayButton(day, chosen) {
  const attributes = {
    type: "button",
    "aria-label": spellDate(day, picker.calendar, "weekday", "day", "month", "year"),
    "aria-pressed": String(day === chosen),
    tabindex: day === picker.day ? "0" : "-1",
    "data-day": day,
    ...(day === today() ? { "aria-current": "date" } : {}),
  };
  return make("button", attributes, localDigits(String(parts(day, picker.calendar).day)));
}

function draw() {
  const { box, calendar, button, day } = picker;
  const head = make(
    "div",
    { class: "calendar-head" },
    iconButton("chevron-left", button.dataset.earlier, () => turn(previousMonth)),
    make("strong", { "aria-live": "polite" }, spellDate(day, calendar, "month", "year")),
    iconButton("chevron-right", button.dataset.later, () => turn(nextMonth)),
  );
  const table = make("table", {}, weekdayHead(), make("tbody", {}, ...weekRows()));
  const todayButton = make("button", { type: "button", class: "btn btn-sm btn-quiet" }, button.dataset.today);
  todayButton.addEventListener("click", () => choose(today()));
  box.replaceChildren(head, table, make("div", { class: "calendar-foot" }, todayButton));
  box.setAttribute("aria-label", button.getAttribute("aria-label"));
}

function focusDay() {
  picker.box.querySelector("[tabindex='0']").focus();
}

// -- using it ------------------------------------------------------------------------------------------------

// Place the box below the field, or above it if there is more room, and always within the window.
function place(box, beside) {
  const own = box.getBoundingClientRect();
  const wanted = IS_RTL ? beside.right - own.width : beside.left;
  const left = Math.max(8, Math.min(wanted, document.documentElement.clientWidth - own.width - 8));
  const below = beside.bottom + 6;
  const top = below + own.height <= window.innerHeight ? below : Math.max(8, beside.top - own.height - 6);
  box.style.left = `${left}px`;
  box.style.top = `${top}px`;
}

function open(button) {
  const field = document.getElementById(button.dataset.picks);
  const box = make("div", { popover: "auto", role: "dialog", class: "calendar" });
  const around = button.parentElement;
  button.after(box);
  around.setAttribute("hx-morph-skip", ""); // an update of the page must not take it away
  picker = { box, button, field, calendar: button.dataset.calendar, day: parseDate(field.value) ?? today() };
  box.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    around.removeAttribute("hx-morph-skip"); // the box may have gone with its page before this event
    box.remove();
  });
  draw();
  box.showPopover();
  place(box, around.getBoundingClientRect());
  focusDay();
}

function turn(month) {
  const { calendar, day } = picker;
  picker.day = dateInMonth(month(day, calendar), parts(day, calendar).day, calendar);
  const label = document.activeElement.getAttribute("aria-label");
  draw();
  picker.box.querySelector(`[aria-label="${CSS.escape(label ?? "")}"]`)?.focus();
}

function choose(day) {
  const { field, calendar, box } = picker;
  field.value = writeDate(day, calendar);
  box.hidePopover();
  field.focus();
  for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
}

// Return the day to which a key leads from the current one, or null.
function dayForKey(key) {
  const { day, calendar } = picker;
  const date = parts(day, calendar).day;
  if (key in STEPS) return day + STEPS[key] * DAY;
  if (key === "PageUp") return dateInMonth(previousMonth(day, calendar), date, calendar);
  if (key === "PageDown") return dateInMonth(nextMonth(day, calendar), date, calendar);
  if (key === "Home") return firstOfWeek(day);
  if (key === "End") return firstOfWeek(day) + 6 * DAY;
  return null;
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (target.matches?.(".calendar [data-day]")) {
    picker.day = Number(target.dataset.day);
    const day = dayForKey(event.key);
    if (day === null) return;
    event.preventDefault();
    picker.day = day;
    draw();
    focusDay();
  } else if (event.key === "ArrowDown" && target.matches?.(".date > input")) {
    event.preventDefault();
    open(target.parentElement.querySelector("[data-picks]"));
  }
});

document.addEventListener("click", (event) => {
  const day = event.target.closest?.(".calendar [data-day]");
  if (day) return choose(Number(day.dataset.day));
  const button = event.target.closest?.("[data-picks]");
  if (button) open(button);
});

function showButtons() {
  for (const button of document.querySelectorAll("[data-picks][hidden]")) button.hidden = false;
}

document.addEventListener("htmx:after:swap", showButtons);
showButtons();
