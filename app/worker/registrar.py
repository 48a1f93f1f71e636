"""Serve the dialogue with a caller: load the module, check the number, register the request."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from app.config import Settings
from app.domain import numbers
from app.domain.numbers import NumberRefused, NumberRules
from app.services.requests.registration import Registration, register
from app.store import settings as store_settings
from app.store.database import Database
from app.telephony.ivr import Accepted, CallerFacts, ModuleView, Refused
from app.telephony.snapshot import Snapshot
from app.worker.dispatcher import utcnow
from app.worker.prompts import PromptStore

log = logging.getLogger(__name__)
RULES_TTL = 2.0  # seconds for which the number rules are cached


class Registrar:
    """Implement the dialogue's `Registrar`. Database access runs in threads, never in the event loop.

    `registered` is called in the event loop after a request is stored.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sounds: PromptStore,
        snapshot: Snapshot,
        *,
        registered: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings, self._database, self._sounds, self._snapshot = settings, database, sounds, snapshot
        self._registered = registered
        self._rules: tuple[float, NumberRules] | None = None

    async def module(self, module_id: int) -> ModuleView | None:
        return await self._sounds.load_module(module_id)

    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused:
        """Check the caller's own number or a typed one. Extensions are accepted from internal callers only."""
        rules = await asyncio.to_thread(self.number_rules)
        # The name of a Local channel is its destination, not the caller.
        local = call.channel.startswith("Local/")
        inside = not local and bool(self._snapshot.extension_of_channel(call.channel))
        try:
            normalized = numbers.normalize(number, rules, from_inside=inside)
        except NumberRefused as refusal:
            log.info("module %s: number %r refused: %s", call.module_id, number, refusal.refusal)
            return Refused(refusal.refusal.value)
        return Accepted(normalized, numbers.national(normalized))

    async def register(self, call: CallerFacts, accepted: Accepted) -> None:
        """Store the request. It is on disk when this returns. Raises if it cannot be stored."""
        registration = Registration(
            module_id=call.module_id,
            number=accepted.number,
            caller_number=call.caller_number,
            caller_name=call.caller_name,
            extension=call.wanted,
            uniqueid=call.uniqueid,
            first_called_at=datetime.fromtimestamp(call.first_called_at, UTC) if call.first_called_at else None,
        )
        request = await asyncio.to_thread(register, self._database, registration, utcnow())
        self._registered()
        log.info("request %s registered: module %s, number %s", request, call.module_id, accepted.number)

    def number_rules(self) -> NumberRules:
        """Return the office's number rules. Blocks on the database."""
        if self._rules is None or time.monotonic() - self._rules[0] > RULES_TTL:
            with self._database.read() as session:
                self._rules = (time.monotonic(), store_settings.number_rules(session, self._settings))
        return self._rules[1]
