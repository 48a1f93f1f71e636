// Dates of the Persian and the Gregorian calendar. Browsers know both (Intl). A day is the time of its midnight in UTC,
// in milliseconds; `calendar` is "persian" or "gregory".

import { LANGUAGE, latinDigits, localDigits } from "./digits.js";

export const DAY = 86400000;
const SATURDAY = 6, MONDAY = 1;
const formatters = new Map(); // creating one is slow

const NUMBERS = { year: "numeric", month: "numeric", day: "numeric" };

function formatter(calendar, options, language) {
  const key = JSON.stringify([calendar, options, language]);
  if (!formatters.has(key)) {
    const locale = `${language}-u-ca-${calendar}${language === "en-US" ? "-nu-latn" : ""}`;
    formatters.set(key, new Intl.DateTimeFormat(locale, { ...options, timeZone: "UTC" }));
  }
  return formatters.get(key);
}

export function format(day, calendar, options) {
  return formatter(calendar, options, LANGUAGE).format(day);
}

// Return {year, month, day} of a day.
export function parts(day, calendar) {
  const found = {};
  for (const part of formatter(calendar, NUMBERS, "en-US").formatToParts(day)) found[part.type] = parseInt(part.value, 10);
  return found;
}

export function today() {
  const now = new Date();
  return Date.UTC(now.getFullYear(), now.getMonth(), now.getDate());
}

export function firstOfMonth(day, calendar) {
  return day - (parts(day, calendar).day - 1) * DAY;
}

export function nextMonth(day, calendar) {
  return firstOfMonth(firstOfMonth(day, calendar) + 32 * DAY, calendar);
}

export function previousMonth(day, calendar) {
  return firstOfMonth(firstOfMonth(day, calendar) - DAY, calendar);
}

// Return a date of the month that begins at `month`, or the last day of a shorter month.
export function dateInMonth(month, date, calendar) {
  const days = Math.round((nextMonth(month, calendar) - month) / DAY);
  return month + (Math.min(date, days) - 1) * DAY;
}

export function firstOfWeek(day) {
  const start = LANGUAGE === "fa" ? SATURDAY : MONDAY;
  return day - ((new Date(day).getUTCDay() - start + 7) % 7) * DAY;
}

// Return the day that a text names, or null. The year tells the calendar.
export function parseDate(text) {
  const found = latinDigits(text).match(/^\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)/);
  if (!found) return null;
  const [year, month, date] = found.slice(1).map(Number);
  if (year >= 1900 && year < 2200) return Date.UTC(year, month - 1, date);
  if (year >= 1200 && year < 1600) return parsePersian(year, month, date);
  return null;
}

// Start near the day, then go by the difference that the browser's calendar shows.
function parsePersian(year, month, date) {
  let day = Date.UTC(year + 621, 2, 20) + Math.round((month - 1) * 30.5) * DAY + (date - 1) * DAY;
  for (let step = 0; step < 12; step++) {
    const here = parts(day, "persian");
    const difference = (year - here.year) * 372 + (month - here.month) * 31 + (date - here.day);
    if (difference === 0) return day;
    day += Math.sign(difference) * DAY;
  }
  return null;
}

export function writeDate(day, calendar) {
  const { year, month, day: date } = parts(day, calendar);
  const separator = calendar === "persian" ? "/" : "-";
  return localDigits([year, String(month).padStart(2, "0"), String(date).padStart(2, "0")].join(separator));
}

// Return a date in words. Browsers put the parts of Persian dates into an unusual order, so they are joined here.
export function spellDate(day, calendar, ...kinds) {
  const options = { weekday: "long", day: "numeric", month: "long" };
  const spell = (kind) =>
    kind === "year" ? localDigits(String(parts(day, calendar).year)) : format(day, calendar, { [kind]: options[kind] });
  return kinds.map(spell).join(" ");
}
