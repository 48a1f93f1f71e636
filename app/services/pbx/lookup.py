"""Does the exchange have what a form names? Asked of it by the telephone service, which answers at once."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.config import Settings
from app.services import commands
from app.services.modules.save import CODE, CUSTOM, EXTENSION, TARGET
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database

WAIT = 1.5  # seconds; it is answered within a tenth of one
PATTERNS: Mapping[str, re.Pattern[str]] = {"extension": EXTENSION, "queue": TARGET, "custom": CUSTOM}


def exists(database: Database, kind: str, code: str, actor: str, now: datetime) -> bool | None:
    """Tell whether the exchange has this extension, queue or custom place (context,extension,priority).

    None: it cannot be asked now. A code of another form is nowhere.
    """
    if not PATTERNS[kind].fullmatch(code):
        return False
    answer = _ask(database, commands.LOOK_UP, {"kind": kind, "code": code}, actor, now)
    return None if answer is None else answer == "yes"


def code_taken(database: Database, settings: Settings, code: str, actor: str, now: datetime) -> str | None:
    """Return the context of the exchange in which something other than our modules answers at this code; "": nothing.

    None: it cannot be asked now. Looked at are the contexts for customers, extensions and queues, and what they
    include; on FreePBX also `from-internal`.
    """
    if not CODE.fullmatch(code):
        return ""
    with database.read() as session:
        exchange = store_settings.pbx(session, settings)
    contexts = [exchange.outbound_context, exchange.extension_context, exchange.queue_context]
    contexts += ["from-internal"] if exchange.pbx_profile == "freepbx" else []
    named = list(dict.fromkeys(context for context in contexts if context))
    return _ask(database, commands.CODE_TAKEN, {"contexts": named, "code": code}, actor, now)


def is_reachable(database: Database, now: datetime) -> bool:
    """Tell whether the exchange can be asked now, so that what is known of it is what it is like."""
    with database.read() as session:
        connected = pbx_state.worker_state(session).ami_status == "connected"
        return connected and pbx_state.worker_runs(session, now)


def _ask(database: Database, kind: str, payload: dict[str, Any], actor: str, now: datetime) -> str | None:
    if not is_reachable(database, now):
        return None  # not worth waiting for
    answered = commands.send_and_wait(database, kind, payload, actor=actor, now=now, seconds=WAIT)
    return answered.result if answered is not None and answered.ok else None
