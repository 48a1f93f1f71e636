// Play one sound at a time: the audio elements of the page, and links with data-play.

import { announce } from "../announce.js";
import { texts } from "./sound_form.js";

const linkPlayer = new Audio();
let playingLink = null;

export function showIcon(link, name) {
  const use = link?.querySelector("use");
  if (use) use.setAttribute("href", use.getAttribute("href").replace(/#.*$/, `#${name}`));
}

function pauseOthers(player) {
  for (const audio of [linkPlayer, ...document.querySelectorAll("audio")]) if (audio !== player) audio.pause();
}

function handleStop() {
  showIcon(playingLink, "player-play");
  playingLink = null;
}

for (const type of ["ended", "pause", "error"]) linkPlayer.addEventListener(type, handleStop);

document.addEventListener("play", (event) => pauseOthers(event.target), true);

document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-play]");
  if (!link) return;
  event.preventDefault();
  if (playingLink === link) {
    linkPlayer.pause();
    return;
  }
  pauseOthers(null);
  handleStop();
  playingLink = link;
  showIcon(link, "player-stop");
  linkPlayer.src = link.href;
  try {
    await linkPlayer.play();
  } catch (error) {
    if (error.name !== "AbortError") announce(texts().cannotPlay);
  }
});
