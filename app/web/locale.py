"""The language of a page and its translations."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from babel.support import NullTranslations
from flask import Flask, g, has_request_context, request, session
from flask_babel import force_locale, get_translations
from flask_login import current_user
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from app.web.context import office, settings, stored

LOCALES = ("fa", "en")
MAX_TEXTS = 4000


def register(app: Flask) -> None:
    """Give templates the locale, the text direction and fast translation functions."""
    app.context_processor(_template_values)
    # These look the translations up once per page; Flask-Babel's own functions look them up for each text.
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=lambda text: _translations().ugettext(text),
        ngettext=lambda one, several, count: _translations().ungettext(one, several, count),
        newstyle=True,
    )
    app.jinja_env.globals["_"] = _gettext


def choose_locale() -> str:
    """Return the locale of this page: the user's, the one chosen before the log-in, the browser's or the office's."""
    try:
        return g.locale  # a page asks for it hundreds of times
    except (AttributeError, RuntimeError):
        if not has_request_context():
            return "en"
    own = current_user.locale if current_user.is_authenticated else None
    chosen = next((locale for locale in (own, session.get("locale")) if locale in LOCALES), None)
    g.locale = chosen or (
        office_locale() if current_user.is_authenticated and _office_has_chosen() else _browser_locale()
    )
    return str(g.locale)


def _office_has_chosen() -> bool:
    """Return whether the panel or the environment says which locale the office has."""
    return "locale" in stored() or settings().from_environment("default_locale")


def _browser_locale() -> str:
    """Return the locale that the browser asks for; the office's if it asks for none of ours."""
    default = office_locale()
    # Any language ("*") means the first one.
    ours = sorted(LOCALES, key=lambda locale: locale != default)
    return request.accept_languages.best_match(ours) or default


def office_locale() -> str:
    """Return the locale of the office, used for everyone who has not chosen one."""
    return office().locale


@contextmanager
def use_locale(locale: str) -> Iterator[None]:
    """Translate into another locale than the page's inside a `with` block."""
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


@pass_eval_context
def _gettext(context: EvalContext, text: str, /, **values: object) -> str:
    """Return a text in the page's language, with its placeholders filled in, as Jinja's own function of this name."""
    if values or not context.autoescape:
        found = _translations().ugettext(text)
        return (Markup(found) if context.autoescape else found) % values  # noqa: S704 - the text is ours
    return _translate(_translations(), text)


@lru_cache(MAX_TEXTS)
def _translate(translations: NullTranslations, text: str) -> Markup:
    """Return a text without placeholders. The rows of a list have the same ones."""
    return Markup(translations.ugettext(text)) % {}  # noqa: S704 - the text is ours


def _translations() -> NullTranslations:
    """Return the translations of the page's locale."""
    try:
        return g.translations
    except AttributeError:
        g.translations = get_translations()
        return g.translations


def _template_values() -> dict[str, object]:
    locale = choose_locale()
    return {"locale": locale, "direction": "rtl" if locale == "fa" else "ltr"}
