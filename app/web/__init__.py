"""The panel: one blueprint per family of pages."""

from collections.abc import Iterator
from contextlib import contextmanager

from babel.support import NullTranslations
from flask import Flask, abort, g, has_request_context, request, session
from flask_babel import force_locale, get_translations
from flask_login import current_user
from werkzeug.routing import IntegerConverter, Map

LOCALES = ("fa", "en")


def choose_locale() -> str:
    """Return the language of this page: the user's own, the one chosen before the log-in, or the office's."""
    try:
        return g.locale  # asked hundreds of times a page
    except (AttributeError, RuntimeError):
        if not has_request_context():
            return "en"
    own = current_user.locale if current_user.is_authenticated else None
    g.locale = next((known for known in (own, session.get("locale")) if known in LOCALES), None) or office_locale()
    return str(g.locale)


@contextmanager
def speaking(locale: str) -> Iterator[None]:
    """Write in this language for a while, whatever the page's is."""
    before = g.pop("locale", None), g.pop("translations", None)
    g.locale = locale
    try:
        with force_locale(locale):
            yield
    finally:
        for name, value in zip(("locale", "translations"), before, strict=True):
            g.pop(name, None)
            if value is not None:
                setattr(g, name, value)


def _translations() -> NullTranslations:
    """Return the page's translations, which a template asks for at every text."""
    try:
        return g.translations
    except AttributeError:
        g.translations = get_translations()
        return g.translations


def office_locale() -> str:
    """Return the language of the office, which those read who chose none."""
    from app.web.context import office

    return office().locale


def register(app: Flask) -> None:
    """Attach every blueprint, filter and header."""
    from app.store.stamp import DatabaseVersion, Kept
    from app.web import error_pages, formats, layout, live, status, wording
    from app.web.accounts import login, profile, users
    from app.web.audit import views as log
    from app.web.modules import views as modules
    from app.web.pbx import destinations, extensions, queues
    from app.web.prompts import by_phone, library, preview
    from app.web.prompts import digits as _digits  # noqa: F401 - more pages of the library's blueprint
    from app.web.prompts import wording as prompt_wording
    from app.web.report import overview
    from app.web.report import views as report
    from app.web.requests import actions, mine, pause, views
    from app.web.settings import pbx as _exchange  # noqa: F401 - further pages of the settings
    from app.web.settings import views as settings_page
    from app.web.settings import voices as _voices  # noqa: F401
    from app.web.setup import views as setup

    app.url_map.converters["row"] = _RowConverter
    app.before_request(_refuse_nul)
    formats.register(app)
    error_pages.register(app)
    login.register(app)
    daily = (status, live, overview, views, actions, mine, pause, report)
    set_up = (modules, destinations, preview, by_phone, library, extensions, queues, settings_page, setup)
    for room in (login, profile, *daily, *set_up, users, log):
        app.register_blueprint(room.blueprint)
    app.context_processor(_shared)
    app.jinja_env.globals.update(wording=wording, prompt_wording=prompt_wording)
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined] # in place of those that look it up each time
        gettext=lambda text: _translations().ugettext(text),
        ngettext=lambda one, several, count: _translations().ungettext(one, several, count),
        newstyle=True,
    )
    layout.register(app)
    stamp = DatabaseVersion(app.extensions["bazang"]["database"].engine)
    app.extensions["bazang"]["kept"] = Kept(stamp)
    live.register(app, stamp)
    app.after_request(_headers)


LARGEST_ID = 2**31 - 1


class _RowConverter(IntegerConverter):
    """The number of a row; one that no database has is no address either."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=LARGEST_ID)


def row_number(text: str) -> int:
    """Read the number of a row, or of a page of rows. Raises ValueError."""
    number = int(text)
    if not 0 < number <= LARGEST_ID:
        raise ValueError(text)
    return number


def _refuse_nul() -> None:
    """PostgreSQL stores no NUL, files have none in their names, and nobody types one."""
    names = [file.filename or "" for file in request.files.values()]
    if any("\0" in text for text in (request.path, *request.values.values(), *names)):
        abort(400)


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
    if request.endpoint == "static":
        if "v" in request.args or "@" in request.path:  # its address changes whenever its content does
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        response.headers.setdefault("Cache-Control", "no-store")
        response.vary.add("HX-Request")
    return response
