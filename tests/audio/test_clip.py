"""Measuring clips."""

import io
import struct
import wave
from pathlib import Path

import pytest

from app.audio.clip import MESSAGES, SoundError, read_clip
from tests.audio.sounds import RATE, wav_file, wav_format


def make_wav(samples: bytes, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setframerate(rate)
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.writeframes(samples)
    return target.getvalue()


def test_seconds_loudness_and_peak(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(make_wav(struct.pack("<4h", 16384, -16384, 16384, -16384) * 2000))
    clip = read_clip(path)
    assert clip.seconds == 1.0
    assert clip.loudness_dbfs == pytest.approx(-6.02, abs=0.01)
    assert clip.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    path.write_bytes(make_wav(struct.pack("<2h", -32768, 0)))
    assert read_clip(path).peak_dbfs == 0.0
    path.write_bytes(make_wav(bytes(16000)))
    assert (read_clip(path).loudness_dbfs, read_clip(path).peak_dbfs) == (-96.0, -96.0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no sound",
        make_wav(b""),
        make_wav(bytes(8000), rate=16000),
        make_wav(bytes(8000), channels=2),
        make_wav(bytes(8000), width=1),
        make_wav(bytes(8000))[:-1],
        make_wav(bytes(8000))[:40],
        wav_file(wav_format(1, 1, 0, 0, 2, 16), (b"data", 4, bytes(4))),  # without a rate
    ],
)
def test_other_files_are_broken(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    with pytest.raises(SoundError) as caught:
        read_clip(path)
    assert caught.value.code == "broken"
    with pytest.raises(FileNotFoundError):
        read_clip(tmp_path / "missing.wav")


def test_every_error_code_has_a_message() -> None:
    details = {"limit": 1, "length": 2, "language": "fa", "voice": "x", "rate": 3, "least": 4, "most": 5}
    details |= {"pitch": 6, "reason": "y"}
    for code in MESSAGES:
        error = SoundError(code, **details)
        assert (error.code, error.details) == (code, details)
        assert "{" not in str(error)
