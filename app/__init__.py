"""Bazang: a callback panel for Asterisk. It calls back customers who reached nobody."""

from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.config import PREFIX, ConfigError, Settings, load_settings, secret_key


def create_app(settings: Settings | None = None) -> Flask:
    """Create the panel. Starts no thread and opens no socket. Raises ConfigError for invalid settings."""
    from app import cli, web
    from app.extensions import babel, csrf, db, limiter, login, migrate
    from app.store.database import Database, prepare_engine
    from app.web.locale import choose_locale

    settings = settings or load_settings()
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        key = secret_key(settings)
    except OSError as error:
        raise ConfigError(f"{PREFIX}DATA_DIR: {error}") from error
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"hide_parameters": True},  # keeps customers' numbers and secrets out of the logs
        MAX_CONTENT_LENGTH=24 * 1024 * 1024,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # a form on a page that was open for hours still works
        BABEL_TRANSLATION_DIRECTORIES="translations",
        BABEL_DEFAULT_LOCALE=settings.default_locale,
    )
    for extension in (db, csrf, login, limiter):
        extension.init_app(app)
    migrate.init_app(app, db, directory=str(Path(__file__).parent.parent / "migrations"))
    babel.init_app(app, locale_selector=choose_locale)
    with app.app_context():
        prepare_engine(db.engine)
        app.extensions["bazang"] = {"settings": settings, "database": Database(db.engine)}
    web.register(app)
    cli.register(app)
    # Anybody can send forwarding headers, so only those of our own proxies count.
    trusted = dict.fromkeys(("x_for", "x_proto", "x_host", "x_prefix"), settings.trusted_proxies)
    app.wsgi_app = ProxyFix(app.wsgi_app, **trusted)  # type: ignore[method-assign]
    return app
