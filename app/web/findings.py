"""Findings of the doctor in the reader's language."""

from datetime import datetime

from flask import Flask
from flask_babel import gettext
from markupsafe import Markup

from app.domain.findings import Line, Said, Value
from app.domain.text import displayable
from app.web.formats import digits, fill_in, format_moment, is_left_to_right, listed, name


def register(app: Flask) -> None:
    """Give templates the filter."""
    app.add_template_filter(said)


def said(words: Said) -> Markup:
    """Return sentences in the reader's language. Names keep their direction; lines and addresses are left to right."""
    return Markup(" ").join(
        fill_in(gettext(sentence.words), **{key: _value(value) for key, value in sentence.values})
        for sentence in words.sentences
    )


def _value(value: Value) -> str:
    match value:
        case Line(text):
            return Markup('<code dir="ltr">{}</code>').format(displayable(text))
        case Said():
            return said(value)
        case datetime():
            return format_moment(value, seconds=True)
        case tuple():
            return listed(map(_value, value))
        case int():
            return digits(value)
    return Markup('<bdi dir="ltr">{}</bdi>').format(displayable(value)) if is_left_to_right(value) else name(value)
