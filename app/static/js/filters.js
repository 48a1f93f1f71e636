// Forms that filter their page (components/filters.html): the address names only the filters that have a value.

document.addEventListener("htmx:config:request", (event) => {
  const { request, sourceElement } = event.detail.ctx;
  if (!sourceElement.matches("form[data-short]")) return;
  for (const name of new Set(request.body.keys())) {
    if (request.body.getAll(name).every((value) => value === "")) request.body.delete(name);
  }
});
