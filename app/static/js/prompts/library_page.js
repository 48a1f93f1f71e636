// The pages of the prompt library and of the digits: use a new recording at once.

import "./library_dialog.js";
import "./phone_call.js";
import "./player.js";
import "./recorder.js";
import "./upload.js";
import { findPart } from "./sound_form.js";

for (const part of document.querySelectorAll("[data-with-scripts]")) part.hidden = false;
for (const part of document.querySelectorAll("[data-without-scripts]")) part.hidden = true;

document.addEventListener("sound:chosen", (event) => {
  const form = event.target;
  const { file, digest } = event.detail.dataset;
  if ("submitOnChoice" in form.dataset) {
    findPart(form, "file-field").value = file;
    findPart(form, "upload").value = "";
    form.requestSubmit();
  } else if (form.dataset.listUrl) {
    window.location.assign(`${form.dataset.listUrl}?kept=${digest}`);
  }
});

// The name is for the recording: Enter must not submit the form without one.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[data-sound-name]")) event.preventDefault();
});
