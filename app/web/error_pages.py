"""The pages for errors, in plain words. Programs that call the API get problem details instead."""

from flask import Flask, current_app, render_template, request
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import Forbidden, HTTPException

from app.domain.hosts import host_name
from app.web import problems
from app.web.body_check import BodyTooLarge, largest_file
from app.web.formats import file_size
from app.web.host_check import UnknownHost
from app.web.http import is_fragment
from app.web.request_log import http_request


def register(app: Flask) -> None:
    """Handle every error with a page."""
    app.register_error_handler(CSRFError, _with_fallback(_handle_stale_form))
    app.register_error_handler(UnknownHost, _with_fallback(_handle_unknown_host))
    app.register_error_handler(BodyTooLarge, _with_fallback(_handle_large_body))
    app.register_error_handler(HTTPException, _with_fallback(_handle_http_error))
    app.register_error_handler(Exception, _with_fallback(_handle_bug))


def _with_fallback(handler):
    """Answer with plain text if the handler fails. Its page reads the user from the database, which may be broken."""

    def handle(error):
        if problems.is_api():
            return problems.respond(error)
        try:
            return handler(error)
        except Exception:
            current_app.logger.exception("cannot render the error page")
            text = f"مشکلی پیش آمد. — Something went wrong. ({http_request()})\n"
            return text, 500, {"Content-Type": "text/plain; charset=utf-8"}

    return handle


def _handle_stale_form(error: CSRFError):
    text = _("This page was open for too long or belongs to another session. Load it again and repeat the last step.")
    return _render(400, _("Load the page again"), text)


def _handle_unknown_host(error: UnknownHost):
    host = host_name(request.host)
    if not host:  # no address can be built for a malformed one, which a page would need
        return (
            "نشانی نامعتبر است. — The request names no valid host.\n",
            400,
            {"Content-Type": "text/plain; charset=utf-8"},
        )
    return render_template("errors/host.html", host=host), error.code


def _handle_large_body(error: BodyTooLarge):
    if largest := largest_file():
        text = _("The file is too large. The limit is %(size)s.", size=file_size(largest))
        return _render(413, _("File too large"), text)
    if current_user.is_authenticated:
        return _render(413, _("Too much data"), _("This page does not accept so much data. Nothing was changed."))
    text = _("Only users who are logged in may send so much data. Log in and repeat the last step.")
    return _render(413, _("You are not logged in"), text, log_in=True)


def _handle_http_error(error: HTTPException):
    code = error.code or 500
    texts = {
        403: (_("No access"), _("Only administrators may do this.")),
        404: (_("Not found"), _("This page does not exist, or its subject was deleted.")),
        405: (_("Not found"), _("This page does not exist, or its subject was deleted.")),
        413: (_("Too much data"), _("This page does not accept so much data. Nothing was changed.")),
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


def _render(code: int, title: str, text: str, headers: dict[str, str] | None = None, *, log_in: bool = False):
    if not is_fragment():
        page = render_template("errors/error.html", title=title, text=text, code=code, log_in=log_in)
        return page, code, headers or {}
    swap = {"HX-Retarget": "#message", "HX-Reswap": "beforeend"}
    return render_template("errors/_error.html", text=text, code=code), code, {**swap, **(headers or {})}
