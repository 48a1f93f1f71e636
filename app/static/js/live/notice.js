// Show a notification when a request arrives while a page of the panel is open but not looked at. A browser to which
// notifications are sent gets them anyway.

import { isSubscribed, registration, wantsNotices } from "../push.js";

export function showsNotices() {
  return wantsNotices() && !isSubscribed() && "Notification" in window && Notification.permission === "granted";
}

export async function notice() {
  if (!showsNotices() || !document.hidden) return;
  const { arrived, page, icon } = document.getElementById("here").dataset;
  const worker = await registration();
  await worker?.showNotification(arrived, { tag: "arrived", icon, data: { url: page } });
}
