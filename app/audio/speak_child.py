"""Child process: speaks one text into a WAV file. Started by path, so it imports nothing of ours.

Reads {"text", "voice", "rate", "pitch", "out", "timeout"} as JSON from standard input, writes
{"rate", "seconds"} or {"error", "reason"} to standard output.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
import wave
from typing import Any

ENGINE_RATE = 22050  # Hz, what pyttsx3 writes


def preload_engine() -> None:
    """Take the library that came with pip, if it did; else pyttsx3 looks for the system's.

    The data path must be set before the library is loaded: without it the library ends the process.
    """
    try:
        import espeakng_loader
    except ImportError:
        return
    os.environ["ESPEAK_DATA_PATH"] = espeakng_loader.get_data_path()
    ctypes.CDLL(espeakng_loader.get_library_path())


def set_in_force(parameter: int, value: int) -> None:
    """Set the rate or the pitch, and see it in force before anything else is asked of the engine.

    Its own thread takes them up later. Set the usual way, with voice and text close behind, about one text in a
    hundred was spoken at the rate that pyttsx3 begins with.
    """
    from pyttsx3.drivers import _espeak

    _espeak.SetParameter(parameter, value, 0)
    while in_force(parameter) != value:  # the alarm ends a wait in vain
        time.sleep(0.001)


def in_force(parameter: int) -> int:
    from pyttsx3.drivers import _espeak

    present = ctypes.c_int(1)  # rather than the default; pyttsx3's own call leaves this argument to chance
    return int(_espeak.dll.espeak_GetParameter(ctypes.c_int(parameter), present))


def speak(text: str, voice: str, rate: int, pitch: int, out: str) -> dict[str, Any]:
    preload_engine()
    import pyttsx3
    from pyttsx3.drivers import _espeak

    errors: list[str] = []
    completed: list[bool] = []
    over = threading.Event()

    def note_error(**event: Any) -> None:
        errors.append(str(event.get("exception")))
        over.set()

    def note_end(**event: Any) -> None:
        completed.append(bool(event.get("completed")))
        over.set()

    # What fails while the file is written, on the engine's thread, is told to nobody else.
    sys.unraisablehook = lambda failure: note_error(exception=failure.exc_value)
    engine = pyttsx3.init("espeak")
    engine.connect("error", note_error)
    engine.connect("finished-utterance", note_end)
    wanted = {_espeak.RATE: rate, _espeak.PITCH: pitch}
    for parameter, value in wanted.items():
        set_in_force(parameter, value)
    engine.setProperty("voice", voice)
    engine.save_to_file(text, out)
    engine.runAndWait()
    # That returns before a long text is written, and a second run would start over in the midst of the first:
    # the engine's own thread tells the end. The alarm ends a wait in vain.
    over.wait()
    if errors:
        # A refused voice is only reported and the former one kept: the sound would be in another language.
        code = "unknown_voice" if any("voice" in error.lower() for error in errors) else "speech_failed"
        return {"error": code, "details": {"voice": voice}, "reason": "; ".join(errors)}
    with wave.open(out, "rb") as sound:
        seconds, file_rate = sound.getnframes() / sound.getframerate(), sound.getframerate()
    spoken_as = {parameter: in_force(parameter) for parameter in wanted}
    if not completed[0] or file_rate != ENGINE_RATE or spoken_as != wanted:
        return {"error": "speech_failed", "reason": f"completed {completed}, {file_rate} Hz, {seconds} s, {spoken_as}"}
    return {"rate": file_rate, "seconds": seconds}


def main() -> None:
    request = json.load(sys.stdin)
    # The parent kills us in time; should it be gone itself, nobody else would.
    signal.alarm(int(request["timeout"]) + 3)
    reply_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # pyttsx3 prints to standard output
    try:
        rate, pitch = int(request["rate"]), int(request["pitch"])
        reply = speak(request["text"], request["voice"], rate, pitch, request["out"])
    except Exception as error:
        reply = {"error": "speech_failed", "reason": repr(error)}
    json.dump(reply, reply_to)
    reply_to.flush()
    os._exit(0)  # the engine's own clean-up at exit may crash; the file is closed already


if __name__ == "__main__":
    main()
