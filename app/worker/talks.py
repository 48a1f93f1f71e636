"""Close the requests whose customer and office talk, note missed calls, and know the numbers that are on the line."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Self

from app.config import Settings
from app.domain import numbers
from app.domain.numbers import NumberPlan
from app.services.missed import calls as missed_calls
from app.services.missed.calls import EndedCall
from app.services.requests import reached
from app.store import missed_calls as missed_rules
from app.store import settings as store_settings
from app.store.database import Database
from app.telephony.attempts import is_ours
from app.telephony.calls import Calls, Party, Talk
from app.telephony.ivr import CallerFacts, channel_id
from app.telephony.lost_calls import LostCall, LostCalls
from app.telephony.snapshot import Snapshot
from app.worker.clock import utcnow
from app.worker.write_queue import WriteQueue


class TalkWatch:
    """Follow all calls of the PBX.

    `hang_up` is called in the event loop with each attempt that must be ended, `line_changed` when somebody has come to
    the line or left it. `ask_withheld` is called with the Uniqueid and the channel of a caller from outside, if missed
    calls are listed; it should call `withhold_number` if they withhold their number.
    """

    handled = Calls.handled | LostCalls.handled

    def __init__(
        self,
        database: Database,
        settings: Settings,
        snapshot: Snapshot,
        *,
        writes: WriteQueue,
        hang_up: Callable[[str], None],
        line_changed: Callable[[], None],
        ask_withheld: Callable[[str, str], None] = lambda uniqueid, channel: None,
    ) -> None:
        self._database, self._settings, self._snapshot, self._writes = database, settings, snapshot, writes
        self._hang_up, self._line_changed = hang_up, line_changed
        self._calls = Calls(snapshot.extension_of_channel, lambda number: number in snapshot.extensions)
        self._lost = LostCalls(
            self._calls, lambda context, extension: (context, extension) in snapshot.hints, self._on_caller
        )
        self._ask_withheld, self._lists_missed_calls = ask_withheld, False
        self._plan, self._prefix = NumberPlan(), ""
        self._are_rules_new = False
        self._calls.on_move = self._on_move
        self._number_of: dict[Party, str] = {}  # of everybody on the line
        self._counts: Counter[str] = Counter()
        self._numbers: frozenset[str] | None = frozenset()  # None: they have changed
        self._event_time = 0.0  # of the events of this batch, loop time
        self._changes_before = 0  # of the calls, before this batch
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None  # when it is due, None without a timer

    async def read_settings(self) -> None:
        """Read the settings of the office."""
        await asyncio.to_thread(self._read_settings)
        if self._are_rules_new:
            self._are_rules_new = False
            self._number_of = {party: self._number(party) for party in self._number_of}
            self._counts, self._numbers = Counter(filter(None, self._number_of.values())), None

    def fill(self, channels: Sequence[Any], bridges: Sequence[Any]) -> None:
        """Correct the calls by the lists of the PBX; see `Calls.fill`."""
        self._calls.fill(channels, bridges, self._now())
        self._report(self._now())
        self._line_changed()

    def do_without_lists(self) -> None:
        """Follow the calls by events alone, because our AMI user may not read the lists."""
        self._calls.connection_restored()
        self._report(self._now())
        self._line_changed()

    def _read_settings(self) -> None:
        with self._database.read() as session:
            office = store_settings.office(session, self._settings)
            plan = store_settings.number_plan(session, self._settings)
            self._lists_missed_calls = bool(missed_rules.load_rules(session))
        before = self._plan, self._prefix
        self._plan, self._prefix = plan, office.outbound_prefix
        self._are_rules_new = self._are_rules_new or before != (plan, office.outbound_prefix)
        self._calls.min_talk = float(office.min_talk)

    @property
    def shortest_talk(self) -> float:
        """The shortest talk of the office, in seconds, as it was last read."""
        return self._calls.min_talk

    def begin_batch(self) -> None:
        """Prepare for events that have come at once, all of which happen now. `end_batch` must follow."""
        self._event_time = self._now()
        self._changes_before = self._calls.changes
        next_due = self._calls.next_due()
        if next_due is not None and next_due <= self._event_time:  # an event may end the talk
            self._close_due(self._event_time)

    def handle(self, event: Any) -> None:
        """Handle a live event of a batch."""
        if event.get("Event") in LostCalls.handled:
            lost = self._lost.handle(event)
            if lost is not None:
                self._note_missed(lost)
        calls = self._calls
        joins = calls.joins
        calls.handle(event, self._event_time)
        if calls.joins != joins:  # the next event may end a talk that is due at once
            self._close_due(self._event_time)

    def end_batch(self) -> None:
        """Wait for the next talk, and report whether somebody has come to the line or left it."""
        self._report(self._event_time)
        if self._calls.changes != self._changes_before:
            self._line_changed()

    def connection_lost(self) -> None:
        self._calls.connection_lost()
        self._lost.connection_lost()

    def enter_module(self, call: CallerFacts) -> None:
        """Note that a caller has come to a module."""
        self._lost.enter_module(channel_id(call), call.module_id, call.wanted)

    def withhold_number(self, uniqueid: str) -> None:
        """Note that a caller withholds their number, even if their call has just ended."""
        if not self._lost.withhold_number(uniqueid):
            self._writes.put(lambda: missed_calls.forget_number(self._database, uniqueid))

    def leave_request(self, call: CallerFacts) -> None:
        """Note that a caller has left a request, so that their call is no missed one, even if it has just ended."""
        uniqueid = channel_id(call)
        if self._lost.leave_request(uniqueid):
            return
        self._writes.put_snapshot(_Forget(self._database, {uniqueid}))

    def numbers_on_line(self) -> frozenset[str]:
        """Return the normalized numbers that are in a call with the office, ringing and waiting included."""
        if self._numbers is None:
            self._numbers = frozenset(self._counts)
        return self._numbers

    def _on_move(self, party: Party, came: bool) -> None:
        """Note that somebody has come to the line or left it. Two parties can have the same number."""
        number = self._number(party) if came else self._number_of.get(party, "")
        if came:
            self._number_of[party] = number
        else:
            self._number_of.pop(party, None)
        if number:
            self._counts[number] += 1 if came else -1
            if self._counts[number] <= 0:
                del self._counts[number]
            self._numbers = None

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _number(self, party: Party) -> str:
        """Return the normalized number of a party, "" if it has none."""
        return party.extension or _first_valid(party.numbers, self._plan, self._prefix)

    def _report(self, now: float) -> None:
        """Queue the closing of the requests that the due talks answer, and wait for the next talk."""
        next_due = self._close_due(now)
        if next_due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if next_due is None else loop.call_at(next_due, self._on_timer)
        self._timer_at = next_due

    def _close_due(self, now: float) -> float | None:
        """Queue the closing of the requests that the due talks answer. Return when the next talk is due."""
        for talk in self._calls.due(now):
            self._close_requests(talk, utcnow() - timedelta(seconds=now - talk.since))
        return self._calls.next_due()

    def _on_timer(self) -> None:
        self._timer = self._timer_at = None
        # The event loop may be early by its clock's resolution, so wait again if nothing is due.
        self._report(self._now())

    def _on_caller(self, uniqueid: str, channel: str) -> None:
        if self._lists_missed_calls and not self._snapshot.extension_of_channel(channel):
            self._ask_withheld(uniqueid, channel)

    def _note_missed(self, lost: LostCall) -> None:
        ended = EndedCall(lost.uniqueid, self._number(lost.party), lost.name, lost.arrivals)
        now = utcnow()
        self._writes.put_news(lambda: missed_calls.record(self._database, ended, now))
        self._writes.separate(_Forget)  # it may have to be forgotten, after it was stored

    def _close_requests(self, talk: Talk, since: datetime) -> None:
        number = self._number(talk.other)
        if not number:
            return
        found = reached.Talk(
            number,
            talk.extension,
            talk.queue,
            self._snapshot.queues_of(talk.extension) if talk.extension else (),
            since,
            frozenset(linked for linked in talk.linked if is_ours(linked)),
        )
        now, loop = utcnow(), asyncio.get_running_loop()

        def close() -> None:
            for attempt in reached.close_reached(self._database, found, now):
                loop.call_soon_threadsafe(self._hang_up, attempt)

        self._writes.put(close)


@lru_cache(maxsize=128)
def _first_valid(candidates: tuple[str, ...], plan: NumberPlan, prefix: str) -> str:
    return numbers.first_valid(candidates, plan, prefix)


class _Forget:
    """Delete the missed calls of callers who have left a request. Those of many callers are one write."""

    def __init__(self, database: Database, uniqueids: set[str]) -> None:
        self._database, self._uniqueids = database, uniqueids

    def __call__(self) -> None:
        missed_calls.forget(self._database, self._uniqueids)

    def absorb(self, newer: Self) -> None:
        """Delete those of `newer`, too."""
        self._uniqueids |= newer._uniqueids
