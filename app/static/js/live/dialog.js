// Links and forms with data-dialog open their page in the dialog. The event "acted" comes from the server when an
// action was performed: the dialog closes, and the page is brought up to date.

import { poll } from "./poll.js";
import { clearSelection } from "./selection.js";

const dialog = document.getElementById("dialog");

async function open(url) {
  await htmx.ajax("GET", url, { target: "#dialog", swap: "innerHTML", source: dialog });
  if (!dialog.childElementCount || dialog.open) return;
  closeMenus();
  dialog.showModal();
}

function closeMenus() {
  for (const menu of document.querySelectorAll("[popover]:popover-open")) menu.hidePopover();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  open(link.href);
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-dialog]")) return;
  event.preventDefault();
  const url = event.submitter?.getAttribute("formaction") ?? event.target.action;
  open(`${url}?${new URLSearchParams(new FormData(event.target))}`);
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-closes]") || !dialog?.open) return;
  event.preventDefault();
  dialog.close();
});

document.addEventListener("acted", () => {
  if (dialog?.open) dialog.close();
  closeMenus();
  clearSelection();
  poll();
});

dialog?.addEventListener("close", () => dialog.replaceChildren());
