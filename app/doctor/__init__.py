"""Check the whole installation and say how to fix each problem. Creates missing folders, changes nothing else."""

import asyncio
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
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
from app.domain.findings import Finding, Level, Line, Part, Said, fault, ok, say, warning
from app.domain.hosts import split_hosts
from app.domain.policy import LineState
from app.domain.routing import Context, DestinationKind
from app.domain.webhooks import Channel
from app.paths import find_closed, find_user, folder_error
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
        return fault(
            "database-closed",
            say("The database cannot be opened: %(error)s", error=first),
            say("Check BAZANG_DATABASE_URL."),
        )
    if current != head:
        return fault(
            "database-outdated",
            say(
                "The database is at revision %(current)s; this version needs %(head)s.",
                current=current or "none",
                head=head or "",
            ),
            say("Run: %(command)s", command=Line(command("db upgrade"))),
        )
    return ok("database-current", say("The database (%(kind)s) is up to date.", kind=database.engine.dialect.name))


def _check_administrator(database: Database) -> Finding:
    if not first_administrator.is_open(database):
        return ok("administrator", say("There is an administrator."))
    return fault(
        "no-administrator",
        say("There is no administrator, so nobody can log in."),
        say(
            "Run: %(command)s, or %(other)s",
            command=Line(command("setup-link")),
            other=Line(command("create-admin NAME --password-stdin")),
        ),
    )


def _check_destinations(database: Database) -> Iterator[Finding]:
    """Report the stored destinations that dial a telephone number. They are older than the rule against them."""
    with database.read() as session:
        for stored in stored_destinations(session):
            if check_destination(session, stored.destination, optional=True) is ErrorCode.DIALS:
                yield warning(
                    "destination-dials",
                    say(
                        "A destination of the %(owner)s dials a telephone number for every caller: %(location)s",
                        owner=_OWNERS[stored.owner.kind](stored.owner.code),
                        location=stored.destination.code,
                    ),
                    say("Choose another destination in the panel."),
                )


_OWNERS: dict[str, Callable[[str], Said]] = {
    DestinationKind.MODULE: lambda code: say("module %(code)s", code=code),
    DestinationKind.EXTENSION: lambda code: say("extension %(code)s", code=code),
    DestinationKind.QUEUE: lambda code: say("queue %(code)s", code=code),
}


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
            yield ok(
                "disk-free", say("The disk of %(folder)s has %(free)s MB free.", folder=str(folder), free=free // MB)
            )
            continue
        space = say("%(free)s MB", free=free // MB) if free < low else say("%(files)s files", files=disk.f_favail)
        finding = fault if free < least else warning
        yield finding(
            "disk-full",
            say(
                "The disk of %(folder)s is nearly full: there is space for %(space)s. On a full disk no request is "
                "stored.",
                folder=str(folder),
                space=space,
            ),
            say(
                "Make room. What needs it: %(command)s",
                command=Line(f"du -xhd2 {shlex.quote(str(_mount_point(folder)))} | sort -h | tail"),
            ),
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
        yield fault(
            "file-open-to-others",
            say("Other users have access to %(file)s.", file=str(path)),
            say("Run: %(command)s", command=Line(f"chmod {mode:o} {shlex.quote(str(path))}")),
        )
    if not found:
        yield ok(
            "files-private",
            say("Other users can read no private file in %(folder)s.", folder=str(settings.data_dir)),
        )


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
            "secret-unreadable",
            say("The stored secret for the PBX was encrypted with another key."),
            say(
                "Enter the secret again in the panel, or restore %(file)s or BAZANG_SECRET_KEY.",
                file=str(settings.data_dir / "secret_key"),
            ),
        )


def check_second_factors(settings: Settings, database: Database) -> Iterator[Finding]:
    """Check that the second factors of users can be decrypted."""
    if names := second_factor.unreadable(database, settings):
        yield fault(
            "second-factors-unreadable",
            say("The second factors of these users were encrypted with another key: %(users)s.", users=tuple(names)),
            say(
                "Restore %(file)s or BAZANG_SECRET_KEY. Until then they log in with recovery codes, or after: "
                "%(command)s",
                file=str(settings.data_dir / "secret_key"),
                command=Line(command("remove-second-factor NAME")),
            ),
        )


def _check_folder(folder: Path, name: str) -> Finding:
    """Check that we can write to a folder. `name`: its setting."""
    error = folder_error(folder)
    if error:
        return fault(
            "folder-not-writable",
            say("%(folder)s cannot be written: %(error)s", folder=str(folder), error=error),
            say(
                "Give the user who runs Bazang the right to write there, or change %(setting)s.",
                setting=f"BAZANG_{name}",
            ),
        )
    return ok("folder-writable", say("%(folder)s is writable.", folder=str(folder)))


def _check_dialplan_folder(folder: Path) -> Finding:
    """Check that we can write to a folder, and Asterisk, as another user, can read there."""
    found = _check_folder(folder, "DIALPLAN_FILE")
    closed = find_closed(folder, find_user(sounds.USER)) if found.level is Level.OK else []
    if not closed:
        return found
    return warning(
        "dialplan-folder-closed",
        say(
            "%(folder)s: by its permissions, Asterisk cannot enter %(closed)s. So it may not get our dialplan.",
            folder=str(folder),
            closed=str(closed[0]),
        ),
        say(
            "Run: %(command)s, or change %(setting)s.",
            command=sounds.open_to_others(closed),
            setting="BAZANG_DIALPLAN_FILE",
        ),
    )


def _check_inbox(folder: Path) -> Finding:
    """Check that Asterisk can write recordings made by phone."""
    try:
        mode = folder.stat().st_mode & 0o7777
    except FileNotFoundError:
        return ok("inbox-missing", say("%(folder)s does not exist yet; the worker creates it.", folder=str(folder)))
    except OSError as error:
        return fault(
            "inbox-unknown",
            say("%(folder)s cannot be checked: %(error)s", folder=str(folder), error=str(error)),
            say("Give the user who runs Bazang access to it."),
        )
    if mode & 0o003 != 0o003:
        return fault(
            "inbox-closed",
            say("%(folder)s: Asterisk cannot write recordings there.", folder=str(folder)),
            say(
                "Run: %(command)s, or restart the worker.",
                command=Line(f"chmod {INBOX_MODE:o} {shlex.quote(str(folder))}"),
            ),
        )
    return ok("inbox-open", say("Asterisk can write recordings to %(folder)s.", folder=str(folder)))


def _check_speech(settings: Settings) -> Finding:
    try:
        clip = SoundLibrary(settings.prompts_path).synthesize("سلام", "fa")
    except (SoundError, OSError) as error:
        return fault(
            "no-speech",
            say("Speech cannot be synthesized: %(error)s", error=str(error)),
            say("Install the requirements again (espeakng-loader)."),
        )
    return ok("speech", say("Speech can be synthesized (%(seconds)s s made).", seconds=f"{clip.seconds:.1f}"))


def _check_voices(folder: Path) -> Iterator[Finding]:
    """Check the piper voices. Having none is no fault."""
    try:
        names = [model.name for model in list_models(folder)]
        if names and not is_piper_installed():
            yield warning(
                "no-piper",
                say(
                    "%(folder)s has voices, but piper is not installed: %(voices)s",
                    folder=str(folder),
                    voices=tuple(names),
                ),
                say(
                    "Run: %(command)s (GPL-3.0), then restart the panel and the worker.",
                    command=Line("pip install piper-tts"),
                ),
            )
            return
        for voice in read_models(folder):
            if isinstance(voice, SpeechError):
                yield warning(
                    "voice-broken",
                    say("A voice is left out: %(error)s", error=str(voice)),
                    say(
                        "Put %(files)s into %(folder)s, or remove the voice.",
                        files=("MODEL.onnx", "MODEL.onnx.json"),
                        folder=str(folder),
                    ),
                )
            else:
                yield ok(
                    "voice",
                    say("The voice %(voice)s speaks %(language)s.", voice=voice.title, language=voice.language),
                )
    except OSError as error:
        yield warning(
            "voices-unreadable",
            say("%(folder)s cannot be read: %(error)s", folder=str(folder), error=str(error)),
            say("Make it readable, or change %(setting)s.", setting="BAZANG_VOICES_DIR"),
        )


# -- webhooks and e-mail ----------------------------------------------------------------------------------------------


def check_messages(settings: Settings, database: Database) -> Iterator[Finding]:
    """Check that webhooks and e-mail can be sent, as far as the last tries say. Nothing is sent."""
    with database.read() as session:
        troubles = webhooks.troubles(session)
        stored = store_settings.read_all(session)
    for trouble in troubles:
        is_mail = trouble.channel is Channel.MAIL
        what = say("recipient %(name)s", name=trouble.name) if is_mail else say("webhook %(name)s", name=trouble.name)
        page = say("Settings > E-mail") if is_mail else say("Settings > Webhooks")
        failing_since = trouble.failing_since
        if trouble.is_paused:
            paused = say("The %(what)s is paused, so its messages wait.", what=what)
            if failing_since is not None:
                paused += say("It has taken nothing since %(moment)s.", moment=failing_since)
            yield warning(
                "messages-paused",
                paused,
                say("Mend the cause, then resume it in the panel under %(page)s.", page=page),
            )
        else:
            yield warning(
                "messages-fail",
                say("The %(what)s has taken no message.", what=what)
                if failing_since is None
                else say("The %(what)s has taken no message since %(moment)s.", what=what, moment=failing_since),
                say("%(page)s in the panel says why.", page=page),
            )
    try:
        server = store_settings.mail_server(settings, stored)
    except encryption.CannotDecrypt:
        yield fault(
            "mail-password-unreadable",
            say("The stored password of the mail server was encrypted with another key."),
            say(
                "Enter it again in the panel, or restore %(file)s or BAZANG_SECRET_KEY.",
                file=str(settings.data_dir / "secret_key"),
            ),
        )
        return
    if server is not None and not troubles:
        yield ok("mail", say("E-mail goes through %(address)s.", address=f"{server.host}:{server.port}"))


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
            "database-clock",
            say(
                "The clock of this machine differs from that of the database by %(skew)s s.",
                skew=f"{skew.total_seconds():+.0f}",
            ),
            say("Keep the clocks of all machines synchronized: %(command)s.", command=Line("timedatectl")),
        )
    if not runs:
        yield fault(
            "worker-down", say("The worker does not run."), say("Run: %(command)s", command=Line(command("worker")))
        )
        yield from _check_free_port(settings, agi_port)
        return
    host = state.host or say("this machine")
    yield ok(
        "worker-runs",
        say("The worker runs on %(host)s.", host=host)
        if state.started_at is None
        else say("The worker runs on %(host)s since %(moment)s.", host=host, moment=state.started_at),
    )
    if standbys is not None:
        yield ok(
            "standby",
            say("Standby: a worker on %(hosts)s.", hosts=tuple(standbys))
            if standbys
            else say("No other worker stands by."),
        )
    yield from _check_clock(state, now)
    yield _check_addresses(agi_host, agi_port, agi_secret(settings))
    if refused:
        yield warning(
            "callers-refused",
            say(
                "Connections of callers from %(address)s were refused, because it is not the PBX's address.",
                address=refused,
            ),
            say(
                "If the PBX has this address, set %(line)s and restart the worker.",
                line=Line(f"BAZANG_AGI_ALLOW={refused}"),
            ),
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
            "clock-not-synchronized",
            say(
                "The clock of this machine is not synchronized, so it may be wrong. Office hours, chosen times and the "
                "codes of the two-step log-in depend on it."
            ),
            say("Switch a time service on: %(command)s", command=Line("sudo timedatectl set-ntp true")),
        )


def _check_clock(state: WorkerState, now: datetime) -> Iterator[Finding]:
    """Report that the clock has jumped lately."""
    if state.jumped_at is not None and pbx_state.has_jumped(state, now):
        by, moment = str(timedelta(seconds=abs(state.jump_seconds))), state.jumped_at
        jumped = (
            say("The clock of the worker's machine jumped back by %(by)s at %(moment)s.", by=by, moment=moment)
            if state.jump_seconds < 0
            else say("The clock of the worker's machine jumped forward by %(by)s at %(moment)s.", by=by, moment=moment)
        )
        yield warning(
            "clock-jumped",
            jumped + say("Waiting times and pauses went on as if nothing had happened."),
            say(
                "Check the time service: %(command)s. To start only when the time is known: %(enable)s (or %(other)s).",
                command=Line("timedatectl"),
                enable=Line("systemctl enable systemd-time-wait-sync"),
                other="chrony-wait",
            ),
        )


def _check_members(database: Database) -> Iterator[Finding]:
    """Check that the PBX reports the state of each queue member."""
    with database.read() as session:
        members = [(queue.name, member) for queue in list_queues(session) for member in queue.members]
    unknown = [(queue, member) for queue, member in members if member.state is LineState.UNKNOWN]
    for queue, member in unknown:
        line = member.missing_hint or "exten => NUMBER,hint,PJSIP/NUMBER"
        yield warning(
            "member-unknown",
            say(
                "The PBX does not report the state of %(member)s, a member of queue %(queue)s, so it is never rung.",
                member=member.row.extension,
                queue=queue,
            ),
            say(
                "In %(file)s, for the phone that rings: %(line)s; then %(command)s.",
                file="extensions.conf",
                line=Line(line),
                command=Line("dialplan reload"),
            ),
        )
    if members and not unknown:
        yield ok("members", say("The PBX reports the state of all queue members."))


def _check_queue_names(database: Database) -> Iterator[Finding]:
    """Check that the PBX can tell the names of the queues apart."""
    with database.read() as session:
        clashes = find_clashes(session)
    for clash in clashes:
        yield warning(
            "queue-names-clash",
            say(
                "The PBX takes the name of queue %(queue)s for that of queue %(other)s: it ignores dashes.",
                queue=clash.queue,
                other=clash.other,
            ),
            say(
                "Rename one of them, or send the calls for %(queue)s to %(place)s.",
                queue=clash.queue,
                place=Line(f"{Context.QUEUES},{clash.extension},1"),
            ),
        )


_OTHER_AGI = say("FreePBX has a FastAGI service of its own on port 4573.")
_FREE_PORT = Line("BAZANG_AGI_PORT=4574")


def _check_free_port(settings: Settings, port: int) -> Iterator[Finding]:
    """Find another program on the port of the worker, which does not run."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the worker does
        try:
            probe.bind((settings.agi_bind, port))
        except OSError as error:
            address = f"{settings.agi_bind}:{port}"
            yield fault(
                "port-taken",
                say("The worker cannot listen on %(address)s: %(error)s.", address=address, error=str(error))
                + exchange.UNHEARD,
                _OTHER_AGI + say("Set a free port, such as %(line)s, and start the worker.", line=_FREE_PORT),
            )


def _check_addresses(agi_host: str, port: int, secret: str) -> Finding:
    """Check that the worker listens at one of the addresses. A standby does not listen."""
    found = [_check_agi(host, port, secret) for host in split_hosts(agi_host)]
    return next((finding for finding in found if finding.level is Level.OK), found[0])


def _check_agi(host: str, port: int, secret: str) -> Finding:
    address = f"{host}:{port}"
    try:
        is_ours = is_bazang(host, port, secret, LISTEN_SECONDS)
    except OSError as error:
        return fault(
            "worker-deaf",
            say("The worker does not listen on %(address)s: %(error)s.", address=address, error=str(error))
            + exchange.UNHEARD,
            say("Set BAZANG_AGI_HOST and BAZANG_AGI_PORT to the address where Asterisk reaches the worker."),
        )
    if not is_ours:
        return fault(
            "other-program",
            say("Another program than our worker listens on %(address)s.", address=address) + exchange.UNHEARD,
            _OTHER_AGI + say("Set a free port, such as %(line)s, and restart the worker.", line=_FREE_PORT),
        )
    return ok("worker-listens", say("The worker listens for callers on %(address)s.", address=address))
