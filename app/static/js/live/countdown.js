// Elements with data-until (milliseconds since 1970) count down to that moment.

import { localDigits } from "../digits.js";
import { SECOND, poll, serverTime } from "./poll.js";

function clock(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const end = [minutes, seconds % 60].map((part) => String(part).padStart(2, "0")).join(":");
  return localDigits(hours ? `${hours}:${end}` : end);
}

function update() {
  let isOver = false;
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = Math.max(0, Math.ceil((Number(element.dataset.until) - serverTime()) / SECOND));
    const text = clock(left);
    if (element.textContent === text) continue;
    element.textContent = text;
    isOver ||= left === 0;
  }
  if (isOver) poll();
}

setInterval(() => document.hidden || update(), SECOND / 2);
document.addEventListener("htmx:after:swap", update);
