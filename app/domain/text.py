"""Check and clean names, so that they can be displayed anywhere."""

import unicodedata

# ZWNJ and ZWJ: Persian spelling needs them.
_JOINERS = "\u200c\u200d"


def is_displayable(text: str) -> bool:
    """Tell whether a text can be displayed on one line: no control or direction characters."""
    return all(char in _JOINERS or char.isprintable() for char in text)


def displayable(text: str, longest: int = 200) -> str:
    """Return the displayable characters of untrusted text, `longest` at most."""
    kept = "".join(char for char in text if char in _JOINERS or char.isprintable())
    return unicodedata.normalize("NFC", kept)[:longest].strip()
