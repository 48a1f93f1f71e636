"""Remember a user's last search of the report in a cookie, to offer it again."""

from urllib.parse import parse_qsl, unquote

from flask import Response, request, url_for
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from app.services.report.query import Choices
from app.web.context import utcnow
from app.web.formats import office_zone
from app.web.locale import choose_locale
from app.web.report import form

COOKIE, MAX_LENGTH = "report", 1500
MAX_AGE = 365 * 86400  # seconds


def save(response: Response, query: str) -> None:
    """Save a search in the cookie, unless it is too long."""
    if len(query) <= MAX_LENGTH:
        response.set_cookie(
            COOKIE,
            f"{current_user.id}:{query}",
            max_age=MAX_AGE,
            path=url_for("report.index"),
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )


def load(choices: Choices) -> str | None:
    """Return the last search of this user as the page writes it. Return None if there is no valid one."""
    user, _colon, query = request.cookies.get(COOKIE, "").partition(":")
    if user != str(current_user.id) or not query or len(query) > MAX_LENGTH or "\0" in unquote(query):
        return None
    search = form.read(MultiDict(parse_qsl(query)), choices, utcnow(), office_zone(), choose_locale())
    return search.query() if search.valid else None
