// The dialog of the prompt library: search, listen, choose.

import { chooseRecording, fetchErrorMessage, findPart, findSoundForm, parseHtml, showError, texts } from "./sound_form.js";

const SEARCH_DELAY_MILLISECONDS = 200;

let soundForm = null; // for which a recording is chosen
let latestSearch = 0; // its number: results of an older search are ignored
let searchTimer = 0;

const findDialog = () => document.getElementById("library-dialog");

// Fetch HTML. Throws an Error with a message; a redirect means that we are logged out.
async function fetchHtml(url, headers = {}) {
  const response = await fetch(url, { headers });
  if (!response.ok || response.redirected) throw new Error(texts().loggedOut);
  return response.text();
}

async function search() {
  const number = ++latestSearch;
  const query = encodeURIComponent(findPart(findDialog(), "library-search").value);
  const list = findPart(findDialog(), "library-list");
  try {
    const html = await fetchHtml(`${texts().libraryUrl}?q=${query}`, { "HX-Request": "true" });
    if (number === latestSearch) list.replaceChildren(...parseHtml(html).childNodes);
  } catch (error) {
    list.textContent = fetchErrorMessage(error);
  }
}

function open(button) {
  soundForm = findSoundForm(button);
  findPart(findDialog(), "library-search").value = "";
  findDialog().showModal();
  search();
}

async function choose(button) {
  try {
    chooseRecording(soundForm, await fetchHtml(button.dataset.chooseRecording));
  } catch (error) {
    showError(soundForm, fetchErrorMessage(error));
  }
  findDialog().close();
}

document.addEventListener("click", (event) => {
  const openButton = event.target.closest("[data-open-library]");
  if (openButton) open(openButton);
  const isBackdrop = event.target === findDialog();
  if (event.target.closest("[data-close-library]") || isBackdrop) findDialog().close();
  const chooseButton = event.target.closest("[data-choose-recording]");
  if (chooseButton) choose(chooseButton);
});

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-library-search]")) return;
  clearTimeout(searchTimer);
  searchTimer = setTimeout(search, SEARCH_DELAY_MILLISECONDS);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[data-library-search]")) event.preventDefault();
});

// The buttons are hidden in a page without scripts.
function showButtons() {
  for (const button of document.querySelectorAll("[data-open-library]")) button.hidden = false;
}

document.addEventListener("htmx:after:swap", showButtons);
showButtons();
