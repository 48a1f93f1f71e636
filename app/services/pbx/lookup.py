"""Ask the PBX, by the worker, whether it has a destination and whether a module's code is free there."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.config import Settings
from app.domain.routing import CODE_PATTERN, Destination, DestinationKind
from app.services import commands
from app.services.pbx.directory import load_directory
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database

WAIT_SECONDS = 1.5  # the worker answers within 0.1 s
PBX_KINDS = (DestinationKind.EXTENSION, DestinationKind.QUEUE, DestinationKind.CUSTOM)


class LookupResult(StrEnum):
    """The answer to a lookup. FOUND and MISSING are results of the command."""

    FOUND = "yes"
    MISSING = "no"
    UNANSWERED = "unanswered"  # the PBX or the worker could not be asked


def look_up(database: Database, destination: Destination, *, actor: str, now: datetime) -> LookupResult:
    """Ask the PBX whether it has an extension, a queue or a custom destination. One that is not well-formed is missing.

    Waits for the answer.
    """
    if not destination.is_well_formed:
        return LookupResult.MISSING
    payload = {"kind": str(destination.kind), "code": destination.code}
    answer = _ask(database, commands.LOOK_UP, payload, actor, now)
    return LookupResult.UNANSWERED if answer is None else LookupResult(answer)


def look_up_unknown(
    database: Database, destinations: Iterable[Destination], *, actor: str, now: datetime
) -> dict[Destination, LookupResult]:
    """Ask the PBX about the destinations that are its own and not in the directory; return the answers.

    After the first question without an answer, do not ask about the others.
    """
    with database.read() as session:
        directory = load_directory(session)
    results: dict[Destination, LookupResult] = {}
    for destination in dict.fromkeys(destinations):
        if destination.kind not in PBX_KINDS or not destination.code or directory.has(destination):
            continue
        if LookupResult.UNANSWERED in results.values():
            results[destination] = LookupResult.UNANSWERED
        else:
            results[destination] = look_up(database, destination, actor=actor, now=now)
    return results


def find_code(database: Database, settings: Settings, code: str, *, actor: str, now: datetime) -> str | None:
    """Return the context of the PBX in which a code leads to something other than our modules; "" if there is none.

    Return None if the PBX cannot be asked. Looks at the contexts for customers, extensions and queues and at what they
    include; on FreePBX also at `from-internal`. Waits for the answer.
    """
    if not CODE_PATTERN.fullmatch(code):
        return ""
    with database.read() as session:
        pbx = store_settings.pbx(session, settings)
    contexts = [pbx.outbound_context, pbx.extension_context, pbx.queue_context]
    contexts += ["from-internal"] if pbx.pbx_profile == "freepbx" else []
    named = list(dict.fromkeys(context for context in contexts if context))
    return _ask(database, commands.CODE_TAKEN, {"contexts": named, "code": code}, actor, now)


def is_reachable(database: Database, now: datetime) -> bool:
    """Tell whether the worker runs and is connected to the PBX, so that the stored states are current."""
    with database.read() as session:
        connected = pbx_state.worker_state(session).ami_status == "connected"
        return connected and pbx_state.worker_runs(session, now)


def _ask(database: Database, kind: str, payload: dict[str, Any], actor: str, now: datetime) -> str | None:
    if not is_reachable(database, now):
        return None  # do not wait in vain
    answered = commands.send_and_wait(database, kind, payload, actor=actor, now=now, seconds=WAIT_SECONDS)
    return answered.result if answered is not None and answered.ok else None
