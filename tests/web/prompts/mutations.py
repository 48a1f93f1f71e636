"""Sound files that are damaged in many ways, the same ways in each run."""

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av

from tests.audio.sounds import tone, write_sound

# File name -> codec and options of write_sound()
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "pcm.wav": ("pcm_s16le", {}),
    "adpcm.wav": ("adpcm_ms", {}),
    "float.wav": ("pcm_f32le", {"rate": 48000, "layout": "5.1"}),
    "music.mp3": ("libmp3lame", {"rate": 44100, "layout": "stereo"}),
    "opus.ogg": ("libopus", {"rate": 48000}),
    "browser.webm": ("libopus", {"rate": 48000}),
    "lossless.flac": ("flac", {"rate": 44100, "layout": "stereo"}),
    "telephone.m4a": ("aac", {"rate": 44100}),
    "telephone.amr": ("libopencore_amrnb", {}),
    "telephone.3gp": ("libopencore_amrnb", {}),
    "apple.aiff": ("pcm_s16be", {"rate": 22050}),
    "sun.au": ("pcm_mulaw", {}),
    "asterisk.ulaw": ("pcm_mulaw", {"file_format": "mulaw"}),
    "asterisk.g722": ("g722", {"file_format": "g722", "rate": 16000}),
}
SECONDS = 0.15
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NAMES = (
    "sound.wav",
    "../../../etc/cron.d/sound.wav",
    "/etc/passwd",
    "..\\..\\windows\\sound.mp3",
    "file:///etc/passwd",
    "http://127.0.0.1:9/list.m3u8",
    "concat:a.wav|b.wav",
    "-i.wav",
    "%s%n%x.ogg",
    "$(touch out).ulaw",
    ".wav",
    "CON.gsm",
    "a" * 300 + ".sln16",
    "سلام\u202e3pm.wav",
    "list.m3u8",
    "link",
)

Bytes = bytearray
Mutation = Callable[[random.Random, Bytes, Sequence[bytes]], Bytes]


def make_sounds(folder: Path) -> dict[str, bytes]:
    """Return a short sound in each format, by its file name."""
    samples = tone(SECONDS, 440)
    made = {}
    for name, (codec, options) in FORMATS.items():
        av.Codec(codec, "w")
        made[name] = write_sound(folder / name, samples, codec, **options).read_bytes()
    return made


def mutate(number: int, sounds: dict[str, bytes]) -> tuple[str, bytes]:
    """Return the name and the content of one of the damaged files."""
    chance = random.Random(number)
    originals = list(sounds)
    original = originals[number % len(originals)]
    content = bytearray(sounds[original])
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = chance.choice(MUTATIONS)(chance, content, list(sounds.values()))
    name = original if chance.random() < 0.7 else chance.choice(NAMES)
    return name, bytes(content[:MOST_BYTES])


MOST_BYTES = 2_000_000


def _flip_bits(chance: random.Random, content: Bytes, _others: Sequence[bytes]) -> Bytes:
    for _ in range(chance.randint(1, 40) if content else 0):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return content


def _damage_head(chance: random.Random, content: Bytes, _others: Sequence[bytes]) -> Bytes:
    """Write numbers that count as lengths, rates and channels."""
    for _ in range(chance.randint(1, 6)):
        form = chance.choice(("<I", ">I", "<H", ">H", "B"))
        size = struct.calcsize(form)
        at = chance.randrange(max(1, min(len(content), 200)))
        number = chance.choice(EXTREMES) & ((1 << 8 * size) - 1)
        content[at : at + size] = struct.pack(form, number)
    return content


def _truncate(chance: random.Random, content: Bytes, _others: Sequence[bytes]) -> Bytes:
    return content[: chance.randrange(len(content) + 1)]


def _cut_out(chance: random.Random, content: Bytes, _others: Sequence[bytes]) -> Bytes:
    at = chance.randrange(len(content) + 1)
    del content[at : at + chance.randint(1, 500)]
    return content


def _repeat(chance: random.Random, content: Bytes, _others: Sequence[bytes]) -> Bytes:
    at, size = chance.randrange(len(content) + 1), chance.randint(1, 400)
    return content[:at] + content[at : at + size] * chance.choice((2, 10, 200)) + content[at:]


def _splice(chance: random.Random, content: Bytes, others: Sequence[bytes]) -> Bytes:
    """Join the beginning of one format and the rest of another."""
    other = chance.choice(others)
    return content[: chance.randrange(len(content) + 1)] + other[chance.randrange(len(other)) :]


def _insert_noise(chance: random.Random, content: Bytes, _others: Sequence[bytes]) -> Bytes:
    at = chance.randrange(len(content) + 1)
    content[at:at] = chance.randbytes(chance.randint(1, 300))
    return content


def _embed(chance: random.Random, content: Bytes, _others: Sequence[bytes]) -> Bytes:
    """Put something else before or behind, as in a file that is two kinds at once."""
    part = chance.choice(
        (b"<html><script>alert(1)</script>", b"PK\x03\x04" + bytes(26), b"#EXTM3U\nhttp://127.0.0.1:9/\n")
    )
    return bytearray(part) + content if chance.random() < 0.5 else content + part


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _damage_head,
    _damage_head,
    _truncate,
    _cut_out,
    _repeat,
    _splice,
    _insert_noise,
    _embed,
)
