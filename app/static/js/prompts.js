// The cards of a module's prompts: what belongs to a mode, the voice, listening before saving, the default and back.
"use strict";

const cards = (() => {
  const card = (element) => element.closest("[data-prompt]");
  const modeOf = (prompt) => prompt.querySelector("[data-mode]:checked")?.value ?? "";
  const part = (prompt, name) => prompt.querySelector(`[data-${name}]`);

  // -- what belongs to a mode ----------------------------------------------------------------------------------

  function followMode(prompt) {
    const mode = modeOf(prompt);
    for (const piece of prompt.querySelectorAll("[data-for-mode]")) {
      piece.hidden = !piece.dataset.forMode.split(" ").includes(mode);
    }
    part(prompt, "preview").hidden = mode !== "speech" || !part(prompt, "text").value.trim(); // nothing is played
    const label = part(prompt, "text-label");
    label.textContent = ["file", "record"].includes(mode) ? label.dataset.recorded : label.dataset.spoken;
    part(prompt, "restore").hidden = isDefault(prompt);
  }

  function isDefault(prompt) {
    return modeOf(prompt) === "speech" && part(prompt, "text").value.trim() === defaultText(prompt);
  }

  function defaultText(prompt) {
    const { defaultFa, defaultEn } = part(prompt, "text").dataset;
    return prompt.closest("form").elements.language.value === "fa" ? defaultFa : defaultEn;
  }

  // Show the sound that the card stands for, or none.
  function play(prompt, address, download = address) {
    const player = part(prompt, "player");
    const audio = player.querySelector("audio");
    if (audio.src.startsWith("blob:")) URL.revokeObjectURL(audio.src);
    player.hidden = !address;
    if (!address) {
      audio.removeAttribute("src");
      audio.load();
      return audio;
    }
    audio.src = address;
    const link = player.querySelector("[data-download]");
    if (link) {
      link.href = download;
      if (address.startsWith("blob:")) link.download = link.dataset.download;
      else link.removeAttribute("download");
    }
    return audio;
  }

  function showRecording(prompt) {
    const sound = part(prompt, "chosen").querySelector("[data-sound]")?.dataset.sound;
    play(prompt, sound ?? "", sound ? `${sound}?download=1` : "");
  }

  function refresh(prompt) {
    followMode(prompt);
    if (["file", "record"].includes(modeOf(prompt))) showRecording(prompt);
    else play(prompt, "");
  }

  // -- the language and the voice ------------------------------------------------------------------------------

  // A text that nobody has changed follows the language of the module, and so do the voices.
  function translate(form) {
    const language = form.elements.language.value;
    for (const text of form.querySelectorAll("[data-default-fa]")) {
      const defaults = [text.dataset.defaultFa, text.dataset.defaultEn];
      if (defaults.includes(text.value.trim())) {
        text.value = language === "fa" ? text.dataset.defaultFa : text.dataset.defaultEn;
      }
    }
    offerVoices(form);
  }

  const groups = new WeakMap(); // of a choice of voices: all its groups, also those that are not on offer now

  function offerVoices(form) {
    const voice = form.elements.voice;
    if (!voice) return;
    if (!groups.has(voice)) groups.set(voice, [...voice.querySelectorAll("optgroup")]);
    const chosen = voice.selectedOptions[0];
    for (const group of groups.get(voice)) {
      const language = group.querySelector("[data-language]")?.dataset.language;
      if (!language || language === form.elements.language.value) voice.append(group);
      else group.remove();
    }
    if (!voice.contains(chosen)) voice.value = "";
    followVoice(form);
  }

  function followVoice(form) {
    document.getElementById("no-pitch").hidden = !form.elements.voice.selectedOptions[0]?.dataset.noPitch;
  }

  // -- listening before saving ---------------------------------------------------------------------------------

  // How the form speaks now.
  function manner(form) {
    const body = new FormData();
    for (const name of ["csrf_token", "language", "voice", "rate", "pitch"]) body.set(name, form.elements.namedItem(name)?.value ?? "");
    return body;
  }

  async function fetchSound(address, body, failed) {
    let answer;
    try {
      answer = await fetch(address, { method: "POST", body });
    } catch {
      throw new Error(failed);
    }
    const type = answer.headers.get("Content-Type") ?? "";
    if (answer.ok && type.startsWith("audio/")) return answer.blob();
    throw new Error(answer.status === 422 && type.startsWith("text/plain") ? await answer.text() : failed);
  }

  async function preview(button) {
    const place = card(button) ?? button.closest(".listen");
    const problem = place.querySelector(".preview-error");
    const body = manner(button.form);
    body.set("key", button.dataset.key);
    body.set("text", "sample" in button.dataset ? "" : part(place, "text").value);
    problem.textContent = "";
    button.disabled = true;
    try {
      const sound = await fetchSound(button.dataset.preview, body, button.dataset.failed);
      await play(place, URL.createObjectURL(sound)).play();
    } catch (error) {
      if (error.name !== "AbortError") problem.textContent = error.name === "Error" ? error.message : button.dataset.failed;
    } finally {
      button.disabled = false;
    }
  }

  // -- the default, and back -----------------------------------------------------------------------------------

  const before = new WeakMap();

  function choose(prompt, mode) {
    prompt.querySelector(`[data-mode][value=${mode}]`).checked = true;
  }

  function restore(prompt) {
    const [text, file, name, chosen] = ["text", "file-field", "name-field", "chosen"].map((name) => part(prompt, name));
    before.set(prompt, { mode: modeOf(prompt), text: text.value, file: file.value, name: name.value, chosen: [...chosen.childNodes] });
    choose(prompt, "speech");
    text.value = defaultText(prompt);
    file.value = name.value = "";
    chosen.replaceChildren();
    sounds.fault(prompt, "");
    refresh(prompt);
    const undo = part(prompt, "undo");
    undo.hidden = false;
    undo.focus();
    document.getElementById("announcement").textContent = undo.dataset.restored;
    changed(prompt);
  }

  function undo(prompt) {
    const was = before.get(prompt);
    before.delete(prompt);
    choose(prompt, was.mode);
    part(prompt, "text").value = was.text;
    part(prompt, "file-field").value = was.file;
    part(prompt, "name-field").value = was.name;
    part(prompt, "chosen").replaceChildren(...was.chosen);
    part(prompt, "undo").hidden = true;
    refresh(prompt);
    prompt.querySelector("[data-mode]:checked").focus();
    document.getElementById("announcement").textContent = part(prompt, "undo").dataset.undone;
    changed(prompt);
  }

  // Who listens to the form learns that a script has changed it.
  function changed(prompt) {
    part(prompt, "file-field").dispatchEvent(new Event("change", { bubbles: true }));
  }

  // -- what happens --------------------------------------------------------------------------------------------

  document.addEventListener("sound:chosen", (event) => {
    const prompt = card(event.target);
    if (!prompt) return;
    const shown = event.detail;
    if (!["file", "record"].includes(modeOf(prompt))) choose(prompt, shown.dataset.origin === "upload" ? "file" : "record");
    part(prompt, "file-field").value = shown.dataset.file;
    part(prompt, "name-field").value = shown.dataset.name;
    part(prompt, "chosen").replaceChildren(shown);
    part(prompt, "undo").hidden = true;
    refresh(prompt);
    changed(prompt);
  });

  document.addEventListener("sound:dropped", (event) => {
    const prompt = card(event.target);
    if (!prompt) return;
    choose(prompt, "file");
    refresh(prompt);
  });

  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (!form?.elements.language || !form.querySelector("[data-prompt]")) return;
    if (event.target.name === "language") translate(form);
    if (event.target.name === "voice") followVoice(form);
    if (event.target.matches("[data-mode]")) refresh(card(event.target));
    else if (["language", "voice", "rate", "pitch"].includes(event.target.name)) {
      for (const prompt of form.querySelectorAll("[data-prompt]")) if (modeOf(prompt) === "speech") refresh(prompt);
    }
  });

  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-prompt] [data-text]")) return;
    const prompt = card(event.target);
    followMode(prompt);
    part(prompt, "undo").hidden = true;
    if (modeOf(prompt) === "speech") play(prompt, ""); // what could be heard is not this text
  });

  document.addEventListener("click", (event) => {
    const listen = event.target.closest("[data-preview]");
    if (listen) preview(listen);
    const restored = event.target.closest("[data-restore]");
    if (restored) restore(card(restored));
    const undone = event.target.closest("[data-undo]");
    if (undone) undo(card(undone));
  });

  function prepare() {
    for (const sample of document.querySelectorAll("[data-preview][data-sample]")) sample.hidden = false;
    for (const prompt of document.querySelectorAll("[data-prompt]")) followMode(prompt);
    for (const form of document.forms) if (form.querySelector("[data-prompt]")) offerVoices(form);
  }

  document.addEventListener("htmx:after:swap", prepare);
  prepare();
  return { manner, fetchSound, modeOf };
})();
