// Listen to sounds that are not saved yet.

// Return a request body with the form's language, voice, rate and pitch.
export function speechBody(form) {
  const body = new FormData();
  for (const name of ["csrf_token", "language", "voice", "rate", "pitch"]) {
    body.set(name, form.elements.namedItem(name)?.value ?? "");
  }
  return body;
}

// Fetch a sound as a blob. Throws an Error with the server's message, or `failed` if there is none.
export async function fetchSound(url, body, failed) {
  let response;
  try {
    response = await fetch(url, { method: "POST", body });
  } catch {
    throw new Error(failed);
  }
  const type = response.headers.get("Content-Type") ?? "";
  if (response.ok && type.startsWith("audio/")) return response.blob();
  throw new Error(response.status === 422 && type.startsWith("text/plain") ? await response.text() : failed);
}

// Return the message for an error of fetchSound() or of an audio element, "" if the sound was only interrupted.
export function soundErrorMessage(error, failed) {
  if (error.name === "AbortError") return "";
  return error.name === "Error" ? error.message : failed;
}
