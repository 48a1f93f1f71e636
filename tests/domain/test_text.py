"""Which names can be displayed."""

import pytest

from app.domain.text import (
    FOLDED_FROM,
    FOLDED_TO,
    as_typed,
    displayable,
    is_displayable,
    mask_all,
    one_line,
    search_key,
)


@pytest.mark.parametrize("name", ["Sales", "درخواست‌های فروش", "Ali & sons <b>", "پاسخ‌گویی", "१२३", "family 👨‍👩‍👧"])
def test_names_in_any_language_are_displayable(name: str) -> None:
    assert is_displayable(name)
    assert displayable(name, 80) == name


@pytest.mark.parametrize("name", ["two\nlines", "NUL\0", "turned \u202eround", "\u2066isolated", "bell\a", "\ufeff"])
def test_control_characters_are_not_displayable(name: str) -> None:
    assert not is_displayable(name)
    assert is_displayable(displayable(name, 80))


@pytest.mark.parametrize("space", ["\u00a0", "\t", "\u202f"])
def test_words_stay_apart(space: str) -> None:
    assert displayable(f"سارا{space}احمدی") == "سارا احمدی"


def test_pasted_text_is_as_it_was_typed() -> None:
    assert as_typed("\u202bشرکت\u00a0پاسخ‌گویی\u200f ABC\u202c\tتهران\ufeff") == "شرکت پاسخ‌گویی ABC تهران"
    assert as_typed("two\r\nlines 👨‍👩‍👧") == "two\nlines 👨‍👩‍👧"
    assert not is_displayable(as_typed("turned \u202eround"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain <b>", "plain <b>"),
        ("پاسخ\u200cگویی <b>", "پاسخ\u200cگویی <b>"),
        ("one\nERROR two\r", "one\\nERROR two\\r"),
        ("turned \u202eround\u200c\u2028", "turned \\u202eround\u200c\\u2028"),
    ],
)
def test_text_is_one_line_of_a_log(text: str, line: str) -> None:
    assert one_line(text) == line


def test_name_is_stripped_and_shortened() -> None:
    assert displayable("a" * 100, 80) == "a" * 80
    assert displayable(" x\r\n ", 80) == "x"


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("علي اكبري", "علی اکبری"),
        ("پاسخگویی", "پاسخ‌گویی"),
        ("پاسخ گویی", "پاسخ‌گویی"),
        ("آقای مسئول", "اقای مسیول"),
        ("مُحَمَّد", "محمد"),
        ("خانۀ ما", "خانه ما"),
        ("داخلی ۱۰۱", "داخلي 101"),
        ("٣ SALES", "3 sales"),
        ("سلـــام", "سلام"),
    ],
)
def test_a_search_finds_a_text_in_every_spelling(typed: str, stored: str) -> None:
    assert search_key(typed) == search_key(stored)


def test_other_words_stay_apart() -> None:
    assert search_key("سارا") != search_key("ساره")
    assert search_key("101") != search_key("102")


def test_each_folded_letter_has_one_letter() -> None:
    assert len(FOLDED_FROM) == len(FOLDED_TO)


def test_numbers_are_masked_in_a_text_for_the_log() -> None:
    assert mask_all("call +989121234567 from 101") == "call ***567 from 101"
