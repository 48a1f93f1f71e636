"""Default texts: they must name exactly the keys that callers may press."""

import re

import pytest

from app.audio.prompt_texts import (
    FIXED_KEYS,
    LANGUAGES,
    PHONE_CALL_KEYS,
    PROMPT_KEYS,
    age_text,
    announced_keys,
    default_text,
)
from app.audio.speak import validate_speech
from app.audio.voices import DEFAULT_VOICES

KEYS = PROMPT_KEYS + FIXED_KEYS + PHONE_CALL_KEYS
TO_ASCII = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")
HASH = {"fa": "مربع", "en": "hash"}


def test_prompts_are_in_the_order_of_the_dialogue() -> None:
    assert PROMPT_KEYS == (
        "intro",
        "enter_number",
        "wrong_number",
        "entered_number",
        "is",
        "check_number",
        "before_success",
        "after_success",
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_can_be_spoken_and_name_the_announced_keys(language: str) -> None:
    for key in KEYS:
        text = default_text(key, language)
        assert bool(text) == ((key, language) != ("is", "en")), key
        assert not text or validate_speech(text, DEFAULT_VOICES[language]), key
        assert not set(text) & set("يكة"), key  # Arabic letters
        named = re.findall(r"\d", text.translate(TO_ASCII)) + (["#"] if HASH[language] in text else [])
        assert tuple(named) == announced_keys(key), key


def test_unknown_keys_and_languages_are_refused() -> None:
    for call in (
        lambda: default_text("outro", "fa"),
        lambda: default_text("intro", "xx"),
        lambda: announced_keys("outro"),
        lambda: age_text(3, "xx"),
    ):
        with pytest.raises(KeyError):
            call()


@pytest.mark.parametrize(
    ("minutes", "fa", "en"),
    [
        (-4, "کمتر از یک دقیقه پیش", "less than a minute ago"),
        (0, "کمتر از یک دقیقه پیش", "less than a minute ago"),
        (1, "1 دقیقه پیش", "1 minute ago"),
        (59, "59 دقیقه پیش", "59 minutes ago"),
        (60, "1 ساعت پیش", "1 hour ago"),
        (119, "1 ساعت پیش", "1 hour ago"),
        (24 * 60 - 1, "23 ساعت پیش", "23 hours ago"),
        (24 * 60, "1 روز پیش", "1 day ago"),
        (30 * 24 * 60, "30 روز پیش", "30 days ago"),
        (31 * 24 * 60, "بیش از 30 روز پیش", "more than 30 days ago"),
        (400 * 24 * 60, "بیش از 30 روز پیش", "more than 30 days ago"),
    ],
)
def test_ages(minutes: int, fa: str, en: str) -> None:
    assert (age_text(minutes, "fa"), age_text(minutes, "en")) == (fa, en)
