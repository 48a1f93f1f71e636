// The prompts of a module: the line of each, the parts of a mode, the voice, listening before saving, and the default
// text.

import { announce } from "../announce.js";
import { showIcon } from "./player.js";
import { fetchSound, soundErrorMessage, speechBody } from "./preview.js";
import { findPart, showError, texts } from "./sound_form.js";

const RECORDING_MODES = ["file", "record"];
const SHOWN_LENGTH = 90; // characters of a text in the line

const findCard = (element) => element.closest("[data-prompt]");
export const getMode = (card) => card.querySelector("[data-mode]:checked")?.value ?? "";
const usesRecording = (card) => RECORDING_MODES.includes(getMode(card));

function setMode(card, mode) {
  card.querySelector(`[data-mode][value=${mode}]`).checked = true;
}

// -- the parts of a mode -------------------------------------------------------------------------------------

function showParts(card) {
  const mode = getMode(card);
  for (const part of card.querySelectorAll("[data-for-mode]")) {
    part.hidden = !part.dataset.forMode.split(" ").includes(mode);
  }
  // There is nothing to listen to without a text.
  findPart(card, "preview").hidden = mode !== "speech" || !findPart(card, "text").value.trim();
  const label = findPart(card, "text-label");
  label.textContent = usesRecording(card) ? label.dataset.labelRecorded : label.dataset.labelSpoken;
  findPart(card, "restore").hidden = isDefault(card);
  showLine(card);
}

// Say in the line which sound the prompt has now.
function showLine(card) {
  const mode = getMode(card);
  const text = findPart(card, "text").value.trim();
  const recording = usesRecording(card) ? findPart(card, "recording-slot").querySelector(".recording") : null;
  const label = card.querySelector(`[data-mode][value=${mode}]`).closest("label").textContent;
  const what = findPart(card, "now-what");
  const isLost = recording !== null && !recording.dataset.url;
  findPart(card, "now-kind").textContent = recording ? recording.querySelector(".badge").textContent : label.trim();
  what.textContent = isLost
    ? recording.querySelector(".invalid-feedback").textContent
    : mode === "speech" ? shorten(text) : recording?.dataset.name ?? "";
  what.className = isLost ? "prompt-lost" : "soft";
  findPart(card, "listen").hidden = mode === "speech" ? !text : !recording?.dataset.url;
}

function shorten(text) {
  const characters = [...text];
  return characters.length > SHOWN_LENGTH ? `${characters.slice(0, SHOWN_LENGTH - 1).join("")}…` : text;
}

function unfold(card) {
  card.querySelector("details").open = true;
}

function isDefault(card) {
  return getMode(card) === "speech" && findPart(card, "text").value.trim() === getDefaultText(card);
}

function getDefaultText(card) {
  const { defaultFa, defaultEn } = findPart(card, "text").dataset;
  return card.closest("form").elements.language.value === "fa" ? defaultFa : defaultEn;
}

// Let the player of a card or of the voice sample play a sound, or hide it if the URL is empty.
function setSound(element, url, downloadUrl = url) {
  const player = findPart(element, "player");
  const audio = player.querySelector("audio");
  if (audio.src.startsWith("blob:")) URL.revokeObjectURL(audio.src);
  player.hidden = !url;
  if (!url) {
    audio.removeAttribute("src");
    audio.load();
    return audio;
  }
  audio.src = url;
  const link = findPart(player, "download");
  if (link) {
    link.href = downloadUrl;
    if (url.startsWith("blob:")) link.download = link.dataset.download;
    else link.removeAttribute("download");
  }
  return audio;
}

function setRecording(card) {
  const url = findPart(card, "recording-slot").querySelector("[data-url]")?.dataset.url;
  setSound(card, url ?? "", url ? `${url}?download=1` : "");
}

function refresh(card) {
  showParts(card);
  if (usesRecording(card)) setRecording(card);
  else setSound(card, "");
}

// -- the language and the voice ------------------------------------------------------------------------------

// Show default texts in the language of the module. Texts of the user stay.
function translateTexts(form) {
  const language = form.elements.language.value;
  for (const text of form.querySelectorAll("[data-default-fa]")) {
    const { defaultFa, defaultEn } = text.dataset;
    if ([defaultFa, defaultEn].includes(text.value.trim())) text.value = language === "fa" ? defaultFa : defaultEn;
  }
}

const voiceGroups = new WeakMap(); // field of voices -> all its groups, including those of other languages

// Offer only the voices of the module's language.
function showVoices(form) {
  const voice = form.elements.voice;
  if (!voice) return;
  if (!voiceGroups.has(voice)) voiceGroups.set(voice, [...voice.querySelectorAll("optgroup")]);
  const selected = voice.selectedOptions[0];
  for (const group of voiceGroups.get(voice)) {
    const language = group.querySelector("[data-language]")?.dataset.language;
    if (!language || language === form.elements.language.value) voice.append(group);
    else group.remove();
  }
  if (!voice.contains(selected)) voice.value = "";
  showPitchHint(form);
}

function showPitchHint(form) {
  document.getElementById("no-pitch").hidden = !form.elements.voice.selectedOptions[0]?.dataset.noPitch;
}

// -- listening before saving ---------------------------------------------------------------------------------

async function playPreview(button) {
  const container = findCard(button) ?? button.closest(".listen");
  const error = container.querySelector(".preview-error");
  const body = speechBody(button.form);
  body.set("key", button.dataset.key);
  body.set("text", "sample" in button.dataset ? "" : findPart(container, "text").value);
  error.textContent = "";
  button.disabled = true;
  try {
    const sound = await fetchSound(button.dataset.preview, body);
    await setSound(container, URL.createObjectURL(sound)).play();
  } catch (problem) {
    error.textContent = soundErrorMessage(problem, button.dataset.failed);
    if (error.textContent && findCard(button)) unfold(findCard(button));
  } finally {
    button.disabled = false;
  }
}

const findPlayer = (card) => findPart(card, "player").querySelector("audio");

// Play what the form has now, or stop it.
async function listen(card) {
  const player = findPlayer(card);
  if (!player.paused) return player.pause();
  if (!player.hasAttribute("src")) return playPreview(findPart(card, "preview"));
  try {
    await player.play();
  } catch (error) {
    if (error.name !== "AbortError") announce(texts().cannotPlay);
  }
}

for (const type of ["play", "pause", "ended"]) {
  document.addEventListener(type, ({ target }) => {
    const card = findCard(target);
    if (card && findPlayer(card) === target) showIcon(findPart(card, "listen"), type === "play" ? "player-stop" : "player-play");
  }, true);
}

// -- restoring the default -----------------------------------------------------------------------------------

const replaced = new WeakMap(); // card -> what it contained before its default was restored

function restoreDefault(card) {
  const [text, file, name, slot] = ["text", "file-field", "name-field", "recording-slot"].map((part) =>
    findPart(card, part),
  );
  replaced.set(card, {
    mode: getMode(card),
    text: text.value,
    file: file.value,
    name: name.value,
    recording: [...slot.childNodes],
  });
  setMode(card, "speech");
  text.value = getDefaultText(card);
  file.value = name.value = "";
  slot.replaceChildren();
  showError(card, "");
  refresh(card);
  const undoButton = findPart(card, "undo");
  undoButton.hidden = false;
  undoButton.focus();
  announce(undoButton.dataset.restored);
  notifyForm(card);
}

function undoRestore(card) {
  const { mode, text, file, name, recording } = replaced.get(card);
  replaced.delete(card);
  setMode(card, mode);
  findPart(card, "text").value = text;
  findPart(card, "file-field").value = file;
  findPart(card, "name-field").value = name;
  findPart(card, "recording-slot").replaceChildren(...recording);
  findPart(card, "undo").hidden = true;
  refresh(card);
  card.querySelector("[data-mode]:checked").focus();
  announce(findPart(card, "undo").dataset.undone);
  notifyForm(card);
}

// Tell listeners of the form that a script has changed it.
function notifyForm(card) {
  findPart(card, "file-field").dispatchEvent(new Event("change", { bubbles: true }));
}

// -- events --------------------------------------------------------------------------------------------------

document.addEventListener("sound:chosen", (event) => {
  const card = findCard(event.target);
  if (!card) return;
  const recording = event.detail;
  if (!usesRecording(card)) setMode(card, recording.dataset.origin === "upload" ? "file" : "record");
  findPart(card, "file-field").value = recording.dataset.file;
  findPart(card, "name-field").value = recording.dataset.name;
  findPart(card, "recording-slot").replaceChildren(recording);
  findPart(card, "undo").hidden = true;
  refresh(card);
  notifyForm(card);
});

document.addEventListener("sound:dropped", (event) => {
  const card = findCard(event.target);
  if (!card) return;
  setMode(card, "file");
  unfold(card);
  refresh(card);
});

document.addEventListener("change", (event) => {
  const { form, name } = event.target;
  if (!form?.elements.language || !form.querySelector("[data-prompt]")) return;
  if (name === "language") {
    translateTexts(form);
    showVoices(form);
  }
  if (name === "voice") showPitchHint(form);
  if (event.target.matches("[data-mode]")) refresh(findCard(event.target));
  else if (["language", "voice", "rate", "pitch"].includes(name)) {
    for (const card of form.querySelectorAll("[data-prompt]")) if (getMode(card) === "speech") refresh(card);
  }
});

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-prompt] [data-text]")) return;
  const card = findCard(event.target);
  showParts(card);
  findPart(card, "undo").hidden = true;
  if (getMode(card) === "speech") setSound(card, ""); // the player has the sound of the previous text
});

document.addEventListener("click", (event) => {
  const previewButton = event.target.closest("[data-preview]");
  if (previewButton) playPreview(previewButton);
  const restoreButton = event.target.closest("[data-restore]");
  if (restoreButton) restoreDefault(findCard(restoreButton));
  const undoButton = event.target.closest("[data-undo]");
  if (undoButton) undoRestore(findCard(undoButton));
  const listenLink = event.target.closest("[data-listen]");
  if (!listenLink) return;
  event.preventDefault();
  listen(findCard(listenLink));
});

// A link to a prompt opens it.
function unfoldLinked() {
  const card = document.getElementById(location.hash.slice(1));
  if (card?.matches("[data-prompt]")) unfold(card);
}

function prepare() {
  for (const button of document.querySelectorAll("[data-preview][data-sample]")) button.hidden = false;
  for (const card of document.querySelectorAll("[data-prompt]")) showParts(card);
  for (const form of document.forms) if (form.querySelector("[data-prompt]")) showVoices(form);
}

document.addEventListener("htmx:after:swap", prepare);
window.addEventListener("hashchange", unfoldLinked);
prepare();
unfoldLinked();
