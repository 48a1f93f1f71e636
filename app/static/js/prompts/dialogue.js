// Play the whole dialogue with the prompts of the form, saved or not.

import { fetchSound, soundErrorMessage, speechBody } from "./preview.js";
import { getMode } from "./prompt_cards.js";
import { fetchErrorMessage } from "./sound_form.js";

let latestPlay = 0; // its number: a sound that arrives after a newer request is not played

function getFields(form, card) {
  return ["mode", "text", "file"].map((name) => {
    const field = form.elements.namedItem(`prompt_${card.dataset.prompt}_${name}`);
    return [name, field?.value ?? ""];
  });
}

function promptBody(form, card) {
  const body = speechBody(form);
  body.set("key", card.dataset.prompt);
  for (const [name, value] of getFields(form, card)) body.set(name, value);
  return body;
}

function dialogueBody(form) {
  const body = speechBody(form);
  body.set("way", form.elements.way.value);
  for (const card of form.querySelectorAll("[data-prompt]")) {
    for (const [name, value] of getFields(form, card)) body.set(`prompt_${card.dataset.prompt}_${name}`, value);
  }
  return body;
}

function findSpokenCards(form) {
  return [...form.querySelectorAll("[data-prompt]")].filter(
    (card) => getMode(card) === "speech" && card.querySelector("[data-text]").value.trim(),
  );
}

// Fetch each spoken prompt, which takes most of the time, then the dialogue. Show the progress.
async function fetchDialogue(dialogue, form, bar) {
  const cards = findSpokenCards(form);
  const previewUrl = document.querySelector("[data-preview]").dataset.preview;
  bar.max = cards.length + 2;
  bar.value = 0;
  for (const card of cards) {
    try {
      await fetchSound(previewUrl, promptBody(form, card));
    } catch (error) {
      throw new Error(`${card.dataset.name}: ${fetchErrorMessage(error)}`);
    }
    bar.value += 1;
  }
  return fetchSound(dialogue.dataset.dialogue, dialogueBody(form));
}

async function play(dialogue, button) {
  const number = ++latestPlay;
  const audio = dialogue.querySelector("audio");
  const progress = dialogue.querySelector("[data-dialogue-progress]");
  const status = dialogue.querySelector("[data-dialogue-status]");
  button.disabled = true;
  audio.pause();
  audio.hidden = true;
  status.textContent = "";
  progress.querySelector("span").textContent = dialogue.dataset.making;
  progress.hidden = false;
  try {
    const sound = await fetchDialogue(dialogue, button.form, progress.querySelector("progress"));
    if (number !== latestPlay) return;
    if (audio.src) URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(sound);
    audio.hidden = false;
    await audio.play();
  } catch (error) {
    status.textContent = soundErrorMessage(error, dialogue.dataset.failed);
  } finally {
    progress.hidden = true;
    button.disabled = false;
  }
}

// After a change in the form, the dialogue in the player is outdated.
function handleChange(event) {
  const { form, name = "" } = event.target;
  const dialogue = form?.querySelector("[data-dialogue]");
  const audio = dialogue?.querySelector("audio");
  if (!dialogue || audio.hidden) return;
  if (!name.startsWith("prompt_") && !["language", "voice", "rate", "pitch", "way"].includes(name)) return;
  const status = dialogue.querySelector("[data-dialogue-status]");
  status.textContent = name === "way" ? "" : dialogue.dataset.outdated;
  if (name !== "way") return;
  audio.pause(); // it is a different dialogue
  audio.hidden = true;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dialogue-play]");
  if (button) play(button.closest("[data-dialogue]"), button);
});
document.addEventListener("change", handleChange);
document.addEventListener("input", handleChange);

for (const dialogue of document.querySelectorAll("[data-dialogue]")) dialogue.hidden = false;
