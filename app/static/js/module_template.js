// Show the fields of the chosen template, and propose its name for the module.

const name = document.getElementById("name");
const templates = [...document.querySelectorAll("input[name=template]")];
const proposedNames = templates.map((template) => template.dataset.name);

function showFields() {
  const chosen = templates.find((template) => template.checked);
  for (const part of document.querySelectorAll("[data-for-template]")) {
    part.hidden = !chosen || !part.dataset.forTemplate.split(" ").includes(chosen.value);
  }
}

for (const template of templates) {
  template.addEventListener("change", () => {
    showFields();
    if (proposedNames.includes(name.value)) name.value = template.dataset.name;
  });
}
showFields();
