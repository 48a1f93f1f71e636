"""Print the phonemes of Persian texts, as the engine would speak them. Run in a process of its own.

Reads a JSON list of texts from standard input and writes a JSON list of phonemes, in the engine's own notation and
without the marks of stress.
"""

import ctypes
import json
import sys

from app.audio.speak_child import preload_engine

preload_engine()

from pyttsx3.drivers import _espeak  # noqa: E402 - it must find the library that is loaded already

INITIALIZE_SYNCHRONOUS, UTF8 = 2, 1


def phonemes(text: str) -> str:
    engine = _espeak.dll
    engine.espeak_TextToPhonemes.restype = ctypes.c_char_p
    engine.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    rest = ctypes.c_char_p(text.encode())
    clauses = []
    while rest.value:
        clauses.append(engine.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, 0).decode())
    return " ".join(" ".join(clauses).replace("'", "").replace(",", "").replace("_!", "").replace("?", "").split())


def main() -> None:
    _espeak.dll.espeak_Initialize(INITIALIZE_SYNCHRONOUS, 0, None, 0)
    _espeak.dll.espeak_SetVoiceByName(b"fa")
    json.dump([phonemes(text) for text in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
