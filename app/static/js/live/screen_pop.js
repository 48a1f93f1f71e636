// Open the customer's page of a call that the user has taken, if the user has switched that on. Each call opens one tab,
// however many pages of the panel are open and however often they are loaded.

import { read, write } from "../storage.js";

const OPENED = "bazang.popped"; // the calls whose page was opened, the last ones
const KEPT = 20;
const place = document.getElementById("screen-pop");
const blocked = document.getElementById("pop-blocked");

// Return whether this page is the first one that opens the call's page. Only one page asks at a time.
function claim(call) {
  const opened = (read(OPENED) ?? "").split(" ").filter(Boolean);
  if (opened.includes(call)) return false;
  write(OPENED, [...opened, call].slice(-KEPT).join(" "));
  return (read(OPENED) ?? "").split(" ").includes(call); // otherwise each poll would open it
}

function exclusively(work) {
  return navigator.locks ? navigator.locks.request(OPENED, work) : work();
}

function open(url) {
  const tab = window.open("about:blank", "_blank");
  if (!tab) return false;
  tab.opener = null; // the customer program must not reach the panel
  tab.location.replace(url);
  return true;
}

async function update() {
  for (const link of place.querySelectorAll("[data-pop]")) {
    await exclusively(() => {
      if (claim(link.dataset.pop)) blocked.hidden = open(link.href);
    });
  }
  if (!place.querySelector("[data-pop]")) blocked.hidden = true;
}

if (place && "opens" in place.dataset) {
  document.addEventListener("htmx:after:swap", update);
  update();
}
