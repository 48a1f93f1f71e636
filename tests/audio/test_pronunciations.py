"""The office's list of pronunciations."""

import pytest

from app.audio.pronunciations import (
    MAX_PRONUNCIATIONS,
    BadPronunciation,
    Pronunciation,
    format_pronunciations,
    merge_pronunciations,
    parse_pronunciations,
    pronounce,
)

LIST = parse_pronunciations("بازنگ = بازَنگ\n\nقم=قُم\n کرمان  =  کِرمان ", "fa")


def test_pronunciations_are_read_and_written() -> None:
    assert [one.word for one in LIST] == ["بازنگ", "قم", "کرمان"]
    assert parse_pronunciations(format_pronunciations(LIST), "fa") == LIST
    changed = merge_pronunciations(LIST, [Pronunciation("قم", "قُمم"), Pronunciation("یزد", "یَزد")])
    assert [one.written_as for one in changed] == ["بازَنگ", "قُمم", "کِرمان", "یَزد"]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("بازنگ", "form", 1),
        ("\n= بازَنگ", "form", 2),
        ("بازنگ = ", "form", 1),
        ("الف = ب = پ", "form", 1),
        ("، = ب", "form", 1),
        ("الف = " + "ب" * 81, "too_long", 1),
        ("ا" * 41 + " = ب", "too_long", 1),
        ("الف = aleph", "wrong_letters", 1),
        ("کرمان = ک\nكرمان = کِ", "twice", 2),
        ("\n".join(f"الف{number} = ب" for number in range(MAX_PRONUNCIATIONS + 1)), "too_many", MAX_PRONUNCIATIONS + 1),
    ],
)
def test_bad_pronunciations_are_refused(text: str, code: str, line: int) -> None:
    with pytest.raises(BadPronunciation) as caught:
        parse_pronunciations(text, "fa")
    assert (caught.value.code, caught.value.line) == (code, line)


def test_whole_words_are_pronounced() -> None:
    assert pronounce("بازنگِ قم، قمر و بازنگ‌ها", LIST) == "بازَنگِ قُم، قمر و بازَنگ‌ها"
    assert pronounce("كرمان", LIST) == "کِرمان"  # typed with an Arabic letter
    assert pronounce("نقم بازنگم", LIST) == "نقم بازنگم"
    swap = parse_pronunciations("a.b = cat\ncat = dog", "en")
    assert pronounce("A.B cat axb", swap) == "cat dog axb"
    assert pronounce("متن", ()) == "متن"
