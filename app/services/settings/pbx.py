"""How the exchange is reached, as the settings page has it. The secret is taken, and never told again."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from sqlalchemy.orm import Session

from app.config import CONTEXTS, Settings
from app.services.errors import Invalid
from app.services.settings.office import CONTEXT, fixed
from app.services.settings.save import save_values
from app.store import settings as store
from app.store.database import Database

HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
USERNAME = re.compile(r"[A-Za-z0-9_.@-]{1,80}")
LONGEST_SECRET = 128


@dataclass(frozen=True)
class ExchangeInput:
    """What was filled in; the names are those under which the values are stored.

    An empty `ami_secret` leaves the stored one; empty contexts are those that the kind of exchange has by itself.
    """

    pbx_profile: str
    ami_host: str
    ami_port: str
    ami_username: str
    ami_secret: str
    agi_host: str
    extension_context: str
    queue_context: str


def load(database: Database, settings: Settings) -> ExchangeInput:
    """Return what is in force, without the secret. A context that nobody named is empty."""
    with database.read() as session:
        stored = store.read_all(session)
        now = store.exchange(session, settings, stored)
    usual = CONTEXTS[now.pbx_profile]
    contexts = {name: getattr(now, name) for name in ("extension_context", "queue_context")}
    return ExchangeInput(
        pbx_profile=now.pbx_profile,
        ami_host=now.ami_host,
        ami_port=str(now.ami_port),
        ami_username=now.ami_username,
        ami_secret="",
        agi_host=now.agi_host,
        **{name: "" if value == usual[name] else value for name, value in contexts.items()},
    )


def secret(database: Database, settings: Settings) -> str:
    """Return the secret in force, for whoever logs in by it; "" if there is none."""
    with database.read() as session:
        return store.exchange(session, settings).ami_secret


def in_force(database: Database, settings: Settings, given: ExchangeInput) -> ExchangeInput:
    """Return what was filled in as it would be used: with what the environment keeps, and with the secret."""
    now = load(database, settings)
    kept = fixed(settings)
    values = {name: getattr(now if name in kept else given, name) for name in ExchangeInput.__dataclass_fields__}
    return ExchangeInput(**values | {"ami_secret": values["ami_secret"] or secret(database, settings)})


def wants_secret(database: Database, settings: Settings, given: ExchangeInput) -> bool:
    """Tell whether the secret has to be typed: the stored one is told to no machine and no user but its own."""
    now = load(database, settings)
    elsewhere = any(getattr(given, name) != getattr(now, name) for name in ("ami_host", "ami_port", "ami_username"))
    return elsewhere and not given.ami_secret and bool(secret(database, settings))


def save(
    database: Database, settings: Settings, given: ExchangeInput, *, actor: str = "", now: datetime | None = None
) -> None:
    """Store how the exchange is reached; the telephone service has to be told (connection.apply). Raises Invalid."""
    errors = check(given)
    kept = fixed(settings)
    errors = {name: code for name, code in errors.items() if name not in kept}
    if errors:
        raise Invalid(errors)
    values = {name: getattr(given, name) for name in ExchangeInput.__dataclass_fields__ if name not in kept}
    if not values.get("ami_secret"):
        values.pop("ami_secret", None)  # not typed: it stays
    with database.write() as session:
        save_values(session, values, now or datetime.now(UTC), actor=actor)


def check(given: ExchangeInput) -> dict[str, str]:
    """Return what is wrong, by field; empty where all is well. All of it may stand in an AMI header or a dialplan."""
    errors = {}
    if given.pbx_profile not in CONTEXTS:
        errors["pbx_profile"] = "choice"
    if not _is_host(given.ami_host) and not _is_address(given.ami_host):
        errors["ami_host"] = "host" if given.ami_host else "required"
    if not _is_host(given.agi_host):  # in an AGI address a colon would part the port
        errors["agi_host"] = "host" if given.agi_host else "required"
    if not re.fullmatch(r"[0-9]{1,5}", given.ami_port) or not 0 < int(given.ami_port) < 65536:
        errors["ami_port"] = "port" if given.ami_port else "required"
    if not USERNAME.fullmatch(given.ami_username):
        errors["ami_username"] = "ami_user" if given.ami_username else "required"
    if len(given.ami_secret) > LONGEST_SECRET:
        errors["ami_secret"] = "too_long"
    elif not all("!" <= sign <= "~" for sign in given.ami_secret):
        errors["ami_secret"] = "secret"
    for name in ("extension_context", "queue_context"):
        if not CONTEXT.fullmatch(getattr(given, name)):
            errors[name] = "context"
    return errors


def _is_host(text: str) -> bool:
    return HOST.fullmatch(text) is not None and ".." not in text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def keep_secret(session: Session, settings: Settings) -> None:
    """Make a secret for the exchange's manager.conf, if there is none yet."""
    if not store.exchange(session, settings).ami_secret:
        store.write_setting(session, "ami_secret", secrets.token_urlsafe(18))
