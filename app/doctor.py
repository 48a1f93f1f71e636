"""Check the whole installation and say how to fix each problem. Creates missing folders, changes nothing else."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from app.audio.clip import SoundError, SpeechError
from app.audio.library import SoundLibrary
from app.audio.voices import is_piper_installed, list_models, read_models
from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult
from app.services.pbx import config_snippets
from app.services.prompts.phone_calls import INBOX, INBOX_MODE
from app.services.setup import first_administrator
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import WorkerState
from app.store.settings import PbxSettings
from app.telephony import connection_test
from app.telephony.ami import AmiClient, AmiError
from app.telephony.connection_test import ConnectionFailed, ListAnswer

MIGRATIONS = Path(__file__).parent.parent / "migrations"
CONNECT_SECONDS = 5.0
LISTEN_SECONDS = 2.0


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """The result of one check. `text` says what was found, `fix` what to do about it."""

    level: Level
    text: str
    fix: str = ""


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def _warning(text: str, fix: str) -> Finding:
    return Finding(Level.WARNING, text, fix)


def _fault(text: str, fix: str) -> Finding:
    return Finding(Level.FAULT, text, fix)


def run_checks(settings: Settings, database: Database, now: datetime) -> Iterator[Finding]:
    """Yield each finding as soon as it is known. Without a usable database there is only one."""
    schema = check_schema(database)
    yield schema
    if schema.level is not Level.OK:
        return
    yield _check_administrator(database)
    yield _check_folder(settings.prompts_path, "PROMPTS_DIR")
    yield _check_folder(settings.dialplan_path.parent, "DIALPLAN_FILE")
    yield _check_inbox(settings.prompts_path / INBOX)
    yield _check_speech(settings)
    yield from _check_voices(settings.voices_path)
    yield from asyncio.run(_check_pbx(settings, database))
    yield from _check_worker(settings, database, now)


# -- the database -----------------------------------------------------------------------------------------------------


def check_schema(database: Database) -> Finding:
    """Check that the database can be opened and has the tables of this version."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    try:
        with database.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        first, *_ = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
        return _fault(f"The database cannot be opened: {first}", "Check BAZANG_DATABASE_URL.")
    if current != head:
        return _fault(
            f"The database is at revision {current or 'none'}; this version needs {head}.",
            "Run: flask --app wsgi db upgrade",
        )
    return _ok(f"The database ({database.engine.dialect.name}) is up to date.")


def _check_administrator(database: Database) -> Finding:
    if not first_administrator.is_open(database):
        return _ok("There is an administrator.")
    return _fault(
        "There is no administrator, so nobody can log in.",
        "Run: flask --app wsgi setup-link, or flask --app wsgi create-admin NAME --password-stdin",
    )


# -- files and speech -------------------------------------------------------------------------------------------------


def _check_folder(folder: Path, name: str) -> Finding:
    """Check that we can write to a folder and Asterisk, as another user, can read there. `name`: its setting."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return _fault(
            f"{folder} cannot be written: {error}",
            f"Give the user who runs Bazang the right to write there, or change BAZANG_{name}.",
        )
    closed = [parent for parent in (folder, *folder.parents) if not parent.stat().st_mode & 0o001]
    if closed:
        return _warning(
            f"{folder}: other users, such as Asterisk's, cannot enter {closed[0]}.",
            f"Run: chmod o+x {closed[0]}, or change BAZANG_{name}.",
        )
    return _ok(f"{folder} is writable, and Asterisk can read it.")


def _check_inbox(folder: Path) -> Finding:
    """Check that Asterisk can write recordings made by phone."""
    try:
        mode = folder.stat().st_mode & 0o7777
    except FileNotFoundError:
        return _ok(f"{folder} does not exist yet; the worker creates it.")
    except OSError as error:
        return _fault(f"{folder} cannot be checked: {error}", "Give the user who runs Bazang access to it.")
    if mode & 0o003 != 0o003:
        return _fault(
            f"{folder}: Asterisk cannot write recordings there.",
            f"Run: chmod {INBOX_MODE:o} {folder}, or restart the worker.",
        )
    return _ok(f"Asterisk can write recordings to {folder}.")


def _check_speech(settings: Settings) -> Finding:
    try:
        clip = SoundLibrary(settings.prompts_path).synthesize("سلام", "fa")
    except (SoundError, OSError) as error:
        return _fault(f"Speech cannot be synthesized: {error}", "Install the requirements again (espeakng-loader).")
    return _ok(f"Speech can be synthesized ({clip.seconds:.1f} s made).")


def _check_voices(folder: Path) -> Iterator[Finding]:
    """Check the piper voices. Having none is no fault."""
    try:
        names = [model.name for model in list_models(folder)]
        if names and not is_piper_installed():
            yield _warning(
                f"{folder} has voices, but piper is not installed: {', '.join(names)}",
                "Run: pip install piper-tts (GPL-3.0), then restart the panel and the worker.",
            )
            return
        for voice in read_models(folder):
            if isinstance(voice, SpeechError):
                yield _warning(str(voice), f"Put MODEL.onnx and MODEL.onnx.json into {folder}, or remove the voice.")
            else:
                yield _ok(f"The voice {voice.title} speaks {voice.language}.")
    except OSError as error:
        yield _warning(f"{folder} cannot be read: {error}", "Make it readable, or change BAZANG_VOICES_DIR.")


# -- the PBX ----------------------------------------------------------------------------------------------------------


async def _check_pbx(settings: Settings, database: Database) -> list[Finding]:
    with database.read() as session:
        pbx = store_settings.pbx(session, settings)
    login = (pbx.ami_host, pbx.ami_port, pbx.ami_username, pbx.ami_secret)
    try:
        async with connection_test.connect(*login, seconds=CONNECT_SECONDS) as client:
            return [
                _ok(f"The PBX accepts the login (Asterisk {client.state.version or 'of unknown version'})."),
                *[_check_list(await connection_test.request_list(client, action)) for action in connection_test.LISTS],
                await _check_actions(client),
                _check_outbound_context(pbx.outbound_context),
            ]
    except ConnectionFailed as failed:
        return [_connection_fault(pbx, failed.report)]


_CONNECTION_FIXES = {
    ConnectionResult.HOST_UNKNOWN: "Set BAZANG_AMI_HOST, or the address in the panel, to the machine of Asterisk.",
    ConnectionResult.NOTHING_LISTENS: "Set enabled=yes in [general] of manager.conf, and check BAZANG_AMI_HOST and "
    "BAZANG_AMI_PORT.",
    ConnectionResult.NO_ANSWER: "Check the firewall, BAZANG_AMI_HOST and BAZANG_AMI_PORT.",
    ConnectionResult.NOT_ASTERISK: "Set BAZANG_AMI_PORT to the port in manager.conf, usually 5038.",
}


def _connection_fault(pbx: PbxSettings, report: ConnectionReport) -> Finding:
    address = f"{pbx.ami_host}:{pbx.ami_port}"
    if report.result is not ConnectionResult.REFUSED:
        return _fault(f"The PBX does not answer at {address}: {report.detail}", _CONNECTION_FIXES[report.result])
    read, write = ",".join(config_snippets.READ_RIGHTS), ",".join(config_snippets.WRITE_RIGHTS)
    return _fault(
        f"The PBX at {address} refuses the user {pbx.ami_username!r}.",
        f"In manager.conf: [{pbx.ami_username}] with secret=…, read={read} and write={write}; then `manager reload`. "
        "Set the same secret in BAZANG_AMI_SECRET or in the panel.",
    )


def _check_list(answer: ListAnswer) -> Finding:
    action = answer.action
    if answer.refused:
        right = connection_test.ACTIONS[action] or "call"
        return _fault(f"The PBX refuses {action}: {answer.error}", f"In manager.conf, add {right} to write=.")
    if answer.rows is None:
        return _fault(f"The PBX does not answer {action}: {answer.error}", "Look into Asterisk's log.")
    if action == "ExtensionStateList" and not any(row.get("Event") == "ExtensionStatus" for row in answer.rows):
        return _warning(
            "The PBX has no hints, so it cannot tell whether an extension is free.",
            "In extensions.conf: exten => 101,hint,PJSIP/101 for each extension. Bazang adds hints for the extensions "
            "of its modules.",
        )
    return _ok(f"The PBX answers {action}.")


async def _check_actions(client: AmiClient) -> Finding:
    """Check the rights for actions that cannot be tried, because they would change something."""
    try:
        missing = connection_test.missing_actions(await connection_test.allowed_actions(client))
    except AmiError as error:
        return _fault(f"The PBX does not answer ListCommands: {error}", "Look into Asterisk's log.")
    missing = tuple(action for action in missing if action not in connection_test.LISTS)
    if missing:
        rights = ",".join(dict.fromkeys(connection_test.ACTIONS[action] for action in missing))
        return _fault(f"The PBX does not allow {', '.join(missing)}.", f"In manager.conf, add {rights} to write=.")
    return _ok("The PBX allows us to make and end calls.")


def _check_outbound_context(context: str) -> Finding:
    if context:
        return _ok(f"Customers are dialled through the context {context}.")
    return _fault(
        "The context for calls to customers is not set.", "Set it in the panel or by BAZANG_OUTBOUND_CONTEXT."
    )


# -- the worker -------------------------------------------------------------------------------------------------------


def _check_worker(settings: Settings, database: Database, now: datetime) -> Iterator[Finding]:
    with database.read() as session:
        state = pbx_state.worker_state(session)
        runs = pbx_state.worker_runs(session, now)
        agi_host = store_settings.pbx(session, settings).agi_host
    if not runs:
        yield _fault("The worker does not run.", "Run: flask --app wsgi worker (or start its systemd unit).")
        return
    yield _ok("The worker runs.")
    yield _check_dialplan(settings, state)
    yield _check_agi(agi_host, settings.agi_port)


def _check_dialplan(settings: Settings, state: WorkerState) -> Finding:
    if state.dialplan_running and state.dialplan_running == state.dialplan_written:
        return _ok(f"Asterisk runs our dialplan, revision {state.dialplan_running}.")
    return _fault(
        "Asterisk does not run our current dialplan.",
        f"In extensions.conf: #tryinclude {settings.dialplan_path}; then `dialplan reload`.",
    )


def _check_agi(host: str, port: int) -> Finding:
    with closing(socket.socket()) as probe:
        probe.settimeout(LISTEN_SECONDS)
        try:
            probe.connect((host, port))
        except OSError as error:
            return _fault(
                f"The worker does not listen on {host}:{port}: {error}",
                "Set BAZANG_AGI_HOST and BAZANG_AGI_PORT to the address where Asterisk reaches the worker.",
            )
    return _ok(f"The worker listens for callers on {host}:{port}.")
