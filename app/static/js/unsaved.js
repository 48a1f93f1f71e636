// Leaving a page asks first if a form on it has changes that are not saved. What is chosen and set back is no change.
// Parts with data-not-saved, and the forms of dialogs, do not count.

const before = new Map(); // form -> what it would have sent before anybody touched it
let sent = null; // the form with which the page is being left

function isGuarded(form) {
  return form.method === "post" && form.matches("#main form") && !form.matches("[data-not-saved], dialog form");
}

function content(form) {
  const skipped = new Set([...form.querySelectorAll("[data-not-saved] [name]")].map((control) => control.name));
  const kept = [...new FormData(form)].filter(([name]) => !skipped.has(name));
  return JSON.stringify(kept.map(([name, value]) => [name, value instanceof File ? [value.name, value.size] : value]));
}

function handleTouch(event) {
  const form = event.target.form ?? event.target.closest?.("form");
  if (form && isGuarded(form) && !before.has(form)) before.set(form, content(form));
}

function isLost() {
  const isFaulty = document.querySelector("#main [data-changed]") !== null; // the server has shown the form again, unsaved
  if (isFaulty && !sent) return true;
  return [...before].some(([form, was]) => form.isConnected && form !== sent && content(form) !== was);
}

for (const kind of ["pointerdown", "focusin", "keydown"]) document.addEventListener(kind, handleTouch, true);

document.addEventListener("submit", (event) => {
  const target = event.submitter?.formTarget || event.target.target;
  if (!event.defaultPrevented && target !== "_blank" && isGuarded(event.target)) sent = event.target;
});

window.addEventListener("beforeunload", (event) => {
  if (isLost()) event.preventDefault();
  setTimeout(() => (sent = null)); // runs if the page stays
});
