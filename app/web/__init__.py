"""The panel: one blueprint per family of pages."""

from flask import Flask


def choose_locale() -> str:
    return "fa"


def register(app: Flask) -> None:
    """Attach every blueprint, filter and header."""
