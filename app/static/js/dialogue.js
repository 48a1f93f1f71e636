// The whole dialogue, of what is in the form now: its prompts are made one after the other, then put together.
"use strict";

{
  let made = 0; // counts the wishes: an older one that comes late plays nothing

  function fields(form, prompt) {
    const key = prompt.dataset.prompt;
    return ["mode", "text", "file"].map((name) => {
      const control = form.elements.namedItem(`prompt_${key}_${name}`);
      return [name, control?.value ?? ""];
    });
  }

  // What of the form is played: unsaved texts and recordings included.
  function whole(form, way) {
    const body = cards.manner(form);
    body.set("way", way);
    for (const prompt of form.querySelectorAll("[data-prompt]")) {
      for (const [name, value] of fields(form, prompt)) body.set(`prompt_${prompt.dataset.prompt}_${name}`, value);
    }
    return body;
  }

  // The prompts that have to be spoken first, which is what takes its time.
  function spoken(form) {
    return [...form.querySelectorAll("[data-prompt]")].filter(
      (prompt) => cards.modeOf(prompt) === "speech" && prompt.querySelector("[data-text]").value.trim(),
    );
  }

  function single(form, prompt) {
    const body = cards.manner(form);
    body.set("key", prompt.dataset.prompt);
    for (const [name, value] of fields(form, prompt)) body.set(name, value);
    return body;
  }

  async function play(part) {
    const form = part.form ?? part.closest("form");
    const number = ++made;
    const audio = part.querySelector("audio");
    const work = part.querySelector("[data-dialogue-work]");
    const bar = work.querySelector("progress");
    const button = part.querySelector("[data-dialogue-play]");
    const says = part.querySelector("[data-dialogue-says]");
    const prompts = spoken(form);
    const preview = document.querySelector("[data-preview]").dataset.preview;
    button.disabled = true;
    audio.pause();
    audio.hidden = true;
    says.textContent = "";
    work.querySelector("span").textContent = part.dataset.making;
    work.hidden = false;
    bar.max = prompts.length + 2;
    bar.value = 0;
    try {
      for (const prompt of prompts) {
        try {
          await cards.fetchSound(preview, single(form, prompt), part.dataset.failed);
        } catch (error) {
          throw new Error(`${prompt.dataset.name}: ${error.message}`);
        }
        bar.value += 1;
      }
      const sound = await cards.fetchSound(part.dataset.dialogue, whole(form, form.elements.way.value), part.dataset.failed);
      if (number !== made) return;
      if (audio.src) URL.revokeObjectURL(audio.src);
      audio.src = URL.createObjectURL(sound);
      audio.hidden = false;
      await audio.play();
    } catch (error) {
      if (error.name !== "AbortError") says.textContent = error.name === "Error" ? error.message : part.dataset.failed;
    } finally {
      work.hidden = true;
      button.disabled = false;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-dialogue-play]");
    if (button) play(button.closest("[data-dialogue]"));
  });

  // What was made before a change is not what callers will hear.
  function outdate(event) {
    const form = event.target.form;
    const part = form?.querySelector("[data-dialogue]");
    if (!part || part.querySelector("audio").hidden) return;
    const name = event.target.name ?? "";
    if (!name.startsWith("prompt_") && !["language", "voice", "rate", "pitch", "way"].includes(name)) return;
    part.querySelector("[data-dialogue-says]").textContent = name === "way" ? "" : part.dataset.stale;
    if (name !== "way") return;
    part.querySelector("audio").pause(); // it is the other way's
    part.querySelector("audio").hidden = true;
  }

  document.addEventListener("change", outdate);
  document.addEventListener("input", outdate);

  for (const part of document.querySelectorAll("[data-dialogue]")) part.hidden = false;
}
