"""The pages for errors, in plain words."""

from flask import Flask, current_app, render_template
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import Forbidden, HTTPException

from app.web.http import is_fragment


def register(app: Flask) -> None:
    """Handle every error with a page."""
    app.register_error_handler(CSRFError, _with_fallback(_handle_stale_form))
    app.register_error_handler(HTTPException, _with_fallback(_handle_http_error))
    app.register_error_handler(Exception, _with_fallback(_handle_bug))


def _with_fallback(handler):
    """Answer with plain text if the handler fails. Its page reads the user from the database, which may be broken."""

    def handle(error):
        try:
            return handler(error)
        except Exception:
            current_app.logger.exception("cannot render the error page")
            text = "مشکلی پیش آمد. — Something went wrong.\n"
            return text, 500, {"Content-Type": "text/plain; charset=utf-8"}

    return handle


def _handle_stale_form(error: CSRFError):
    text = _("This page was open for too long or belongs to another session. Load it again and repeat the last step.")
    return _render(400, _("Load the page again"), text)


def _handle_http_error(error: HTTPException):
    code = error.code or 500
    texts = {
        403: (_("No access"), _("Only administrators may do this.")),
        404: (_("Not found"), _("This page does not exist, or its subject was deleted.")),
        405: (_("Not found"), _("This page does not exist, or its subject was deleted.")),
        413: (_("File too large"), _("The file is too large. The limit is 20 MB.")),
        429: (_("Too many attempts"), _("Wait a minute and try again.")),
    }
    other = (_("Something went wrong"), _("The request could not be completed. Go back and try again."))
    title, text = texts.get(code, other)
    if isinstance(error, Forbidden) and error.description != Forbidden.description:
        text = str(error.description)
    headers = {}
    if isinstance(error, RateLimitExceeded):
        headers["Retry-After"] = str(error.limit.limit.get_expiry())
    return _render(code, title, text, headers)


def _handle_bug(error: Exception):
    current_app.logger.exception("unhandled exception", exc_info=error)
    text = _("This is an error in Bazang. Nothing was changed. The server log has the details.")
    return _render(500, _("Something went wrong"), text)


def _render(code: int, title: str, text: str, headers: dict[str, str] | None = None):
    if not is_fragment():
        return render_template("errors/error.html", title=title, text=text, code=code), code, headers or {}
    swap = {"HX-Retarget": "#message", "HX-Reswap": "innerHTML"}
    return render_template("errors/_error.html", text=text), code, {**swap, **(headers or {})}
