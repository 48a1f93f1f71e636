"""Clean names for display, and make texts comparable for searches."""

import re
import unicodedata

LONGEST_SHOWN = 6  # digits of a number that the log shows as it is
# A number as it is stored (+989121234567), or as people and the PBX write it (09121234567). Digits inside a longer
# word, an address or an identifier are none.
_NUMBER = re.compile(r"\+[0-9]{7,15}|(?<![\w.:/-])0[0-9]{8,15}(?![\w-])")
# ZWNJ and ZWJ: Persian spelling needs them.
_JOINERS = "\u200c\u200d"
# Tabs, no-break spaces and spaces of other widths, which look like a space.
_SPACES = dict.fromkeys((*b"\t", 0x00A0, *range(0x2000, 0x200B), 0x202F, 0x3000), " ")
# The same, and marks that nobody sees: of a direction or its end, of the order of bytes, and the soft hyphen.
_MARKS = (0x200E, 0x200F, 0x061C, 0x202A, 0x202B, 0x202C, *range(0x2066, 0x206A), 0xFEFF, 0x00AD)
_INVISIBLE = _SPACES | dict.fromkeys(_MARKS, "")


def is_displayable(text: str) -> bool:
    """Tell whether a text can be displayed on one line: no control or direction characters."""
    return all(char in _JOINERS or char.isprintable() for char in text)


def as_typed(text: str) -> str:
    """Return a pasted text without what nobody types or sees: direction marks and spaces that look like others.

    Messengers and word processors put them around Persian text. Characters that turn text round stay, to be refused.
    Lines end as they are stored, although browsers send two characters.
    """
    return text.replace("\r\n", "\n").translate(_INVISIBLE)


def displayable(text: str, longest: int = 200) -> str:
    """Return the displayable characters of untrusted text, `longest` at most. Words stay apart."""
    if text.isascii() and text.isprintable():  # as nearly all that the PBX sends
        return text[:longest].strip()
    text = text.translate(_SPACES)
    kept = text if text.isprintable() else "".join(char for char in text if char in _JOINERS or char.isprintable())
    return unicodedata.normalize("NFC", kept)[:longest].strip()


def masked(number: str) -> str:
    """Return a number for the log: of one that is longer than an extension, the last digits only."""
    shown = displayable(number)
    return shown if len(shown) <= LONGEST_SHOWN else f"***{shown[-3:]}"


def one_line(text: str) -> str:
    """Return a text for a log of lines: what is not displayable, such as the end of a line, is escaped (\\n)."""
    if text.isprintable():
        return text
    return "".join(
        char if char in _JOINERS or char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def mask_all(text: str) -> str:
    """Mask all numbers such as +989121234567 (the stored form) and 09121234567 in a text for the log."""
    return _NUMBER.sub(lambda found: masked(found[0]), text)


# What a search ignores: spaces, joiners, the Arabic lengthening stroke and short vowels, direction marks.
IGNORED_IN_SEARCH = " \t\u00a0\u200c\u200d\u200e\u200f\u0640\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0654"
# Letters that Arabic and Persian keyboards write differently, and the digits of both. One character stands for one.
FOLDED_FROM = "\u064a\u0649\u0626\u0643\u0629\u06c0\u06d5\u0623\u0625\u0622\u0671\u0624۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩"
FOLDED_TO = "\u06cc\u06cc\u06cc\u06a9\u0647\u0647\u0647\u0627\u0627\u0627\u0627\u064801234567890123456789"
_FOLDS = str.maketrans(FOLDED_FROM, FOLDED_TO, IGNORED_IN_SEARCH)


def search_key(text: str) -> str:
    """Return the form of a text in which searches compare it.

    A search finds a text however its case, its digits, its half-spaces and the Arabic or Persian forms of its letters
    are written.
    """
    return text.lower().translate(_FOLDS)
