"""Which passwords are so common that somebody guesses them with a few tries."""

import string
import unicodedata
from collections.abc import Collection
from itertools import pairwise

from app.domain.numbers import ascii_digits

FEWEST_CHARACTERS = 4  # different ones
LONGEST_NUMBER = 11  # digits, as many as a mobile number has
_AROUND = string.digits + string.punctuation + " "
_OURS = frozenset({"bazang", "بازنگ", "asterisk", "freepbx", "issabel", "callback", "admin", "administrator", "office"})


def is_common(password: str, name: str, common: Collection[str]) -> bool:
    """Return whether a password is in a list, near one in it, or easy to guess. `name`: of the user, or ""."""
    plain = ascii_digits(unicodedata.normalize("NFKC", password)).casefold().strip()
    word = plain.strip(_AROUND)
    own = name.strip().casefold().strip(_AROUND)
    if plain in common or word in common or word in _OURS or (word and word == own):
        return True
    is_number = plain.isdecimal() and len(plain) <= LONGEST_NUMBER
    return is_number or len(set(plain)) < FEWEST_CHARACTERS or _is_sequence(plain)


def _is_sequence(text: str) -> bool:
    """Return whether each character follows the one before, such as in "abcdefgh" or "87654321"."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps in ({1}, {-1})
