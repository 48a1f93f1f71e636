// Upload sounds: with a button or by dropping a file, with a progress bar.

import { announce } from "../announce.js";
import {
  chooseRecording,
  csrfToken,
  errorMessage,
  findPart,
  findSoundForm,
  showError,
  showProgress,
  texts,
} from "./sound_form.js";

const requests = new WeakMap(); // sound form -> its active request; a new one aborts the older one

// Upload a file and choose the new recording. Return a promise of whether that succeeded.
export function uploadSound(soundForm, file, name, origin) {
  if (file.size > Number(texts().maxBytes)) {
    showError(soundForm, texts().tooLarge);
    return Promise.resolve(false);
  }
  const body = new FormData();
  body.set("origin", origin);
  if (name) body.set("name", name);
  body.set("sound", file, file.name || name);
  showError(soundForm, "");
  showProgress(soundForm, texts().uploading, 0);
  const previous = requests.get(soundForm);
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    requests.set(soundForm, request);
    previous?.abort();
    request.open("POST", texts().uploadUrl);
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable || event.loaded >= event.total) return;
      showProgress(soundForm, texts().uploading, event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => showProgress(soundForm, texts().converting));
    request.addEventListener("loadend", () => {
      resolve(requests.get(soundForm) === request && handleResponse(soundForm, request));
    });
    request.send(body);
  });
}

function handleResponse(soundForm, request) {
  showProgress(soundForm, "");
  const isSaved = request.status === 200 && request.responseText.includes("data-digest");
  if (isSaved) {
    chooseRecording(soundForm, request.responseText);
    announce(texts().saved);
  } else {
    const type = request.getResponseHeader("Content-Type");
    showError(soundForm, errorMessage(request.status, type, request.responseText));
  }
  return isSaved;
}

async function uploadField(field) {
  const file = field.files[0];
  if (!file) return;
  const soundForm = findSoundForm(field);
  await uploadSound(soundForm, file, findPart(soundForm, "sound-name")?.value.trim() ?? "", "upload");
  if (field.files[0] === file) field.value = ""; // the form must not send the file again
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-upload]") && findSoundForm(event.target)) uploadField(event.target);
});

// -- dropping ------------------------------------------------------------------------------------------------

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
// A file may be dropped anywhere on a sound form.
const findDropZone = (event) => (findSoundForm(event.target) ? findPart(findSoundForm(event.target), "drop-zone") : null);

function markDropZone(zone) {
  for (const marked of document.querySelectorAll(".dropping")) if (marked !== zone) marked.classList.remove("dropping");
  zone?.classList.add("dropping");
}

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault(); // everywhere: beside a sound form, the browser would leave the page for the file
  const zone = findDropZone(event);
  event.dataTransfer.dropEffect = zone ? "copy" : "none";
  markDropZone(zone);
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) markDropZone(null);
});

document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  markDropZone(null);
  const zone = findDropZone(event);
  if (!zone || !event.dataTransfer.files.length) return;
  const field = findPart(zone, "upload");
  findSoundForm(zone).dispatchEvent(new CustomEvent("sound:dropped", { bubbles: true }));
  field.files = event.dataTransfer.files;
  uploadField(field);
});
