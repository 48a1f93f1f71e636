// The code of a destination suggests codes of the chosen type (data-lists holds the id of the code's field).

document.addEventListener("change", (event) => {
  const type = event.target.closest("[data-lists]");
  if (!type) return;
  document.getElementById(type.dataset.lists).setAttribute("list", `codes-${type.value || "custom"}`);
});
