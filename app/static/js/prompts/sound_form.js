// Shared by everything that adds a sound to a page: the texts, the messages of a sound form, and the chosen recording.
//
// A sound form is an element with data-sound-form: a prompt's card, a digit's card or the form of the library. When a
// recording is uploaded, recorded or chosen there, it receives the event "sound:chosen". The event's detail is the
// element that shows the recording, with its data.

export const texts = () => document.getElementById("sound-texts").dataset;
export const findSoundForm = (element) => element.closest("[data-sound-form]");
export const findPart = (element, name) => element.querySelector(`[data-${name}]`);

export function csrfToken() {
  return document.querySelector("[name=csrf_token]").value;
}

export function parseHtml(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

// -- messages ------------------------------------------------------------------------------------------------

export function showError(soundForm, text) {
  const error = findPart(soundForm, "error");
  error.textContent = text;
  error.hidden = !text;
}

// Show a progress bar with a text, or hide it if the text is empty. `share`: from 0 to 1, null if it is unknown.
export function showProgress(soundForm, text, share = null) {
  const part = findPart(soundForm, "progress");
  part.hidden = !text;
  findPart(part, "progress-text").textContent = text;
  const bar = part.querySelector("progress");
  if (share === null) bar.removeAttribute("value");
  else bar.value = share * 100;
}

// Return the message for a response that is not a success. A page instead of a message means that we are logged out.
export function errorMessage(status, type, text) {
  if (status === 413 && !text.includes("data-log-in")) return texts().tooLarge;
  if (status === 422 && type?.startsWith("text/plain")) return text;
  return status === 0 || status >= 500 ? texts().noAnswer : texts().loggedOut;
}

// Return the message for an error of fetch(), which throws a TypeError if there is no response.
export function fetchErrorMessage(error) {
  return error instanceof TypeError ? texts().noAnswer : error.message;
}

// -- the recording -------------------------------------------------------------------------------------------

// Use the recording that `html` shows.
export function chooseRecording(soundForm, html) {
  showError(soundForm, "");
  const recording = document.importNode(parseHtml(html).querySelector(".recording"), true);
  soundForm.dispatchEvent(new CustomEvent("sound:chosen", { bubbles: true, detail: recording }));
}

// Return the name of a new recording in the library: the typed one, or the prompt's with the module's.
export function recordingName(soundForm) {
  const typed = findPart(soundForm, "sound-name")?.value.trim();
  const fields = soundForm.closest("form")?.elements;
  const module = fields?.namedItem("code") ? fields.namedItem("name")?.value.trim() : "";
  const name = typed || [soundForm.dataset.name, module].filter(Boolean).join(" – ");
  return [...name].slice(0, 80).join("");
}
