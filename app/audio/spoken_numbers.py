"""Telephone numbers as people say them: in groups, and in Persian each group as one number."""

from app.audio.persian import number_words

_ZERO = number_words(0)


def number_groups(digits: str) -> tuple[str, ...]:
    """Return the groups in which a number is said: 0912, 123, 45, 67. Joined, they are the number again.

    `digits`: ASCII digits, as the number is written in the country. A mobile number begins with a group of four and a
    landline with its area code of three, as in Iran and its neighbours. What else is long is said in groups of three.
    Before it comes what is dialled for going abroad.
    """
    if digits.startswith("00"):
        return "00", *_split(digits[2:])
    if len(digits) == 11 and digits.startswith("09"):
        return digits[:4], digits[4:7], digits[7:9], digits[9:]
    if len(digits) == 11 and digits.startswith("0"):
        return digits[:3], *_pairs(digits[3:])
    return _split(digits)


def group_text(group: str, language: str) -> str:
    """Return the text of a group. English digits are said one by one. Raises KeyError for an unknown language."""
    if language == "fa":
        significant = group.lstrip("0")
        words = [_ZERO] * (len(group) - len(significant))
        return " ".join([*words, number_words(int(significant))] if significant else words)
    return {"en": " ".join(group)}[language]


def _split(digits: str) -> tuple[str, ...]:
    """Split digits into groups of three, or pairs if they are few. No digit stands alone behind others."""
    if len(digits) <= 3:
        return (digits,) if digits else ()
    if len(digits) in (4, 6, 8):
        return _pairs(digits)
    rest = {0: 0, 1: 4, 2: 2}[len(digits) % 3]
    threes = len(digits) - rest
    return *(digits[at : at + 3] for at in range(0, threes, 3)), *_pairs(digits[threes:])


def _pairs(digits: str) -> tuple[str, ...]:
    return tuple(digits[at : at + 2] for at in range(0, len(digits), 2))
