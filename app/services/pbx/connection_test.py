"""Trying out how the exchange is reached, before it is saved: asked by a page, done by the telephone service."""

import json
from dataclasses import asdict
from datetime import datetime

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.text import displayable
from app.services import commands
from app.store.database import Database

WAIT = 12.0  # seconds: the service gives an exchange less time than that
LONGEST_DETAIL, LONGEST_VERSION = 500, 100  # both are a stranger's words, and a result has its length

__all__ = ["ConnectionReport", "ConnectionResult", "DialplanState", "apply", "pack", "test", "unpack"]


def test(
    database: Database, *, host: str, port: int, username: str, secret: str, actor: str, now: datetime
) -> ConnectionReport | None:
    """Try these values beside those in force, which go on serving. None: the telephone service does not answer."""
    payload = {"host": host, "port": port, "username": username, "secret": secret}
    answered = commands.send_and_wait(database, commands.TEST_CONNECTION, payload, actor=actor, now=now, seconds=WAIT)
    return unpack(answered.result) if answered is not None and answered.ok else None


def apply(database: Database, *, actor: str, now: datetime) -> None:
    """Have the telephone service take up what was saved at once instead of with its next look."""
    commands.send(database, commands.APPLY_SETTINGS, {}, actor=actor, now=now)


def pack(report: ConnectionReport) -> str:
    """Return a report as a command's result: what an exchange says at length is cut, and never its JSON."""
    said = {
        "detail": displayable(report.detail, LONGEST_DETAIL),
        "version": displayable(report.version, LONGEST_VERSION),
    }
    return json.dumps(asdict(report) | said, ensure_ascii=False)


def unpack(result: str) -> ConnectionReport:
    """Return the report that `pack` made a result of."""
    values = json.loads(result)
    for name in ("read_missing", "write_missing", "unchecked"):
        values[name] = tuple(values[name])
    return ConnectionReport(
        **values | {"verdict": ConnectionResult(values["verdict"]), "dialplan": DialplanState(values["dialplan"])}
    )
