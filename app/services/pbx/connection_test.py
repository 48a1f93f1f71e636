"""Test PBX settings before they are saved. The page asks the worker by a command and waits for its answer."""

import json
from dataclasses import asdict
from datetime import datetime

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.text import displayable
from app.services import commands
from app.store.database import Database

WAIT = 12.0  # seconds; longer than the worker's own limit
LONGEST_DETAIL, LONGEST_VERSION = 500, 100  # characters; text from the PBX must fit into a command's result


def test(
    database: Database, *, host: str, port: int, username: str, secret: str, actor: str, now: datetime
) -> ConnectionReport | None:
    """Test these values without changing the settings in use. Return None if the worker does not answer."""
    payload = {"host": host, "port": port, "username": username, "secret": secret}
    answered = commands.send_and_wait(database, commands.TEST_CONNECTION, payload, actor=actor, now=now, seconds=WAIT)
    return unpack(answered.result) if answered is not None and answered.ok else None


def apply(database: Database, *, actor: str, now: datetime) -> None:
    """Ask the worker to apply saved settings at once instead of at its next poll."""
    commands.send(database, commands.APPLY_SETTINGS, {}, actor=actor, now=now)


def pack(report: ConnectionReport) -> str:
    """Return a report as JSON for a command's result. Long text from the PBX is cut before encoding."""
    texts = {
        "detail": displayable(report.detail, LONGEST_DETAIL),
        "version": displayable(report.version, LONGEST_VERSION),
    }
    return json.dumps(asdict(report) | texts, ensure_ascii=False)


def unpack(result: str) -> ConnectionReport:
    """Return the report that `pack` encoded."""
    values = json.loads(result)
    for name in ("read_missing", "write_missing", "unchecked"):
        values[name] = tuple(values[name])
    values |= {"result": ConnectionResult(values["result"]), "dialplan": DialplanState(values["dialplan"])}
    return ConnectionReport(**values)
