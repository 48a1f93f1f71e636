// The library as a dialog: search, listen, take.
"use strict";

{
  let asker = null; // what the chosen recording is for
  let asked = 0;
  let pause = 0;

  const shelf = () => document.getElementById("shelf");

  async function fill() {
    const number = ++asked;
    const wanted = shelf().querySelector("[data-shelf-search]").value;
    const body = shelf().querySelector("[data-shelf-body]");
    try {
      const answer = await fetch(`${sounds.words().shelf}?q=${encodeURIComponent(wanted)}`, { headers: { "HX-Request": "true" } });
      if (!answer.ok || answer.redirected) throw new Error(sounds.words().gone);
      const text = await answer.text();
      if (number === asked) body.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    } catch (error) {
      body.textContent = error instanceof TypeError ? sounds.words().lost : error.message;
    }
  }

  document.addEventListener("click", async (event) => {
    const opener = event.target.closest("[data-shelf-open]");
    if (opener) {
      asker = sounds.holder(opener);
      shelf().querySelector("[data-shelf-search]").value = "";
      shelf().showModal();
      fill();
    }
    if (event.target.closest("[data-shelf-close]") || event.target === shelf()) shelf().close();
    const taken = event.target.closest("[data-shelf-take]");
    if (!taken) return;
    try {
      const answer = await fetch(taken.dataset.shelfTake);
      if (!answer.ok || answer.redirected) throw new Error(sounds.words().gone);
      sounds.choose(asker, await answer.text());
    } catch (error) {
      sounds.fault(asker, error instanceof TypeError ? sounds.words().lost : error.message);
    }
    shelf().close();
  });

  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-shelf-search]")) return;
    clearTimeout(pause);
    pause = setTimeout(fill, 200);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-shelf-search]")) event.preventDefault();
  });

  for (const button of document.querySelectorAll("[data-shelf-open]")) button.hidden = false;
  document.addEventListener("htmx:after:swap", () => {
    for (const button of document.querySelectorAll("[data-shelf-open]")) button.hidden = false;
  });
}
