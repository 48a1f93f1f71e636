"""The texts and the keys they announce must agree, for callers press what they were told."""

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

TO_ASCII = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")
HASH = {"fa": "مربع", "en": "hash"}


def test_the_eight_prompts_come_in_the_order_a_caller_hears_them() -> None:
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
@pytest.mark.parametrize("key", PROMPT_KEYS + FIXED_KEYS + PHONE_CALL_KEYS)
def test_a_text_names_exactly_the_announced_keys(key: str, language: str) -> None:
    text = default_text(key, language)
    named = re.findall(r"\d", text.translate(TO_ASCII)) + (["#"] if HASH[language] in text else [])
    assert tuple(named) == announced_keys(key)


@pytest.mark.parametrize("key", PROMPT_KEYS + FIXED_KEYS + PHONE_CALL_KEYS)
def test_only_the_persian_verb_has_no_english_text(key: str) -> None:
    assert default_text(key, "fa")
    assert bool(default_text(key, "en")) == (key != "is")


def test_persian_texts_use_persian_letters() -> None:
    assert not [key for key in PROMPT_KEYS + FIXED_KEYS + PHONE_CALL_KEYS if set(default_text(key, "fa")) & set("يكة")]


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
    ],
)
def test_ages(minutes: int, fa: str, en: str) -> None:
    assert (age_text(minutes, "fa"), age_text(minutes, "en")) == (fa, en)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_number_of_different_ages_is_bounded(language: str) -> None:
    assert len({age_text(minutes, language) for minutes in range(400 * 24 * 60)}) == 114
