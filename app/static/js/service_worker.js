// The service worker of the panel. The server puts CONFIG before it (app/web/browser.py).
//
// It keeps the offline page and the files that this page needs, and nothing else: no page of the panel, no answer of it.

self.addEventListener("install", (event) => event.waitUntil(keepFiles()));

async function keepFiles() {
  const cache = await caches.open(CONFIG.cache);
  const files = CONFIG.files.map((url) => new Request(url, { credentials: "omit", cache: "reload" }));
  await cache.addAll(files);
  await self.skipWaiting();
}

self.addEventListener("activate", (event) => event.waitUntil(forgetFormer()));

async function forgetFormer() {
  const former = (await caches.keys()).filter((name) => name.startsWith("bazang-") && name !== CONFIG.cache);
  await Promise.all(former.map((name) => caches.delete(name)));
  await self.clients.claim();
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") event.respondWith(fetch(request).catch(() => kept(CONFIG.offline)));
  else if (isKept(request.url)) event.respondWith(kept(request));
});

function isKept(address) {
  const url = new URL(address);
  const path = url.pathname + url.search;
  return url.origin === self.location.origin && path !== CONFIG.offline && CONFIG.files.includes(path);
}

async function kept(request) {
  const cache = await caches.open(CONFIG.cache);
  return (await cache.match(request)) ?? fetch(request);
}

// -- notifications --------------------------------------------------------------------------------------------------

const PERSIAN = "۰۱۲۳۴۵۶۷۸۹";

self.addEventListener("push", (event) => event.waitUntil(show(event.data)));

// A browser demands that each push shows something, so one that cannot be read does, too.
async function show(data) {
  const message = read(data);
  const texts = CONFIG.texts[message.locale] ?? CONFIG.texts.en;
  await self.registration.showNotification(texts[message.kind] ?? texts.other, {
    body: describe(message, texts),
    lang: message.locale,
    dir: message.locale === "fa" ? "rtl" : "ltr",
    tag: message.key,
    icon: CONFIG.icon,
    badge: CONFIG.badge,
    data: { url: Number.isInteger(message.request) ? `${requests(message.exchange)}/${message.request}` : CONFIG.home },
  });
}

// Another exchange than the first has its code in the addresses, as in app/web/url_prefix.py.
function requests(exchange) {
  if (!/^[a-z][a-z0-9]{0,19}$/.test(exchange ?? "")) return CONFIG.requests;
  return `${CONFIG.home}x/${exchange}${CONFIG.requests.slice(CONFIG.home.length - 1)}`;
}

function read(data) {
  try {
    return data.json();
  } catch {
    return {};
  }
}

function describe(message, texts) {
  const parts = [];
  if (message.kind === "test") parts.push(texts.test_body);
  if (message.exchange_name) parts.push(String(message.exchange_name));
  if (message.target) parts.push(fill(message.queue ? texts.queue : texts.extension, message.target, message.locale));
  if (message.name) parts.push(String(message.name));
  if (message.number) parts.push(fill(texts.number, message.number, message.locale));
  if (message.kind === "failed") parts.push(fill(texts.attempts, message.attempts, message.locale));
  return parts.join("\n");
}

function fill(text, value, locale) {
  const shown = String(value);
  const local = locale === "fa" ? shown.replace(/\d/g, (digit) => PERSIAN[Number(digit)]) : shown;
  return text.replace("#", () => `\u2068${local}\u2069`); // set apart, so that a number is not turned round
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.url ?? CONFIG.home));
});

async function open(url) {
  const windows = await self.clients.matchAll({ type: "window" });
  const [first] = windows.filter((client) => "navigate" in client);
  if (!first) return self.clients.openWindow(url);
  await first.focus();
  return first.navigate(url);
}
