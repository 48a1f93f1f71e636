// Record with the browser's microphone: show the level and the time, listen, record again, save.

import { localDigits } from "../digits.js";
import { findPart, findSoundForm, recordingName, showError, texts } from "./sound_form.js";
import { uploadSound } from "./upload.js";

const MIME_TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
// Name of a getUserMedia() error -> name of its text
const ERRORS = {
  NotAllowedError: "microphoneRefused",
  SecurityError: "microphoneRefused",
  NotFoundError: "noMicrophone",
  OverconstrainedError: "noMicrophone",
  NotReadableError: "microphoneBusy",
  AbortError: "microphoneBusy",
};
const SILENCE_LEVEL = 0.004; // of full scale: a microphone that is switched off is below it
const SILENCE_SECONDS = 3; // after this time a silent microphone is reported

const recordings = new WeakMap(); // sound form -> the recorded blob, until it is saved
let active = null; // the recording in progress

function showStatus(soundForm, text) {
  findPart(soundForm, "recorder-status").textContent = text;
}

// Show the controls of a step: "ready", "recording" or "recorded".
function showStep(soundForm, step) {
  findPart(soundForm, "record").hidden = step !== "ready";
  findPart(soundForm, "record-stop").hidden = step !== "recording";
  soundForm.querySelector("meter").hidden = step !== "recording";
  findPart(soundForm, "time").hidden = step !== "recording";
  findPart(soundForm, "recorded").hidden = step !== "recorded";
}

// Return the name of the text that says why recording is impossible, "" if it is possible.
function findObstacle() {
  if (!navigator.mediaDevices?.getUserMedia) return window.isSecureContext ? "noRecorder" : "insecure";
  return typeof MediaRecorder === "undefined" ? "noRecorder" : "";
}

function formatTime(seconds) {
  const format = (number) => String(Math.floor(number)).padStart(2, "0");
  return localDigits(`${format(seconds / 60)}:${format(seconds % 60)}`);
}

// -- recording -----------------------------------------------------------------------------------------------

async function record(soundForm) {
  if (active) stop();
  const obstacle = findObstacle();
  if (obstacle) {
    showError(soundForm, texts()[obstacle]);
    findPart(soundForm, "extension")?.focus();
    return;
  }
  showError(soundForm, "");
  discard(soundForm);
  showStatus(soundForm, texts().askingForMicrophone);
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    showStatus(soundForm, "");
    showError(soundForm, texts()[ERRORS[error.name] ?? "noRecorder"]);
    return;
  }
  start(soundForm, stream);
}

function start(soundForm, stream) {
  const mimeType = MIME_TYPES.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
  const chunks = [];
  recorder.addEventListener("dataavailable", (event) => chunks.push(event.data));
  recorder.addEventListener("stop", () => showRecorded(soundForm, new Blob(chunks, { type: recorder.mimeType })));
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  active = { soundForm, stream, recorder, context, analyser, startedAt: performance.now(), maxLevel: 0 };
  showStep(soundForm, "recording");
  showStatus(soundForm, texts().recording);
  findPart(soundForm, "record-stop").focus();
  recorder.start(1000);
  showLevel(active, new Float32Array(analyser.fftSize));
}

function showLevel(recording, samples) {
  if (active !== recording) return;
  const { soundForm, analyser } = recording;
  analyser.getFloatTimeDomainData(samples);
  const level = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  recording.maxLevel = Math.max(recording.maxLevel, level);
  soundForm.querySelector("meter").value = Math.min(1, level * 4); // speech is at about a quarter of full scale
  const seconds = (performance.now() - recording.startedAt) / 1000;
  findPart(soundForm, "time").textContent = formatTime(seconds);
  const isSilent = seconds > SILENCE_SECONDS && recording.maxLevel < SILENCE_LEVEL;
  showStatus(soundForm, isSilent ? texts().microphoneSilent : texts().recording);
  if (seconds >= Number(texts().maxSeconds)) stop();
  else requestAnimationFrame(() => showLevel(recording, samples));
}

function stop() {
  const { recorder, stream, context } = active;
  active = null;
  recorder.stop();
  for (const track of stream.getTracks()) track.stop();
  context.close();
}

// -- what was recorded ---------------------------------------------------------------------------------------

function showRecorded(soundForm, blob) {
  showStatus(soundForm, "");
  showStep(soundForm, "recorded");
  recordings.set(soundForm, blob);
  findPart(soundForm, "recorded").querySelector("audio").src = URL.createObjectURL(blob);
  findPart(soundForm, "save-recording").focus();
}

function discard(soundForm) {
  const audio = findPart(soundForm, "recorded").querySelector("audio");
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.removeAttribute("src");
  recordings.delete(soundForm);
}

async function save(soundForm) {
  const blob = recordings.get(soundForm);
  const extension = blob.type.includes("mp4") ? "m4a" : blob.type.includes("ogg") ? "ogg" : "webm";
  const name = recordingName(soundForm);
  const button = findPart(soundForm, "save-recording");
  button.disabled = true;
  const isSaved = await uploadSound(soundForm, new File([blob], `${name || "recording"}.${extension}`), name, "browser");
  button.disabled = false;
  if (!isSaved) return; // the person can try again
  discard(soundForm);
  showStep(soundForm, "ready");
  findPart(soundForm, "record")?.focus();
}

const BUTTONS = {
  "[data-record]": record,
  "[data-record-stop]": stop,
  "[data-record-again]": record,
  "[data-save-recording]": save,
};

document.addEventListener("click", (event) => {
  for (const [selector, handle] of Object.entries(BUTTONS)) {
    const button = event.target.closest(selector);
    if (button) handle(findSoundForm(button));
  }
});
