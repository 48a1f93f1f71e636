"""Child process: speak one text with espeak-ng into a WAV file. Started by path, so it imports nothing of ours.

Reads {"text", "voice", "rate", "pitch", "out", "timeout"} as JSON from standard input. Writes {"rate", "seconds"} or
{"error", "details", "reason"} to standard output.
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

ENGINE_RATE = 22050  # Hz; what pyttsx3 writes


def preload_engine() -> None:
    """Load the espeak-ng library from pip, if it is installed. Otherwise pyttsx3 looks for the system's.

    The data path must be set before the library is loaded: without it the library ends the process.
    """
    try:
        import espeakng_loader
    except ImportError:
        return
    os.environ["ESPEAK_DATA_PATH"] = espeakng_loader.get_data_path()
    ctypes.CDLL(espeakng_loader.get_library_path())


def set_parameter(parameter: int, value: int) -> None:
    """Set the rate or the pitch, and wait until the engine uses it.

    The engine's own thread applies parameters later. When voice and text followed at once, about one text in a hundred
    was spoken at pyttsx3's initial rate.
    """
    from pyttsx3.drivers import _espeak

    _espeak.SetParameter(parameter, value, 0)
    while get_parameter(parameter) != value:  # the alarm of main() ends an endless wait
        time.sleep(0.001)


def get_parameter(parameter: int) -> int:
    """Return the value that the engine uses now."""
    from pyttsx3.drivers import _espeak

    current = ctypes.c_int(1)  # 0 would ask for the default; pyttsx3's own call leaves this argument undefined
    return int(_espeak.dll.espeak_GetParameter(ctypes.c_int(parameter), current))


def speak(text: str, voice: str, rate: int, pitch: int, out: str) -> dict[str, Any]:
    """Speak the text into the file `out` and return the reply."""
    preload_engine()
    import pyttsx3
    from pyttsx3.drivers import _espeak

    errors: list[str] = []
    completed: list[bool] = []
    finished = threading.Event()

    def on_error(**event: Any) -> None:
        errors.append(str(event.get("exception")))
        finished.set()

    def on_end(**event: Any) -> None:
        completed.append(bool(event.get("completed")))
        finished.set()

    # An error while the engine's thread writes the file is reported only here.
    sys.unraisablehook = lambda failure: on_error(exception=failure.exc_value)
    engine = pyttsx3.init("espeak")
    engine.connect("error", on_error)
    engine.connect("finished-utterance", on_end)
    parameters = {_espeak.RATE: rate, _espeak.PITCH: pitch}
    for parameter, value in parameters.items():
        set_parameter(parameter, value)
    engine.setProperty("voice", voice)
    engine.save_to_file(text, out)
    engine.runAndWait()
    # runAndWait() returns before a long text is written, and a second call would start in the middle of the first one.
    # The engine's thread reports the end. The alarm of main() ends an endless wait.
    finished.wait()
    if errors:
        # The engine only reports an unknown voice and keeps the previous one, which speaks another language.
        code = "unknown_voice" if any("voice" in error.lower() for error in errors) else "speech_failed"
        return {"error": code, "details": {"voice": voice}, "reason": "; ".join(errors)}
    with wave.open(out, "rb") as sound:
        seconds, file_rate = sound.getnframes() / sound.getframerate(), sound.getframerate()
    used = {parameter: get_parameter(parameter) for parameter in parameters}
    if not completed[0] or file_rate != ENGINE_RATE or used != parameters:
        return {"error": "speech_failed", "reason": f"completed {completed}, {file_rate} Hz, {seconds} s, {used}"}
    return {"rate": file_rate, "seconds": seconds}


def main() -> None:
    request = json.load(sys.stdin)
    signal.alarm(int(request["timeout"]) + 3)  # ends this process if the parent, which would kill it, is gone
    reply_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # pyttsx3 prints to standard output
    try:
        rate, pitch = int(request["rate"]), int(request["pitch"])
        reply = speak(request["text"], request["voice"], rate, pitch, request["out"])
    except Exception as error:
        reply = {"error": "speech_failed", "reason": repr(error)}
    json.dump(reply, reply_to)
    reply_to.flush()
    os._exit(0)  # the engine's own clean-up at exit may crash; the file is already closed


if __name__ == "__main__":
    main()
