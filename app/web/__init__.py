"""The panel: one blueprint per family of pages."""

from flask import Flask, g, has_request_context, request, session
from flask_login import current_user

LOCALES = ("fa", "en")


def choose_locale() -> str:
    """Return the language of this page: the user's own, the one chosen before the log-in, or the office's."""
    if not has_request_context():
        return "en"
    if "locale" not in g:
        own = current_user.locale if current_user.is_authenticated else None
        g.locale = next((known for known in (own, session.get("locale")) if known in LOCALES), None) or _office_locale()
    return str(g.locale)


def _office_locale() -> str:
    from app.store import settings as store_settings
    from app.web.parts import database, settings

    with database().read() as reader:
        return store_settings.office(reader, settings()).locale


def register(app: Flask) -> None:
    """Attach every blueprint, filter and header."""
    from app.web import auth, errors, extensions, filters, modules, queues, requests, status

    filters.register(app)
    errors.register(app)
    auth.register(app)
    for room in (auth, requests, modules, extensions, queues, status):
        app.register_blueprint(room.blueprint)
    app.context_processor(_shared)
    app.after_request(_headers)


def _shared() -> dict[str, object]:
    locale = choose_locale()
    return {"locale": locale, "direction": "rtl" if locale == "fa" else "ltr", "is_fragment": is_fragment()}


def is_fragment() -> bool:
    """Tell whether HTMX asks, and so wants the part of the page that changes."""
    return request.headers.get("HX-Request") == "true"


_POLICY = "; ".join(
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


def _headers(response):
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
        response.vary.add("HX-Request")
    return response
