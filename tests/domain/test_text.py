"""Which names can be shown."""

import pytest

from app.domain.text import displayable, is_displayable


@pytest.mark.parametrize("name", ["Sales", "درخواست‌های فروش", "Ali & sons <b>", "پاسخ‌گویی", "१२३", "family 👨‍👩‍👧"])
def test_names_of_all_languages_can_be_shown(name: str) -> None:
    assert is_displayable(name)
    assert displayable(name, 80) == name


@pytest.mark.parametrize("name", ["two\nlines", "NUL\0", "turned \u202eround", "\u2066isolated", "bell\a", "\ufeff"])
def test_what_breaks_a_line_or_turns_it_round_cannot(name: str) -> None:
    assert not is_displayable(name)
    assert is_displayable(displayable(name, 80))


def test_a_strangers_name_is_cut() -> None:
    assert displayable("a" * 100, 80) == "a" * 80
    assert displayable(" x\r\n ", 80) == "x"
