// Listen to sounds that are not saved yet.

import { errorMessage, fetchErrorMessage } from "./sound_form.js";

// Return a request body with what the sounds of the form have in common.
export function speechBody(form) {
  const body = new FormData();
  for (const name of ["csrf_token", "language", "voice", "rate", "pitch", "office_name", "offer_key"]) {
    body.set(name, form.elements.namedItem(name)?.value ?? "");
  }
  return body;
}

// Fetch a sound as a blob. Throws an Error with a message, or fetch()'s TypeError if there is no response.
export async function fetchSound(url, body) {
  const response = await fetch(url, { method: "POST", body });
  const type = response.headers.get("Content-Type");
  if (response.ok && type?.startsWith("audio/")) return response.blob();
  throw new Error(errorMessage(response.status, type, await response.text()));
}

// Return the message for an error of fetchSound(), `failed` for one of an audio element, "" if the sound was only
// interrupted.
export function soundErrorMessage(error, failed) {
  if (error.name === "AbortError") return "";
  return error instanceof DOMException ? failed : fetchErrorMessage(error);
}
