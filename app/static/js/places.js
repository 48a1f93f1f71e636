// Choosing what the exchange has: a list that follows the type of a destination, and one of extensions to search in.
"use strict";

document.addEventListener("change", (event) => {
  const kind = event.target.closest("[data-lists]");
  if (!kind) return;
  const code = document.getElementById(kind.dataset.lists);
  code.setAttribute("list", `codes-${kind.value || "custom"}`);
});

const LATIN = { "۰": 0, "۱": 1, "۲": 2, "۳": 3, "۴": 4, "۵": 5, "۶": 6, "۷": 7, "۸": 8, "۹": 9 };

document.addEventListener("input", (event) => {
  const search = event.target.closest("[data-filters]");
  if (!search) return;
  const list = document.getElementById(search.dataset.filters);
  const wanted = search.value.trim().toLowerCase().replace(/[۰-۹]/g, (digit) => LATIN[digit]);
  let found = 0;
  for (const pick of list.querySelectorAll("[data-words]")) {
    const fits = pick.dataset.words.includes(wanted);
    pick.hidden = !fits;
    found += Number(fits);
  }
  list.querySelector(".picker-none").hidden = found > 0;
});

// Enter in the search must not send the form.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.closest("[data-filters]")) event.preventDefault();
});

for (const search of document.querySelectorAll("[data-filters][hidden]")) search.hidden = false;

// -- "the same for all three": the others are not asked for ----------------------------------------------------------

function hide(root) {
  for (const choice of root.querySelectorAll("[data-hides]")) {
    document.getElementById(choice.dataset.hides).hidden = choice.checked;
  }
}

document.addEventListener("change", () => hide(document));
hide(document);
