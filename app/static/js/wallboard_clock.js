// The clock of the wallboard, and how old what it shows is. The clock follows the server's time, since that of a television
// is often wrong.

import { localDigits } from "./digits.js";

const FRESH = 5; // seconds
const locale = document.documentElement.lang === "fa" ? "fa-IR-u-nu-arabext" : "en-GB";
let skew = 0;
let serverTime = "";
let answeredAt = performance.now(); // when the server last said what is true

function update() {
  const clock = document.querySelector("[data-clock]");
  if (!clock) return;
  if (clock.dataset.clock !== serverTime) {
    serverTime = clock.dataset.clock;
    skew = Number(serverTime) - Date.now();
  }
  showAge(document.querySelector("[data-age]"));
  const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: clock.dataset.zone };
  const text = new Intl.DateTimeFormat(locale, form).format(Date.now() + skew);
  if (clock.textContent !== text) clock.textContent = text;
}

function showAge(age) {
  const seconds = Math.round((performance.now() - answeredAt) / 1000);
  const isFresh = seconds < FRESH;
  const text = isFresh
    ? age.dataset.fresh
    : seconds < 120
      ? age.dataset.seconds.replace("#", localDigits(String(seconds)))
      : age.dataset.minutes.replace("#", localDigits(String(Math.floor(seconds / 60))));
  if (age.textContent !== text) age.textContent = text;
  age.classList.toggle("board-old", !isFresh);
  age.hidden = false;
}

document.addEventListener("htmx:after:request", (event) => {
  const { sourceElement, response } = event.detail.ctx;
  if (sourceElement.id === "live" && response.status < 400) answeredAt = performance.now();
});

setInterval(update, 1000);
document.addEventListener("htmx:after:swap", update);
update();
