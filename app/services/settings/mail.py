"""The settings of the mail server. The password is stored encrypted and never shown."""

import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import update

from app.config import Settings
from app.domain.hosts import host_name
from app.domain.mail import PORTS, MailServer, Security, is_address
from app.domain.webhooks import BadUrl, Channel, is_hidden, parse_url
from app.services.errors import ErrorCode, Invalid
from app.services.settings.save import save_values
from app.store import encryption
from app.store import settings as store
from app.store.database import Database
from app.store.models import Webhook

LONGEST_PASSWORD = 200
LONGEST_USERNAME = 120
LONGEST_CA = 20_000
LONGEST_URL = 200


@dataclass(frozen=True)
class MailInput:
    """The values of the form, under the names by which they are stored. Without a host, no e-mail is sent.

    An empty `mail_password` keeps the stored one.
    """

    mail_host: str = ""
    mail_port: int = PORTS[Security.STARTTLS]
    mail_security: str = Security.STARTTLS.value
    mail_username: str = ""
    mail_password: str = ""
    mail_sender: str = ""
    mail_inside: bool = False
    mail_ca: str = ""
    panel_url: str = ""


NAMES = tuple(field.name for field in fields(MailInput))
_OF_LOGIN = ("mail_host", "mail_port", "mail_security", "mail_username", "mail_ca")  # who gets to see the password


def load(database: Database) -> MailInput:
    """Return the stored settings without the password."""
    with database.read() as session:
        return _from_stored(store.read_all(session))


def has_password(database: Database) -> bool:
    with database.read() as session:
        return bool(store.read_setting(session, "mail_password"))


def server(database: Database, settings: Settings) -> MailServer | None:
    """Return the mail server, None if none is entered. Raises CannotDecrypt."""
    with database.read() as session:
        return store.mail_server(settings, store.read_all(session))


def _from_stored(stored: Mapping[str, str]) -> MailInput:
    values: dict[str, object] = {name: stored[name] for name in NAMES if name in stored and name != "mail_password"}
    if "mail_port" in values:
        values |= {"mail_port": int(stored["mail_port"]), "mail_inside": stored["mail_inside"] == "1"}
    return MailInput(**values)  # type: ignore[arg-type]


def save(
    database: Database,
    settings: Settings,
    given: MailInput,
    *,
    actor: str,
    now: datetime,
    needs_password: bool = True,
) -> None:
    """Store the settings; they apply to the next e-mail. Raises Invalid.

    `needs_password`: false for settings from a file, which has none. The stored one is kept for the same server only.
    """
    with database.write() as session:
        stored = store.read_all(session)
        before, kept = _from_stored(stored), stored.get("mail_password", "")
        errors = validate(given)
        had = bool(kept)
        if any(getattr(given, name) != getattr(before, name) for name in _OF_LOGIN):
            kept = ""  # it is only for the server that it was entered for
        logs_in = bool(given.mail_host and given.mail_username)
        if logs_in and needs_password and not given.mail_password and not kept:
            errors.setdefault("mail_password", ErrorCode.PASSWORD_AGAIN if had else ErrorCode.REQUIRED)
        if errors:
            raise Invalid(errors)
        values = {name: str(value) for name, value in asdict(given).items()}
        values["mail_inside"] = "1" if given.mail_inside else ""
        values["panel_url"] = _with_slash(given.panel_url)
        if not given.mail_username:
            values["mail_password"] = ""
        elif given.mail_password:
            values["mail_password"] = encryption.encrypt(settings, given.mail_password)
        else:
            values["mail_password"] = kept
        save_values(session, values, now, actor=actor)
        # Perhaps that was what was wrong.
        to_people = update(Webhook).where(Webhook.channel == Channel.MAIL.value).values(next_at=None)
        session.execute(to_people, execution_options={"synchronize_session": False})


def _with_slash(url: str) -> str:
    return f"{url.rstrip('/')}/" if url else ""


def validate(given: MailInput) -> dict[str, ErrorCode]:
    """Return validation errors by field name."""
    errors = _check_url(given.panel_url)
    if not given.mail_host:
        return errors
    if host_name(given.mail_host) != given.mail_host.lower() or len(given.mail_host) > 253:
        errors["mail_host"] = ErrorCode.HOST
    elif not given.mail_inside and is_hidden(given.mail_host):
        errors["mail_host"] = ErrorCode.INSIDE
    if not 0 < given.mail_port < 65536:
        errors["mail_port"] = ErrorCode.PORT
    if given.mail_security not in set(Security):
        errors["mail_security"] = ErrorCode.CHOICE
    if not is_address(given.mail_sender):
        errors["mail_sender"] = ErrorCode.ADDRESS if given.mail_sender else ErrorCode.REQUIRED
    return errors | _check_login(given) | _check_ca(given.mail_ca)


def _check_login(given: MailInput) -> dict[str, ErrorCode]:
    errors = {}
    for name, longest in (("mail_username", LONGEST_USERNAME), ("mail_password", LONGEST_PASSWORD)):
        text = getattr(given, name)
        if len(text) > longest:
            errors[name] = ErrorCode.TOO_LONG
        elif not all("!" <= char <= "~" for char in text):  # what the log-in of SMTP has
            errors[name] = ErrorCode.SECRET
    if given.mail_password and not given.mail_username:
        errors["mail_username"] = ErrorCode.REQUIRED
    if given.mail_username and given.mail_security == Security.NONE.value and not given.mail_inside:
        errors["mail_security"] = ErrorCode.ENCRYPT
    return errors


def _check_ca(ca: str) -> dict[str, ErrorCode]:
    if not ca:
        return {}
    if len(ca) > LONGEST_CA or "PRIVATE KEY" in ca:
        return {"mail_ca": ErrorCode.CERTIFICATE}
    try:
        ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, TypeError, ValueError):  # TypeError: it is not ASCII
        return {"mail_ca": ErrorCode.CERTIFICATE}
    return {}


def _check_url(url: str) -> dict[str, ErrorCode]:
    if not url:
        return {}
    try:
        target = parse_url(url, inside=True)
    except BadUrl:
        return {"panel_url": ErrorCode.URL}
    return {"panel_url": ErrorCode.URL} if "?" in target.path or len(url) > LONGEST_URL else {}
