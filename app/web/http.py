"""Requests and responses: what HTMX sends, row numbers in addresses, local addresses and security headers."""

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request, url_for
from flask_login import current_user
from werkzeug.routing import IntegerConverter, Map

from app.config import FIRST_EXCHANGE
from app.web.assets import FILES
from app.web.context import current_exchange, named_exchange, panel_settings

LARGEST_ROW_NUMBER = 2**31 - 1

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


def register(app: Flask) -> None:
    """Check every request and set the headers of every response."""
    app.url_map.converters["row"] = _RowConverter
    app.before_request(_refuse_nul)
    app.after_request(_set_headers)
    app.context_processor(lambda: {"is_fragment": is_fragment()})


def is_fragment() -> bool:
    """Return whether HTMX sent the request and expects a part of a page."""
    return request.headers.get("HX-Request") == "true"


class _RowConverter(IntegerConverter):
    """Match the number of a row, in one way of writing it: Python reads other digits and leading zeros, too.

    A number that no database can have matches nothing.
    """

    regex = "[1-9][0-9]{0,9}"

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=LARGEST_ROW_NUMBER)


def parse_row_number(text: str) -> int:
    """Parse the number of a row or of a page of rows. Raises ValueError."""
    number = int(text)
    if not 0 < number <= LARGEST_ROW_NUMBER:
        raise ValueError(text)
    return number


def is_local_url(address: str) -> bool:
    """Return whether an address leads to this panel. Browsers ignore tabs and read \\ as a slash."""
    return address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()


def local_path(address: str) -> str | None:
    """Return the path and query of an address of this panel, or None for any other address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return parts._replace(scheme="", netloc="", fragment="").geturl() if parts.netloc == request.host else None


def previous_page() -> str:
    """Return the page that sent this request, or the pending requests if it is unknown."""
    page = local_path(request.referrer or "")
    return page if page is not None and is_local_url(page) else url_for("requests.index")


def first_page() -> str:
    """Return the page on which the user starts. Operators start with the requests that are their own."""
    is_operator = current_user.is_authenticated and current_user.role == "operator"
    return url_for("mine.index" if is_operator else "requests.index")


def panel_root() -> str:
    """Return what all addresses of the panel begin with, without an exchange. "" at the root of the host."""
    code = named_exchange()
    return request.script_root.removesuffix(f"/x/{code}") if code != FIRST_EXCHANGE else request.script_root


def exchange_root(code: str) -> str:
    """Return what all addresses of an exchange begin with."""
    return panel_root() if code == FIRST_EXCHANGE else f"{panel_root()}/x/{code}"


def panel_url_for(endpoint: str, **values: Any) -> str:
    """Return the address of a page that belongs to the panel, whatever the exchange of this page is."""
    return f"{panel_root()}{url_for(endpoint, **values).removeprefix(request.script_root)}"


def with_host(path: str) -> str:
    """Return the address of a page with the host, as the browser knows it."""
    return f"{request.host_url.rstrip('/')}{path}"


def exchange_url_for(endpoint: str) -> str:
    """Return the address of a page of the exchange of this request, also if its own address names none."""
    return f"{exchange_root(current_exchange().code)}{url_for(endpoint).removeprefix(request.script_root)}"


def requested_page() -> str:
    """Return the page that was requested before the log-in, if it is a page of the panel, or the first page."""
    page = request.args.get("next", "")
    return page if is_local_url(page) else first_page()


def _refuse_nul() -> None:
    """Abort with 400 if the request contains NUL, which PostgreSQL and file systems cannot store."""
    names = [file.filename or "" for file in request.files.values()]
    if any("\0" in text for text in (request.path, *request.values.values(), *names)):
        abort(400)


def _set_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _CONTENT_SECURITY_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.is_secure and (days := panel_settings().hsts_days):
        response.headers.setdefault("Strict-Transport-Security", f"max-age={days * 86400}")
    if request.endpoint == "website.script" and response.status_code == 200:
        return response  # browsers keep it for some minutes
    if request.endpoint not in FILES:
        response.headers["Cache-Control"] = "no-store"
        response.vary.add("HX-Request")
    return response
