// Rows of a table that are selected by a box, which belongs to the form #several, and the bar with what can be done with them.

import { localDigits } from "../digits.js";

const BOX = "input[form=several]";

function update() {
  const bar = document.getElementById("chosen");
  if (!bar) return;
  const count = document.querySelectorAll(`${BOX}:checked`).length;
  bar.hidden = count === 0;
  const text = localDigits(bar.dataset.text.replace("#", String(count)));
  const label = bar.querySelector("[data-chosen]");
  if (label.textContent !== text) label.textContent = text;
  const all = document.querySelector("[data-chooses-all]");
  if (!all) return;
  const others = boxesBeside(all);
  const chosen = others.filter((box) => box.checked).length;
  all.checked = chosen > 0 && chosen === others.length;
  all.indeterminate = chosen > 0 && chosen < others.length;
}

// The boxes of the table whose head has this box for all of them.
function boxesBeside(all) {
  return [...all.closest("table").querySelectorAll(BOX)];
}

export function clearSelection() {
  for (const box of document.querySelectorAll(`${BOX}:checked`)) box.checked = false;
  update();
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-chooses-all]")) {
    for (const box of boxesBeside(event.target)) box.checked = event.target.checked;
  }
  if (event.target.matches(`${BOX}, [data-chooses-all]`)) update();
});

document.addEventListener("htmx:after:swap", update);
update();
