"""Telephone numbers as they are read out."""

import random

import pytest

from app.audio.persian import number_words
from app.audio.spoken_numbers import group_text, number_groups


@pytest.mark.parametrize(
    "groups",
    [
        "0912 123 45 67",
        "021 88 88 12 34",
        "101",
        "14 04",
        "123 45",
        "88 88 12 34",
        "912 123 45 67",
        "00 442 071 838 750",
        "00 120 255 501 23",
        "00",
        "",
    ],
)
def test_groups_of_numbers(groups: str) -> None:
    assert " ".join(number_groups(groups.replace(" ", ""))) == groups


def test_no_digit_is_lost_or_doubled() -> None:
    """Whatever the number is, and in both languages: what is said can be written down again."""
    digits_of = {number_words(number): str(number) for number in range(1, 1000)} | {number_words(0): "0"}

    def write_down(text: str) -> str:
        words, zeros = text, ""
        while words.startswith(number_words(0)):
            words, zeros = words.removeprefix(number_words(0)).lstrip(), f"{zeros}0"
        return zeros + (digits_of[words] if words else "")

    choose = random.Random(31)
    for _ in range(5000):
        number = "".join(choose.choices("0123456789", k=choose.randrange(1, 21)))
        number = choose.choice(("", "0", "00", "09"))[: 20 - len(number)] + number
        groups = number_groups(number)
        assert "".join(groups) == number
        assert all(1 <= len(group) <= 4 for group in groups) and all(len(group) > 1 for group in groups[1:-1])
        assert "".join(write_down(group_text(group, "fa")) for group in groups) == number
        assert "".join(group_text(group, "en").replace(" ", "") for group in groups) == number
    with pytest.raises(KeyError):
        group_text("12", "xx")
