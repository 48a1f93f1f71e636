"""Real speech: complete, at the rate asked for, in the voice's language, or refused."""

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.audio.child_process import run_child
from app.audio.clip import SoundError, SpeechError
from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS, default_text
from app.audio.speak import MAX_CHARACTERS, clean_text, fits_language, speak, validate_speech
from app.audio.voices import DEFAULT_VOICES, is_voice_name, list_voices
from tests.audio.sounds import RATE, likeness, pitch_of, read_samples

HELLO = {"fa": "سلام. لطفاً شماره تماس خود را وارد کنید.", "en": "Hello. Please enter your telephone number."}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.wav"


@pytest.mark.parametrize(("language", "least", "most"), [("fa", 2.5, 6.0), ("en", 1.5, 4.5)])
def test_a_text_becomes_level_speech_of_plausible_length(language: str, least: float, most: float, out: Path) -> None:
    clip = speak(HELLO[language], voice=DEFAULT_VOICES[language], out=out)
    assert clip.path == out
    assert clip.seconds == len(read_samples(out)) / RATE
    assert least < clip.seconds < most
    assert -24 < clip.loudness_dbfs < -15
    assert -10 < clip.peak_dbfs < 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_text_is_complete(language: str, tmp_path: Path) -> None:
    sentence = HELLO[language]
    count = 1000 // (len(sentence) + 1)
    one = speak(sentence + " " + sentence, voice=DEFAULT_VOICES[language], out=tmp_path / "two.wav")
    long = speak(" ".join([sentence] * count), voice=DEFAULT_VOICES[language], out=tmp_path / "long.wav")
    assert long.seconds == pytest.approx(one.seconds * count / 2, rel=0.1)
    # The end is the sentence's end: nothing is repeated or cut off in its place.
    last = round(one.seconds / 2 * RATE)
    assert likeness(read_samples(long.path)[-last:], read_samples(one.path)[-last:]) > 0.9


def test_every_voice_speaks_and_at_the_rate_asked_for(tmp_path: Path) -> None:
    """The engine forgot about one rate in a hundred when it was given together with the text."""

    def measure(voice: str) -> tuple[float, float]:
        request = {"text": "1 2 3", "voice": voice, "pitch": 50}
        slow, fast = (
            run_child(
                "speak_child.py",
                request | {"rate": rate, "out": str(tmp_path / f"{voice}-{rate}.wav")},
                timeout=20,
                file_bytes=1 << 22,
            )["seconds"]
            for rate in (100, 400)
        )
        return slow, fast

    names = [voice.name for voice in list_voices()]
    with ThreadPoolExecutor(2) as pool:
        lengths = dict(zip(names, pool.map(measure, names), strict=True))
    assert len(lengths) == 39
    assert {name: pair for name, pair in lengths.items() if not 4.5 < pair[0] / pair[1] < 8} == {}


def test_no_two_voices_sound_the_same(tmp_path: Path) -> None:
    def hear(name: str) -> bytes:
        out = tmp_path / f"{name}.wav"
        request = {"text": "1 2 3", "voice": name, "rate": 300, "pitch": 50, "out": str(out)}
        run_child("speak_child.py", request, timeout=20, file_bytes=1 << 22)
        return out.read_bytes()

    names = [voice.name for voice in list_voices()]
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(hear, names))) == len(names)


def test_a_pitch_is_heard(tmp_path: Path) -> None:
    """From voice to voice by about the same factor: the engine's scale is one of intervals."""
    for voice in ("en-us+f3", "fa+m3"):
        text = HELLO[voice[:2]]
        low, usual, high = (
            pitch_of(read_samples(speak(text, voice=voice, pitch=pitch, out=tmp_path / f"{voice}-{pitch}.wav").path))
            for pitch in (0, 50, 99)
        )
        assert low < usual * 0.8 < high * 0.6, (voice, low, usual, high)


def test_without_a_pitch_it_is_the_usual_one(tmp_path: Path) -> None:
    plain = speak(HELLO["en"], voice="en-us", out=tmp_path / "plain.wav")
    usual = speak(HELLO["en"], voice="en-us", pitch=50, out=tmp_path / "usual.wav")
    assert plain.path.read_bytes() == usual.path.read_bytes()


def test_a_voice_can_be_named_by_what_it_is() -> None:
    """ "Woman 2 (British)": no two voices of a language look the same."""
    for language in LANGUAGES:
        known = [(voice.kind, voice.number, voice.accent) for voice in list_voices(language)]
        assert len(set(known)) == len(known)
        assert {kind for kind, _, _ in known} == {"female", "male", "plain"}
    assert (list_voices("fa")[0].kind, list_voices("fa")[0].number) == ("female", 1)


@pytest.mark.parametrize(
    ("name", "language", "may_be"),
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
def test_a_setting_names_only_what_may_be_a_voice(name: str, language: str, may_be: bool) -> None:
    assert is_voice_name(name, language) is may_be


@pytest.mark.parametrize("language", LANGUAGES)
def test_voices_of_a_language_begin_with_its_default(language: str) -> None:
    assert list_voices(language)[0].name == DEFAULT_VOICES[language]
    assert {voice.language for voice in list_voices(language)} == {language}
    assert list_voices("de") == ()


def test_volume_is_a_factor(tmp_path: Path) -> None:
    loud = speak("123", voice="en-us", out=tmp_path / "loud.wav")
    soft = speak("123", voice="en-us", volume=0.5, out=tmp_path / "soft.wav")
    assert loud.loudness_dbfs - soft.loudness_dbfs == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize(
    ("text", "voice", "rate", "code", "details"),
    [
        ("", "en-us", 150, "empty_text", {}),
        (" \n\u200f\x00… !", "en-us", 150, "empty_text", {}),
        ("a" * (MAX_CHARACTERS + 1), "en-us", 150, "text_too_long", {"length": 1501, "limit": 1500}),
        ("سلام", "en-us", 150, "wrong_language", {"language": "en"}),
        ("hello سلام", "en-us", 150, "wrong_language", {"language": "en"}),
        ("hello", "fa", 150, "wrong_language", {"language": "fa"}),
        ("привет", "fa", 150, "wrong_language", {"language": "fa"}),
        ("hello", "", 150, "unknown_voice", {"voice": ""}),
        ("hello", "de", 150, "unknown_voice", {"voice": "de"}),
        ("hello", "../../etc/passwd", 150, "unknown_voice", {"voice": "../../etc/passwd"}),
        ("hello", "en-us", 79, "rate_out_of_range", {"rate": 79, "least": 80, "most": 450}),
        ("hello", "en-us", 451, "rate_out_of_range", {"rate": 451, "least": 80, "most": 450}),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    text: str, voice: str, rate: int, code: str, details: dict[str, object], out: Path
) -> None:
    for call in (lambda: speak(text, voice=voice, rate=rate, out=out), lambda: validate_speech(text, voice, rate)):
        with pytest.raises(SpeechError) as caught:
            call()
        assert (caught.value.code, caught.value.details) == (code, details)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("pitch", [-1, 100])
def test_a_pitch_beyond_the_scale_is_refused(pitch: int, out: Path) -> None:
    with pytest.raises(SpeechError) as caught:
        speak("hello", voice="en-us", pitch=pitch, out=out)
    assert caught.value.code == "pitch_out_of_range"
    assert caught.value.details == {"pitch": pitch, "least": 0, "most": 99}
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a\tb\n\nc ", "a b c"),
        ("می\u200cباشد", "می\u200cباشد"),  # the half-space is spelling
        ("\u202bسلام\u202c\ufeff\x07", "سلام"),
        ("۱۲۳ ١٢٣ 123", "123 123 123"),
        ("۱٬۲۳۴٬۵۶۷", "1234567"),
        ("۱٫۵", "1.5"),
        ("e\u0301", "é"),
    ],
)
def test_a_text_is_cleaned(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_an_english_voice_speaks_persian_digits(tmp_path: Path) -> None:
    """It was silent on them, so that "Press ۱" lost what to press."""
    persian = speak("۱۲۳", voice="en-us", out=tmp_path / "persian.wav")
    ascii_digits = speak("123", voice="en-us", out=tmp_path / "ascii.wav")
    assert persian.seconds == pytest.approx(ascii_digits.seconds, abs=0.02)


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
        ("شماره", "en", False),
    ],
)
def test_letters_tell_the_language(text: str, language: str, fits: bool) -> None:
    assert fits_language(text, language) is fits


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_default_prompts_can_be_spoken(language: str) -> None:
    texts = [default_text(key, language) for key in PROMPT_KEYS]
    assert [text for text in texts if text and not validate_speech(text, DEFAULT_VOICES[language])] == []


def test_a_voice_that_the_engine_does_not_have_is_told(tmp_path: Path) -> None:
    """Else the sound would be in the voice and language that the engine begins with."""
    request = {"text": "hello", "voice": "xx", "rate": 150, "pitch": 50, "out": str(tmp_path / "out.wav")}
    with pytest.raises(SoundError) as caught:
        run_child("speak_child.py", request, timeout=20, file_bytes=1 << 22)
    assert (caught.value.code, caught.value.details) == ("unknown_voice", {"voice": "xx"})


def test_speech_that_cannot_be_written_ends_at_once(tmp_path: Path) -> None:
    """As on a full disk: the engine's thread alone sees that, and nobody would wake the waiting one."""
    request = {"text": "hello", "voice": "en-us", "rate": 150, "pitch": 50, "out": str(tmp_path / "out.wav")}
    begin = time.monotonic()
    with pytest.raises(SoundError) as caught:
        run_child("speak_child.py", request, timeout=20, file_bytes=1000)
    assert caught.value.code == "speech_failed"
    assert time.monotonic() - begin < 10


def test_the_time_limit_holds_for_speech(out: Path) -> None:
    with pytest.raises(SpeechError) as caught:
        speak("hello " * 240, voice="en-us", timeout=0.01, out=out)
    assert caught.value.code == "timeout"
    assert list(out.parent.iterdir()) == []


def test_a_lost_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        speak("hello", voice="en-us", out=tmp_path / "lost" / "out.wav")
    assert caught.value.errno == errno.ENOENT
    assert str(tmp_path / "lost") in os.fsdecode(caught.value.filename)
