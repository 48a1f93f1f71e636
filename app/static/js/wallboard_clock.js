// The clock of the wallboard. It follows the server's time, since the clock of a television is often wrong.

const locale = document.documentElement.lang === "fa" ? "fa-IR-u-nu-arabext" : "en-GB";
let skew = 0;
let serverTime = "";

function update() {
  const clock = document.querySelector("[data-clock]");
  if (!clock) return;
  if (clock.dataset.clock !== serverTime) {
    serverTime = clock.dataset.clock;
    skew = Number(serverTime) - Date.now();
  }
  const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: clock.dataset.zone };
  const text = new Intl.DateTimeFormat(locale, form).format(Date.now() + skew);
  if (clock.textContent !== text) clock.textContent = text;
}

setInterval(update, 1000);
document.addEventListener("htmx:after:swap", update);
update();
