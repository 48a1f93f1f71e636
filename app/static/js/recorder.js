// Recording with the browser's microphone: level, time, listen, again, keep. Whatever is in the way is told in words.
"use strict";

const recorder = (() => {
  const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
  const FAULTS = {
    NotAllowedError: "refused",
    SecurityError: "refused",
    NotFoundError: "noMicrophone",
    OverconstrainedError: "noMicrophone",
    NotReadableError: "microphoneBusy",
    AbortError: "microphoneBusy",
  };
  const HEARD = 0.004; // of full scale: less than that is a microphone that is switched off
  let current = null; // what is being recorded

  const part = (place, name) => place.querySelector(`[data-${name}]`);

  function say(place, text) {
    part(place, "recorder-says").textContent = text;
  }

  function show(place, { record = false, stop = false, tried = false }) {
    part(place, "record").hidden = !record;
    part(place, "record-stop").hidden = !stop;
    place.querySelector("meter").hidden = !stop;
    part(place, "time").hidden = !stop;
    part(place, "tried").hidden = !tried;
  }

  function obstacle() {
    if (!navigator.mediaDevices?.getUserMedia) return window.isSecureContext ? "noRecorder" : "insecure";
    return typeof MediaRecorder === "undefined" ? "noRecorder" : "";
  }

  function digits(text) {
    return document.documentElement.lang === "fa" ? text.replace(/\d/g, (digit) => "۰۱۲۳۴۵۶۷۸۹"[digit]) : text;
  }

  function time(seconds) {
    const two = (number) => String(number).padStart(2, "0");
    return digits(`${two(Math.floor(seconds / 60))}:${two(Math.floor(seconds % 60))}`);
  }

  // -- recording -----------------------------------------------------------------------------------------------

  async function record(place) {
    if (current) stop();
    const missing = obstacle();
    if (missing) {
      sounds.fault(place, sounds.words()[missing]);
      part(place, "extension-to-ring")?.focus();
      return;
    }
    sounds.fault(place, "");
    forget(place);
    say(place, sounds.words().asking);
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      say(place, "");
      sounds.fault(place, sounds.words()[FAULTS[error.name] ?? "noRecorder"]);
      return;
    }
    begin(place, stream);
  }

  function begin(place, stream) {
    const type = TYPES.find((known) => MediaRecorder.isTypeSupported(known));
    const media = new MediaRecorder(stream, type ? { mimeType: type } : {});
    const pieces = [];
    media.addEventListener("dataavailable", (event) => pieces.push(event.data));
    media.addEventListener("stop", () => end(place, new Blob(pieces, { type: media.mimeType })));
    const sound = new AudioContext();
    const analyser = sound.createAnalyser();
    sound.createMediaStreamSource(stream).connect(analyser);
    current = { place, stream, media, sound, analyser, began: performance.now(), loudest: 0 };
    show(place, { stop: true });
    say(place, sounds.words().recording);
    part(place, "record-stop").focus();
    media.start(1000);
    follow(current, new Float32Array(analyser.fftSize));
  }

  function follow(recording, samples) {
    if (current !== recording) return;
    const { place, analyser } = recording;
    analyser.getFloatTimeDomainData(samples);
    const level = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
    recording.loudest = Math.max(recording.loudest, level);
    place.querySelector("meter").value = Math.min(1, level * 4); // speech is at about a quarter of full scale
    const seconds = (performance.now() - recording.began) / 1000;
    part(place, "time").textContent = time(seconds);
    say(place, seconds > 3 && recording.loudest < HEARD ? sounds.words().nothingHeard : sounds.words().recording);
    if (seconds >= Number(sounds.words().maxSeconds)) stop();
    else requestAnimationFrame(() => follow(recording, samples));
  }

  function stop() {
    const recording = current;
    current = null;
    recording.media.stop();
    for (const track of recording.stream.getTracks()) track.stop();
    recording.sound.close();
  }

  function end(place, blob) {
    say(place, "");
    show(place, { tried: true });
    place.taken = blob;
    place.querySelector("[data-tried] audio").src = URL.createObjectURL(blob);
    part(place, "keep").focus();
  }

  function forget(place) {
    const audio = place.querySelector("[data-tried] audio");
    if (audio.src) URL.revokeObjectURL(audio.src);
    audio.removeAttribute("src");
    place.taken = null;
  }

  async function keep(place) {
    const ending = place.taken.type.includes("mp4") ? "m4a" : place.taken.type.includes("ogg") ? "ogg" : "webm";
    const name = sounds.nameOf(place);
    part(place, "keep").disabled = true;
    const kept = await sounds.send(place, new File([place.taken], `${name || "recording"}.${ending}`), name, "browser");
    part(place, "keep").disabled = false;
    if (!kept) return; // it can be sent again
    forget(place);
    show(place, { record: true });
    part(place, "record")?.focus();
  }

  const WAYS = [
    ["[data-record]", record],
    ["[data-record-stop]", stop],
    ["[data-record-again]", record],
    ["[data-keep]", keep],
  ];

  document.addEventListener("click", (event) => {
    for (const [selector, act] of WAYS) {
      const button = event.target.closest(selector);
      if (button) act(sounds.holder(button));
    }
  });

  return { stop: () => current && stop() };
})();
