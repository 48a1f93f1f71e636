"""The office's list of pronunciations: words that a voice reads wrong, and how to write them for it."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.audio.speak import clean_text, fits_language

MAX_PRONUNCIATIONS = 100
MAX_WORD_LENGTH, MAX_WRITTEN_LENGTH = 40, 80
_MARKS = "\u064b-\u065f\u0670"  # on Arabic letters
_ARABIC_LETTERS = str.maketrans("يك", "یک")


@dataclass(frozen=True)
class Pronunciation:
    """`written_as` is spoken in place of `word`."""

    word: str
    written_as: str


class BadPronunciation(ValueError):
    """`code` is form, too_long, wrong_letters, twice or too_many; `line` counts from 1, `text` is what stands there."""

    def __init__(self, code: str, line: int, text: str) -> None:
        super().__init__(f"{text!r}: {code}")
        self.code, self.line = code, line


def parse_pronunciations(text: str, language: str) -> tuple[Pronunciation, ...]:
    """Return the pronunciations of a text with a line "word = written as" for each. Raises BadPronunciation."""
    found: dict[str, Pronunciation] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        word, equals, written = (clean_text(part) for part in line.partition("="))
        if not equals or "=" in written or not any(map(str.isalnum, word)) or not any(map(str.isalnum, written)):
            raise BadPronunciation("form", number, line)
        if len(word) > MAX_WORD_LENGTH or len(written) > MAX_WRITTEN_LENGTH:
            raise BadPronunciation("too_long", number, line)
        if not fits_language(written, language):
            raise BadPronunciation("wrong_letters", number, line)
        if _key(word) in found:
            raise BadPronunciation("twice", number, line)
        if len(found) == MAX_PRONUNCIATIONS:
            raise BadPronunciation("too_many", number, line)
        found[_key(word)] = Pronunciation(word, written)
    return tuple(found.values())


def merge_pronunciations(first: Sequence[Pronunciation], second: Sequence[Pronunciation]) -> tuple[Pronunciation, ...]:
    """Return both lists as one. For a word that is in both, the second counts."""
    merged = {_key(clean_text(one.word)): one for one in (*first, *second)}
    return tuple(Pronunciation(clean_text(one.word), clean_text(one.written_as)) for one in merged.values())


def format_pronunciations(pronunciations: Sequence[Pronunciation]) -> str:
    """Return the text that `parse_pronunciations` reads."""
    return "\n".join(f"{one.word} = {one.written_as}" for one in pronunciations)


def pronounce(text: str, pronunciations: Sequence[Pronunciation]) -> str:
    """Return the text with the words of the list written for the voice. What is put in is not replaced again.

    Only whole words are replaced. The ezafe at the end of a word stays, and so does an ending after a half-space.
    """
    if not pronunciations:
        return text
    pattern, written = _compile(tuple(pronunciations))
    return pattern.sub(lambda found: written[_key(found[0])], clean_text(text))


@lru_cache(maxsize=8)
def _compile(pronunciations: tuple[Pronunciation, ...]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    written = {_key(one.word): one.written_as for one in pronunciations}
    words = "|".join(_either_letter(word) for word in sorted(written, key=len, reverse=True))
    return re.compile(rf"(?<![\w{_MARKS}])(?:{words})(?!\w)", re.IGNORECASE), written


def _either_letter(word: str) -> str:
    return re.escape(word).replace("ی", "[یي]").replace("ک", "[کك]")


def _key(word: str) -> str:
    return unicodedata.normalize("NFC", word).translate(_ARABIC_LETTERS).lower()
