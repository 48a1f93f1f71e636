// The board's clock goes on between two answers.
"use strict";

{
  // -- the clock: by the server's time, since a television's own is often wrong ----------------------------------

  let skew = null;
  let told = "";

  function tick() {
    const clock = document.querySelector("[data-clock]");
    if (!clock) return;
    if (clock.dataset.clock !== told) {
      told = clock.dataset.clock;
      skew = Number(told) - Date.now();
    }
    const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: clock.dataset.zone };
    const locale = document.documentElement.lang === "fa" ? "fa-IR-u-nu-arabext" : "en-GB";
    const text = new Intl.DateTimeFormat(locale, form).format(Date.now() + skew);
    if (clock.textContent !== text) clock.textContent = text;
  }

  setInterval(tick, 1000);
  document.addEventListener("htmx:after:swap", tick);
  tick();
}
