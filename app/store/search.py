"""Conditions for search fields. The typed text is never used as a pattern."""

import re

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.numbers import ascii_digits


def contains(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return a condition: the column contains the text, ignoring case."""
    return column.icontains(without_nul(text), autoescape=True)


def has_digits(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return a condition: the column of numbers contains these digits. Persian digits and separators are accepted.

    Leading zeros are ignored: a stored number may have a country code instead of a national zero.
    """
    digits = re.sub(r"\D", "", ascii_digits(text)).lstrip("0")
    return column.contains(digits or without_nul(text), autoescape=True)


def without_nul(text: str) -> str:
    """Remove NUL characters, which PostgreSQL refuses."""
    return text.replace("\x00", "")
