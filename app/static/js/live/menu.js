// The menu of a request. All rows of a table share one element, whose content is loaded when the menu is opened, and
// again when the row has changed. The menu closes when its row is gone.
//
// Screen readers call every button with `popovertarget` expanded while the popover is open. So only the button that was
// pressed last has it.

const menu = document.getElementById("menu");
let opener = null; // the button that was pressed last
let asked = ""; // the request and its version, as in the button

function isOpen() {
  return menu.matches(":popover-open");
}

function link(button) {
  if (opener && opener !== button) {
    opener.removeAttribute("popovertarget");
    opener.ariaExpanded = "false";
  }
  opener = button;
  opener.setAttribute("popovertarget", "menu");
  opener.ariaExpanded = String(isOpen());
}

async function load(button) {
  asked = button.value;
  const [request] = asked.split(".");
  try {
    await htmx.ajax("GET", `${menu.dataset.requests}/${request}/menu`, { target: "#menu", swap: "innerMorph", source: menu });
  } finally {
    if (asked === button.value && isOpen() && !menu.childElementCount) menu.hidePopover(); // the error is among the messages
  }
}

function update() {
  if (!asked || !isOpen()) return;
  const [request] = asked.split(".");
  const button = document.querySelector(`#request-${request} [data-menu]`);
  if (!button) {
    menu.hidePopover();
    return;
  }
  link(button); // the row that came is as the server knows it
  if (button.value !== asked) load(button);
}

if (menu) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-menu]");
    if (!button) return;
    if (button !== opener && isOpen()) menu.hidePopover(); // the browser then opens it at this button
    link(button);
  });
  menu.addEventListener("beforetoggle", (event) => {
    if (event.newState !== "open") return;
    menu.replaceChildren();
    load(opener);
  });
  menu.addEventListener("toggle", () => link(opener));
  document.addEventListener("htmx:after:swap", update);
}
