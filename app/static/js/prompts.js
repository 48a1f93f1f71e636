// The prompts of a module: texts follow the language, and can be heard before they are saved.
"use strict";

function followModes(root) {
  for (const prompt of root.querySelectorAll("[data-prompt]")) {
    const mode = prompt.querySelector("[data-mode]:checked");
    for (const part of prompt.querySelectorAll("[data-for-mode]")) {
      part.hidden = !mode || !part.dataset.forMode.split(" ").includes(mode.value);
    }
  }
}

// A text that nobody has changed follows the language of the module.
function translate(form) {
  const language = form.elements.language.value;
  for (const text of form.querySelectorAll("[data-default-fa]")) {
    const defaults = [text.dataset.defaultFa, text.dataset.defaultEn];
    if (defaults.includes(text.value.trim())) {
      text.value = language === "fa" ? text.dataset.defaultFa : text.dataset.defaultEn;
    }
  }
}

let playing = null;

async function preview(button) {
  const prompt = button.closest("[data-prompt]");
  const problem = prompt.querySelector(".preview-error");
  const form = button.form;
  const body = new FormData();
  body.set("csrf_token", form.elements.csrf_token.value);
  body.set("key", button.dataset.key);
  body.set("language", form.elements.language.value);
  body.set("text", prompt.querySelector("textarea").value);
  problem.textContent = "";
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.preview, { method: "POST", body });
    if (!answer.ok) {
      problem.textContent = answer.status === 422 ? await answer.text() : button.dataset.failed;
      return;
    }
    if (playing) {
      playing.pause();
      URL.revokeObjectURL(playing.src);
    }
    playing = new Audio(URL.createObjectURL(await answer.blob()));
    await playing.play();
  } catch {
    problem.textContent = button.dataset.failed;
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("change", (event) => {
  if (event.target.name === "language" && event.target.form) translate(event.target.form);
  followModes(document);
});

for (const button of document.querySelectorAll("[data-preview]")) {
  button.hidden = false;
  button.addEventListener("click", () => preview(button));
}

followModes(document);
