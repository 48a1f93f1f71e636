"""What people see when something is not as they wished."""

from flask import Flask, current_app, render_template
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import Forbidden, HTTPException

from app.web.http import is_fragment


def register(app: Flask) -> None:
    """Attach a page in plain words to every error."""
    app.register_error_handler(CSRFError, _surely(_stale_form))
    app.register_error_handler(HTTPException, _surely(_page))
    app.register_error_handler(Exception, _surely(_own_fault))


def _surely(handler):
    """Say something even where the page that tells of an error fails too: it asks the database who reads it."""

    def handle(error):
        try:
            return handler(error)
        except Exception:
            current_app.logger.exception("the page that tells of an error failed")
            text = "مشکلی پیش آمد. — Something went wrong.\n"
            return text, 500, {"Content-Type": "text/plain; charset=utf-8"}

    return handle


def _stale_form(error: CSRFError):
    text = _("This page was open for too long or belongs to another session. Load it again and repeat the last step.")
    return _say(400, _("Load the page again"), text)


def _page(error: HTTPException):
    words = {
        403: (_("No access"), _("Only administrators may do this.")),
        404: (_("Not found"), _("This page does not exist, or its subject was deleted.")),
        405: (_("Not found"), _("This page does not exist, or its subject was deleted.")),
        413: (_("File too large"), _("The file is too large. The limit is 20 MB.")),
        429: (_("Too many attempts"), _("Wait a minute and try again.")),
    }
    code = error.code or 500
    title, text = words.get(
        code, (_("Something went wrong"), _("The request could not be completed. Go back and try again."))
    )
    if isinstance(error, Forbidden) and error.description != Forbidden.description:
        text = str(error.description)
    headers = {}
    if isinstance(error, RateLimitExceeded):
        headers["Retry-After"] = str(error.limit.limit.get_expiry())
    return _say(code, title, text, headers)


def _own_fault(error: Exception):
    current_app.logger.exception("a page failed", exc_info=error)
    title, text = (
        _("Something went wrong"),
        _("This is an error in Bazang. Nothing was changed. The server log has the details."),
    )
    return _say(500, title, text)


def _say(code: int, title: str, text: str, headers: dict[str, str] | None = None):
    if not is_fragment():
        return render_template("errors/error.html", title=title, text=text, code=code), code, headers or {}
    swap = {"HX-Retarget": "#message", "HX-Reswap": "innerHTML"}
    return render_template("errors/_error.html", text=text), code, {**swap, **(headers or {})}
