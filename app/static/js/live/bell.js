// Show the number of waiting requests in the title, and ring when a request arrives, if the user has switched it on.

import { announce } from "../announce.js";
import { localDigits } from "../digits.js";
import { read, write } from "../storage.js";
import { notice } from "./notice.js";
import { schedulePoll } from "./poll.js";
import { SOUND_SETTING, isSoundOn, setSoundOn } from "./sound_setting.js";

const title = document.title;
const button = document.querySelector("[data-sound]");
const sound = new Audio();
const blocked = document.getElementById("sound-blocked");
// Polled fragments are shared by users, so the user's id comes from the page.
const newestSetting = `bazang.newest.${button?.dataset.user ?? ""}`;

async function ring() {
  try {
    sound.currentTime = 0;
    await sound.play();
    blocked.hidden = true;
  } catch (error) {
    if (error.name === "NotAllowedError") blocked.hidden = false; // the browser allows sounds after a click
  }
}

function showButton() {
  button.hidden = false;
  button.setAttribute("aria-pressed", String(isSoundOn()));
  button.classList.toggle("sound-on", isSoundOn());
  if (isSoundOn() && !sound.src) sound.src = button.dataset.sound; // only now, since few switch it on
}

function update() {
  const arrivals = document.getElementById("arrivals");
  if (!arrivals) return;
  const { waiting, newest } = arrivals.dataset;
  document.title = waiting === "0" ? title : `(${localDigits(waiting)}) ${title}`;
  const known = read(newestSetting);
  const isNew = known === null || Number(newest) > Number(known);
  if (isNew && known !== null && isSoundOn()) ring();
  if (isNew && known !== null) notice();
  if (isNew) write(newestSetting, newest); // so that other tabs do not ring as well
}

function handleClick() {
  setSoundOn(!isSoundOn());
  showButton();
  announce(isSoundOn() ? button.dataset.on : button.dataset.off);
  if (isSoundOn()) ring(); // an example, which also makes the browser allow sounds
  else blocked.hidden = true;
  schedulePoll();
}

if (button) {
  showButton();
  button.addEventListener("click", handleClick);
  window.addEventListener("storage", (event) => event.key === SOUND_SETTING && showButton());
  document.addEventListener("click", () => blocked.hidden || ring());
}

document.addEventListener("htmx:after:swap", update);
update();
