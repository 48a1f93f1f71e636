// The set-up: how good a password is, the time zone of this browser, and what belongs to the chosen template.
"use strict";

// -- the password --------------------------------------------------------------------------------------------

function strength(password) {
  if ([...password].length < 8) return "short";
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^a-zA-Z\d]/].filter((kind) => kind.test(password)).length;
  const worth = new Set(password).size + 2 * kinds;
  return worth < 11 ? "weak" : worth < 17 ? "good" : "strong";
}

document.addEventListener("input", (event) => {
  const hint = document.querySelector("[data-strength]");
  if (!hint || event.target.id !== hint.dataset.strength) return;
  const found = strength(event.target.value);
  hint.hidden = event.target.value === "";
  hint.textContent = hint.dataset[found];
  hint.className = `strength strength-${found}`;
});

// -- the time zone -------------------------------------------------------------------------------------------

const guess = document.querySelector("[data-guess-zone]");
if (guess) {
  const zones = document.getElementById(guess.dataset.guessZone);
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // A browser that keeps its zone to itself says UTC.
  if (here !== "UTC" && [...zones.options].some((option) => option.value === here)) zones.value = here;
}

// -- the template --------------------------------------------------------------------------------------------

function followTemplate(renamed) {
  const chosen = document.querySelector("input[name=template]:checked");
  for (const part of document.querySelectorAll("[data-for-template]")) {
    part.hidden = !chosen || !part.dataset.forTemplate.split(" ").includes(chosen.value);
  }
  const name = document.getElementById("name");
  const proposals = [...document.querySelectorAll("[data-name]")].map((choice) => choice.dataset.name);
  if (renamed && name && proposals.includes(name.value)) name.value = chosen.dataset.name;
}

document.addEventListener("change", (event) => {
  if (event.target.name === "template") followTemplate(true);
});
followTemplate(false);
