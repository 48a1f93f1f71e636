// The library and the digits: what was taken in shows at once.
"use strict";

{
  for (const part of document.querySelectorAll("[data-with-scripts]")) part.hidden = false;
  for (const part of document.querySelectorAll("[data-without-scripts]")) part.hidden = true;

  document.addEventListener("sound:chosen", (event) => {
    const place = event.target;
    const { file, digest } = event.detail.dataset;
    if ("submits" in place.dataset) {
      place.querySelector("[data-file-field]").value = file;
      place.querySelector("[data-upload]").value = "";
      place.requestSubmit();
    } else if (place.dataset.then) {
      window.location.assign(`${place.dataset.then}?kept=${digest}`);
    }
  });

  // What is typed there names the recording, and is no form to be sent by itself.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-sound-name]")) event.preventDefault();
  });
}
