"""The commands of `flask --app wsgi`."""

from flask import Flask


def register(app: Flask) -> None:
    """Attach the commands."""
