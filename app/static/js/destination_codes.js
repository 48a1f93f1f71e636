// The typed code of a destination suggests locations of the dialplan, if it is one (data-suggests holds the list's id).

document.addEventListener("change", (event) => {
  const choice = event.target.closest("[data-suggests]");
  if (!choice) return;
  const code = document.getElementById(choice.dataset.toggles);
  if (choice.value === "custom") code.setAttribute("list", choice.dataset.suggests);
  else code.removeAttribute("list");
});
