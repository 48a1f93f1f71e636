// Keyboard shortcuts, which the links of the navigation have. The dialog #keys lists them, and is loaded when it is opened
// first. They can be switched off there, for people whose voice or hand presses keys that they do not mean (WCAG 2.1.4).
// Keys count by their place, so they work with a Persian keyboard, too.

import { read, write } from "../storage.js";

const SETTING = "bazang.keys";
const PATIENCE = 1500; // milliseconds between the two keys of a shortcut
const dialog = document.getElementById("keys");
const buttons = document.querySelectorAll("[data-opens-keys]");
let first = "";
let timer = null;

function areOn() {
  return read(SETTING) !== "off";
}

async function open() {
  if (!dialog.childElementCount) {
    await htmx.ajax("GET", buttons[0].dataset.opensKeys, { target: "#keys", swap: "innerHTML", source: dialog });
  }
  if (!dialog.childElementCount || dialog.open) return; // the error is among the messages
  document.getElementById("keys-on").checked = areOn();
  dialog.showModal();
}

function focusSearch() {
  const field = document.getElementById("find");
  if (field.checkVisibility()) field.focus();
  else location.assign(field.form.action); // on narrow screens it is in the menu
}

function isTyping(target) {
  return target.closest?.("input, textarea, select, [contenteditable], audio, video") && !target.matches("[type=checkbox], [type=radio]");
}

function nameOf(event) {
  if (event.key === "?" || (event.code === "Slash" && event.shiftKey)) return "?";
  if (event.key === "/" || event.code === "Slash") return "/";
  return event.shiftKey ? "" : (/^Key([A-Z])$/.exec(event.code)?.[1] ?? "").toLowerCase();
}

function wait(key) {
  clearTimeout(timer);
  first = key;
  if (key) timer = setTimeout(wait, PATIENCE, "");
}

function press(name) {
  const link = document.querySelector(`#navigation [data-key="${first}${name}"]`);
  const isSecond = first !== "";
  wait(!isSecond && name === "g" ? "g" : "");
  if (link) location.assign(link.href);
  else if (isSecond) return false;
  else if (name === "?") open();
  else if (name === "/") focusSearch();
  return link !== null || name === "?" || name === "/";
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (!dialog || !areOn() || isTyping(event.target) || document.querySelector("dialog[open], [popover]:popover-open")) return;
  const name = nameOf(event);
  if (name && press(name)) event.preventDefault();
});

dialog?.addEventListener("change", (event) => write(SETTING, event.target.checked ? "on" : "off"));
for (const button of dialog ? buttons : []) {
  button.hidden = false;
  button.addEventListener("click", open);
}
