"""The commands of `flask --app wsgi`."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app

from app.config import Settings
from app.store.database import Database


def register(app: Flask) -> None:
    """Attach the commands."""
    for command in (worker, create_admin, setup_link, dialplan, settings_group, fill, doctor):
        app.cli.add_command(command)


def _parts() -> tuple[Settings, Database]:
    parts = current_app.extensions["bazang"]
    return parts["settings"], parts["database"]


def _ready_parts() -> tuple[Settings, Database]:
    """The parts, for what needs a database that is there and up to date."""
    from app.doctor import look_at_schema

    settings, database = _parts()
    schema = look_at_schema(database)
    if schema.level != "ok":
        raise click.ClickException(f"{schema.what}: {schema.mend}")
    return settings, database


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)


@click.command()
def worker() -> None:
    """Run the telephone service: the one process that speaks with the exchange."""
    from app.worker import WorkerRunning, run_worker

    settings, database = _ready_parts()
    _log_to_stderr()
    try:
        run_worker(settings, database, ready=lambda: logging.getLogger("bazang").info("ready for callers"))
    except WorkerRunning as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.filename is not None:  # a folder, such as that of the prompts
            raise click.ClickException(str(error)) from error
        raise click.ClickException(
            f"cannot listen on {settings.agi_bind}:{settings.agi_port} (BAZANG_AGI_BIND, BAZANG_AGI_PORT): {error}"
        ) from error


@click.command("create-admin")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input.")
def create_admin(name: str, password_stdin: bool) -> None:
    """Make an administrator who may log in to the panel."""
    from app.services import users
    from app.services.errors import Invalid

    _, database = _ready_parts()
    if password_stdin:
        try:
            password = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise click.ClickException("the password is no text in UTF-8") from error
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    try:
        users.create(database, name, password, "administrator", datetime.now(UTC), actor="create-admin")
    except Invalid as invalid:
        words = {
            "taken": "this name is taken",
            "too_short": f"at least {users.SHORTEST_PASSWORD} characters",
            "too_long": "too long",
            "required": "must not be empty",
            "characters": "has characters that cannot be shown",
        }
        lines = [f"{field}: {words.get(code, code)}" for field, code in invalid.errors.items()]
        raise click.ClickException("; ".join(lines)) from invalid
    click.echo(f"{name} may log in now.")


@click.command("setup-link")
@click.option("--host", default="127.0.0.1", show_default=True, help="This machine, as your browser reaches it.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Of the panel.")
@click.option("--https", is_flag=True, help="The panel is reached by https.")
def setup_link(host: str, port: int, https: bool) -> None:
    """Print the address that opens the set-up, once and for a day; the one before it opens nothing any more."""
    from app.services.setup import first_administrator

    _, database = _ready_parts()
    try:
        token = first_administrator.make_token(database, datetime.now(UTC))
    except first_administrator.Closed as error:
        raise click.ClickException("there is an administrator already; `create-admin` makes another one") from error
    click.echo(setup_address(host, port, token, scheme="https" if https else "http"))


def setup_address(host: str, port: int, token: str, *, scheme: str = "http") -> str:
    """Return the address that opens the set-up."""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/setup?token={token}"


@click.command()
@click.option("--write", is_flag=True, help="Write it to BAZANG_DIALPLAN_FILE instead of printing it.")
def dialplan(write: bool) -> None:
    """Print the dialplan that is made from the modules and scenarios, or write it."""
    from app.telephony import dialplan as files
    from app.worker.dialplan_file import render

    settings, database = _ready_parts()
    try:
        rendered = render(settings, database, settings.agi_port)
        if not write:
            click.echo(rendered.text, nl=False)
            return
        files.write(settings.dialplan_path, rendered.text)
    except (files.UnsafeDialplan, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Revision {rendered.revision} is in {settings.dialplan_path}; Asterisk takes it by `dialplan reload`.")


@click.group("settings")
def settings_group() -> None:
    """Carry modules, scenarios and prompts' texts from one office to another."""


@settings_group.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
def export_settings(file: Path) -> None:
    """Write all of it to FILE ("-": the standard output)."""
    from app.services.modules import transfer

    _, database = _ready_parts()
    text = json.dumps(transfer.export_settings(database), ensure_ascii=False, indent=2) + "\n"
    try:
        with click.open_file(str(file), "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error}") from error


@settings_group.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
def import_settings(file: Path) -> None:
    """Take in FILE: all of it, or nothing when there is a fault in it."""
    from app.audio.library import SoundLibrary
    from app.services.modules import transfer

    settings, database = _ready_parts()
    try:
        with click.open_file(str(file), encoding="utf-8-sig") as stream:  # some editors begin a file with a mark
            content: Any = json.load(stream)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, a number of 5000 digits
        raise click.ClickException(f"nothing was taken in: {file} cannot be read: {error}") from error
    try:
        library = SoundLibrary(settings.prompts_path, settings.voices_path)
        count = transfer.import_settings(database, library, content, datetime.now(UTC), actor="settings import")
    except transfer.BadFile as error:
        raise click.ClickException("nothing was taken in:\n" + "\n".join(error.errors)) from error
    except OSError as error:
        raise click.ClickException(f"nothing was taken in: {error}") from error
    click.echo(f"{count} entries were taken in.")


@click.command()
@click.option("--requests", "count", type=click.IntRange(1, 2_000_000), required=True, help="How many to make.")
@click.option("--waiting", type=click.IntRange(0, 5000), help="How many of them wait; by default one in 300.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same requests.")
@click.option("--yes", is_flag=True, help="Also where there are requests of real customers.")
def fill(count: int, waiting: int | None, seed: int, yes: bool) -> None:
    """Make believable requests, for a demonstration or to measure with. Pauses all automatic calls."""
    from app import demo_data

    settings, database = _ready_parts()
    if not yes and demo_data.has_real_requests(database):
        raise click.ClickException(
            "there are requests of real customers here, and nothing tells them from made-up ones in the panel; "
            "--yes makes some all the same"
        )
    made = demo_data.fill(database, settings, count, datetime.now(UTC), seed=seed, waiting=waiting)
    click.echo(f"{count} requests are made, of which {made} wait.")
    if made:
        click.echo(
            "Their numbers may be somebody's: all automatic calls are paused, until you resume them in the panel."
        )


@click.command()
def doctor() -> None:
    """Check everything, and say how to mend what is amiss."""
    from app.doctor import examine

    settings, database = _parts()
    failed = 0
    for finding in examine(settings, database):
        mark = {"ok": "ok   ", "warning": "warn ", "fault": "FAULT"}[finding.level]
        failed += finding.level == "fault"
        click.echo(f"{mark} {finding.what}")
        if finding.mend:
            click.echo(f"      -> {finding.mend}")
    if failed:
        raise SystemExit(1)
