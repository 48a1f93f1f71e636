"""Default texts: they must name exactly the keys that callers may press."""

import re
from datetime import datetime

import pytest

from app.audio.prompt_texts import (
    FIXED_KEYS,
    LANGUAGES,
    PHONE_CALL_KEYS,
    PROMPT_KEYS,
    age_text,
    announced_keys,
    appointment_text,
    default_text,
    delay_text,
    fill_in,
    place_text,
    spoken_key,
    wait_text,
)
from app.audio.speak import validate_speech
from app.audio.voices import DEFAULT_VOICES
from app.domain.estimated_wait import SAID_MINUTES

KEYS = PROMPT_KEYS + FIXED_KEYS + PHONE_CALL_KEYS
THURSDAY = datetime(2026, 11, 26, 16, 50)
TO_ASCII = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")
HASH, STAR = {"fa": "مربع", "en": "hash"}, {"fa": "ستاره", "en": "star"}


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
        "closed",
        "offer",
        "ask_customer",
        "greet_customer",
        "apology",
    )


def test_keys_are_named_as_they_are_spoken() -> None:
    assert [spoken_key(key, "en") for key in ("4", "*", "#", "")] == ["4", "star", "hash", ""]
    assert [spoken_key(key, "fa") for key in ("4", "*", "#")] == ["4", STAR["fa"], HASH["fa"]]
    assert "کلیدِ ستاره را" in fill_in(default_text("offer", "fa"), "", spoken_key("*", "fa"))
    assert "press hash," in fill_in(default_text("offer", "en"), "", spoken_key("#", "en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_can_be_spoken_and_name_the_announced_keys(language: str) -> None:
    for key in KEYS:
        text = default_text(key, language)
        assert bool(text) == ((key, language) != ("is", "en")), key
        assert not text or validate_speech(text, DEFAULT_VOICES[language]), key
        assert not set(text) & set("يكة"), key  # Arabic letters
        named = re.findall(r"\d", text.translate(TO_ASCII))
        named += [key for key, names in (("*", STAR), ("#", HASH)) if names[language] in text]
        assert tuple(named) == announced_keys(key), key


def test_unknown_keys_and_languages_are_refused() -> None:
    for call in (
        lambda: default_text("outro", "fa"),
        lambda: default_text("intro", "xx"),
        lambda: announced_keys("outro"),
        lambda: age_text(3, "xx"),
        lambda: delay_text(10, "xx"),
        lambda: appointment_text(THURSDAY, THURSDAY, "xx"),
        lambda: place_text(0, "xx"),
        lambda: place_text(30, "xx"),
        lambda: wait_text(10, "xx"),
        lambda: wait_text(12, "en"),
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


@pytest.mark.parametrize(
    ("at", "fa", "en"),
    [
        ("2026-11-26T17:00", "امروز ساعتِ 5 بعدازظهر", "today, at 5 in the afternoon"),
        ("2026-11-27T08:30", "فردا ساعتِ 8 و 30 دقیقهٔ صبح", "tomorrow, at 8:30 in the morning"),
        ("2026-11-28T12:05", "روزِ شنبه ساعتِ 12 و 5 دقیقهٔ ظهر", "on Saturday, at 12:05 in the afternoon"),
        ("2026-12-05T00:15", "9 روزِ دیگر، شنبه ساعتِ 12 و 15 دقیقهٔ بامداد", "in 9 days, on Saturday, at 12:15 at night"),
        ("2026-11-29T20:00", "روزِ یکشنبه ساعتِ 8 شب", "on Sunday, at 8 in the evening"),
    ],
)
def test_appointments(at: str, fa: str, en: str) -> None:
    moment = datetime.fromisoformat(at)
    assert appointment_text(moment, THURSDAY, "fa") == f"{fa} با شما تماس می‌گیریم."
    assert appointment_text(moment, THURSDAY, "en") == f"We will call you {en}."
    assert delay_text(20, "fa") == "20 دقیقهٔ دیگر با شما تماس می‌گیریم."
    for language in LANGUAGES:
        for text in (appointment_text(moment, THURSDAY, language), delay_text(90, language)):
            assert validate_speech(text, DEFAULT_VOICES[language])


def test_place_and_wait() -> None:
    """Each is a clip of its own, so there are few, and two texts differ."""
    for language in LANGUAGES:
        places = {place_text(ahead, language) for ahead in range(101)}
        waits = {wait_text(minutes, language) for minutes in SAID_MINUTES}
        assert (len(places), len(waits)) == (22, len(SAID_MINUTES))
        assert all(validate_speech(text, DEFAULT_VOICES[language]) for text in places | waits)
    assert [place_text(ahead, "en")[:17] for ahead in (1, 20, 21)] == [
        "You are number 2 ",
        "You are number 21",
        "More than 20 peop",
    ]
    assert place_text(3, "fa") == "3 نفر پیش از شما در نوبت هستند."
