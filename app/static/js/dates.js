// A calendar beside a date's field, Persian or Gregorian: the browser itself knows both (Intl), so nothing is computed here
// that a library would know better. Whoever prefers to type never needs it.
"use strict";

{
  const DAY = 86400000; // a day is told by its midnight in UTC
  const SATURDAY = 6, MONDAY = 1;
  const LANGUAGE = document.documentElement.lang;
  const RTL = document.documentElement.dir === "rtl";
  let calendar = null; // the open one: {box, button, field, system, day}

  const formats = new Map();
  function format(day, system, options, language = LANGUAGE) {
    const key = JSON.stringify([system, options, language]);
    if (!formats.has(key)) {
      const locale = `${language}-u-ca-${system}${language === "en-US" ? "-nu-latn" : ""}`;
      formats.set(key, new Intl.DateTimeFormat(locale, { ...options, timeZone: "UTC" }));
    }
    return formats.get(key);
  }

  // Year, month and day of a day in a calendar.
  function parts(day, system) {
    const found = {};
    const numbers = { year: "numeric", month: "numeric", day: "numeric" };
    for (const part of format(day, system, numbers, "en-US").formatToParts(day)) found[part.type] = parseInt(part.value, 10);
    return found;
  }

  function latin(text) {
    return text.replace(/[۰-۹]/g, (digit) => digit.charCodeAt(0) - 0x6f0).replace(/[٠-٩]/g, (digit) => digit.charCodeAt(0) - 0x660);
  }

  function local(text) {
    return LANGUAGE === "fa" ? text.replace(/[0-9]/g, (digit) => String.fromCharCode(0x6f0 + Number(digit))) : text;
  }

  // The day that is typed, whatever its calendar; null for anything else.
  function read(text) {
    const found = latin(text).match(/^\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)/);
    if (!found) return null;
    const [year, month, day] = found.slice(1).map(Number);
    if (year >= 1900 && year < 2200) return Date.UTC(year, month - 1, day);
    if (year < 1200 || year >= 1600) return null;
    // Near to where it must be, from there by the browser's own calendar.
    let at = Date.UTC(year + 621, 2, 20) + Math.round((month - 1) * 30.5) * DAY + (day - 1) * DAY;
    for (let step = 0; step < 12; step++) {
      const here = parts(at, "persian");
      const off = (year - here.year) * 372 + (month - here.month) * 31 + (day - here.day);
      if (off === 0) return at;
      at += Math.sign(off) * DAY;
    }
    return null;
  }

  function write(day, system) {
    const { year, month, day: date } = parts(day, system);
    const mark = system === "persian" ? "/" : "-";
    return local([year, String(month).padStart(2, "0"), String(date).padStart(2, "0")].join(mark));
  }

  function today() {
    const now = new Date();
    return Date.UTC(now.getFullYear(), now.getMonth(), now.getDate());
  }

  const first = (day, system) => day - (parts(day, system).day - 1) * DAY;
  const later = (day, system) => first(first(day, system) + 32 * DAY, system);
  const earlier = (day, system) => first(first(day, system) - DAY, system);

  // The same date of another month, or that month's last.
  function within(month, wanted, system) {
    const days = Math.round((later(month, system) - month) / DAY);
    return month + (Math.min(wanted, days) - 1) * DAY;
  }

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const SVG = "http://www.w3.org/2000/svg";

  // A button with one of the page's own pictures, of the same file as the calendar's.
  function arrow(picture, label, act) {
    const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS(SVG, tag));
    const sprite = calendar.button.querySelector("use").getAttribute("href").split("#")[0];
    svg.setAttribute("class", "icon flip");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `${sprite}#${picture}`);
    svg.append(use);
    const button = make("button", { type: "button", class: "btn btn-icon btn-sm", "aria-label": label }, svg);
    button.addEventListener("click", act);
    return button;
  }

  // A date in words; put together here, since browsers put Persian ones in an order that nobody says.
  function spelled(day, system, ...kinds) {
    const names = { weekday: "long", day: "numeric", month: "long" };
    const one = (kind) => kind === "year" ? local(String(parts(day, system).year)) : format(day, system, { [kind]: names[kind] }).format(day);
    return kinds.map(one).join(" ");
  }

  function draw(focus) {
    const { box, system, button, day } = calendar;
    const title = make("strong", { "aria-live": "polite" }, spelled(day, system, "month", "year"));
    const back = arrow("chevron-left", button.dataset.earlier, () => turn(earlier));
    const on = arrow("chevron-right", button.dataset.later, () => turn(later));
    const head = make("div", { class: "calendar-head" }, back, title, on);
    const table = make("table", {}, weekdays(), make("tbody", {}, ...weeks()));
    const now = make("button", { type: "button", class: "btn btn-sm btn-quiet" }, button.dataset.today);
    now.addEventListener("click", () => choose(today()));
    box.replaceChildren(head, table, make("div", { class: "calendar-foot" }, now));
    box.setAttribute("aria-label", button.getAttribute("aria-label"));
    if (focus) box.querySelector("[tabindex='0']").focus();
  }

  function turn(where) {
    const { system, day } = calendar;
    calendar.day = within(where(day, system), parts(day, system).day, system);
    const label = document.activeElement.getAttribute("aria-label");
    draw(false);
    calendar.box.querySelector(`[aria-label="${CSS.escape(label ?? "")}"]`)?.focus();
  }

  function weekBegins(day) {
    const start = LANGUAGE === "fa" ? SATURDAY : MONDAY;
    return day - ((new Date(day).getUTCDay() - start + 7) % 7) * DAY;
  }

  function weekdays() {
    const start = weekBegins(calendar.day);
    const names = [0, 1, 2, 3, 4, 5, 6].map((n) => start + n * DAY).map((day) => {
      const long = format(day, calendar.system, { weekday: "long" }).format(day);
      const short = format(day, calendar.system, { weekday: LANGUAGE === "fa" ? "narrow" : "short" }).format(day);
      return make("th", { scope: "col", abbr: long }, LANGUAGE === "fa" ? short : short.slice(0, 2));
    });
    return make("thead", {}, make("tr", {}, ...names));
  }

  function weeks() {
    const { system, day, field } = calendar;
    const begin = first(day, system), end = later(day, system);
    const chosen = read(field.value);
    const rows = [];
    for (let week = weekBegins(begin); week < end; week += 7 * DAY) {
      const row = make("tr");
      for (let at = week; at < week + 7 * DAY; at += DAY) {
        const cell = make("td");
        if (at >= begin && at < end) cell.append(dayButton(at, system, day, chosen));
        row.append(cell);
      }
      rows.push(row);
    }
    return rows;
  }

  function dayButton(at, system, day, chosen) {
    const full = spelled(at, system, "weekday", "day", "month", "year");
    const button = make("button", { type: "button", "aria-label": full, "aria-pressed": String(at === chosen), tabindex: at === day ? "0" : "-1" }, local(String(parts(at, system).day)));
    button.dataset.day = at;
    if (at === today()) button.setAttribute("aria-current", "date");
    return button;
  }

  function choose(day) {
    const { field, button, system, box } = calendar;
    let text = write(day, system);
    if ("time" in button.dataset) text += " " + (field.value.match(/[\d۰-۹٠-٩]{1,2}:[\d۰-۹٠-٩]{2}/)?.[0] ?? local("08:00"));
    field.value = text;
    box.hidePopover();
    field.focus();
    for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
  }

  function open(button) {
    const field = document.getElementById(button.dataset.picks);
    const box = make("div", { popover: "auto", role: "dialog", class: "calendar" });
    button.after(box);
    calendar = { box, button, field, system: button.dataset.calendar, day: read(field.value) ?? today() };
    box.addEventListener("toggle", (event) => {
      if (event.newState === "closed") box.remove();
    });
    draw(false);
    box.showPopover();
    place(box, button.parentElement.getBoundingClientRect());
    box.querySelector("[tabindex='0']").focus();
  }

  // Below the field, or above it where there is more room; always within the window.
  function place(box, beside) {
    const own = box.getBoundingClientRect();
    const wanted = RTL ? beside.right - own.width : beside.left;
    const left = Math.max(8, Math.min(wanted, document.documentElement.clientWidth - own.width - 8));
    const below = beside.bottom + 6;
    const top = below + own.height <= window.innerHeight ? below : Math.max(8, beside.top - own.height - 6);
    box.style.left = `${left}px`;
    box.style.top = `${top}px`;
  }

  const STEPS = { ArrowUp: -7, ArrowDown: 7, ArrowLeft: RTL ? 1 : -1, ArrowRight: RTL ? -1 : 1 };

  function moved(key) {
    const { day, system } = calendar;
    const date = parts(day, system).day;
    if (key in STEPS) return day + STEPS[key] * DAY;
    if (key === "PageUp") return within(earlier(day, system), date, system);
    if (key === "PageDown") return within(later(day, system), date, system);
    if (key === "Home") return weekBegins(day);
    if (key === "End") return weekBegins(day) + 6 * DAY;
    return null;
  }

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (target.matches?.(".calendar [data-day]")) {
      calendar.day = Number(target.dataset.day);
      const day = moved(event.key);
      if (day === null) return;
      event.preventDefault();
      calendar.day = day;
      draw(true);
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

  function show() {
    for (const button of document.querySelectorAll("[data-picks][hidden]")) button.hidden = false;
  }
  document.addEventListener("htmx:after:swap", show);
  show();
}
