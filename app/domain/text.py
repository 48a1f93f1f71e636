"""Names that people give: what may stand in one so that it can be shown anywhere."""

import unicodedata

# Persian joins and parts the letters of a word by these two, so they are letters like any other.
_JOINERS = "\u200c\u200d"


def is_displayable(text: str) -> bool:
    """Tell whether a text can be shown in a line: no control characters, nothing that turns the direction round."""
    return all(char in _JOINERS or char.isprintable() for char in text)


def displayable(text: str, longest: int = 200) -> str:
    """Return what of a stranger's text can be shown, `longest` characters at the most."""
    kept = "".join(char for char in text if char in _JOINERS or char.isprintable())
    return unicodedata.normalize("NFC", kept)[:longest].strip()
