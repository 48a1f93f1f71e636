// Whether this browser plays a sound when a request arrives.

import { read, write } from "../storage.js";

export const SOUND_SETTING = "bazang.sound";

export function isSoundOn() {
  return read(SOUND_SETTING) === "on";
}

export function setSoundOn(isOn) {
  write(SOUND_SETTING, isOn ? "on" : "off");
}
