"""Real speech: complete, at the requested rate and pitch, in the voice's language, or refused."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.audio.child_process import run_child
from app.audio.clip import SoundError, SpeechError
from app.audio.prompt_texts import LANGUAGES
from app.audio.speak import MAX_CHARACTERS, clean_text, fits_language, speak, validate_speech
from app.audio.voices import DEFAULT_VOICES, is_voice_name, list_voices
from tests.audio.sounds import RATE, likeness, pitch_of, read_samples

HELLO = {"fa": "سلام. لطفاً شماره تماس خود را وارد کنید.", "en": "Hello. Please enter your telephone number."}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.wav"


def run_engine(
    out: Path, *, text: str = "1 2 3", voice: str = "en-us", rate: int = 150, file_bytes: int = 1 << 22
) -> float:
    """Run the child process alone; return the seconds of its file."""
    request = {"text": text, "voice": voice, "rate": rate, "pitch": 50, "out": str(out)}
    seconds: float = run_child("speak_child.py", request, timeout=20, file_bytes=file_bytes)["seconds"]
    return seconds


# -- how it sounds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "least", "most"), [("fa", 2.5, 6.0), ("en", 1.5, 4.5)])
def test_speech_is_normalized_and_has_a_plausible_length(language: str, least: float, most: float, out: Path) -> None:
    clip = speak(HELLO[language], voice=DEFAULT_VOICES[language], out=out)
    assert clip.path == out
    assert clip.seconds == len(read_samples(out)) / RATE
    assert least < clip.seconds < most
    assert -24 < clip.loudness_dbfs < -15
    assert -10 < clip.peak_dbfs < 0


def test_long_text_is_complete(tmp_path: Path) -> None:
    sentence, voice, count = HELLO["fa"], DEFAULT_VOICES["fa"], 12
    two = speak(f"{sentence} {sentence}", voice=voice, out=tmp_path / "two.wav")
    long = speak(" ".join([sentence] * count), voice=voice, out=tmp_path / "long.wav")
    assert long.seconds == pytest.approx(two.seconds * count / 2, rel=0.1)
    # The end is the end of the sentence: nothing is repeated or cut off.
    last = round(two.seconds / 2 * RATE)
    assert likeness(read_samples(long.path)[-last:], read_samples(two.path)[-last:]) > 0.9


@pytest.mark.slow
def test_every_voice_sounds_different_and_keeps_the_rate(tmp_path: Path) -> None:
    """The engine ignored one rate in a hundred when it was set together with the text."""

    def measure(voice: str) -> tuple[float, float]:
        slow, fast = (run_engine(tmp_path / f"{voice}-{rate}.wav", voice=voice, rate=rate) for rate in (100, 400))
        return slow, fast

    names = [voice.name for voice in list_voices()]
    with ThreadPoolExecutor(2) as pool:
        lengths = dict(zip(names, pool.map(measure, names), strict=True))
    assert len(lengths) == 39
    assert {name: pair for name, pair in lengths.items() if not 4.5 < pair[0] / pair[1] < 8} == {}
    assert len({(tmp_path / f"{name}-400.wav").read_bytes() for name in names}) == len(names)


def test_pitch_is_heard(tmp_path: Path) -> None:
    low, usual, high = (
        pitch_of(
            read_samples(speak("Hello. Hello.", voice="en-us+f3", pitch=pitch, out=tmp_path / f"{pitch}.wav").path)
        )
        for pitch in (0, 50, 99)
    )
    assert low < usual * 0.8 < high * 0.6


def test_english_voice_speaks_persian_digits(tmp_path: Path) -> None:
    """It left them out."""
    persian = speak("۱۲۳", voice="en-us", out=tmp_path / "persian.wav")
    ascii_digits = speak("123", voice="en-us", out=tmp_path / "ascii.wav")
    assert persian.seconds == pytest.approx(ascii_digits.seconds, abs=0.02)


# -- voices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_voices_of_a_language(language: str) -> None:
    voices = list_voices(language)
    assert voices[0].name == DEFAULT_VOICES[language]
    assert (voices[0].kind, voices[0].number) == ("male", 7), "voices keep their numbers"
    assert {voice.language for voice in voices} == {language}
    assert {voice.kind for voice in voices} == {"female", "male", "plain"}
    assert len({(voice.kind, voice.number, voice.accent) for voice in voices}) == len(voices), "labels are unique"
    assert list_voices("de") == ()


@pytest.mark.parametrize(
    ("name", "language", "is_valid"),
    [
        ("fa+m3", "fa", True),
        ("fa+m3", "en", False),
        ("fa+m9", "fa", False),
        ("piper:fa_IR-amir-medium", "fa", True),
        ("piper:../../x", "fa", False),
        ("piper:", "fa", False),
        ("", "fa", False),
    ],
)
def test_names_of_voices_in_settings(name: str, language: str, is_valid: bool) -> None:
    assert is_voice_name(name, language) is is_valid


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "voice", "rate", "pitch", "code", "details"),
    [
        ("", "en-us", 150, 50, "empty_text", {}),
        (" \n\u200f\x00… !", "en-us", 150, 50, "empty_text", {}),
        ("a" * (MAX_CHARACTERS + 1), "en-us", 150, 50, "text_too_long", {"length": 1501, "limit": 1500}),
        ("hello سلام", "en-us", 150, 50, "wrong_language", {"language": "en"}),
        ("hello", "fa", 150, 50, "wrong_language", {"language": "fa"}),
        ("hello", "", 150, 50, "unknown_voice", {"voice": ""}),
        ("hello", "../../etc/passwd", 150, 50, "unknown_voice", {"voice": "../../etc/passwd"}),
        ("hello", "en-us", 79, 50, "rate_out_of_range", {"rate": 79, "least": 80, "most": 450}),
        ("hello", "en-us", 451, 50, "rate_out_of_range", {"rate": 451, "least": 80, "most": 450}),
        ("hello", "en-us", 150, -1, "pitch_out_of_range", {"pitch": -1, "least": 0, "most": 99}),
        ("hello", "en-us", 150, 100, "pitch_out_of_range", {"pitch": 100, "least": 0, "most": 99}),
    ],
)
def test_invalid_arguments_are_refused(
    text: str, voice: str, rate: int, pitch: int, code: str, details: dict[str, object], out: Path
) -> None:
    for call in (
        lambda: speak(text, voice=voice, rate=rate, pitch=pitch, out=out),
        lambda: validate_speech(text, voice, rate, pitch),
    ):
        with pytest.raises(SpeechError) as caught:
            call()
        assert (caught.value.code, caught.value.details) == (code, details)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a\tb\n\nc ", "a b c"),
        ("می\u200cباشد", "می\u200cباشد"),  # the half-space is part of the spelling
        ("\u202bسلام\u202c\ufeff\x07", "سلام"),
        ("۱۲۳ ١٢٣ 123", "123 123 123"),
        ("۱٬۲۳۴٬۵۶۷", "1234567"),
        ("۱٫۵", "1.5"),
        ("e\u0301", "é"),
    ],
)
def test_text_is_cleaned(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    ("text", "language", "fits"),
    [
        ("سلام", "fa", True),
        ("شرکت Bazang سلام می‌کند", "fa", True),
        ("09123456789", "fa", True),
        ("09123456789", "en", True),
        ("Straße café", "en", True),
        ("hello", "fa", False),
        ("سلام hello world", "fa", False),
        ("привет", "fa", False),
        ("شماره", "en", False),
    ],
)
def test_letters_must_fit_the_language(text: str, language: str, fits: bool) -> None:
    assert fits_language(text, language) is fits


# -- errors of the engine -------------------------------------------------------------------------------------------


def test_voice_that_the_engine_lacks_is_an_error(out: Path) -> None:
    """Otherwise the engine speaks with its first voice, in another language."""
    with pytest.raises(SoundError) as caught:
        run_engine(out, voice="xx")
    assert (caught.value.code, caught.value.details) == ("unknown_voice", {"voice": "xx"})


def test_speech_that_cannot_be_written_is_an_error(out: Path) -> None:
    """As on a full disk. Only the engine's thread sees the error, and must end the waiting one."""
    with pytest.raises(SoundError) as caught:
        run_engine(out, text="hello", file_bytes=1000)
    assert caught.value.code == "speech_failed"


def test_timeout(out: Path) -> None:
    with pytest.raises(SpeechError) as caught:
        speak("hello " * 240, voice="en-us", timeout=0.01, out=out)
    assert caught.value.code == "timeout"
    assert list(out.parent.iterdir()) == []


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        speak("hello", voice="en-us", out=tmp_path / "missing" / "out.wav")
    assert caught.value.errno == errno.ENOENT
    assert str(tmp_path / "missing") in os.fsdecode(caught.value.filename)
