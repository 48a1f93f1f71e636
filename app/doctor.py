"""Looks at the whole installation and says how to mend it. Changes nothing."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from app.audio.clip import SoundError, SpeechError
from app.audio.library import SoundLibrary
from app.audio.voices import is_piper_installed, list_models, read_models
from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult
from app.services.prompts.phone_calls import INBOX, INBOX_MODE
from app.services.setup import first_administrator
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import Exchange
from app.telephony import connection_test
from app.telephony.ami import AmiClient, AmiError
from app.telephony.connection_test import Listing, Unreachable

MIGRATIONS = Path(__file__).parent.parent / "migrations"
CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """`what` was found; `mend` says what to do about it, where something is to be done."""

    level: Literal["ok", "warning", "fault"]
    what: str
    mend: str = ""


def examine(settings: Settings, database: Database) -> Iterator[Finding]:
    """Yield what is found, each as soon as it is known."""
    schema = look_at_schema(database)
    yield schema
    if schema.level != "ok":
        return
    yield _users(database)
    yield from _folders(settings)
    yield _inbox(settings)
    yield _speech(settings)
    yield from _voices(settings.voices_path)
    yield from asyncio.run(_exchange(settings, database))
    yield from _service(settings, database)


def look_at_schema(database: Database) -> Finding:
    """Tell whether the database is there and has the tables that this version needs."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    try:
        with database.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        first, *_ = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
        return Finding("fault", f"the database cannot be opened: {first}", "look at BAZANG_DATABASE_URL")
    if current != head:
        return Finding(
            "fault", f"the database is at {current or 'nothing'}, not at {head}", "flask --app wsgi db upgrade"
        )
    return Finding("ok", f"the database ({database.engine.dialect.name}) is up to date")


_FIRST_ADMINISTRATOR = "flask --app wsgi setup-link, or flask --app wsgi create-admin NAME --password-stdin"


def _users(database: Database) -> Finding:
    if not first_administrator.is_open(database):
        return Finding("ok", "somebody may log in")
    return Finding("fault", "nobody may log in yet", _FIRST_ADMINISTRATOR)


def _folders(settings: Settings) -> Iterator[Finding]:
    for folder, name in ((settings.prompts_path, "PROMPTS_DIR"), (settings.dialplan_path.parent, "DIALPLAN_FILE")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            yield Finding("fault", f"{folder} cannot be written: {error}", f"let this user write there (BAZANG_{name})")
            continue
        closed = [str(parent) for parent in (folder, *folder.parents) if not parent.stat().st_mode & 0o001]
        if closed:
            yield Finding(
                "warning",
                f"{folder}: another user cannot enter {closed[0]}",
                f"Asterisk reads there as its own user: chmod o+x {closed[0]}, or set BAZANG_{name} elsewhere",
            )
        else:
            yield Finding("ok", f"{folder} can be written here and read by Asterisk")


def _inbox(settings: Settings) -> Finding:
    folder = settings.prompts_path / INBOX
    try:
        mode = folder.stat().st_mode & 0o7777
    except FileNotFoundError:
        return Finding("ok", f"{folder} will be made when the telephone service starts")
    except OSError as error:
        return Finding("fault", f"{folder} cannot be looked at: {error}", "let this user enter it")
    if mode & 0o003 != 0o003:
        return Finding(
            "fault",
            f"{folder}: Asterisk cannot put there what is recorded by phone",
            f"chmod {INBOX_MODE:o} {folder}, or start the telephone service again",
        )
    return Finding("ok", f"{folder} takes what is recorded by phone")


def _speech(settings: Settings) -> Finding:
    try:
        clip = SoundLibrary(settings.prompts_path).synthesize("سلام", "fa")
    except (SoundError, OSError) as error:
        return Finding("fault", f"no text can be spoken: {error}", "install the requirements again (espeakng-loader)")
    return Finding("ok", f"texts can be spoken ({clip.seconds:.1f} s made)")


def _voices(folder: Path) -> Iterator[Finding]:
    """Name piper's voices; nothing where there is none, which is no fault."""
    try:
        names = [model.name for model in list_models(folder)]
        if names and not is_piper_installed():
            yield Finding(
                "warning",
                f"{folder} has voices, but piper is not installed: {', '.join(names)}",
                "pip install piper-tts (GPL-3.0), then start panel and telephone service again",
            )
            return
        for found in read_models(folder):
            if isinstance(found, SpeechError):
                mend = f"have MODEL.onnx and MODEL.onnx.json, both readable here, in {folder}, or take them away"
                yield Finding("warning", str(found), mend)
            else:
                yield Finding("ok", f"the voice {found.title} speaks {found.language}")
    except OSError as error:
        yield Finding("warning", f"{folder} cannot be read: {error}", "let this user read there (BAZANG_VOICES_DIR)")


async def _exchange(settings: Settings, database: Database) -> list[Finding]:
    with database.read() as session:
        where = store_settings.exchange(session, settings)
    way = (where.ami_host, where.ami_port, where.ami_username, where.ami_secret)
    try:
        async with connection_test.reach(*way, seconds=CONNECT_SECONDS) as client:
            found = [
                Finding("ok", f"connected to the exchange (Asterisk {client.state.version or 'of unknown version'})")
            ]
            found += [_listing(await connection_test.ask_list(client, action)) for action in connection_test.LISTS]
            found.append(await _orders(client))
            found.append(await _outbound(settings, database, client))
            return found
    except Unreachable as unreachable:
        return [_unreachable(where, unreachable.report)]


def _unreachable(exchange: Exchange, report: ConnectionReport) -> Finding:
    where = f"{exchange.ami_host}:{exchange.ami_port}"
    if report.verdict is ConnectionResult.REFUSED:
        return Finding(
            "fault",
            f"the exchange at {where} refused user {exchange.ami_username!r}",
            f"manager.conf: [{exchange.ami_username}] with secret=…, read=call,user,agent and "
            "write=originate,call,agent,reporting; then `manager reload`; the same secret in BAZANG_AMI_SECRET, or in "
            "the panel's settings",
        )
    return Finding("fault", f"no exchange answers at {where}: {report.detail}", _MEND[report.verdict])


_MEND = {
    ConnectionResult.HOST_UNKNOWN: "BAZANG_AMI_HOST, or the panel's settings, name the machine that Asterisk runs on",
    ConnectionResult.NOTHING_LISTENS: "manager.conf: enabled=yes in [general]; BAZANG_AMI_HOST and BAZANG_AMI_PORT",
    ConnectionResult.NO_ANSWER: "let this machine through its firewall, or look at BAZANG_AMI_HOST and BAZANG_AMI_PORT",
    ConnectionResult.NOT_ASTERISK: "BAZANG_AMI_PORT is the port of manager.conf, mostly 5038",
}


def _listing(listing: Listing) -> Finding:
    action, right = listing.action, connection_test.ACTIONS[listing.action]
    if listing.refused:
        return Finding(
            "fault", f"{action} was refused: {listing.error}", f"manager.conf: add {right or 'call'} to write="
        )
    if listing.rows is None:
        return Finding("fault", f"{action} was not answered: {listing.error}", "look at Asterisk's log")
    if action == "ExtensionStateList" and not any(row.get("Event") == "ExtensionStatus" for row in listing.rows):
        return Finding(
            "warning",
            "the exchange has no hint: it cannot tell whether an extension is free",
            "extensions.conf: exten => 101,hint,PJSIP/101 per extension; those named in a module get one from us",
        )
    return Finding("ok", f"{action} is answered")


async def _orders(client: AmiClient) -> Finding:
    """Look at what could not be asked just to see, since it would do something."""
    try:
        missing = connection_test.missing_of(await connection_test.allowed_actions(client))
    except AmiError as error:
        return Finding("fault", f"ListCommands was not answered: {error}", "look at Asterisk's log")
    missing = tuple(action for action in missing if action not in connection_test.LISTS)
    if missing:
        rights = ",".join(dict.fromkeys(connection_test.ACTIONS[action] for action in missing))
        return Finding("fault", f"not allowed: {', '.join(missing)}", f"manager.conf: add {rights} to write=")
    return Finding("ok", "calls may be made and ended")


async def _outbound(settings: Settings, database: Database, client: AmiClient) -> Finding:
    with database.read() as session:
        context = store_settings.office(session, settings).outbound_context
    if not context:
        return Finding(
            "fault",
            "nobody said how customers are dialled",
            "name it in the panel's settings, or by BAZANG_OUTBOUND_CONTEXT",
        )
    return Finding("ok", f"customers are dialled through the context {context}")


def _service(settings: Settings, database: Database) -> Iterator[Finding]:
    now = datetime.now(UTC)
    with database.read() as session:
        state = pbx_state.worker_state(session)
        facts = pbx_state.stored_facts(session, now)
        agi_host = store_settings.exchange(session, settings).agi_host
    if not facts.worker_runs(now):
        yield Finding("fault", "the telephone service does not run", "flask --app wsgi worker (or its systemd unit)")
        return
    yield Finding("ok", "the telephone service runs")
    if state.dialplan_running and state.dialplan_running == state.dialplan_written:
        yield Finding("ok", f"Asterisk runs our dialplan, revision {state.dialplan_running}")
    else:
        yield Finding(
            "fault",
            "Asterisk does not run the dialplan that was written",
            f"extensions.conf: #tryinclude {settings.dialplan_path}; then `dialplan reload`",
        )
    with closing(socket.socket()) as probe:
        probe.settimeout(2)
        try:
            probe.connect((agi_host, settings.agi_port))
            yield Finding("ok", f"the dialogue listens on {agi_host}:{settings.agi_port}")
        except OSError as error:
            yield Finding(
                "fault",
                f"nothing listens on {agi_host}:{settings.agi_port}: {error}",
                "BAZANG_AGI_HOST and BAZANG_AGI_PORT are how Asterisk reaches the telephone service",
            )
