"""The settings of the connection to the PBX.

The secret is stored encrypted. It can be replaced. A generated secret is shown to the user for whom it was generated,
until the PBX has accepted it or the setup ends, for an hour at most.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from ipaddress import ip_address

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.config import CONTEXTS, Settings
from app.domain.hosts import split_hosts
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid
from app.services.settings.office import CONTEXT, from_environment
from app.services.settings.save import save_values
from app.services.setup import progress
from app.store import encryption
from app.store import settings as store
from app.store.database import Database
from app.store.models import Setting

HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
USERNAME = re.compile(r"[A-Za-z0-9_.@-]{1,80}")
LONGEST_SECRET = 128
SHOWN = timedelta(hours=1)  # how long a generated secret is shown
_SHOWN_TO = "ami_secret_shown"  # a stored value: "id-of-the-user time"


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
    """Store the settings. Raises Invalid. Call `connection_commands.apply` afterwards to make the worker use them."""
    fixed = from_environment(settings)
    errors = {name: code for name, code in validate(given).items() if name not in fixed}
    if errors:
        raise Invalid(errors)
    values = {name: getattr(given, name) for name in NAMES if name not in fixed}
    if given.ami_secret in ("", read_secret(database, settings)):
        values.pop("ami_secret", None)
    elif "ami_secret" in values:
        values["ami_secret"] = encryption.encrypt(settings, given.ami_secret)
    with database.write() as session:
        if "ami_secret" in values:
            _stop_showing(session)
        _delete(session, store.PBX_NOT_ENTERED)
        _delete(session, store.PBX_CONTEXTS)  # this may be another PBX
        save_values(session, values, now, actor=actor)


def use_profile(
    database: Database, settings: Settings, profile: str, outbound_context: str, *, actor: str, now: datetime
) -> None:
    """Store a PBX profile with its usual contexts, and the context for calls to customers ("": the profile's).

    What the environment gives stays. Raises Invalid. Call `connection_commands.apply` afterwards.
    """
    fixed = from_environment(settings)
    errors = {} if profile in CONTEXTS and "pbx_profile" not in fixed else {"pbx_profile": ErrorCode.CHOICE}
    if not CONTEXT.fullmatch(outbound_context):
        errors["outbound_context"] = ErrorCode.CONTEXT
    if errors:
        raise Invalid(errors)
    values = {"pbx_profile": profile, "extension_context": "", "queue_context": ""}
    values["outbound_context"] = "" if outbound_context == CONTEXTS[profile]["outbound_context"] else outbound_context
    with database.write() as session:
        save_values(session, {n: value for n, value in values.items() if n not in fixed}, now, actor=actor)


def validate(given: PbxInput) -> dict[str, ErrorCode]:
    """Return validation errors by field name. Valid values are safe in an AMI header and in a dialplan."""
    errors: dict[str, ErrorCode] = {}
    if given.pbx_profile not in CONTEXTS:
        errors["pbx_profile"] = ErrorCode.CHOICE
    if not _is_host(given.ami_host) and not _is_address(given.ami_host):
        errors["ami_host"] = ErrorCode.HOST if given.ami_host else ErrorCode.REQUIRED
    agi_hosts = split_hosts(given.agi_host)
    if not agi_hosts or not all(map(_is_host, agi_hosts)):  # no IPv6: a colon would end the host in an AGI address
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


def encrypt_stored(database: Database, settings: Settings) -> None:
    """Encrypt the secret if an older version has stored it as it is."""
    with database.write() as session:
        stored = store.read_setting(session, "ami_secret")
        if stored and not encryption.is_encrypted(stored):
            store.write_setting(session, "ami_secret", encryption.encrypt(settings, stored))


# -- the generated secret ---------------------------------------------------------------------------------------------


def ensure_secret(session: Session, settings: Settings, user_id: int, now: datetime) -> None:
    """Generate the AMI secret if there is none yet, to be shown to this user."""
    if not store.pbx(session, settings).ami_secret:
        _generate(session, settings, user_id, now)
        store.write_setting(session, store.PBX_NOT_ENTERED, "y")


def replace_secret(database: Database, settings: Settings, user_id: int, now: datetime, *, actor: str) -> None:
    """Generate another AMI secret, to be shown to this user."""
    with database.write() as session:
        _generate(session, settings, user_id, now)
        hidden = {"ami_secret": [audit.HIDDEN, audit.HIDDEN]}
        audit.record(session, actor, AuditAction.SETTINGS_SAVED, "", hidden, now)


def secret_to_show(database: Database, settings: Settings, user_id: int, now: datetime) -> str:
    """Return the secret if it was generated for this user and may be shown; "" otherwise."""
    with database.read() as session:
        stored = store.read_all(session)
    viewer, _, since = stored.get(_SHOWN_TO, "").partition(" ")
    if viewer != str(user_id) or not datetime.fromisoformat(since) <= now < datetime.fromisoformat(since) + SHOWN:
        return ""
    return read_secret(database, settings) if progress.current_step(stored) is not None else ""


def is_new(stored: Mapping[str, str]) -> bool:
    """Return whether the secret was generated and no PBX has accepted it yet. `stored`: the result of `read_all`."""
    return _SHOWN_TO in stored and progress.current_step(stored) is not None


def stop_showing(database: Database) -> None:
    """Show the generated secret no longer: the PBX has accepted it, or the setup is finished."""
    with database.read() as session:
        if not store.read_setting(session, _SHOWN_TO):
            return
    with database.write() as session:
        _stop_showing(session)


def _stop_showing(session: Session) -> None:
    _delete(session, _SHOWN_TO)


def _delete(session: Session, name: str) -> None:
    session.execute(delete(Setting).where(Setting.name == name))


def _generate(session: Session, settings: Settings, user_id: int, now: datetime) -> None:
    store.write_setting(session, "ami_secret", encryption.encrypt(settings, secrets.token_urlsafe(18)))
    store.write_setting(session, _SHOWN_TO, f"{user_id} {now.isoformat()}")
