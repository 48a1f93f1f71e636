// Sounds that are taken in: files by a button or dropped, with progress; and one player at a time.
// What holds such parts carries data-sounds. When a recording is chosen there, the event "sound:chosen" tells of it:
// its detail is the part of a page that shows it, with the recording's data.
"use strict";

const sounds = (() => {
  const words = () => document.getElementById("sound-words").dataset;
  const holder = (element) => element.closest("[data-sounds]");

  function token() {
    return document.querySelector("[name=csrf_token]").value;
  }

  // -- what is said beside the parts ---------------------------------------------------------------------------

  function fault(place, text) {
    const said = place.querySelector("[data-fault]");
    said.textContent = text;
    said.hidden = !text;
  }

  function work(place, text, share = null) {
    const part = place.querySelector("[data-work]");
    part.hidden = !text;
    part.querySelector("[data-work-text]").textContent = text;
    const bar = part.querySelector("progress");
    if (share === null) bar.removeAttribute("value");
    else bar.value = share * 100;
  }

  function choose(place, html) {
    fault(place, "");
    const shown = new DOMParser().parseFromString(html, "text/html").querySelector(".chosen");
    place.dispatchEvent(new CustomEvent("sound:chosen", { bubbles: true, detail: document.importNode(shown, true) }));
  }

  // What it is called in the library: what it is for, and the module or what was typed.
  function nameOf(place) {
    const typed = place.querySelector("[data-sound-name]")?.value.trim();
    const module = place.closest("form")?.elements.namedItem("code") ? place.closest("form").elements.namedItem("name")?.value.trim() : "";
    return [...(typed || [place.dataset.name, module].filter(Boolean).join(" – "))].slice(0, 80).join("");
  }

  function languageOf(place) {
    return place.closest("form")?.elements.namedItem("language")?.value || place.dataset.language || document.documentElement.lang;
  }

  function textOf(place) {
    return place.querySelector("[data-text]")?.value ?? place.dataset.says ?? "";
  }

  // -- sending -------------------------------------------------------------------------------------------------

  // What an answer that is no success says in words; a page in place of a sentence means that we were logged out.
  function explain(status, type, text) {
    if (status === 413) return words().tooLarge;
    if (status === 422 && type?.startsWith("text/plain")) return text;
    return status === 0 || status >= 500 ? words().lost : words().gone;
  }

  const underWay = new WeakMap(); // place -> what is being sent for it: a newer wish ends the older one

  function send(place, file, name, origin) {
    if (file.size > Number(words().maxBytes)) {
      fault(place, words().tooLarge);
      return Promise.resolve(false);
    }
    const body = new FormData();
    body.set("origin", origin);
    if (name) body.set("name", name);
    body.set("sound", file, file.name || name);
    fault(place, "");
    work(place, words().sending, 0);
    const before = underWay.get(place);
    return new Promise((done) => {
      const request = new XMLHttpRequest();
      underWay.set(place, request);
      before?.abort();
      request.open("POST", words().take);
      request.setRequestHeader("X-CSRFToken", token());
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable && event.loaded < event.total) work(place, words().sending, event.loaded / event.total);
      });
      request.upload.addEventListener("load", () => work(place, words().converting));
      request.addEventListener("loadend", () => {
        if (underWay.get(place) !== request) {
          done(false);
          return;
        }
        work(place, "");
        const kept = request.status === 200 && request.responseText.includes("data-digest");
        if (kept) {
          choose(place, request.responseText);
          document.getElementById("announcement").textContent = words().taken;
        } else {
          fault(place, explain(request.status, request.getResponseHeader("Content-Type"), request.responseText));
        }
        done(kept);
      });
      request.send(body);
    });
  }

  async function upload(field) {
    const file = field.files[0];
    if (!file) return;
    await send(holder(field), file, holder(field).querySelector("[data-sound-name]")?.value.trim() ?? "", "upload");
    if (field.files[0] === file) field.value = ""; // it is kept, or refused: the form need not bring it again
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-upload]") && holder(event.target)) upload(event.target);
  });

  // -- dropping ------------------------------------------------------------------------------------------------

  const bringsFiles = (event) => event.dataTransfer?.types.includes("Files");
  // A whole card takes what is dropped on it: nobody has to aim.
  const target = (event) => holder(event.target)?.querySelector("[data-drop]") ?? null;

  function mark(zone) {
    for (const other of document.querySelectorAll(".dropping")) if (other !== zone) other.classList.remove("dropping");
    zone?.classList.add("dropping");
  }

  document.addEventListener("dragover", (event) => {
    if (!bringsFiles(event) || !document.getElementById("sound-words")) return;
    event.preventDefault(); // also beside a card, where the browser would leave the page for the file
    const zone = target(event);
    event.dataTransfer.dropEffect = zone ? "copy" : "none";
    mark(zone);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(null);
  });
  document.addEventListener("drop", (event) => {
    if (!bringsFiles(event) || !document.getElementById("sound-words")) return;
    event.preventDefault();
    mark(null);
    const zone = target(event);
    if (!zone || !event.dataTransfer.files.length) return;
    const field = zone.querySelector("[data-upload]");
    holder(zone).dispatchEvent(new CustomEvent("sound:dropped", { bubbles: true }));
    field.files = event.dataTransfer.files;
    upload(field);
  });

  // -- one player at a time, and buttons that play -------------------------------------------------------------

  document.addEventListener(
    "play",
    (event) => {
      for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
      if (event.target !== small) small.pause();
    },
    true,
  );

  const small = new Audio(); // of the buttons without a player of their own
  let pressed = null;

  function picture(link, name) {
    const use = link?.querySelector("use");
    if (use) use.setAttribute("href", use.getAttribute("href").replace(/#.*$/, `#${name}`));
  }

  function rest() {
    picture(pressed, "player-play");
    pressed = null;
  }

  for (const ending of ["ended", "pause", "error"]) small.addEventListener(ending, rest);

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-play]");
    if (!link) return;
    event.preventDefault();
    if (pressed === link) {
      small.pause();
      return;
    }
    small.pause();
    rest();
    for (const other of document.querySelectorAll("audio")) other.pause();
    pressed = link;
    picture(link, "player-stop");
    small.src = link.href;
    try {
      await small.play();
    } catch (error) {
      if (error.name !== "AbortError") document.getElementById("announcement").textContent = words().unplayable;
    }
  });

  return { words, holder, token, fault, work, choose, nameOf, languageOf, textOf, send, explain };
})();
