"""Persian as the voice says it: the ezafe, the number four, and numbers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.audio.library import SoundLibrary
from app.audio.persian import number_words, respell
from app.audio.prompt_texts import FIXED_KEYS, PHONE_CALL_KEYS, PROMPT_KEYS, default_text
from app.audio.speak import clean_text

PAGE = Path(__file__).with_name("spoken_persian.tsv")
KEYS = PROMPT_KEYS + FIXED_KEYS + PHONE_CALL_KEYS
INTRO_SECONDS = 10.0


def test_the_voice_says_typical_words_right() -> None:
    lines = [line.split("\t") for line in PAGE.read_text().splitlines() if not line.startswith("#")]
    texts = [respell(clean_text(text)) for text, _right in lines]
    child = subprocess.run(
        [sys.executable, "-m", "tests.audio.phonemes_child"],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    spoken = json.loads(child.stdout)
    assert dict(zip((text for text, _right in lines), spoken, strict=True)) == dict(lines)


def test_default_texts_lack_no_ezafe() -> None:
    """None of these words stands bare before one that belongs to it."""
    first = "همکاران|درخواست|تماس|شماره|عدد|کلید|همه|نوبت|ساعات|حال|محض|پشت|غیر|نام|زمان|آزاد شدن|شنیدن|ضبط|نگه داشتن"
    second = r"ما|شما|خود|تماس|وارد|کاری|ثبت|آزاد|همکاران|خط|این|دوباره|صدا|بوق|آن|مربع|ستاره|درخواست|[۰-۹{]"
    bare = re.compile(rf"(?<!\w)(?:{first}) (?:{second})(?!\w)")
    assert bare.search("درخواست تماس شما")
    for key in KEYS:
        assert not bare.findall(default_text(key, "fa")), key


@pytest.mark.parametrize("language", ["fa", "en"])
def test_the_intro_is_short(tmp_path: Path, language: str) -> None:
    clip = SoundLibrary(tmp_path).synthesize(default_text("intro", language), language)
    assert clip.seconds <= INTRO_SECONDS


def test_numbers_in_words() -> None:
    """Read back from their words, all numbers are what they were."""
    values: dict[str, int] = {number_words(n): n for n in [*range(20), *range(20, 100, 10), *range(100, 1000, 100)]}

    def value(words: str) -> int:
        thousands, is_large, rest = words.rpartition("هزار")
        head = (value(thousands.strip()) if thousands.strip() else 1) if is_large else 0
        parts = [part.strip("\u064f ") for part in rest.split("\u064f ") if part.strip("\u064f ")]
        return 1000 * head + sum(values[part] for part in parts)

    assert len(values) == 20 + 8 + 9
    for number in [*range(1, 10_000), *range(10_000, 1_000_000, 997)]:
        assert value(number_words(number)) == number


def test_a_respelled_text_stays() -> None:
    """The library checks the text that it has respelled once more before it is spoken."""
    for text in ("عدد 4 چهار و چهارده، ۱۴۰۴", "محلِّ كارِ شماره‌ی ۴۴.", "09124567894"):
        once = respell(clean_text(text))
        assert respell(once) == once != text
