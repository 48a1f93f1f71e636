"""Test how the PBX is reached before the settings are saved: a page asks, the worker connects."""

import json
from dataclasses import asdict
from datetime import datetime

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.text import displayable
from app.services import commands
from app.store.database import Database

WAIT_SECONDS = 12.0  # the worker gives up earlier
LONGEST_DETAIL, LONGEST_VERSION = 500, 100  # both are text from the PBX, and a command's result has a maximum length

__all__ = ["ConnectionReport", "ConnectionResult", "DialplanState", "apply", "pack", "test", "unpack"]


def test(
    database: Database, *, host: str, port: int, username: str, secret: str, actor: str, now: datetime
) -> ConnectionReport | None:
    """Test a connection beside the one in use. Return None if the worker does not answer. Waits for the report."""
    payload = {"host": host, "port": port, "username": username, "secret": secret}
    answered = commands.ask_and_wait(
        database, commands.TEST_CONNECTION, payload, actor=actor, now=now, seconds=WAIT_SECONDS
    )
    return unpack(answered.result) if answered is not None and answered.ok else None


def apply(database: Database, *, actor: str, now: datetime) -> None:
    """Make the worker use the saved settings at once instead of after its next poll."""
    commands.ask(database, commands.APPLY_SETTINGS, {}, actor=actor, now=now)


def pack(report: ConnectionReport) -> str:
    """Return a report as JSON, the result of the command. Text from the PBX is shortened to fit."""
    shortened = {
        "detail": displayable(report.detail, LONGEST_DETAIL),
        "version": displayable(report.version, LONGEST_VERSION),
    }
    return json.dumps(asdict(report) | shortened, ensure_ascii=False)


def unpack(result: str) -> ConnectionReport:
    """Return the report that `pack` wrote."""
    values = json.loads(result)
    for name in ("read_missing", "write_missing", "unchecked"):
        values[name] = tuple(values[name])
    return ConnectionReport(
        **values | {"verdict": ConnectionResult(values["verdict"]), "dialplan": DialplanState(values["dialplan"])}
    )
