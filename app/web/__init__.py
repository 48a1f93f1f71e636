"""The panel: registers every blueprint, filter and handler with the application."""

from flask import Flask


def register(app: Flask) -> None:
    """Attach the panel to the application."""
    from app.web import error_pages, formats, http, layout, locale, poll, status
    from app.web.accounts import login, profile, users
    from app.web.audit import views as audit
    from app.web.modules import views as modules
    from app.web.pbx import destinations, extensions, queues
    from app.web.prompts import by_phone, library, preview
    from app.web.report import overview
    from app.web.report import views as report
    from app.web.requests import actions, mine, pause
    from app.web.requests import views as requests
    from app.web.settings import pbx as _pbx  # noqa: F401 - more pages of the settings blueprint
    from app.web.settings import views as settings
    from app.web.settings import voices as _voices  # noqa: F401 - more pages of the settings blueprint
    from app.web.setup import views as setup

    for part in (http, locale, formats, layout, poll, error_pages, login):
        part.register(app)
    for views in (
        *(login, profile, status, poll, overview, requests, actions, mine, pause, report),
        *(modules, destinations, preview, by_phone, library, extensions, queues, settings, setup, users, audit),
    ):
        app.register_blueprint(views.blueprint)
