// A checkbox that shows a secret while it is being typed. A stored secret is never on the page.

function makeRevealable(secret) {
  const label = document.createElement("label");
  label.className = "form-check reveal-secret";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.className = "form-check-input";
  box.addEventListener("change", () => { secret.type = box.checked ? "text" : "password"; });
  label.append(box, document.createTextNode(secret.dataset.revealable));
  label.hidden = true;
  secret.addEventListener("input", () => { label.hidden = secret.value === ""; });
  secret.after(label);
}

document.querySelectorAll("[data-revealable]").forEach(makeRevealable);
