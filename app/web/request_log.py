"""The identifier of each request to the panel: in the log, in the response, and on the page about an error."""

import logging
import re
import secrets
import time

from flask import Flask, Response, g, request

from app import log
from app.web.assets import FILES
from app.web.context import PROBES, panel_settings
from app.web.http import is_fragment

HEADER = "X-Request-ID"
_GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}")
_log = logging.getLogger("bazang.panel")


def register(app: Flask) -> None:
    """Name every request. Call this before anything else can log or fail."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(lambda _error: log.set_fields())
    app.jinja_env.globals["http_request"] = http_request


def http_request() -> str:
    """Return the identifier of this request."""
    return str(g.get("http_request", ""))


def _begin() -> None:
    # A reverse proxy may have named it already. Anybody can send this header, so only a short word counts.
    given = request.headers.get(HEADER, "") if panel_settings().trusted_proxies else ""
    g.http_request = given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
    g.began = time.monotonic()
    log.set_fields(**{log.HTTP_REQUEST: g.http_request})


def _end(response: Response) -> Response:
    response.headers[HEADER] = http_request()
    if panel_settings().log_format == "json" and not _is_of_no_interest(response):
        # Neither the address nor its arguments: they can contain a customer's number.
        fields = {
            "method": request.method,
            "endpoint": request.endpoint or "",
            "status": response.status_code,
            "milliseconds": round((time.monotonic() - g.began) * 1000),
        }
        _log.info("answered", extra={"fields": fields})
    return response


def _is_of_no_interest(response: Response) -> bool:
    """Tell whether a monitor asks, a page has only refreshed itself, or one of its files was loaded."""
    if request.endpoint in PROBES:
        return True
    reads = response.status_code < 400 and request.method in ("GET", "HEAD")
    return reads and (request.endpoint in FILES or is_fragment())
