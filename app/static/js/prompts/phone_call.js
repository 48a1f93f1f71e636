// Record by phone: let the telephone service ring an extension, and show the state of the call until it is over.

import {
  chooseRecording,
  csrfToken,
  errorMessage,
  fetchErrorMessage,
  findPart,
  findSoundForm,
  parseHtml,
  recordingName,
  showError,
  texts,
} from "./sound_form.js";

const POLL_MILLISECONDS = 700;

// Fetch the state of a call as HTML. With a body, the request is a POST. Throws an Error with a message.
async function fetchCall(url, body = null) {
  const response = await fetch(url, {
    method: body ? "POST" : "GET",
    headers: body ? { "X-CSRFToken": csrfToken() } : {},
    body,
  });
  const text = await response.text();
  if (!response.ok || !text.includes("data-state")) {
    throw new Error(errorMessage(response.status, response.headers.get("Content-Type"), text));
  }
  return text;
}

function fail(soundForm, error) {
  showError(soundForm, fetchErrorMessage(error));
  findPart(soundForm, "ring").disabled = false;
}

async function ring(soundForm) {
  const field = findPart(soundForm, "extension");
  if (!field.value.trim()) {
    showError(soundForm, texts().extensionMissing);
    field.focus();
    return;
  }
  const body = new FormData();
  body.set("extension", field.value);
  body.set("name", recordingName(soundForm));
  body.set("language", findLanguage(soundForm));
  body.set("text", findPart(soundForm, "text")?.value ?? soundForm.dataset.text ?? "");
  showError(soundForm, "");
  findPart(soundForm, "ring").disabled = true;
  try {
    showCall(soundForm, await fetchCall(texts().ringUrl, body));
  } catch (error) {
    fail(soundForm, error);
  }
}

function findLanguage(soundForm) {
  const field = soundForm.closest("form")?.elements.namedItem("language");
  return field?.value || soundForm.dataset.language || document.documentElement.lang;
}

// Show the call if its state is new. If the person has the focus on its button, the focus stays there.
function showCall(soundForm, html) {
  const container = findPart(soundForm, "phone-call");
  const call = parseHtml(html).querySelector("[data-state]");
  const shown = container.querySelector("[data-state]");
  if (shown?.dataset.state !== call.dataset.state || shown.dataset.url !== call.dataset.url) {
    const hadFocus = container.contains(document.activeElement);
    container.replaceChildren(document.importNode(call, true));
    if (hadFocus) (findPart(soundForm, "cancel-call") ?? findPart(soundForm, "ring")).focus();
  }
  if ("isOver" in call.dataset) finish(soundForm, call);
  else setTimeout(() => poll(soundForm, call.dataset.url), POLL_MILLISECONDS);
}

async function poll(soundForm, url) {
  if (!soundForm.isConnected) return;
  try {
    showCall(soundForm, await fetchCall(url));
  } catch (error) {
    if (!(error instanceof TypeError)) fail(soundForm, error);
    else setTimeout(() => poll(soundForm, url), 3 * POLL_MILLISECONDS); // the call goes on without the panel
  }
}

async function finish(soundForm, call) {
  findPart(soundForm, "ring").disabled = false;
  if (!call.dataset.recordingUrl) return;
  const response = await fetch(call.dataset.recordingUrl);
  if (response.ok) chooseRecording(soundForm, await response.text());
  else showError(soundForm, texts().loggedOut);
}

async function cancel(button) {
  button.disabled = true;
  try {
    await fetchCall(button.dataset.cancelCall, new FormData()); // the next poll shows the result
  } catch (error) {
    fail(findSoundForm(button), error);
  }
}

document.addEventListener("click", (event) => {
  const ringButton = event.target.closest("[data-ring]");
  if (ringButton) ring(findSoundForm(ringButton));
  const cancelButton = event.target.closest("[data-cancel-call]");
  if (cancelButton) cancel(cancelButton);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("[data-extension]")) return;
  event.preventDefault(); // ring, and do not submit the form around the field
  const soundForm = findSoundForm(event.target);
  if (!findPart(soundForm, "ring").disabled) ring(soundForm);
});
