"""Child process: speak one text with a piper model into a WAV file. Started by path, so it imports nothing of ours.

Reads {"text", "voice", "model", "slowness", "out", "timeout"} as JSON from standard input. Writes {"rate", "seconds"}
or {"error", "details", "reason"} to standard output. `slowness` is a factor; 1.0 is the model's own speed.
Piper is licensed under the GPL, so it is not part of the product. Only this process loads it.
"""

import json
import os
import re
import signal
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_CHARACTERS = 120  # spoken at once: memory grows with the square of the length, and 1,500 took 3.5 GB
PIECE_ENDS = re.compile(r"(?<=[.!?؟:؛;،,])\s+")


def split_text(text: str) -> Iterator[str]:
    """Yield pieces of at most MAX_CHARACTERS. Split behind punctuation if possible, else at a space."""
    text = re.sub(r"\[(?=\[)", "[ ", text)  # piper reads text in [[ ]] as phonemes
    part = ""
    for piece in PIECE_ENDS.split(text):
        if part and len(part) + 1 + len(piece) > MAX_CHARACTERS:
            yield part
            part = ""
        part = f"{part} {piece}" if part else piece
        while len(part) > MAX_CHARACTERS:
            cut = part.rfind(" ", 1, MAX_CHARACTERS + 1)
            cut = cut if cut > 0 else MAX_CHARACTERS
            yield part[:cut]
            part = part[cut:].lstrip()
    if part:
        yield part


def load_voice(model: str) -> Any:
    """Load a model with its configuration, with as little memory as possible."""
    import onnxruntime
    from piper import PiperConfig, PiperVoice

    options = onnxruntime.SessionOptions()
    # Calls need the processor more than this. Each thread's stack counts against the memory limit, too.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena would keep the memory of the longest sentence
    config = PiperConfig.from_dict(json.loads(Path(f"{model}.json").read_text(encoding="utf-8")))
    session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    return PiperVoice(session=session, config=config)


def speak(voice: Any, text: str, slowness: float, out: str) -> dict[str, Any]:
    """Speak the text into the file `out` and return the reply."""
    from piper import SynthesisConfig

    config = SynthesisConfig(length_scale=voice.config.length_scale * slowness)
    rate = voice.config.sample_rate
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        frames = 0
        for piece in split_text(text):
            for chunk in voice.synthesize(piece, config):
                sound.writeframes(chunk.audio_int16_bytes)
                frames += len(chunk.audio_int16_array)
    return {"rate": rate, "seconds": frames / rate}


def handle_request(request: dict[str, Any]) -> dict[str, Any]:
    """Load the model, speak, and return the reply."""
    try:
        import piper  # noqa: F401
    except Exception as error:  # missing, or not usable on this machine
        return {"error": "piper_missing", "details": {"voice": request["voice"]}, "reason": repr(error)}
    try:
        voice = load_voice(request["model"])
    except Exception as error:  # the library raises anything for a damaged file
        details = {"voice": request["voice"], "reason": "its model cannot be loaded"}
        return {"error": "voice_broken", "details": details, "reason": repr(error)}
    return speak(voice, request["text"], float(request["slowness"]), request["out"])


def main() -> None:
    request = json.load(sys.stdin)
    signal.alarm(int(request["timeout"]) + 3)  # ends this process if the parent, which would kill it, is gone
    os.nice(5)  # calls go first
    reply_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the libraries may print to standard output
    try:
        reply = handle_request(request)
    except MemoryError:
        reply = {"error": "speech_failed", "reason": "out of memory"}
    except Exception as error:
        reply = {"error": "speech_failed", "reason": repr(error)}
    json.dump(reply, reply_to)
    reply_to.flush()
    os._exit(0)  # skip the runtime's own clean-up


if __name__ == "__main__":
    main()
