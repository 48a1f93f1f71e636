// The button that opens the navigation on narrow screens.

function setOpen(button, isOpen) {
  button.setAttribute("aria-expanded", String(isOpen));
  document.getElementById(button.dataset.opens).classList.toggle("opened", isOpen);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-opens]");
  if (button) setOpen(button, button.getAttribute("aria-expanded") !== "true");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const button of document.querySelectorAll("[data-opens][aria-expanded=true]")) {
    setOpen(button, false);
    button.focus();
  }
});
