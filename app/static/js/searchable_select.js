// A search box above a long list of choices. Without JavaScript the plain list remains.

import { searchKey } from "./digits.js";

function matching(entries, chosen, query) {
  const found = entries.filter(({ label, value }) => searchKey(label).includes(query) || searchKey(value).includes(query));
  return found.length ? found : entries.filter((entry) => entry.value === chosen);
}

// The group of an entry, created on first use; the list itself for entries without a group.
function groupOf(select, label) {
  if (!label) return select;
  const existing = [...select.querySelectorAll("optgroup")].find((group) => group.label === label);
  if (existing) return existing;
  const group = document.createElement("optgroup");
  group.label = label;
  select.append(group);
  return group;
}

// Show only the matching choices. The chosen one stays chosen if it matches.
function filter(select, entries, query) {
  const chosen = select.value;
  const shown = query === "" ? entries : matching(entries, chosen, query);
  select.replaceChildren();
  for (const { label, value, group } of shown) {
    groupOf(select, group).append(new Option(label, value, false, value === chosen));
  }
  if (select.value !== chosen) select.dispatchEvent(new Event("change", { bubbles: true }));
}

function createSearchBox(select, label) {
  const box = document.createElement("input");
  box.type = "search";
  box.className = "form-control list-search";
  box.placeholder = label;
  box.setAttribute("aria-label", label);
  box.setAttribute("aria-controls", select.id);
  box.autocomplete = "off";
  return box;
}

function makeSearchable(container) {
  const select = document.getElementById(container.dataset.searchable);
  if (!select) return;
  const entries = [...select.options].map((option) => ({
    value: option.value, label: option.text, group: option.parentElement.label ?? "",
  }));
  const box = createSearchBox(select, container.dataset.search);
  box.addEventListener("input", () => filter(select, entries, searchKey(box.value)));
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    select.focus();
  });
  select.before(box);
}

document.querySelectorAll("[data-searchable]").forEach(makeSearchable);
