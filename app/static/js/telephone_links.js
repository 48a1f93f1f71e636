// A button that asks the browser to open telephone links of all pages in the panel.

import { announce } from "./announce.js";

for (const button of document.querySelectorAll("[data-handle-tel]")) {
  // Browsers do this on https and on this machine only.
  if (!("registerProtocolHandler" in navigator)) continue;
  button.hidden = false;
  button.addEventListener("click", () => {
    navigator.registerProtocolHandler("tel", button.dataset.handleTel);
    announce(button.dataset.done);
  });
}
