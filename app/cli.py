"""The commands of `flask --app wsgi`."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import Flask, current_app

from app import log
from app.config import FIRST_EXCHANGE, Settings, command
from app.paths import OPTIONAL, find_faults
from app.store.database import PASSING_FAILURES, Database
from app.store.exchanges import Exchanges, UnknownExchange

if TYPE_CHECKING:
    from app.services.backup import Backup
    from app.services.errors import Invalid
    from app.services.exchanges import Contents
    from app.store.models import User


def register(app: Flask) -> None:
    """Add the commands to the application."""
    accounts = (create_admin, set_password, remove_second_factor)
    for each in (
        worker,
        *accounts,
        setup_link,
        dialplan,
        settings_group,
        exchange_group,
        backup,
        restore,
        fill,
        doctor,
    ):
        app.cli.add_command(each)


def _context() -> tuple[Settings, Database]:
    """Return the settings and the database of the exchange that BAZANG_EXCHANGE names. Raises ClickException."""
    context = current_app.extensions["bazang"]
    settings, exchanges = context["settings"], context["exchanges"]
    try:
        return settings.for_exchange(settings.exchange), exchanges.find(settings.exchange)
    except UnknownExchange as error:
        raise click.ClickException(
            f"BAZANG_EXCHANGE: there is no exchange {settings.exchange!r}. To see them: {command('exchange list')}"
        ) from error
    except PASSING_FAILURES as error:
        raise click.ClickException(f"BAZANG_EXCHANGE: {settings.exchange} cannot be opened: {error}") from error


def _panel_context() -> tuple[Settings, Database]:
    """Return the settings and the database of the first exchange, which has what belongs to the whole panel."""
    context = current_app.extensions["bazang"]
    return context["settings"], context["database"]


def _checked_context(*, panel: bool = False) -> tuple[Settings, Database]:
    """Return the settings and the database. Raises ClickException if the database is missing or out of date.

    `panel`: those of the panel, whatever BAZANG_EXCHANGE says.
    """
    from app.doctor import check_schema
    from app.domain.findings import Level

    settings, database = _panel_context() if panel else _context()
    schema = check_schema(database)
    if schema.level is not Level.OK:
        raise click.ClickException(f"{schema.text} {schema.fix}")
    return settings, database


@click.command()
def worker() -> None:
    """Run the worker, the process that talks to the PBX."""
    from app.memory import tune_allocator
    from app.systemd import READY, notify
    from app.worker import WorkerRunning, run_worker
    from app.worker.dialplan_file import agi_port

    def ready() -> None:
        logging.getLogger("bazang").info("ready for callers")
        notify(READY, "STATUS=Ready for callers")

    tune_allocator()
    settings, database = _checked_context()
    faults = {name: fault for name, fault in find_faults(settings).items() if name not in OPTIONAL}
    if faults:
        raise click.ClickException("\n".join(faults.values()))
    log.set_up(settings.log_format)
    if settings.exchange != FIRST_EXCHANGE and (
        ignored := current_app.extensions["bazang"]["settings"].only_for_first()
    ):
        logging.getLogger("bazang").warning(
            "%s are for the first exchange; those of %s are in the panel", ", ".join(ignored), settings.exchange
        )
    try:
        run_worker(settings, database, ready=ready)
    except WorkerRunning as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.filename is not None:  # a file or folder, not the socket
            raise click.ClickException(str(error)) from error
        port = agi_port(settings, database)
        raise click.ClickException(
            f"Cannot listen on {settings.agi_bind}:{port} (BAZANG_AGI_BIND, BAZANG_AGI_PORT): {error}"
        ) from error


@click.command("create-admin")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
def create_admin(name: str, password_stdin: bool) -> None:
    """Create an administrator."""
    from app.services.errors import Invalid
    from app.services.setup import first_administrator

    _, database = _checked_context(panel=True)
    password = _read_password() if password_stdin else _ask_password()
    try:
        first_administrator.create(database, name, password, datetime.now(UTC))
    except Invalid as invalid:
        raise _describe(invalid) from invalid
    click.echo(f"{name} can log in now.")


@click.command("set-password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
def set_password(name: str, password_stdin: bool) -> None:
    """Set a new password for a user who has forgotten it.

    All sessions of the user end, and failed log-ins are forgotten.
    """
    from app.services import logins, users
    from app.services.errors import Invalid

    _, database = _checked_context(panel=True)
    user = _find_user(database, name)
    password = _read_password() if password_stdin else _ask_password()
    try:
        users.reset_password(database, user.id, password, datetime.now(UTC), actor="set-password")
    except Invalid as invalid:
        raise _describe(invalid) from invalid
    with database.write() as session:
        logins.forget_failures(session, user.name)
    if user.active:
        click.echo(f"{user.name} can log in with the new password.")
    else:
        click.echo(
            f"The password of {user.name} is set, but the user is deactivated. An administrator can activate it."
        )


@click.command("remove-second-factor")
@click.argument("name")
def remove_second_factor(name: str) -> None:
    """Remove the second factor of a user who has lost the phone and the recovery codes.

    All sessions of the user end, and failed log-ins are forgotten. The password stays.
    """
    from app.services import logins, second_factor

    _, database = _checked_context(panel=True)
    user = _find_user(database, name)
    if not second_factor.reset(database, user.id, datetime.now(UTC), actor="remove-second-factor"):
        raise click.ClickException(f"{user.name} has no second factor.")
    with database.write() as session:
        logins.forget_failures(session, user.name)
    click.echo(f"{user.name} can log in with the password alone.")


def _find_user(database: Database, name: str) -> "User":
    """Return the user with this name. Raises ClickException."""
    from app.services import users
    from app.services.errors import NotFound

    try:
        return users.find_by_name(database, name)
    except NotFound as error:
        names = ", ".join(user.name for user in users.list_users(database) if user.active) or "none"
        raise click.ClickException(f"There is no user {name!r}. Active users: {names}.") from error


def _describe(invalid: "Invalid") -> click.ClickException:
    """Return an error with a sentence for each field."""
    from app.services import users
    from app.services.errors import ErrorCode

    texts = {
        ErrorCode.TAKEN: "is taken",
        ErrorCode.CODE_DIFFERS: "that was typed is another one",
        ErrorCode.EXCHANGE_CODE: "must be up to 20 small letters and digits, with a letter first",
        ErrorCode.TOO_SHORT: f"needs at least {users.SHORTEST_PASSWORD} characters",
        ErrorCode.TOO_LONG: "is too long",
        ErrorCode.COMMON: "is easy to guess",
        ErrorCode.ELSEWHERE: "is not kept here: the user logs in elsewhere. Remove the link in the panel first",
        ErrorCode.REQUIRED: "must not be empty",
        ErrorCode.CHARACTERS: "has characters that cannot be displayed",
    }
    errors = [f"The {field} {texts.get(ErrorCode(code), code)}." for field, code in invalid.errors.items()]
    return click.ClickException(" ".join(errors))


def _read_password() -> str:
    try:
        return sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise click.ClickException("The password is not valid UTF-8.") from error


def _ask_password() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


@click.command("setup-link")
@click.option("--host", default="127.0.0.1", show_default=True, help="Host of the panel, as your browser reaches it.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the panel.")
@click.option("--https", is_flag=True, help="Print an https address.")
def setup_link(host: str, port: int, https: bool) -> None:
    """Print the link that opens the setup. It is valid for a day and for one administrator.

    A new link replaces the one before.
    """
    from app.services.setup import first_administrator

    _, database = _checked_context(panel=True)
    try:
        token = first_administrator.make_token(database, datetime.now(UTC))
    except first_administrator.SetupClosed as error:
        raise click.ClickException("There is an administrator already. Use create-admin to add another.") from error
    click.echo(setup_address(host, port, token, scheme="https" if https else "http"))


def setup_address(host: str, port: int, token: str, *, scheme: str = "http") -> str:
    """Return the address of the setup link."""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/setup?token={token}"


@click.command()
@click.option("--write", is_flag=True, help="Write to BAZANG_DIALPLAN_FILE instead of printing.")
def dialplan(write: bool) -> None:
    """Print or write the dialplan of the modules and scenarios."""
    from app.telephony import dialplan as dialplan_file
    from app.worker.dialplan_file import agi_port, render

    settings, database = _checked_context()
    try:
        rendered = render(settings, database, agi_port(settings, database))
        if not write:
            click.echo(rendered.text, nl=False)
            return
        dialplan_file.write(settings.dialplan_path, rendered.text, datetime.now(UTC))
    except (dialplan_file.UnsafeDialplan, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Revision {rendered.revision} is in {settings.dialplan_path}. Run `dialplan reload` in Asterisk.")


@click.group("exchange")
def exchange_group() -> None:
    """Add, list and remove the exchanges of the panel, such as those of branches."""


@exchange_group.command("list")
def list_exchanges() -> None:
    """Print the code and the name of each exchange."""
    from app.services import exchanges

    _, database = _checked_context(panel=True)
    for found in exchanges.list_exchanges(database):
        click.echo(f"{found.code}\t{found.name or '(the first one)'}")


@exchange_group.command("add")
@click.argument("code")
@click.argument("name")
def add_exchange(code: str, name: str) -> None:
    """Add an exchange with this code (small letters and digits) and name. It needs PostgreSQL.

    Administrators see it in the panel at once. They choose there which other users may see it.
    """
    from app.services import exchanges
    from app.services.errors import Invalid

    _checked_context(panel=True)
    registry: Exchanges = current_app.extensions["bazang"]["exchanges"]
    try:
        code = exchanges.create(registry, code, name, datetime.now(UTC), actor="exchange add")
    except exchanges.NeedsPostgres as error:
        raise click.ClickException("Several exchanges need PostgreSQL, see docs/exchanges.md.") from error
    except exchanges.MayNotCreate as error:
        raise click.ClickException(
            f"The database user may not create a schema. As its owner: GRANT CREATE ON DATABASE {error} TO …"
        ) from error
    except Invalid as invalid:
        raise _describe(invalid) from invalid
    click.echo(f"{code} is added. Its worker: {command('worker', code)}")


@exchange_group.command("remove")
@click.argument("code")
@click.option("--yes", is_flag=True, help="Remove it without asking for its code.")
def remove_exchange(code: str, yes: bool) -> None:
    """Remove an exchange with its requests, modules, prompts and settings. Stop its worker before.

    It is shown what goes, and the code has to be typed. The first exchange stays.
    """
    from app.services import exchanges
    from app.services.errors import Invalid

    settings, _ = _checked_context(panel=True)
    registry: Exchanges = current_app.extensions["bazang"]["exchanges"]
    try:
        found = exchanges.count_contents(registry, code)
        click.echo(_describe_contents(found))
        typed = code if yes else click.prompt(f"This cannot be undone. To remove it, type its code ({code})")
        exchanges.remove(registry, settings, code, typed, datetime.now(UTC), actor="exchange remove")
    except UnknownExchange as error:
        text = "The first exchange cannot be removed." if code == FIRST_EXCHANGE else f"There is no exchange {code!r}."
        raise click.ClickException(f"{text} To see them: {command('exchange list')}") from error
    except exchanges.WorkerRuns as error:
        raise click.ClickException(f"Its worker runs ({error}). Stop it first. Nothing was removed.") from error
    except exchanges.InUse as error:
        raise click.ClickException("It is in use. Try again. Nothing was removed.") from error
    except Invalid as invalid:
        raise _describe(invalid) from invalid
    click.echo(f"{code} is removed. Take the #tryinclude of its dialplan out of its PBX.")


def _describe_contents(found: "Contents") -> str:
    lines = [
        f"It has {found.requests} requests ({found.active} of them still open), {found.missed_calls} missed calls, "
        f"{found.contacts} contacts, {found.modules} modules, {found.recordings} recordings, {found.webhooks} webhooks "
        f"and {found.website_forms} forms of websites.",
    ]
    if found.loses:
        lines.append(f"These users see no other exchange, and cannot log in then: {', '.join(found.loses)}.")
    return "\n".join(lines)


@click.group("settings")
def settings_group() -> None:
    """Export and import modules, scenarios, prompts' texts, the office's settings, users, webhooks and e-mail."""


@settings_group.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--with-passwords", is_flag=True, help="Write the hashes of the users' passwords, too.")
def export_settings(file: Path, with_passwords: bool) -> None:
    """Write the settings to FILE ("-": standard output), without secrets of webhooks and of the mail server."""
    from app.services import transfer

    settings, database = _checked_context()
    content = transfer.export_settings(database, settings, datetime.now(UTC), with_passwords=with_passwords)
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    try:
        with click.open_file(str(file), "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error}") from error


@settings_group.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
def import_settings(file: Path) -> None:
    """Import FILE ("-": standard input). If it has any error, nothing is imported."""
    from app.services import transfer
    from app.services.modules.transfer import BadFile
    from app.services.sounds import open_library
    from app.store.pbx_state import worker_runs

    settings, database = _checked_context()
    try:
        with click.open_file(str(file), encoding="utf-8-sig") as stream:  # some editors write a byte order mark
            content: Any = json.load(stream)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON, or a huge number
        raise click.ClickException(f"Nothing was imported. {file} cannot be read: {error}") from error
    try:
        library = open_library(settings, database)
        now, actor = datetime.now(UTC), "settings import"
        count, new_users = transfer.import_settings(database, settings, library, content, now, actor=actor)
    except BadFile as error:
        raise click.ClickException("Nothing was imported:\n" + "\n".join(error.errors)) from error
    except OSError as error:
        raise click.ClickException(f"Nothing was imported: {error}") from error
    click.echo(f"{count} entries were imported.")
    with database.read() as session:
        runs = worker_runs(session, now)
    if not runs:
        click.echo(
            "The worker does not run. When it starts, it makes the sounds of new modules. Callers who come before they "
            "are made go to the error destination."
        )
    if new_users:
        names = ", ".join(new_users)
        click.echo(f"These users have no password yet: {names}. Set one: {command('set-password NAME')}")


_passphrase_file = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help='The passphrase is the first line of this file ("-": of standard input), so nobody is asked.',
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--encrypt", is_flag=True, help="Encrypt the file with a passphrase, which is asked.")
@_passphrase_file
def backup(file: Path, *, encrypt: bool, passphrase_file: Path | None) -> None:
    """Save the whole office with all its exchanges in FILE ("-": standard output). Panel and worker may run meanwhile.

    It contains customers' numbers and secrets. --encrypt or --passphrase-file encrypts it, in the format of age.
    """
    from app.services import backup as backups
    from app.services.passphrase import encrypting

    settings, database = _checked_context(panel=True)
    passphrase = _read_passphrase(passphrase_file, is_new=True) if encrypt or passphrase_file else ""
    try:
        with (
            click.open_file(str(file), "wb", atomic=str(file) != "-") as opened,
            encrypting(opened, passphrase) as stream,
        ):
            made = backups.save(settings, database, stream, datetime.now(UTC))
        if str(file) != "-":
            file.chmod(0o600)
    except OSError as error:
        raise click.ClickException(f"No backup was made: {error}") from error
    click.echo(f"{_contents(made)} were saved.", err=True)
    if not made.has_key:
        click.echo("The key of the secrets is not in it: keep BAZANG_SECRET_KEY as well.", err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@_passphrase_file
def restore(file: Path, *, passphrase_file: Path | None) -> None:
    """Restore FILE ("-": standard input) of `backup` where there is no office yet. Stop panel and worker before.

    All automatic calls and webhooks are paused then, because people may have been called since the backup was made.
    """
    import flask_migrate
    from alembic.script import ScriptDirectory

    from app.services import backup as backups
    from app.services.passphrase import WrongPassphrase, decrypting
    from app.store.schema import MIGRATIONS

    if str(file) == str(passphrase_file) == "-":
        raise click.ClickException("Standard input is either the backup or the passphrase.")
    settings, _ = _panel_context()
    registry: Exchanges = current_app.extensions["bazang"]["exchanges"]
    revisions = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    try:
        with (
            click.open_file(str(file), "rb") as opened,
            decrypting(opened, lambda: _read_passphrase(passphrase_file, is_new=False)) as stream,
        ):
            made = backups.restore(
                settings,
                registry,
                stream,
                datetime.now(UTC),
                revisions=revisions,
                upgrade=lambda revision: flask_migrate.upgrade(revision=revision),
            )
    except backups.NotEmpty as error:
        raise click.ClickException(
            "Nothing was restored: there is an office already. Use an empty BAZANG_DATA_DIR or database."
        ) from error
    except WrongPassphrase as error:
        raise click.ClickException("Nothing was restored. The passphrase is wrong, or the file is damaged.") from error
    except (backups.BadBackup, backups.DoesNotFit) as error:
        raise click.ClickException(f"Nothing was restored. {error}") from error
    except OSError as error:
        raise click.ClickException(f"Nothing was restored: {error}") from error
    click.echo(f"{_contents(made)} were restored. Automatic calls and webhooks are paused: resume them in the panel.")
    if not made.has_key:
        click.echo("Set BAZANG_SECRET_KEY as it was before, or enter the secrets again.")


def _read_passphrase(file: Path | None, *, is_new: bool) -> str:
    """Return the first line of the file, or what somebody types: twice if it is new. Raises ClickException."""
    from app.services.passphrase import SHORTEST

    if file is None:
        passphrase: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    else:
        try:
            with click.open_file(str(file), encoding="utf-8") as lines:
                passphrase = lines.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{file} cannot be read: {error}") from error
    if is_new and len(passphrase) < SHORTEST:
        raise click.ClickException(f"The passphrase needs at least {SHORTEST} characters. No backup was made.")
    return passphrase


def _contents(backup: "Backup") -> str:
    found = f"{backup.requests} requests, {backup.users} users and {backup.sounds} recordings"
    return f"{found} of {len(backup.further) + 1} exchanges" if backup.further else found


@click.command()
@click.option("--requests", "count", type=click.IntRange(1, 2_000_000), required=True, help="How many to create.")
@click.option("--waiting", type=click.IntRange(0, 5000), help="How many of them are waiting (default: one in 300).")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed creates the same requests.")
@click.option("--yes", is_flag=True, help="Create them even if there are real requests.")
def fill(count: int, waiting: int | None, seed: int, yes: bool) -> None:
    """Create realistic requests for a demonstration or a benchmark. Pauses all automatic calls."""
    from app import demo_data

    settings, database = _checked_context()
    if not yes and demo_data.has_real_requests(database):
        raise click.ClickException(
            "The database has real requests, and the panel cannot tell them from created ones. Use --yes to continue."
        )
    waiting_count = demo_data.fill(database, settings, count, datetime.now(UTC), seed=seed, waiting=waiting)
    click.echo(f"{count} requests were created; {waiting_count} of them are waiting.")
    if waiting_count:
        click.echo("Their numbers may exist, so all automatic calls are paused. You can resume them in the panel.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print each finding as a line of JSON, and the count of faults.")
def doctor(*, as_json: bool) -> None:
    """Check the installation and say how to fix each problem."""
    from app.doctor import run_checks
    from app.domain.findings import Level, to_json

    settings, database = _context()
    marks = {Level.OK: "ok   ", Level.WARNING: "warn ", Level.FAULT: "FAULT"}
    faults = 0
    for finding in run_checks(settings, database, datetime.now(UTC)):
        faults += finding.level is Level.FAULT
        if as_json:
            click.echo(json.dumps(to_json(finding), ensure_ascii=False))
            continue
        click.echo(f"{marks[finding.level]} {finding.text}")
        if finding.fix:
            click.echo(f"      -> {finding.fix}")
    if as_json:
        click.echo(json.dumps({"faults": faults}))  # also says that no check has ended the program
    if faults:
        raise SystemExit(1)
