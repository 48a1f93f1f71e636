"""What people see when something is not as they wished."""

from flask import Flask, render_template
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException


def register(app: Flask) -> None:
    """Attach a page in plain words to every error."""
    app.register_error_handler(CSRFError, _stale_form)
    app.register_error_handler(HTTPException, _page)
    app.register_error_handler(Exception, _own_fault)


def _stale_form(error: CSRFError):
    text = _("This page was open for too long, or in another session. Load it again and repeat what you did.")
    return render_template("errors/error.html", title=_("Please load the page again"), text=text, code=400), 400


def _page(error: HTTPException):
    words = {
        403: (_("Not yours"), _("Only an administrator may do this.")),
        404: (_("Not found"), _("There is no such page, or what it was about is gone.")),
        405: (_("Not found"), _("There is no such page, or what it was about is gone.")),
        413: (_("Too large"), _("The file is too large: 20 MB at the most.")),
        429: (_("Too often"), _("Too many attempts. Wait a minute and try again.")),
    }
    code = error.code or 500
    title, text = words.get(code, (_("Something went wrong"), _("What you asked for could not be done.")))
    response = render_template("errors/error.html", title=title, text=text, code=code)
    headers = [header for header in error.get_headers() if header[0] == "Retry-After"]
    return response, code, headers


def _own_fault(error: Exception):
    from flask import current_app

    current_app.logger.exception("a page failed", exc_info=error)
    title, text = _("Something went wrong"), _("This is our own fault; it is written in the log. Nothing was changed.")
    return render_template("errors/error.html", title=title, text=text, code=500), 500
