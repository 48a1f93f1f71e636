// Buttons with data-copy copy a text.

import { announce } from "./announce.js";

// Pages on plain HTTP have no clipboard; execCommand still works there.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("nothing was copied");
}

function showButtons() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await copy(button.dataset.copy);
  button.focus();
  announce(button.dataset.copied);
  button.classList.add("copied");
  button.addEventListener("blur", () => button.classList.remove("copied"), { once: true });
});

document.addEventListener("htmx:after:swap", showButtons);
showButtons();
