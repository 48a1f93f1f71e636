// What every page has: the menu on narrow screens, parts that follow a choice, copying, and the word of a lost panel.
// Everything listens at the document, so what HTMX puts into a page later behaves alike. All pages work without it.
"use strict";

// -- parts that follow a choice ------------------------------------------------------------------------------

function follow(root) {
  for (const choice of root.querySelectorAll("[data-shows]")) {
    const part = document.getElementById(choice.dataset.shows);
    if (part) part.hidden = !choice.checked;
  }
  for (const kind of root.querySelectorAll("[data-toggles]")) {
    const part = document.getElementById(kind.dataset.toggles);
    if (part) part.hidden = kind.value === "" || kind.value === "hangup";
  }
}

document.addEventListener("change", (event) => follow(event.target.form ?? document));
document.addEventListener("htmx:after:swap", () => prepare());

function prepare() {
  follow(document);
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

// -- the menu on narrow screens ------------------------------------------------------------------------------

function open(button, wanted) {
  button.setAttribute("aria-expanded", String(wanted));
  document.getElementById(button.dataset.opens).classList.toggle("opened", wanted);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-opens]");
  if (button) open(button, button.getAttribute("aria-expanded") !== "true");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const button of document.querySelectorAll("[data-opens][aria-expanded=true]")) {
    open(button, false);
    button.focus();
  }
});

// -- copying -------------------------------------------------------------------------------------------------

// Browsers give a page on plain HTTP no clipboard; the older way works there.
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

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await copy(button.dataset.copy);
  button.focus();
  say(button.dataset.copied);
  button.classList.add("copied");
  button.addEventListener("blur", () => button.classList.remove("copied"), { once: true });
});

// Say something to those who hear the page.
function say(text) {
  document.getElementById("said").textContent = text;
}

prepare();
