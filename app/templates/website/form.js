// The form of a website by which visitors ask for a call. It needs nothing else, and stores nothing in the browser.
(() => {
  "use strict";
  const config = {{ config }};
  const script = document.currentScript;
  if (!script) return;
  const base = new URL(script.src).origin;
  const texts = config.texts;

  const add = (parent, name, attributes = {}, text = "") => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    parent.append(element);
    return element;
  };

  const form = document.createElement("form");
  form.className = "bazang";
  form.lang = config.language;
  form.dir = config.direction;
  form.noValidate = true;
  form.setAttribute("aria-label", texts.title);
  script.after(form);
  if (!config.registers) {
    add(form, "p", {}, texts.unavailable);
    return;
  }

  const field = (name, label, attributes, tag = "input") => {
    const row = add(form, "p");
    const around = add(row, "label", {}, `${label} `);
    return add(around, tag, { name, ...attributes });
  };
  const number = field("number", texts.number, {
    type: "tel", required: "", maxlength: "40", autocomplete: "tel", dir: "ltr",
  });
  const name = config.asksName ? field("name", texts.name, { maxlength: "80", autocomplete: "name", dir: "auto" }) : null;
  const time = config.times.length ? field("time", texts.time, {}, "select") : null;
  for (const [key, label] of config.times) add(time, "option", { value: key }, label);
  const trap = add(form, "div", { "aria-hidden": "true" });
  Object.assign(trap.style, { position: "absolute", insetInlineStart: "-10000px", height: "1px", overflow: "hidden" });
  const bait = add(trap, "input", { name: config.honeypot, tabindex: "-1", autocomplete: "off", "aria-label": "-" });
  if (texts.privacy) add(form, "p", { class: "bazang-privacy" }, texts.privacy);
  const button = add(add(form, "p"), "button", { type: "submit" }, texts.send);
  const message = add(form, "p", { role: "status", class: "bazang-message" });

  const call = async (path, options) => {
    const response = await fetch(base + path, { credentials: "omit", ...options });
    const content = await response.json();
    return { ok: response.ok, content };
  };

  const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

  // Find the number of a puzzle. Some digests are computed at a time, so that the page stays usable.
  const solve = async ({ salt, digest, size }) => {
    const encoder = new TextEncoder();
    const step = 200;
    for (let first = 0; first < size; first += step) {
      const numbers = Array.from({ length: Math.min(step, size - first) }, (_, index) => first + index);
      const found = await Promise.all(
        numbers.map((each) => crypto.subtle.digest("SHA-256", encoder.encode(`${salt}:${each}`))),
      );
      const place = found.findIndex((each) => hex(each) === digest);
      if (place >= 0) return first + place;
    }
    throw new Error("no solution");
  };

  const prepare = async () => {
    const { ok, content } = await call(config.challenge);
    if (!ok) throw new Error(content.message);
    const since = performance.now();
    const solution = await solve(content);
    const rest = config.fastest + 200 - (performance.now() - since);
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    return { token: content.token, solution };
  };

  // The puzzle is solved while the visitor types.
  let prepared = null;
  const begin = () => {
    if (prepared === null) {
      prepared = prepare();
      prepared.catch(() => {});
    }
    return prepared;
  };
  if (globalThis.crypto?.subtle) form.addEventListener("focusin", begin, { once: true });

  const send = async () => {
    const answer = await begin();
    prepared = null; // an answer is good for one try
    return call(config.requests, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        number: number.value,
        name: name ? name.value : "",
        time: time ? time.value : "",
        [config.honeypot]: bait.value,
        ...answer,
      }),
    });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!globalThis.crypto?.subtle) {
      message.textContent = texts.insecure;
      return;
    }
    button.disabled = true;
    message.textContent = texts.sending;
    number.removeAttribute("aria-invalid");
    try {
      let { ok, content } = await send();
      if (!ok && ["expired", "replayed"].includes(content.code)) ({ ok, content } = await send());
      message.textContent = content.message;
      if (ok) form.querySelectorAll("p:not([role])").forEach((each) => each.remove());
      else if (content.errors?.number) {
        number.setAttribute("aria-invalid", "true");
        number.focus();
      }
    } catch {
      prepared = null;
      message.textContent = texts.failed;
    }
    button.disabled = false;
  });
})();
