"""Check the whole installation and say how to fix each problem. Creates missing folders, changes nothing else."""

import asyncio
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.audio.clip import SoundError, SpeechError
from app.audio.library import SoundLibrary
from app.audio.voices import is_piper_installed, list_models, read_models
from app.config import Settings, agi_secret, command
from app.doctor import exchange, sounds
from app.doctor.logins import check_logins
from app.domain.findings import Finding, Level, Part, fault, ok, warning
from app.domain.hosts import split_hosts
from app.domain.policy import LineState
from app.domain.routing import Context
from app.domain.webhooks import Channel
from app.paths import find_closed, find_user, folder_fault
from app.services import second_factor
from app.services.errors import ErrorCode
from app.services.pbx.destinations import check_destination
from app.services.pbx.lists import list_queues
from app.services.pbx.queue_names import find_clashes
from app.services.pbx.references import stored_destinations
from app.services.prompts.phone_calls import INBOX, INBOX_MODE
from app.services.setup import first_administrator
from app.store import encryption, pbx_state, private_files, schema, webhooks, workers
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import WorkerState
from app.telephony.agi import is_bazang

LISTEN_SECONDS = 2.0
MB = 1024**2
LEAST_FILES = 1000  # that a disk can still have


def run_checks(settings: Settings, database: Database, now: datetime) -> Iterator[Finding]:
    """Yield each finding as soon as it is known. Without a usable database there is only one."""
    tables = check_schema(database)
    yield tables
    if tables.level is not Level.OK:
        return
    yield _check_administrator(database)
    yield from _check_destinations(database)
    yield from check_secret(settings, database)
    yield from _about(Part.FILES, _check_files(settings))
    yield from _about(Part.SOUNDS, [_check_speech(settings)])
    yield from _about(Part.SOUNDS, _check_voices(settings.voices_path))
    yield from _about(Part.SOUNDS, [sounds.check_recordings(settings, database)])
    yield from _about(Part.LOGINS, check_second_factors(settings, database))
    yield from _about(Part.LOGINS, check_logins(settings, database))
    yield from _about(Part.MESSAGES, check_messages(settings, database))
    yield from _about(Part.PBX, asyncio.run(exchange.check(settings, database, now)))
    yield from _about(Part.WORKER, check_time_service())
    yield from _about(Part.WORKER, check_worker(settings, database, now))


def _about(part: Part, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings as those about a part of the installation."""
    for finding in findings:
        yield replace(finding, part=part)


# -- the database -----------------------------------------------------------------------------------------------------


def check_schema(database: Database) -> Finding:
    """Check that the database can be opened and has the tables of this version."""
    head = schema.wanted_revision()
    try:
        current = schema.current_revision(database.engine)
    except SQLAlchemyError as error:
        first, *_ = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
        return fault(f"The database cannot be opened: {first}", "Check BAZANG_DATABASE_URL.")
    if current != head:
        return fault(
            f"The database is at revision {current or 'none'}; this version needs {head}.",
            f"Run: `{command('db upgrade')}`",
        )
    return ok(f"The database ({database.engine.dialect.name}) is up to date.")


def _check_administrator(database: Database) -> Finding:
    if not first_administrator.is_open(database):
        return ok("There is an administrator.")
    return fault(
        "There is no administrator, so nobody can log in.",
        f"Run: `{command('setup-link')}`, or `{command('create-admin NAME --password-stdin')}`",
    )


def _check_destinations(database: Database) -> Iterator[Finding]:
    """Report the stored destinations that dial a telephone number. They are older than the rule against them."""
    with database.read() as session:
        for stored in stored_destinations(session):
            if check_destination(session, stored.destination, optional=True) is ErrorCode.DIALS:
                owner, location = f"{stored.owner.kind} {stored.owner.code}", stored.destination.code
                yield warning(
                    f"A destination of the {owner} dials a telephone number for every caller: {location}",
                    "Choose another destination in the panel.",
                )


# -- files and speech -------------------------------------------------------------------------------------------------


def _check_files(settings: Settings) -> Iterator[Finding]:
    yield from check_private_files(settings)
    yield _check_folder(settings.prompts_path, "PROMPTS_DIR")
    yield _check_dialplan_folder(settings.dialplan_path.parent)
    yield _check_inbox(settings.prompts_path / INBOX)
    yield from check_disks(settings)


def check_disks(settings: Settings, *, low: int = 500 * MB, least: int = 50 * MB) -> Iterator[Finding]:
    """Check that the disks of our folders have space: a warning below `low`, a fault below `least` bytes."""
    folders = (settings.data_dir, settings.prompts_path, settings.dialplan_path.parent)
    disks = {folder.stat().st_dev: folder for folder in reversed(folders) if folder.is_dir()}
    for folder in disks.values():
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if free >= low and (not disk.f_files or disk.f_favail >= LEAST_FILES):
            yield ok(f"The disk of {folder} has {free // MB} MB free.")
            continue
        amount = f"{free // MB} MB" if free < low else f"{disk.f_favail} files"
        finding = fault if free < least else warning
        yield finding(
            f"The disk of {folder} is nearly full: there is space for {amount}. On a full disk no request is stored.",
            f"Make room. What needs it: `du -xhd2 {shlex.quote(str(_mount_point(folder)))} | sort -h | tail`",
        )


def _mount_point(folder: Path) -> Path:
    path = folder.resolve()
    while not path.is_mount():
        path = path.parent
    return path


def check_private_files(settings: Settings) -> Iterator[Finding]:
    """Check that other users of the machine can read neither the database nor the keys."""
    found = private_files.open_to_others(settings)
    for path, mode in found:
        yield fault(f"Other users have access to {path}.", f"Run: `chmod {mode:o} {shlex.quote(str(path))}`")
    if not found:
        yield ok(f"Other users can read no private file in {settings.data_dir}.")


def check_secret(settings: Settings, database: Database) -> Iterator[Finding]:
    """Check that the stored secret for the PBX can be decrypted."""
    with database.read() as session:
        stored = store_settings.read_setting(session, "ami_secret")
    if settings.from_environment("ami_secret") or not stored:
        return
    try:
        encryption.decrypt(settings, stored)
    except encryption.CannotDecrypt:
        yield fault(
            "The stored secret for the PBX was encrypted with another key.",
            f"Enter the secret again in the panel, or restore {settings.data_dir / 'secret_key'} or BAZANG_SECRET_KEY.",
        )


def check_second_factors(settings: Settings, database: Database) -> Iterator[Finding]:
    """Check that the second factors of users can be decrypted."""
    if names := second_factor.unreadable(database, settings):
        yield fault(
            f"The second factors of these users were encrypted with another key: {', '.join(names)}.",
            f"Restore {settings.data_dir / 'secret_key'} or BAZANG_SECRET_KEY. Until then they log in with recovery "
            f"codes, or after: `{command('remove-second-factor NAME')}`",
        )


def _check_folder(folder: Path, name: str) -> Finding:
    """Check that we can write to a folder. `name`: its setting."""
    found = folder_fault(folder)
    if found:
        return fault(found, f"Give the user who runs Bazang the right to write there, or change BAZANG_{name}.")
    return ok(f"{folder} is writable.")


def _check_dialplan_folder(folder: Path) -> Finding:
    """Check that we can write to a folder, and Asterisk, as another user, can read there."""
    found = _check_folder(folder, "DIALPLAN_FILE")
    closed = find_closed(folder, find_user(sounds.USER)) if found.level is Level.OK else []
    if not closed:
        return found
    return warning(
        f"{folder}: by its permissions, Asterisk cannot enter {closed[0]}. So it may not get our dialplan.",
        f"{sounds.open_to_others(closed)}, or change BAZANG_DIALPLAN_FILE.",
    )


def _check_inbox(folder: Path) -> Finding:
    """Check that Asterisk can write recordings made by phone."""
    try:
        mode = folder.stat().st_mode & 0o7777
    except FileNotFoundError:
        return ok(f"{folder} does not exist yet; the worker creates it.")
    except OSError as error:
        return fault(f"{folder} cannot be checked: {error}", "Give the user who runs Bazang access to it.")
    if mode & 0o003 != 0o003:
        return fault(
            f"{folder}: Asterisk cannot write recordings there.",
            f"Run: `chmod {INBOX_MODE:o} {shlex.quote(str(folder))}`, or restart the worker.",
        )
    return ok(f"Asterisk can write recordings to {folder}.")


def _check_speech(settings: Settings) -> Finding:
    try:
        clip = SoundLibrary(settings.prompts_path).synthesize("سلام", "fa")
    except (SoundError, OSError) as error:
        return fault(f"Speech cannot be synthesized: {error}", "Install the requirements again (espeakng-loader).")
    return ok(f"Speech can be synthesized ({clip.seconds:.1f} s made).")


def _check_voices(folder: Path) -> Iterator[Finding]:
    """Check the piper voices. Having none is no fault."""
    try:
        names = [model.name for model in list_models(folder)]
        if names and not is_piper_installed():
            yield warning(
                f"{folder} has voices, but piper is not installed: {', '.join(names)}",
                "Run: `pip install piper-tts` (GPL-3.0), then restart the panel and the worker.",
            )
            return
        for voice in read_models(folder):
            if isinstance(voice, SpeechError):
                yield warning(str(voice), f"Put MODEL.onnx and MODEL.onnx.json into {folder}, or remove the voice.")
            else:
                yield ok(f"The voice {voice.title} speaks {voice.language}.")
    except OSError as error:
        yield warning(f"{folder} cannot be read: {error}", "Make it readable, or change BAZANG_VOICES_DIR.")


# -- webhooks and e-mail ----------------------------------------------------------------------------------------------


def check_messages(settings: Settings, database: Database) -> Iterator[Finding]:
    """Check that webhooks and e-mail can be sent, as far as the last tries say. Nothing is sent."""
    with database.read() as session:
        troubles = webhooks.troubles(session)
        stored = store_settings.read_all(session)
    for trouble in troubles:
        what, page = ("recipient", "E-mail") if trouble.channel is Channel.MAIL else ("webhook", "Webhooks")
        since = f" since {trouble.failing_since:%Y-%m-%d %H:%M} UTC" if trouble.failing_since is not None else ""
        if trouble.is_paused:
            failed = f" It has taken nothing{since}." if since else ""
            yield warning(
                f"The {what} {trouble.name} is paused, so its messages wait.{failed}",
                f"Mend the cause, then resume it in the panel under Settings > {page}.",
            )
        else:
            yield warning(
                f"The {what} {trouble.name} has taken no message{since}.",
                f"Settings > {page} in the panel says why.",
            )
    try:
        server = store_settings.mail_server(settings, stored)
    except encryption.CannotDecrypt:
        yield fault(
            "The stored password of the mail server was encrypted with another key.",
            f"Enter it again in the panel, or restore {settings.data_dir / 'secret_key'} or BAZANG_SECRET_KEY.",
        )
        return
    if server is not None and not troubles:
        yield ok(f"E-mail goes through {server.host}:{server.port}.")


# -- the worker -------------------------------------------------------------------------------------------------------


def check_worker(settings: Settings, database: Database, now: datetime) -> Iterator[Finding]:
    with database.read() as session:
        state = pbx_state.worker_state(session)
        runs = pbx_state.worker_runs(session, now)
        agi_host = store_settings.pbx(session, settings).agi_host
        agi_port = store_settings.agi_port(settings, store_settings.read_all(session))
        refused = store_settings.read_setting(session, store_settings.AGI_REFUSED)
        standbys, skew = workers.standbys(session), workers.clock_skew(session)
    if abs(skew) >= exchange.LARGEST_SKEW:
        yield warning(
            f"The clock of this machine differs from that of the database by {skew.total_seconds():+.0f} s.",
            "Keep the clocks of all machines synchronized: `timedatectl`.",
        )
    if not runs:
        yield fault("The worker does not run.", f"Run: `{command('worker')}`")
        yield from _check_free_port(settings, agi_port)
        return
    since = f" since {state.started_at:%Y-%m-%d %H:%M:%S} UTC" if state.started_at is not None else ""
    yield ok(f"The worker runs on {state.host or 'this machine'}{since}.")
    if standbys is not None:
        yield ok(f"Standby: a worker on {', '.join(standbys)}." if standbys else "No other worker stands by.")
    yield from _check_clock(state, now)
    yield _check_addresses(agi_host, agi_port, agi_secret(settings))
    if refused:
        yield warning(
            f"Connections of callers from {refused} were refused, because it is not the PBX's address.",
            f"If the PBX has this address, set `BAZANG_AGI_ALLOW={refused}` and restart the worker.",
        )
    yield from _check_members(database)
    yield from _check_queue_names(database)


def check_time_service() -> Iterator[Finding]:
    """Check that the clock of this machine is synchronized, if systemd knows."""
    program = shutil.which("timedatectl")
    if program is None:
        return
    try:
        question = [program, "show", "--property=NTPSynchronized", "--value"]
        answer = subprocess.run(question, capture_output=True, text=True, timeout=LISTEN_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return
    if answer.stdout.strip() == "no":
        yield warning(
            "The clock of this machine is not synchronized, so it may be wrong. Office hours, chosen times and the "
            "codes of the two-step log-in depend on it.",
            "Switch a time service on: `sudo timedatectl set-ntp true`",
        )


def _check_clock(state: WorkerState, now: datetime) -> Iterator[Finding]:
    """Report that the clock has jumped lately."""
    if state.jumped_at is not None and pbx_state.has_jumped(state, now):
        direction = "back" if state.jump_seconds < 0 else "forward"
        by = timedelta(seconds=abs(state.jump_seconds))
        yield warning(
            f"The clock of the worker's machine jumped {direction} by {by} at {state.jumped_at:%Y-%m-%d %H:%M:%S} UTC. "
            "Waiting times and pauses went on as if nothing had happened.",
            "Check the time service: `timedatectl`. To start only when the time is known: "
            "`systemctl enable systemd-time-wait-sync` (or chrony-wait).",
        )


def _check_members(database: Database) -> Iterator[Finding]:
    """Check that the PBX reports the state of each queue member."""
    with database.read() as session:
        members = [(queue.name, member) for queue in list_queues(session) for member in queue.members]
    unknown = [(queue, member) for queue, member in members if member.state is LineState.UNKNOWN]
    for queue, member in unknown:
        line = member.missing_hint or "exten => NUMBER,hint,PJSIP/NUMBER"
        yield warning(
            f"The PBX does not report the state of {member.row.extension}, a member of queue {queue}, "
            "so it is never rung.",
            f"In extensions.conf, for the phone that rings: `{line}`; then `dialplan reload`.",
        )
    if members and not unknown:
        yield ok("The PBX reports the state of all queue members.")


def _check_queue_names(database: Database) -> Iterator[Finding]:
    """Check that the PBX can tell the names of the queues apart."""
    with database.read() as session:
        clashes = find_clashes(session)
    for clash in clashes:
        yield warning(
            f"The PBX takes the name of queue {clash.queue} for that of queue {clash.other}: it ignores dashes.",
            f"Rename one of them, or send the calls for {clash.queue} to `{Context.QUEUES},{clash.extension},1`.",
        )


_OTHER_AGI = "FreePBX has a FastAGI service of its own on port 4573. Set a free port, such as `BAZANG_AGI_PORT=4574`, "


def _check_free_port(settings: Settings, port: int) -> Iterator[Finding]:
    """Find another program on the port of the worker, which does not run."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the worker does
        try:
            probe.bind((settings.agi_bind, port))
        except OSError as error:
            yield fault(
                f"The worker cannot listen on {settings.agi_bind}:{port}: {error}. {exchange.UNHEARD}",
                f"{_OTHER_AGI}and start the worker.",
            )


def _check_addresses(agi_host: str, port: int, secret: str) -> Finding:
    """Check that the worker listens at one of the addresses. A standby does not listen."""
    found = [_check_agi(host, port, secret) for host in split_hosts(agi_host)]
    return next((finding for finding in found if finding.level is Level.OK), found[0])


def _check_agi(host: str, port: int, secret: str) -> Finding:
    try:
        is_ours = is_bazang(host, port, secret, LISTEN_SECONDS)
    except OSError as error:
        return fault(
            f"The worker does not listen on {host}:{port}: {error}. {exchange.UNHEARD}",
            "Set BAZANG_AGI_HOST and BAZANG_AGI_PORT to the address where Asterisk reaches the worker.",
        )
    if not is_ours:
        return fault(
            f"Another program than our worker listens on {host}:{port}. {exchange.UNHEARD}",
            f"{_OTHER_AGI}and restart the worker.",
        )
    return ok(f"The worker listens for callers on {host}:{port}.")
