// Recording by phone: the telephone service rings an extension, and the card shows what happens until it is over.
"use strict";

{
  const EVERY = 700; // milliseconds
  const part = (place, name) => place.querySelector(`[data-${name}]`);

  async function ask(address, body = null) {
    const answer = await fetch(address, {
      method: body ? "POST" : "GET",
      headers: body ? { "X-CSRFToken": sounds.token() } : {},
      body,
    });
    const text = await answer.text();
    if (!answer.ok || !text.includes("data-state")) {
      throw new Error(sounds.explain(answer.status, answer.headers.get("Content-Type"), text));
    }
    return text;
  }

  function failed(place, error) {
    // fetch itself throws a TypeError when nobody answers
    sounds.fault(place, error instanceof TypeError ? sounds.words().lost : error.message);
    part(place, "ring").disabled = false;
  }

  async function ring(place) {
    const field = part(place, "extension-to-ring");
    const body = new FormData();
    if (!field.value.trim()) {
      sounds.fault(place, sounds.words().extension);
      field.focus();
      return;
    }
    body.set("extension", field.value);
    body.set("name", sounds.nameOf(place));
    body.set("language", sounds.languageOf(place));
    body.set("text", sounds.textOf(place));
    sounds.fault(place, "");
    part(place, "ring").disabled = true;
    try {
      show(place, await ask(sounds.words().ring, body));
    } catch (error) {
      failed(place, error);
    }
  }

  // Put what is known in place, if it says something new: who has its button under the finger keeps it.
  function show(place, html) {
    const shown = part(place, "call");
    const news = new DOMParser().parseFromString(html, "text/html").querySelector("[data-state]");
    const before = shown.querySelector("[data-state]");
    if (before?.dataset.state !== news.dataset.state || before.dataset.address !== news.dataset.address) {
      const focused = shown.contains(document.activeElement);
      shown.replaceChildren(document.importNode(news, true));
      if (focused) (part(place, "call-cancel") ?? part(place, "ring")).focus();
    }
    if ("over" in news.dataset) over(place, news);
    else setTimeout(() => look(place, news.dataset.address), EVERY);
  }

  async function look(place, address) {
    if (!place.isConnected) return;
    try {
      show(place, await ask(address));
    } catch (error) {
      if (!(error instanceof TypeError)) failed(place, error);
      else setTimeout(() => look(place, address), 3 * EVERY); // the call goes on although the panel is away
    }
  }

  async function over(place, news) {
    part(place, "ring").disabled = false;
    if (news.dataset.state !== "kept" || !news.dataset.digest) return;
    const answer = await fetch(`${sounds.words().take.replace(/take$/, news.dataset.digest)}/chosen`);
    if (answer.ok) sounds.choose(place, await answer.text());
    else sounds.fault(place, sounds.words().gone);
  }

  document.addEventListener("click", async (event) => {
    const wish = event.target.closest("[data-ring]");
    if (wish) ring(sounds.holder(wish));
    const end = event.target.closest("[data-call-cancel]");
    if (!end) return;
    end.disabled = true;
    try {
      await ask(end.dataset.callCancel, new FormData()); // the look that is due shows it
    } catch (error) {
      failed(sounds.holder(end), error);
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches("[data-extension-to-ring]")) return;
    event.preventDefault(); // it rings, and does not save the form around it
    const place = sounds.holder(event.target);
    if (!part(place, "ring").disabled) ring(place);
  });
}
