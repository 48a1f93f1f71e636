"""Bazang: a callback panel for Asterisk. It calls back customers who reached nobody."""

import logging
from contextlib import suppress
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.body_limits import UPLOAD
from app.config import PREFIX, ConfigError, Settings, load_settings, secret_key
from app.paths import find_faults


def create_app(settings: Settings | None = None) -> Flask:
    """Create the panel. Starts no thread and opens no socket. Raises ConfigError for invalid settings."""
    from app import cli, web
    from app.extensions import babel, csrf, db, limiter, login, migrate
    from app.store import private_files
    from app.store.database import Database, prepare_engine
    from app.store.exchanges import Exchanges
    from app.web import body_check, host_check, reading, request_log
    from app.web.locale import choose_locale
    from app.web.template_environment import TemplateEnvironment
    from app.web.url_prefix import ExchangePrefix, UrlPrefix

    settings = settings or load_settings()
    with suppress(OSError):  # a fault is found below
        private_files.make_data_folder(settings)
    faults = find_faults(settings)
    for name in ("data_dir", "database_url"):
        if name in faults:
            raise ConfigError(faults[name])
    try:
        key = secret_key(settings)
        private_files.create_database_file(settings)
        for problem in private_files.close_to_others(settings):
            logging.getLogger("bazang").warning(problem)
    except OSError as error:
        raise ConfigError(f"{PREFIX}DATA_DIR: {error}") from error
    app = Flask(__name__)
    app.jinja_environment = TemplateEnvironment
    for fault in faults.values():  # the panel works without these paths, though not fully
        app.logger.error(fault)
    app.config.update(
        SECRET_KEY=key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=_engine_options(settings),
        MAX_CONTENT_LENGTH=UPLOAD,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # a form on a page that was open for hours still works
        BABEL_TRANSLATION_DIRECTORIES="translations",
        BABEL_DEFAULT_LOCALE=settings.default_locale,
    )
    for check in (request_log, reading, host_check, body_check):
        check.register(app)  # first: the check of forms' tokens reads the body
    for extension in (db, csrf, login, limiter):
        extension.init_app(app)
    migrate.init_app(app, db, directory=str(Path(__file__).parent.parent / "migrations"))
    babel.init_app(app, locale_selector=choose_locale)
    with app.app_context():
        prepare_engine(db.engine)
        # The settings and the database of the first exchange, which are those of the panel.
        database = Database(db.engine)
        exchanges = Exchanges(database, _engine_options(settings))
        app.extensions["bazang"] = {"settings": settings, "database": database, "exchanges": exchanges}
    web.register(app)
    cli.register(app)
    # Anybody can send forwarding headers, so only those of our own proxies count.
    trusted = dict.fromkeys(("x_for", "x_proto", "x_host"), settings.trusted_proxies)
    inside = ExchangePrefix(app.wsgi_app)
    app.wsgi_app = ProxyFix(UrlPrefix(inside, settings.url_prefix), **trusted)  # type: ignore[method-assign]
    return app


def _engine_options(settings: Settings) -> dict[str, object]:
    """Return the options of the engine.

    A connection that a restarted PostgreSQL server has closed is opened again. One to a server that is gone ends within
    ten seconds.
    """
    options: dict[str, object] = {"hide_parameters": True}  # keeps customers' numbers and secrets out of the logs
    if settings.database_url.startswith("postgresql"):
        options["pool_pre_ping"] = True
        probes = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
        options["connect_args"] = {"connect_timeout": 5, **probes}
    return options
