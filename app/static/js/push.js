// The service worker of the panel, and this browser's subscription to notifications.

import { read, write } from "./storage.js";

const here = document.getElementById("here"); // has what the server says of this page's user and session
const subscribedSetting = `bazang.push.${here?.dataset.user ?? ""}`;
const noticesSetting = `bazang.notices.${here?.dataset.user ?? ""}`;

export function hasServiceWorker() {
  return window.isSecureContext && "serviceWorker" in navigator;
}

export function hasPush() {
  return hasServiceWorker() && "PushManager" in window && "Notification" in window;
}

// Whether the user wants to be notified by this browser in one way or another.
export function wantsNotices() {
  return read(noticesSetting) === "on";
}

export function setNotices(isOn) {
  write(noticesSetting, isOn ? "on" : "off");
}

// Whether notifications come to this browser also while no page is open.
export function isSubscribed() {
  return read(subscribedSetting) === here?.dataset.session;
}

export async function registration() {
  return hasServiceWorker() ? navigator.serviceWorker.ready : null;
}

export function register() {
  if (!here || !hasServiceWorker()) return;
  navigator.serviceWorker.register(here.dataset.worker).then(renew, () => {});
}

// Tell the server about this browser again after a log-in, since the former session took it along.
async function renew(worker) {
  if (!read(subscribedSetting) || isSubscribed() || !("PushManager" in window)) return;
  const subscription = await worker.pushManager.getSubscription();
  if (subscription) await send(subscription);
}

// Ask the browser's push service for a subscription with the office's key. Raises what the browser raises.
export async function subscribe(key) {
  const worker = await registration();
  const former = await worker.pushManager.getSubscription();
  if (former && keyOf(former) !== key) await former.unsubscribe();
  await send(await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
}

export async function unsubscribe() {
  write(subscribedSetting, "");
  const worker = await registration();
  await (await worker?.pushManager?.getSubscription())?.unsubscribe();
}

function keyOf(subscription) {
  return encode(subscription.options.applicationServerKey);
}

async function send(subscription) {
  const body = new URLSearchParams({
    endpoint: subscription.endpoint,
    p256dh: encode(subscription.getKey("p256dh")),
    auth: encode(subscription.getKey("auth")),
  });
  const headers = JSON.parse(document.body.getAttribute("hx-headers:inherited"));
  const answer = await fetch(here.dataset.subscribe, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(`refused: ${answer.status}`);
  write(subscribedSetting, here.dataset.session);
}

function encode(buffer) {
  const text = String.fromCharCode(...new Uint8Array(buffer ?? new ArrayBuffer(0)));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
