"""Respell Persian text where the speech engine would misread it.

What the engine makes of a text can be seen in its phonemes: tests/audio/spoken_persian.tsv is a page of them.
"""

import re

_FATHA, _DAMMA, _KASRA, _SHADDA, _SUKUN, _HAMZA = "\u064e\u064f\u0650\u0651\u0652\u0654"
_ARABIC_LETTERS = str.maketrans("يك", "یک")
# The engine names a shadda that stands beside another mark ("tashdid") instead of doubling the letter.
_MARKED_TWICE = re.compile(rf"{_SHADDA}?([\u064b-\u0650]){_SHADDA}?")
# The two other spellings of an ezafe after a silent h.
_EZAFE_AFTER_H = re.compile(r"ه\u200cی(?![\w\u200c])|ۀ")
_FOUR = f"چ{_FATHA}هار"  # the engine reads the bare word with a long vowel
_FOURS = (
    (re.compile(r"(?<![\w\u064b-\u0652])چهارده(?!\w)"), f"{_FOUR}{_SUKUN}د{_FATHA}ه"),
    (re.compile(r"(?<![\w\u064b-\u0652])چهارم"), f"{_FOUR}{_DAMMA}م"),
    (re.compile(r"(?<![\w\u064b-\u0652])چهار"), _FOUR),
)
_NUMBER = re.compile(r"(?<![\d.])\d+(?!\d|\.\d)")

_BELOW_20 = (
    *("صفر", "یک", "دو", "سه", _FOUR, "پنج", "شش", "هفت", "هشت", f"ن{_DAMMA}ه"),
    *("ده", "یازده", "دوازده", "سیزده", f"{_FOUR}{_SUKUN}د{_FATHA}ه", "پانزده", "شانزده", "هفده", "هجده", "نوزده"),
)
_TENS = ("", "", "بیست", "سی", "چهل", "پنجاه", "شصت", "هفتاد", "هشتاد", "نود")
_HUNDREDS = ("", "صد", "دویست", "سیصد", f"{_FOUR}صد", "پانصد", "ششصد", "هفتصد", "هشتصد", "نهصد")
_LONGEST_NUMBER = 6  # digits of a number that is read as one; a longer one is read digit by digit, as the engine does


def respell(text: str) -> str:
    """Return a Persian text so that the engine reads it right. Its digits are ASCII digits already."""
    text = _MARKED_TWICE.sub(r"\1", text.translate(_ARABIC_LETTERS))
    text = _EZAFE_AFTER_H.sub(f"ه{_HAMZA}", text)
    text = _NUMBER.sub(_respell_number, text)
    for pattern, spelled in _FOURS:
        text = pattern.sub(spelled, text)
    return text


def number_words(number: int) -> str:
    """Return a number below a million in words as they are spoken: 345 is "sisado chehelo panj"."""
    parts = []
    if number >= 1000:
        parts.append("هزار" if number < 2000 else f"{number_words(number // 1000)} هزار")
    number %= 1000
    if number >= 100:
        parts.append(_HUNDREDS[number // 100])
    number %= 100
    if number >= 20:
        parts.append(_TENS[number // 10])
        number %= 10
    if number or not parts:
        parts.append(_BELOW_20[number])
    return f"{_DAMMA} ".join(parts)  # a separate "and" would be read with its full vowel


def _respell_number(found: re.Match[str]) -> str:
    """Write out a number with a 4, which the engine reads as it reads the word."""
    digits = found[0]
    if "4" not in digits:
        return digits
    if len(digits) <= _LONGEST_NUMBER and not digits.startswith("0"):
        return number_words(int(digits))
    return " ".join(_BELOW_20[int(digit)] for digit in digits)
