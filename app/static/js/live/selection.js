// Rows of a table that are selected by a box (data-chooses), and the bar with what can be done with them.

import { localDigits } from "../digits.js";

function update() {
  const bar = document.getElementById("chosen");
  if (!bar) return;
  const boxes = [...document.querySelectorAll("[data-chooses]")];
  const count = boxes.filter((box) => box.checked).length;
  bar.hidden = count === 0;
  const text = localDigits(bar.dataset.text.replace("#", String(count)));
  const label = bar.querySelector("[data-chosen]");
  if (label.textContent !== text) label.textContent = text;
  const all = document.querySelector("[data-chooses-all]");
  if (!all) return;
  all.checked = count > 0 && count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
}

export function clearSelection() {
  for (const box of document.querySelectorAll("[data-chooses]:checked")) box.checked = false;
  update();
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-chooses-all]")) {
    for (const box of document.querySelectorAll("[data-chooses]")) box.checked = event.target.checked;
  }
  if (event.target.matches("[data-chooses], [data-chooses-all]")) update();
});

document.addEventListener("htmx:after:swap", update);
update();
