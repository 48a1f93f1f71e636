"""The settings of the connection to the PBX. The secret can be replaced, but it is never shown again."""

import re
import secrets
from dataclasses import dataclass, fields, replace
from datetime import datetime
from ipaddress import ip_address

from sqlalchemy.orm import Session

from app.config import CONTEXTS, Settings
from app.services.errors import ErrorCode, Invalid
from app.services.settings.office import CONTEXT, from_environment
from app.services.settings.save import save_values
from app.store import settings as store
from app.store.database import Database

HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
USERNAME = re.compile(r"[A-Za-z0-9_.@-]{1,80}")
LONGEST_SECRET = 128


@dataclass(frozen=True)
class PbxInput:
    """The values of the form, under the names by which they are stored.

    An empty `ami_secret` keeps the stored secret. An empty context means the default of the PBX profile.
    """

    pbx_profile: str
    ami_host: str
    ami_port: str
    ami_username: str
    ami_secret: str
    agi_host: str
    extension_context: str
    queue_context: str


NAMES = tuple(field.name for field in fields(PbxInput))


def load(database: Database, settings: Settings) -> PbxInput:
    """Return the effective settings without the secret. A context is empty if it is the profile's default."""
    with database.read() as session:
        current = store.pbx(session, settings)
    defaults = CONTEXTS[current.pbx_profile]
    values = {name: str(getattr(current, name)) for name in NAMES}
    for name in ("extension_context", "queue_context"):
        if values[name] == defaults[name]:
            values[name] = ""
    return PbxInput(**values | {"ami_secret": ""})


def read_secret(database: Database, settings: Settings) -> str:
    """Return the effective secret; "" if there is none."""
    with database.read() as session:
        return store.pbx(session, settings).ami_secret


def effective(database: Database, settings: Settings, given: PbxInput) -> PbxInput:
    """Return the input as it would be used: with the environment's values, and with the secret."""
    current = load(database, settings)
    given = replace(given, **{name: getattr(current, name) for name in from_environment(settings) if name in NAMES})
    return replace(given, ami_secret=given.ami_secret or read_secret(database, settings))


def needs_secret(database: Database, settings: Settings, given: PbxInput) -> bool:
    """Return whether the secret must be typed again. The stored one is only for the host, port and user it was for."""
    current = load(database, settings)
    moved = any(getattr(given, name) != getattr(current, name) for name in ("ami_host", "ami_port", "ami_username"))
    return moved and not given.ami_secret and bool(read_secret(database, settings))


def save(database: Database, settings: Settings, given: PbxInput, *, actor: str, now: datetime) -> None:
    """Store the settings. Raises Invalid. Call `connection_test.apply` afterwards to make the worker use them."""
    fixed = from_environment(settings)
    errors = {name: code for name, code in validate(given).items() if name not in fixed}
    if errors:
        raise Invalid(errors)
    values = {name: getattr(given, name) for name in NAMES if name not in fixed}
    if not given.ami_secret:
        values.pop("ami_secret", None)
    with database.write() as session:
        save_values(session, values, now, actor=actor)


def validate(given: PbxInput) -> dict[str, ErrorCode]:
    """Return validation errors by field name. Valid values are safe in an AMI header and in a dialplan."""
    errors: dict[str, ErrorCode] = {}
    if given.pbx_profile not in CONTEXTS:
        errors["pbx_profile"] = ErrorCode.CHOICE
    if not _is_host(given.ami_host) and not _is_address(given.ami_host):
        errors["ami_host"] = ErrorCode.HOST if given.ami_host else ErrorCode.REQUIRED
    if not _is_host(given.agi_host):  # no IPv6: a colon would end the host in an AGI address
        errors["agi_host"] = ErrorCode.HOST if given.agi_host else ErrorCode.REQUIRED
    if not re.fullmatch(r"[0-9]{1,5}", given.ami_port) or not 0 < int(given.ami_port) < 65536:
        errors["ami_port"] = ErrorCode.PORT if given.ami_port else ErrorCode.REQUIRED
    if not USERNAME.fullmatch(given.ami_username):
        errors["ami_username"] = ErrorCode.AMI_USER if given.ami_username else ErrorCode.REQUIRED
    if len(given.ami_secret) > LONGEST_SECRET:
        errors["ami_secret"] = ErrorCode.TOO_LONG
    elif not all("!" <= character <= "~" for character in given.ami_secret):
        errors["ami_secret"] = ErrorCode.SECRET
    for name in ("extension_context", "queue_context"):
        if not CONTEXT.fullmatch(getattr(given, name)):
            errors[name] = ErrorCode.CONTEXT
    return errors


def _is_host(text: str) -> bool:
    return HOST.fullmatch(text) is not None and ".." not in text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def ensure_secret(session: Session, settings: Settings) -> None:
    """Generate the AMI secret if there is none yet."""
    if not store.pbx(session, settings).ami_secret:
        store.write_setting(session, "ami_secret", secrets.token_urlsafe(18))
