// Parts of a form that are shown or hidden by a choice. The attribute of the choice holds the id of the part.
//
// data-shows: a box that shows the part while it is checked. data-hides: the opposite. data-toggles: the choice of
// a destination, which hides the field for a typed code while none is needed.

function update(root) {
  for (const choice of root.querySelectorAll("[data-shows], [data-hides]")) {
    const part = document.getElementById(choice.dataset.shows ?? choice.dataset.hides);
    if (part) part.hidden = "shows" in choice.dataset ? !choice.checked : choice.checked;
  }
  for (const type of root.querySelectorAll("[data-toggles]")) {
    const part = document.getElementById(type.dataset.toggles);
    if (part) part.hidden = type.value === "" || type.value === "hangup" || type.value.includes(":");
  }
}

document.addEventListener("change", (event) => update(event.target.form ?? document));
document.addEventListener("htmx:after:swap", () => update(document));
update(document);
