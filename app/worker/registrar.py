"""Serve the dialogue with a caller: load the module, check the number, register the request."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.audio.prompt_texts import appointment_text, delay_text, place_text, wait_text
from app.config import Settings
from app.domain import chosen_times, numbers
from app.domain.limits import LimitReason
from app.domain.number_policy import NumberPolicy, Rule, Source, Verdict, judge
from app.domain.numbers import NumberPlan
from app.domain.text import masked
from app.log import log_fields
from app.services.errors import ErrorCode
from app.services.requests.chosen_times import find_free
from app.services.requests.kept import KeptRefusal, register_kept
from app.services.requests.number_lists import canonical
from app.services.requests.outside import hours_of
from app.services.requests.prospects import find_prospect
from app.services.requests.registration import (
    Registration,
    RegistrationRefused,
    find_open,
    is_for_themselves,
    withdraw,
)
from app.services.requests.together import Prospective, foresee
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.number_lists import load_lists
from app.store.number_policy import load_policy
from app.telephony.agi_access import LimitedLog
from app.telephony.devices import device_of_channel
from app.telephony.ivr import (
    Accepted,
    CallerFacts,
    ChosenTime,
    ModuleView,
    NotRegistered,
    Refused,
    Sound,
    channel_id,
)
from app.telephony.kept import KeptCall
from app.telephony.snapshot import Snapshot
from app.worker.at_once import AtOnce
from app.worker.clock import CLOCK, utcnow
from app.worker.prompts import PromptStore
from app.worker.registrations import Registrations
from app.worker.spoken_names import SpokenNames

log = logging.getLogger(__name__)
RULES_TTL = 2.0  # seconds for which the number plan and the number policy are cached


class Registrar:
    """Implement the dialogue's `Registrar`. Database access runs in threads, never in the event loop.

    `registered` is called in the event loop after a request is stored, `refused` with the reason of a limit. `learn`
    makes the snapshot and the stored rows contain an extension that only a pattern of the PBX describes. `shown_number`
    returns the number that the PBX gives to all calls of a phone, "" if it gives none or cannot be asked. `entered` is
    called when a caller has come to a module, `left` when they have left or withdrawn a request, `hang_up` with the
    attempt of a request that was withdrawn while it was called. `names` are the names that callers say.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sounds: PromptStore,
        snapshot: Snapshot,
        names: SpokenNames,
        *,
        registered: Callable[[], None] = lambda: None,
        refused: Callable[[LimitReason], None] = lambda reason: None,
        learn: Callable[[str], Awaitable[bool]] | None = None,
        shown_number: Callable[[str], Awaitable[str]] | None = None,
        entered: Callable[[CallerFacts], None] = lambda call: None,
        left: Callable[[CallerFacts], None] = lambda call: None,
        hang_up: Callable[[str], None] = lambda attempt: None,
    ) -> None:
        self._settings, self._database, self._sounds, self._snapshot = settings, database, sounds, snapshot
        self._registered, self._refused, self._learn = registered, refused, learn
        self._shown_number = shown_number
        self._entered, self._left, self._hang_up = entered, left, hang_up
        self._names = names
        self._registrations = Registrations(database)
        self._prospects = AtOnce(self._foresee, "registrations-check")
        self._rules: tuple[float, NumberPlan, NumberPolicy] | None = None
        self._reading: asyncio.Future[tuple[NumberPlan, NumberPolicy]] | None = None  # of all who wait for the rules
        self._log = LimitedLog()

    async def module(self, module_id: int) -> ModuleView | None:
        return await self._sounds.load_module(module_id)

    async def choose_time(self, call: CallerFacts, key: str) -> ChosenTime | None:
        """Return the time that a caller chose by a key, or the next free one, None if none is free."""
        now = utcnow()
        found = await asyncio.to_thread(self._find_time, call.module_id, key, now)
        if found is None:
            return None
        at, moved, text = found
        spoken = await self._sounds.speak(call.module_id, text)
        return ChosenTime(at, moved, [spoken] if spoken is not None else [])

    def _find_time(self, module_id: int, key: str, now: datetime) -> tuple[datetime, bool, str] | None:
        """Return the time, whether it is another one than the caller wished, and how it is said."""
        with self._database.read() as session:
            module = store.load_module(session, module_id)
            if module is None:
                return None
            hours = hours_of(session, self._settings, module, now)
            wish = chosen_times.wish_of(key, now, hours.zone)
            before_closing = timedelta(seconds=module.stop_before)
            at = find_free(session, module, hours, wish.first, before_closing=before_closing)
        if at is None:
            return None
        if key in chosen_times.MINUTES and at == wish.first:
            return at, False, delay_text(chosen_times.MINUTES[key], module.language)
        text = appointment_text(at.astimezone(hours.zone), now.astimezone(hours.zone), module.language)
        return at, at > wish.last, text

    def enter(self, call: CallerFacts) -> None:
        self._entered(call)

    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused:
        """Check the caller's own number or a typed one. Extensions are accepted from internal callers only."""
        source = Source.TYPED if typed else Source.CALLER_ID
        identified = await self._identify(call)
        if identified is not call:
            call, number = identified, number if typed else identified.caller_number
        verdict = await self._judge(call, number, source)
        # Perhaps it is the caller's own extension, which only a pattern describes, or which was not read yet. No
        # outside number gets here.
        is_known = bool(verdict.number) and verdict.rule is not Rule.EXTENSION
        if not is_known and not typed and self._learn is not None and await self._learn(number):
            self._rules = self._reading = None
            verdict = await self._judge(call, number, source)
        if not verdict.allows:
            log.info("module %s: number %s refused: %s", call.module_id, masked(number), verdict.rule.value)
            log.debug("the refused number is %r", number)
            return Refused(verdict.rule.value)
        normalized = verdict.number
        if numbers.is_internal(normalized) and await asyncio.to_thread(self._is_for_themselves, call, normalized):
            log.info("module %s: %s would be called back to themselves", call.module_id, normalized)
            return Refused(ErrorCode.SELF.value)
        plan, _ = await self._load_number_rules()
        registration = self._registration(call, normalized, source, plan)
        prospective = await self._prospects.ask(registration)
        reason = prospective.refusal
        if reason is not None:
            self._count(call, reason)
            final = reason.is_general or await asyncio.to_thread(self._is_blocked, registration.caller)
            return Refused(reason.value, final)
        return Accepted(normalized, numbers.national(normalized, plan.region), typed, prospective.is_open)

    async def _identify(self, call: CallerFacts) -> CallerFacts:
        """Return the facts with the extension of a phone inside, if its calls show a number of the office instead.

        Calling that number back would lead to the office itself. Any other number is a caller's: a gateway may be an
        extension, too.
        """
        if call.channel.startswith("Local/") or not call.caller_number or self._shown_number is None:
            return call
        extension = self._snapshot.extension_of_channel(call.channel)
        if not extension.isdecimal() or call.caller_number in self._snapshot.extensions:
            return call
        if await self._shown_number(device_of_channel(call.channel)) != call.caller_number:
            return call
        return replace(call, caller_number=extension)

    def _foresee(self, registrations: Sequence[Registration]) -> list[Prospective]:
        with self._database.read() as session:
            return foresee(self._database, session, registrations, utcnow())

    async def _judge(self, call: CallerFacts, number: str, source: Source) -> Verdict:
        # The name of a Local channel is its destination, not the caller.
        inside = not call.channel.startswith("Local/") and bool(self._snapshot.extension_of_channel(call.channel))
        plan, policy = await self._load_number_rules()
        return judge(number, plan, policy, source, from_inside=inside)

    def _is_for_themselves(self, call: CallerFacts, number: str) -> bool:
        with self._database.read() as session:
            return is_for_themselves(session, call.module_id, call.wanted, number)

    def _registration(
        self, call: CallerFacts, number: str, source: Source, plan: NumberPlan, call_at: datetime | None = None
    ) -> Registration:
        called_at = datetime.fromtimestamp(call.first_called_at, UTC) if call.first_called_at else None
        moments = [CLOCK.translate(called_at) if called_at is not None else None]
        moments.append(self._snapshot.first_joined(channel_id(call)))  # the PBX's own dialplan may not tell it
        return Registration(
            module_id=call.module_id,
            number=number,
            source=source,
            caller=canonical(call.caller_number, plan),
            caller_number=call.caller_number,
            caller_name=call.caller_name,
            extension=call.wanted,
            uniqueid=call.uniqueid,
            came_by=call.came_by,
            first_called_at=min((moment for moment in moments if moment is not None), default=None),
            call_at=call_at,
        )

    def _is_blocked(self, number: str) -> bool:
        with self._database.read() as session:
            return bool(number) and load_lists(session).is_blocked(number)

    def _count(self, call: CallerFacts, reason: LimitReason) -> None:
        self._refused(reason)
        self._log.write(logging.WARNING, "module %s: a request was refused: %s", call.module_id, reason.value)

    async def register(self, call: CallerFacts, accepted: Accepted, at: datetime | None = None) -> int:
        """Store the request, for the time that the caller chose, and return its id. It is on disk when this returns.

        The time is stored as the caller has heard it, even if its quarter of an hour has become full meanwhile. Raises
        NotRegistered, or if it cannot be stored: then it never will be.
        """
        call = await self._identify(call)
        try:
            async with CLOCK.hold() as now:
                source = Source.TYPED if accepted.typed else Source.CALLER_ID
                plan, _ = await self._load_number_rules()
                registration = self._registration(call, accepted.number, source, plan, at)
                request = await self._registrations.store(registration, now)
        except RegistrationRefused as refused:
            self._count(call, refused.reason)
            raise NotRegistered(refused.reason.value) from None
        self._sounds.expect(call.module_id, accepted.spoken)
        self._registered()
        self._left(call)
        with log_fields(request=request, call=call.uniqueid):
            log.info("request %s registered: module %s, number %s", request, call.module_id, masked(accepted.number))
        log.debug("the number of request %s is %s", request, accepted.number)
        return request

    async def register_kept(self, key: str, call: KeptCall | None) -> None:
        """Register what the dialplan kept under a key, once, as a call of its time. `call` None: it cannot be read.

        The caller has heard that the request is registered, so a refusal is stored. Raises SQLAlchemyError.
        """
        async with CLOCK.hold() as now:
            called_at, registration, refused = now, None, KeptRefusal.MALFORMED
            if call is not None:
                called_at = min(CLOCK.translate(datetime.fromtimestamp(call.called_at, UTC)), now)
                verdict = await self._judge(call.facts, call.facts.caller_number, Source.CALLER_ID)
                if verdict.allows:
                    plan, _ = await self._load_number_rules()
                    registration = self._registration(call.facts, verdict.number, Source.CALLER_ID, plan)
            result = await asyncio.to_thread(
                register_kept, self._database, key, registration, called_at, now, refused if call is None else None
            )
        if call is None or result is None:
            return
        number = masked(call.facts.caller_number)
        if isinstance(result, int):
            self._registered()
            self._left(call.facts)
            log.info("request %s of %s was kept by the dialplan: number %s", result, called_at, number)
        else:
            log.error("a caller heard that the request is registered, but it is refused: %s, number %s", result, number)

    def close(self) -> None:
        """End the threads of its own when they have nothing to do."""
        self._registrations.close()
        self._prospects.close()

    def new_name(self, request: int) -> Sound:
        return self._names.new_recording(request)

    def keep_name(self, recorded: Sound) -> None:
        self._names.keep(recorded)

    async def prospect(self, call: CallerFacts, number: Accepted) -> list[Sound]:
        """Return what tells the caller the place in line of their open request, and how long it will probably take."""
        plan, _ = await self._load_number_rules()
        registration = self._registration(call, number.number, Source.CALLER_ID, plan)
        texts = await asyncio.to_thread(self._describe_prospect, registration, utcnow())
        sounds = [await self._sounds.speak(call.module_id, text) for text in texts]
        return [sound for sound in sounds if sound is not None]

    def _describe_prospect(self, registration: Registration, now: datetime) -> list[str]:
        """Return as texts what the module tells of the prospect of an open request."""
        with self._database.read() as session:
            module, row = store.load_module(session, registration.module_id), find_open(session, registration)
            if module is None or row is None:
                return []
            found = find_prospect(session, row, module, hours_of(session, self._settings, module, now), now)
            if found is None:
                return []
            texts = [place_text(found.ahead, module.language)] if module.tells_place else []
            if module.tells_wait and found.estimate is not None:
                texts.append(wait_text(found.estimate.rough_minutes, module.language))
            return texts

    async def read_out(self, call: CallerFacts, number: Accepted) -> Sequence[Sound]:
        """Return the number as it is read out to the caller; empty if it cannot be spoken."""
        return await self._sounds.read_out(call.module_id, number.spoken)

    async def withdraw(self, call: CallerFacts, number: Accepted) -> None:
        """Cancel the open request of a caller. That is on disk when this returns."""
        async with CLOCK.hold() as now:
            plan, _ = await self._load_number_rules()
            registration = self._registration(call, number.number, Source.CALLER_ID, plan)
            attempt = await asyncio.to_thread(withdraw, self._database, registration, now)
        self._left(call)
        log.info("the caller withdrew a request: module %s, number %s", call.module_id, masked(number.number))
        if attempt is not None:
            self._hang_up(attempt)

    def place_in_queue(self, queue: str, uniqueid: str) -> int | None:
        """Return the position of the caller who has left a queue and comes back, None if it is unknown."""
        return self._snapshot.place_in_queue(queue, uniqueid)

    async def _load_number_rules(self) -> tuple[NumberPlan, NumberPolicy]:
        """Return what `number_rules` returns. If the database has to be read, a thread does it once for all callers."""
        if self._rules is not None and time.monotonic() - self._rules[0] <= RULES_TTL:
            return self._rules[1:]
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(asyncio.to_thread(self.number_rules))
        return await asyncio.shield(self._reading)  # the others wait on if this one is gone

    def number_rules(self) -> tuple[NumberPlan, NumberPolicy]:
        """Return how the office reads numbers, and which may be called. Blocks on the database.

        If it is away, the rules from before are used: the request of a caller can still be stored when it is back.
        """
        known = self._rules
        if known is not None and time.monotonic() - known[0] <= RULES_TTL:
            return known[1:]
        try:
            with self._database.read() as session:
                stored = store_settings.read_all(session)
                plan = store_settings.number_plan(session, self._settings, stored)
                policy = load_policy(session, plan.region, stored)
        except SQLAlchemyError:
            if known is None:
                raise
            return known[1:]
        self._rules = (time.monotonic(), plan, policy)
        return plan, policy
