// Forms with destinations: a list of codes for each type, the search in the extensions, and "the same for all three".
"use strict";

// The list of codes follows the type of the destination.
document.addEventListener("change", (event) => {
  const kind = event.target.closest("[data-lists]");
  if (!kind) return;
  const code = document.getElementById(kind.dataset.lists);
  code.setAttribute("list", `codes-${kind.value || "custom"}`);
});

// -- the search in the extensions -------------------------------------------------------------------------------------

const LATIN = { "۰": 0, "۱": 1, "۲": 2, "۳": 3, "۴": 4, "۵": 5, "۶": 6, "۷": 7, "۸": 8, "۹": 9 };

document.addEventListener("input", (event) => {
  const search = event.target.closest("[data-filters]");
  if (!search) return;
  const list = document.getElementById(search.dataset.filters);
  const text = search.value.trim().toLowerCase().replace(/[۰-۹]/g, (digit) => LATIN[digit]);
  let matches = 0;
  for (const choice of list.querySelectorAll("[data-words]")) {
    const isMatch = choice.dataset.words.includes(text);
    choice.hidden = !isMatch;
    matches += Number(isMatch);
  }
  list.querySelector(".picker-none").hidden = matches > 0;
});

// Enter in the search must not submit the form.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.closest("[data-filters]")) event.preventDefault();
});

// The search works with this script only.
for (const search of document.querySelectorAll("[data-filters][hidden]")) search.hidden = false;

// -- "the same for all three" hides the other destinations ------------------------------------------------------------

function hideOthers() {
  for (const tick of document.querySelectorAll("[data-hides]")) {
    document.getElementById(tick.dataset.hides).hidden = tick.checked;
  }
}

document.addEventListener("change", hideOthers);
hideOthers();
