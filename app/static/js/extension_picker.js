// A search that filters a list of extensions (data-filters holds the id of the list).

import { searchKey } from "./digits.js";

function filter(list, text) {
  let found = 0;
  for (const choice of list.querySelectorAll("[data-words]")) {
    const matches = searchKey(choice.dataset.words).includes(text);
    choice.hidden = !matches;
    found += Number(matches);
  }
  list.querySelector(".picker-none").hidden = found > 0;
}

document.addEventListener("input", (event) => {
  const search = event.target.closest("[data-filters]");
  if (!search) return;
  filter(document.getElementById(search.dataset.filters), searchKey(search.value));
});

// Enter must not send the form.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.closest("[data-filters]")) event.preventDefault();
});

for (const search of document.querySelectorAll("[data-filters][hidden]")) search.hidden = false;
