// Messages about what was done (data-toast). One that is no warning goes after a while, but not while somebody points at
// it or has the focus in it. Without scripts, messages are ordinary parts of the page.

const LASTS = 10_000; // milliseconds
const MOST = 4;

const timers = new WeakMap();

function isInUse(toast) {
  return toast.matches(":hover") || toast.contains(document.activeElement);
}

function close(toast) {
  clearTimeout(timers.get(toast));
  const hadFocus = toast.contains(document.activeElement);
  toast.remove();
  if (hadFocus) document.getElementById("main")?.focus({ preventScroll: true });
}

function start(toast) {
  clearTimeout(timers.get(toast));
  if (toast.getAttribute("role") === "alert") return; // a warning stays until it is closed
  timers.set(
    toast,
    setTimeout(() => (isInUse(toast) ? start(toast) : close(toast)), LASTS),
  );
}

function toasts() {
  return [...document.querySelectorAll("#message [data-toast]")];
}

function update() {
  const shown = toasts();
  for (const toast of shown.slice(0, -MOST)) if (!isInUse(toast)) close(toast);
  for (const toast of shown) if (!timers.has(toast)) start(toast);
}

for (const kind of ["pointerout", "focusout"]) {
  document.addEventListener(kind, (event) => {
    const toast = event.target.closest?.("[data-toast]");
    if (toast && !toast.contains(event.relatedTarget)) start(toast);
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-closes-toast]");
  if (button) close(button.closest("[data-toast]"));
});

// What was undone needs no undo any more. HTMX swaps nothing for a form that has gone, so it stays until then.
document.addEventListener("htmx:finally:request", (event) => {
  const toast = event.detail.ctx?.sourceElement?.closest?.("[data-toast]");
  if (toast && event.detail.ctx.response?.status < 400) close(toast);
});

document.addEventListener("keydown", (event) => {
  const toast = event.key === "Escape" && document.activeElement?.closest("[data-toast]");
  if (toast) close(toast);
});

document.addEventListener("htmx:after:swap", update);
update();
