"""Converting sound files: known formats, files that are refused, and the file that is written."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from app.audio.clip import SoundError, read_clip
from app.audio.convert import convert, write_atomically
from app.audio.convert_child import list_audio_decoders
from tests.audio.sounds import (
    RATE,
    likeness,
    louder,
    read_samples,
    silence,
    tone,
    wav_file,
    wav_format,
    write_sound,
)

pytestmark = pytest.mark.usefixtures("quick_conversion")
CD: dict[str, Any] = {"rate": 44100, "layout": "stereo"}
# File name -> codec and options of write_sound()
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "pcm.wav": ("pcm_s16le", {}),
    "ulaw.wav": ("pcm_mulaw", {}),
    "adpcm.wav": ("adpcm_ms", {}),
    "ima-adpcm.wav": ("adpcm_ima_wav", {}),
    "float-surround.wav": ("pcm_f32le", {"rate": 48000, "layout": "5.1"}),
    "music.mp3": ("libmp3lame", CD),
    "opus.ogg": ("libopus", {"rate": 48000}),
    "browser.webm": ("libopus", {"rate": 48000}),
    "lossless.flac": ("flac", CD),
    "telephone.m4a": ("aac", CD),
    "telephone.amr": ("libopencore_amrnb", {}),
    "telephone.3gp": ("libopencore_amrnb", {}),
    "apple.aiff": ("pcm_s16be", {"rate": 22050}),
    # raw formats of Asterisk
    "asterisk.ulaw": ("pcm_mulaw", {"file_format": "mulaw"}),
    "asterisk.ALAW": ("pcm_alaw", {"file_format": "alaw"}),
    "asterisk.g722": ("g722", {"file_format": "g722", "rate": 16000}),
    "asterisk.sln": ("pcm_s16le", {"file_format": "s16le"}),
    "asterisk.sln16": ("pcm_s16le", {"file_format": "s16le", "rate": 16000}),
}


def write_format(folder: Path, name: str, samples: Any) -> Path:
    codec, options = FORMATS[name]
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this build of PyAV cannot write {codec}")
    return write_sound(folder / name, samples, codec, **options)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "out.wav"


@pytest.fixture(scope="session")
def speech(spoken_file: Path) -> Any:
    return read_samples(spoken_file)


def refuse(source: Path, out: Path, **options: Any) -> SoundError:
    """Convert a file that must be refused without leaving a file behind. Return the error."""
    with pytest.raises(SoundError) as caught:
        convert(source, out=out, **options)
    assert list(out.parent.iterdir()) == []
    return caught.value


# -- formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str, speech: Any, tmp_path: Path, out: Path) -> None:
    clip = convert(write_format(tmp_path, name, speech), out=out)
    assert clip == read_clip(out)
    assert clip.seconds == pytest.approx(len(speech) / RATE, abs=0.1)
    assert -23 < clip.loudness_dbfs < -16
    assert likeness(read_samples(out), speech) > 0.95


PCM = bytes.fromhex("0100000000001000800000aa00389b71")  # the sub-formats of WAVE_FORMAT_EXTENSIBLE
FLOAT = b"\x03" + PCM[1:]


def extensible(bits: int, valid: int, block: int, sub_format: bytes = PCM) -> tuple[bytes, int, bytes]:
    name, _size, plain = wav_format(0xFFFE, 1, RATE, RATE * block, block, bits)
    return name, 40, plain + struct.pack("<HHI", 22, valid, 4) + sub_format


def plain(tag: int, bits: int, block: int) -> tuple[bytes, int, bytes]:
    return wav_format(tag, 1, RATE, RATE * block, block, bits)


# What is in the head -> how a 16 bit sample lies in the data
ODD_HEADS: dict[str, tuple[tuple[bytes, int, bytes], Callable[[int], bytes]]] = {
    "24 in 32 bits, at the top": (extensible(32, 24, 4), lambda sample: struct.pack("<i", sample << 16)),
    "24 in 32 bits, at the bottom": (extensible(32, 24, 4), lambda sample: struct.pack("<i", sample << 8)),
    "24 in 32 bits, told only by the block": (plain(1, 24, 4), lambda sample: struct.pack("<i", sample << 8)),
    "24 in 32 bits, the container as 24": (extensible(24, 24, 4), lambda sample: struct.pack("<i", sample << 16)),
    "16 in 32 bits": (extensible(32, 16, 4), lambda sample: struct.pack("<i", sample)),
    "20 in 24 bits": (extensible(24, 20, 3), lambda sample: struct.pack("<i", sample << 8)[:3]),
    "12 in 16 bits": (extensible(16, 12, 2), lambda sample: struct.pack("<h", sample)),
    "8 bits": (plain(1, 8, 1), lambda sample: bytes([(sample >> 8) + 128])),
    "float": (plain(3, 32, 4), lambda sample: struct.pack("<f", sample / 32768)),
    "float of 64 bits": (plain(3, 64, 8), lambda sample: struct.pack("<d", sample / 32768)),
    "float with 24 valid bits": (extensible(32, 24, 4, FLOAT), lambda sample: struct.pack("<f", sample / 32768)),
    "no extension": (plain(0xFFFE, 16, 2), lambda sample: struct.pack("<h", sample)),
}


@pytest.mark.parametrize("name", ODD_HEADS)
def test_wav_with_an_odd_head(name: str, speech: Any, tmp_path: Path, out: Path) -> None:
    head, pack = ODD_HEADS[name]
    data = b"".join(map(pack, speech))
    source = tmp_path / "odd.wav"
    note = b"LIST", 5, b"INFO\0\0"  # of odd length, before the sound
    source.write_bytes(wav_file(head, note, (b"data", len(data), data)))
    clip = convert(source, out=out)
    assert clip.seconds == pytest.approx(len(speech) / RATE, abs=0.1)
    assert likeness(read_samples(out), speech) > 0.95


def test_pitch_is_kept(tmp_path: Path, out: Path) -> None:
    convert(write_sound(tmp_path / "tone.mp3", tone(2.0, hertz=440), "libmp3lame", **CD), out=out)
    samples = read_samples(out)[RATE // 2 : RATE * 3 // 2]
    assert sum(before < 0 <= after for before, after in pairwise(samples)) == pytest.approx(440, abs=2)


def test_raw_format_is_known_by_the_original_name(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "source", speech, "pcm_mulaw", file_format="mulaw")
    assert refuse(source, out).code == "not_audio"
    assert likeness(read_samples(convert(source, name="intro.ulaw", out=out).path), speech) > 0.95


def test_quiet_speech_is_made_louder(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "quiet.wav", louder(speech, 0.01))
    assert read_clip(source).loudness_dbfs < -38
    clip = convert(source, out=out)
    assert -23 < clip.loudness_dbfs < -16
    assert clip.peak_dbfs < -0.5
    assert likeness(read_samples(out), speech) > 0.9


def test_silence_is_cut_off_both_ends_only(speech: Any, tmp_path: Path, out: Path) -> None:
    whole = silence(2) + speech + silence(1.5) + speech + silence(3)
    clip = convert(write_sound(tmp_path / "pauses.wav", whole), out=out)
    assert clip.seconds == pytest.approx(2 * len(speech) / RATE + 1.5, abs=0.3)
    samples = read_samples(out)
    for edge in (samples[: RATE // 4], samples[-RATE // 4 :]):
        assert max(map(abs, edge)) > 300


def test_sound_of_a_film_is_converted(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_film(tmp_path / "film.mp4", speech)
    assert likeness(read_samples(convert(source, out=out).path), speech) > 0.95


def test_title_in_an_old_persian_encoding_is_ignored(speech: Any, tmp_path: Path, out: Path) -> None:
    title = "سلام".encode("cp1256")
    tags = b"INFOINAM" + struct.pack("<I", len(title)) + title
    data = speech.tobytes()
    source = tmp_path / "music.wav"
    source.write_bytes(
        wav_file(wav_format(1, 1, 8000, 16000, 2, 16), (b"LIST", len(tags), tags), (b"data", len(data), data))
    )
    with pytest.raises(UnicodeDecodeError):  # proves that the title is a problem
        av.open(str(source))
    assert convert(source, out=out).seconds == pytest.approx(len(speech) / RATE, abs=0.1)


def test_damaged_part_is_skipped(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "music.mp3", speech, "libmp3lame", **CD)
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xff" * 2000
    source.write_bytes(data)
    assert convert(source, out=out).seconds == pytest.approx(len(speech) / RATE, abs=0.5)


def test_truncated_stream_is_converted_as_far_as_it_goes(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "music.mp3", speech, "libmp3lame")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    assert convert(source, out=out).seconds == pytest.approx(len(speech) / RATE / 2, abs=0.3)


# -- files that are refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("empty.wav", b"", "not_audio"),
        ("empty.ulaw", b"", "broken"),
        ("text.mp3", "سلام، این صدا نیست.\n".encode() * 100, "not_audio"),
        ("zeros.bin", bytes(100_000), "not_audio"),
        ("archive.zip", b"PK\x03\x04" + bytes(range(256)) * 40, "not_audio"),
        ("picture.wav", b"RIFF\x00\x00\x01\x00WEBPVP8 " + bytes(range(256)) * 40, "not_audio"),
    ],
)
def test_other_files_are_refused(name: str, data: bytes, code: str, tmp_path: Path, out: Path) -> None:
    source = tmp_path / name
    source.write_bytes(data)
    assert refuse(source, out).code == code


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("pcm.wav", 30),
        ("pcm.wav", 44),
        ("opus.ogg", 100),
        ("lossless.flac", 100),
        ("browser.webm", 100),
        ("telephone.m4a", 100),
        ("telephone.m4a", 20_000),  # the table of contents comes last
        ("telephone.amr", 6),
    ],
)
def test_file_that_is_truncated_before_its_sound_is_broken(
    name: str, length: int, speech: Any, tmp_path: Path, out: Path
) -> None:
    source = write_format(tmp_path, name, speech)
    source.write_bytes(source.read_bytes()[:length])
    assert refuse(source, out).code == "broken"


def test_silent_files_are_refused(tmp_path: Path, out: Path) -> None:
    click = silence(2)
    click[8000:8040] = tone(0.005)
    sounds = {"silence": silence(3), "faint": louder(tone(2), 0.0005), "click": click}
    for name, samples in sounds.items():
        assert refuse(write_sound(tmp_path / f"{name}.wav", samples), out).code == "silence_only", name
    assert refuse(write_format(tmp_path, "music.mp3", silence(3)), out).code == "silence_only"


@pytest.mark.parametrize("name", ["pcm.wav", "lossless.flac"])
def test_long_sound_is_refused(name: str, speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_format(tmp_path, name, speech)
    error = refuse(source, out, max_seconds=3)
    assert (error.code, error.details) == ("too_long", {"limit": 3})
    assert convert(source, max_seconds=7, out=out).seconds > 5


def test_large_file_is_not_opened(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "large.wav"
    source.write_bytes(bytes(1001))
    error = refuse(source, out, max_bytes=1000)
    assert (error.code, error.details) == ("too_large", {"limit": 1000})


def test_film_without_sound_is_refused(tmp_path: Path, out: Path) -> None:
    assert refuse(write_film(tmp_path / "mute.mp4", None), out).code == "no_sound"


def write_film(path: Path, samples: Any) -> Path:
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 64
        sound = None if samples is None else container.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(10):
            container.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(picture.encode(None))
        if sound is not None:
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE, frame_size=1024)
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
            frame.sample_rate = RATE
            frame.planes[0].update(samples.tobytes())
            for resampled in [*resampler.resample(frame), *resampler.resample(None), None]:
                container.mux(sound.encode(resampled))
    return path


def test_only_audio_decoders_are_allowed() -> None:
    names = list_audio_decoders(av).split(",")
    assert {"mp3", "aac", "opus", "pcm_mulaw", "flac", "amrnb"} <= set(names)
    assert [name for name in names if av.Codec(name, "r").type != "audio"] == []


# -- the file that is written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_everyone_may_read_the_clip_whatever_the_umask(mask: int, spoken_file: Path, out: Path) -> None:
    previous = os.umask(mask)
    try:
        convert(spoken_file, out=out)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(out.stat().st_mode) == 0o644


def test_failure_keeps_the_previous_file(tmp_path: Path, out: Path) -> None:
    out.write_bytes(b"previous")
    (tmp_path / "text.txt").write_text("no sound")
    with pytest.raises(SoundError):
        convert(tmp_path / "text.txt", out=out)
    assert out.read_bytes() == b"previous"
    assert list(out.parent.iterdir()) == [out]


def test_file_is_written_atomically(out: Path) -> None:
    with write_atomically(out) as temporary:
        temporary.write_bytes(b"half")
        assert not out.exists()
        assert temporary.parent == out.parent  # in another folder, the move would copy
        temporary.write_bytes(b"half and half")
    assert out.read_bytes() == b"half and half"
    with pytest.raises(KeyboardInterrupt), write_atomically(out) as temporary:
        temporary.write_bytes(b"other")
        raise KeyboardInterrupt
    assert out.read_bytes() == b"half and half"
    assert list(out.parent.iterdir()) == [out]
