// The settings: long lists that can be searched, a voice that is heard before it is saved, a secret that is shown while
// it is typed. Without scripts the lists, the sample (in a page of its own) and the field are there all the same.
"use strict";

// -- searching a long list -----------------------------------------------------------------------------------

// ي and ك are typed on Arabic keyboards, the half-space on hardly any.
const plain = (text) => text.toLowerCase().replaceAll("ي", "ی").replaceAll("ك", "ک").replace(/[\u200c\s]+/g, "");

function search(list, wanted) {
  const entries = list.entries;
  const chosen = list.select.value;
  const found = entries.filter((entry) => plain(entry.label).includes(wanted) || plain(entry.value).includes(wanted));
  const shown = wanted === "" ? entries : found.some((entry) => entry.value === chosen) ? found
    : found.length ? found : entries.filter((entry) => entry.value === chosen);
  list.select.replaceChildren();
  for (const entry of shown) {
    let group = entry.group ? list.select.querySelector(`optgroup[data-group="${entry.group}"]`) : list.select;
    if (!group) {
      group = document.createElement("optgroup");
      group.label = group.dataset.group = entry.group;
      list.select.append(group);
    }
    group.append(new Option(entry.label, entry.value, false, entry.value === chosen));
  }
  if (list.select.value !== chosen) list.select.dispatchEvent(new Event("change", { bubbles: true }));
}

for (const place of document.querySelectorAll("[data-searchable]")) {
  const select = document.getElementById(place.dataset.searchable);
  if (!select) continue;
  const entries = [...select.options].map((option) => ({
    value: option.value, label: option.text, group: option.parentElement.label ?? "",
  }));
  const field = document.createElement("input");
  field.type = "search";
  field.className = "form-control searcher";
  field.placeholder = place.dataset.search;
  field.setAttribute("aria-label", place.dataset.search);
  field.setAttribute("aria-controls", select.id);
  field.autocomplete = "off";
  field.addEventListener("input", () => search({ select, entries }, plain(field.value)));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      select.focus();
    }
  });
  select.before(field);
}

// -- the voice -----------------------------------------------------------------------------------------------

function showNumber(range) {
  let shown = document.getElementById(range.dataset.shownIn);
  if (!shown) {
    shown = document.createElement("output");
    shown.id = range.dataset.shownIn;
    shown.className = "range-now";
    range.after(shown);
  }
  shown.textContent = Number(range.value).toLocaleString(document.documentElement.lang, { useGrouping: false });
}

for (const range of document.querySelectorAll("[data-shown-in]")) showNumber(range);
document.addEventListener("input", (event) => {
  if (event.target.dataset.shownIn) showNumber(event.target);
});

let playing = null;

async function listen(button) {
  const problem = button.form.querySelector(".said-error");
  problem.textContent = "";
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.say, { method: "POST", body: new FormData(button.form) });
    if (!answer.ok) {
      problem.textContent = answer.status === 422 ? await answer.text() : button.dataset.failed;
      return;
    }
    if (playing) {
      playing.pause();
      URL.revokeObjectURL(playing.src);
    }
    playing = new Audio(URL.createObjectURL(await answer.blob()));
    await playing.play();
    button.dataset.heard = String(Number(button.dataset.heard ?? 0) + 1);
  } catch {
    problem.textContent = button.dataset.failed;
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-say]");
  if (!button) return;
  event.preventDefault();
  listen(button);
});

// -- the secret ----------------------------------------------------------------------------------------------

for (const secret of document.querySelectorAll("[data-revealable]")) {
  const label = document.createElement("label");
  label.className = "form-check reveal";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.className = "form-check-input";
  box.addEventListener("change", () => { secret.type = box.checked ? "text" : "password"; });
  label.append(box, document.createTextNode(secret.dataset.revealable));
  label.hidden = true;
  secret.addEventListener("input", () => { label.hidden = secret.value === ""; });
  secret.after(label);
}
