// Say how strong a password is while it is being typed.

function strengthOf(password) {
  if ([...password].length < 8) return "short";
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^a-zA-Z\d]/].filter((kind) => kind.test(password)).length;
  const points = new Set(password).size + 2 * kinds;
  if (points < 11) return "weak";
  return points < 17 ? "good" : "strong";
}

for (const hint of document.querySelectorAll("[data-strength]")) {
  const field = document.getElementById(hint.dataset.strength);
  field.addEventListener("input", () => {
    const strength = strengthOf(field.value);
    hint.hidden = field.value === "";
    hint.textContent = hint.dataset[strength];
    hint.className = `strength strength-${strength}`;
  });
}
