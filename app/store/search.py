"""What somebody types into a search field, as a condition. What they type is text, and never a pattern."""

import re

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.numbers import ascii_digits


def contains(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return what holds where the text stands in the column, in whatever case."""
    return column.icontains(without_nul(text), autoescape=True)


def has_digits(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return what holds where these digits stand in a column of numbers, be they Persian or grouped.

    A leading zero is how numbers are written at home; as they are kept it may be a country code instead.
    """
    digits = re.sub(r"\D", "", ascii_digits(text)).lstrip("0")
    return column.contains(digits or without_nul(text), autoescape=True)


def without_nul(text: str) -> str:
    """Return a text that PostgreSQL can look for."""
    return text.replace("\x00", "")
