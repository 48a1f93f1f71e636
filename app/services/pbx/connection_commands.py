"""Commands about the connection to the PBX: test settings before they are saved, and apply those that were saved.

The worker runs both. The page waits for the answer to a test.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import accumulate
from typing import Any

from app.config import Settings
from app.domain.pbx_connection import Asked, CallersState, ConnectionReport, ConnectionResult, DialplanState
from app.domain.pbx_product import Product
from app.domain.text import displayable
from app.services import commands
from app.services.pbx import product
from app.store import encryption
from app.store.database import Database

WAIT = 12.0  # seconds; longer than the worker's own limit
# Characters: what comes from the PBX must fit into a command's result.
LONGEST_DETAIL, LONGEST_VERSION, LONGEST_NAMES = 500, 100, 1000


def test(
    database: Database,
    settings: Settings,
    *,
    host: str,
    port: int,
    username: str,
    secret: str,
    contexts: tuple[str, ...] = (),
    everything: bool = True,
    actor: str,
    now: datetime,
) -> ConnectionReport | None:
    """Test these values without changing the settings in use. Return None if the worker does not answer.

    The test also looks for `contexts`. With `everything`, it reads the list of contexts from the PBX, and stores it to
    choose from. The worker decrypts the secret, and `commands` removes it when the command ends.
    """
    payload = {"host": host, "port": port, "username": username, "secret": encryption.encrypt(settings, secret)}
    payload["asked"] = asdict(product.questions(database, settings, contexts, everything=everything))
    answered = commands.send_and_wait(database, commands.TEST_CONNECTION, payload, actor=actor, now=now, seconds=WAIT)
    if answered is None or not answered.ok:
        return None
    report = unpack(answered.result)
    if report.all_contexts:
        product.store_contexts(database, report.all_contexts)
    return report


def apply(database: Database, *, actor: str, now: datetime) -> None:
    """Ask the worker to apply saved settings at once instead of at its next poll."""
    commands.send(database, commands.APPLY_SETTINGS, {}, actor=actor, now=now)


def pack(report: ConnectionReport) -> str:
    """Return a report as JSON for a command's result. Long text from the PBX is cut before encoding."""
    texts = {
        "detail": displayable(report.detail, LONGEST_DETAIL),
        "version": displayable(report.version, LONGEST_VERSION),
    }
    names = {"all_contexts": _shortened(report.all_contexts)}
    if report.outbound is not None:
        names["outbound"] = _shortened(report.outbound)
    return json.dumps(asdict(report) | texts | names, ensure_ascii=False)


def _shortened(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many of the names as LONGEST_NAMES characters hold."""
    lengths = accumulate(len(name) + 4 for name in names)
    return tuple(name for name, length in zip(names, lengths, strict=True) if length <= LONGEST_NAMES)


def unpack(result: str) -> ConnectionReport:
    """Return the report that `pack` encoded."""
    values = json.loads(result)
    for name in ("read_missing", "write_missing", "unchecked", "contexts", "outbound", "all_contexts"):
        values[name] = None if values[name] is None else tuple(values[name])
    values |= {"result": ConnectionResult(values["result"]), "dialplan": DialplanState(values["dialplan"])}
    values |= {"callers": CallersState(values["callers"])}
    values |= {"product": None if values["product"] is None else Product(values["product"])}
    return ConnectionReport(**values)


def unpack_asked(payload: Mapping[str, Any]) -> Asked:
    """Return what a command asks about the dialplan. Raises KeyError and TypeError for a bad payload."""
    asked = payload["asked"]
    return Asked(tuple(asked["contexts"]), tuple(asked["outbound"]), str(asked["number"]), bool(asked["everything"]))
