// The page on which notifications are switched on for this browser. It says what works here.

import { isSoundOn } from "./live/sound_setting.js";
import { hasPush, hasServiceWorker, isSubscribed, setNotices, subscribe, unsubscribe, wantsNotices } from "./push.js";

const ways = document.getElementById("ways");
const switches = document.getElementById("switches");
const [on, off] = [document.getElementById("turn-on"), document.getElementById("turn-off")];
let isUnreachable = false;

function pushWay() {
  if (!window.isSecureContext) return "insecure";
  if (!hasPush()) return "unsupported";
  if (Notification.permission === "denied") return "denied";
  if (isSubscribed()) return "on";
  if (!switches.dataset.key) return "keyless";
  if (isUnreachable || (wantsNotices() && Notification.permission === "granted")) return "unreachable";
  return "unknown";
}

function pageWay() {
  if (!window.isSecureContext) return "insecure";
  if (!hasServiceWorker() || !("Notification" in window)) return "unsupported";
  if (Notification.permission === "denied") return "denied";
  if (isSubscribed()) return "replaced";
  return wantsNotices() && Notification.permission === "granted" ? "on" : "off";
}

function show() {
  const found = { push: pushWay(), page: pageWay(), sound: isSoundOn() ? "on" : "off" };
  for (const [way, state] of Object.entries(found)) {
    const element = document.getElementById(`way-${way}`);
    element.textContent = ways.dataset[state];
    element.classList.toggle("works", state === "on");
    element.dataset.state = state;
  }
  const isOn = wantsNotices() || isSubscribed();
  on.hidden = ["insecure", "unsupported", "denied"].includes(found.page) || (isOn && found.push !== "unreachable");
  off.hidden = !isOn;
  ways.hidden = switches.hidden = false;
}

async function turnOn() {
  if ((await Notification.requestPermission()) !== "granted") return show();
  setNotices(true);
  try {
    if (hasPush() && switches.dataset.key) await subscribe(switches.dataset.key);
  } catch {
    isUnreachable = true; // then a page that is open has to do
  }
  if (isSubscribed()) location.reload();
  else show();
}

async function turnOff() {
  setNotices(false);
  await unsubscribe().catch(() => {});
  const form = document.querySelector("form[data-forgets]");
  if (form) form.requestSubmit();
  else show();
}

on.addEventListener("click", turnOn);
off.addEventListener("click", turnOff);
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-forgets]")) return;
  setNotices(false);
  unsubscribe().catch(() => {});
});
document.addEventListener("click", () => setTimeout(show)); // the sound may have been switched
// The push service may have given this browser up, or it was removed in another one.
if (isSubscribed() && !("added" in switches.dataset)) unsubscribe().then(show, show);
show();
