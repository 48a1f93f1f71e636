"""Child process: speaks one text by a model of piper into a WAV file. Started by path, so it imports nothing of ours.

Reads {"text", "voice", "model", "slowness", "out", "timeout"} as JSON from standard input, writes {"rate", "seconds"}
or {"error", "details", "reason"} to standard output. `slowness`: a factor; 1.0 is the model's own pace.
Piper is GPL: it is no part of the product, and is loaded in this process alone.
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

LONGEST = 120  # characters spoken at once: memory grows with their square, and 1,500 took 3.5 GB
ENDS = re.compile(r"(?<=[.!?؟:؛;،,])\s+")


def pieces(text: str) -> Iterator[str]:
    """The text in parts that are no longer than LONGEST, broken where a speaker would draw breath, else at a space."""
    text = re.sub(r"\[(?=\[)", "[ ", text)  # what stands in such brackets would be taken for sounds
    part = ""
    for piece in ENDS.split(text):
        if part and len(part) + 1 + len(piece) > LONGEST:
            yield part
            part = ""
        part = f"{part} {piece}" if part else piece
        while len(part) > LONGEST:
            cut = part.rfind(" ", 1, LONGEST + 1)
            cut = cut if cut > 0 else LONGEST
            yield part[:cut]
            part = part[cut:].lstrip()
    if part:
        yield part


def load(model: str) -> Any:
    import onnxruntime
    from piper import PiperConfig, PiperVoice

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # calls go first; and a thread's stack counts
    options.enable_cpu_mem_arena = False  # it keeps what the longest sentence took
    config = PiperConfig.from_dict(json.loads(Path(f"{model}.json").read_text(encoding="utf-8")))
    session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    return PiperVoice(session=session, config=config)


def speak(voice: Any, text: str, slowness: float, out: str) -> dict[str, Any]:
    from piper import SynthesisConfig

    manner = SynthesisConfig(length_scale=voice.config.length_scale * slowness)
    rate = voice.config.sample_rate
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        frames = 0
        for piece in pieces(text):
            for chunk in voice.synthesize(piece, manner):
                sound.writeframes(chunk.audio_int16_bytes)
                frames += len(chunk.audio_int16_array)
    return {"rate": rate, "seconds": frames / rate}


def work(request: dict[str, Any]) -> dict[str, Any]:
    try:
        import piper  # noqa: F401
    except Exception as error:  # not there, or unfit for this machine
        return {"error": "piper_missing", "details": {"voice": request["voice"]}, "reason": repr(error)}
    try:
        voice = load(request["model"])
    except Exception as error:  # whatever the library makes of a damaged file
        details = {"voice": request["voice"], "reason": "its model cannot be loaded"}
        return {"error": "voice_broken", "details": details, "reason": repr(error)}
    return speak(voice, request["text"], float(request["slowness"]), request["out"])


def main() -> None:
    request = json.load(sys.stdin)
    signal.alarm(int(request["timeout"]) + 3)  # the parent kills us in time; should it be gone, nobody else would
    os.nice(5)  # a call's sound goes before the making of one
    reply_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print
    try:
        reply = work(request)
    except MemoryError:
        reply = {"error": "speech_failed", "reason": "out of memory"}
    except Exception as error:
        reply = {"error": "speech_failed", "reason": repr(error)}
    json.dump(reply, reply_to)
    reply_to.flush()
    os._exit(0)  # the runtime's own clean-up at exit is of no use to anybody


if __name__ == "__main__":
    main()
