"""Conditions for search fields. The typed text is never used as a pattern."""

import re
from typing import Any

from sqlalchemy import ColumnElement, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.functions import GenericFunction

from app.domain.numbers import ascii_digits
from app.domain.text import FOLDED_FROM, FOLDED_TO, IGNORED_IN_SEARCH, search_key


class SearchKey(GenericFunction[str]):
    """The function `search_key` of app.domain.text in SQL. On SQLite, `prepare_engine` adds it to each connection."""

    type = String()
    name = "search_key"
    inherit_cache = True


@compiles(SearchKey, "postgresql")
def _compile(function: SearchKey, compiler: Any, **options: Any) -> str:
    column = compiler.process(function.clauses, **options)
    return f"translate(lower({column}), '{FOLDED_FROM}{IGNORED_IN_SEARCH}', '{FOLDED_TO}')"


def contains(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return a condition: the column contains the text, as `search_key` compares them."""
    return SearchKey(column).contains(search_key(without_nul(text)), autoescape=True)


def has_digits(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return a condition: the column of numbers contains these digits. Persian digits and separators are accepted.

    Leading zeros are ignored: a stored number may have a country code instead of a national zero.
    """
    digits = re.sub(r"\D", "", ascii_digits(text)).lstrip("0")
    return column.contains(digits or without_nul(text), autoescape=True)


def without_nul(text: str) -> str:
    """Remove NUL characters, which PostgreSQL refuses."""
    return text.replace("\x00", "")
