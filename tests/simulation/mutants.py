"""Faults that are put into Bazang on purpose. Each must be found by the simulation, or it proves nothing.

Each mutant is a context manager; while it is open, the fault is there.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from app.domain import lifecycle
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Outcome, Status, Step
from app.services.requests.attempts import Dispatch
from app.telephony import translate
from app.telephony.ami import AmiError
from app.telephony.attempts import AttemptFollower, EndReport, Fields, Report
from app.telephony.dialer import Dialer
from app.telephony.fields import natural
from app.telephony.translate import agent_outcome
from app.worker.dispatcher import Dispatcher
from tests.simulation.stores import MemoryStore

Mutant = Callable[[], contextlib.AbstractContextManager[Any]]


@contextlib.contextmanager
def claim_after_originate() -> Iterator[None]:
    """A claim is stored after the order was sent."""
    claim, originate = MemoryStore.claim_due, Dialer.originate
    late: dict[str, Callable[[], None]] = {}

    def claim_later(self: MemoryStore, *given: Any) -> Dispatch:
        dispatch = claim(self, *given)
        for order in dispatch.orders:
            claimed, attempt = self._requests[order.request_id], self._attempts[order.attempt]

            def store(order: DialOrder = order, claimed: Any = claimed, attempt: Any = attempt) -> None:
                self._requests[order.request_id], self._attempts[order.attempt] = claimed, attempt

            late[order.attempt] = store
            waits = replace(claimed, status=Status.WAITING, attempt=None, step=None)
            self._requests[order.request_id] = waits
            del self._attempts[order.attempt]
        return dispatch

    async def originate_first(self: Dialer, order: DialOrder, *arguments: Any) -> None:
        await originate(self, order, *arguments)
        late.pop(order.attempt)()

    with mock.patch.object(MemoryStore, "claim_due", claim_later):
        with mock.patch.object(Dialer, "originate", originate_first):
            yield


@contextlib.contextmanager
def answered_leg_is_a_miss() -> Iterator[None]:
    """An agent who has answered, but whose answer was not heard of, counts as not reached."""

    def agent_ended(self: AttemptFollower, attempt: str, state: Any, event: Fields) -> Report | None:
        if state.answered:
            return None
        status, cause = event.get("Status", ""), natural(event.get("Cause", ""))
        return EndReport(attempt, agent_outcome(event.get("Guard", ""), status, cause), f"agent {status}")

    with mock.patch.object(AttemptFollower, "_agent_ended", agent_ended):
        yield


def swallowed_wake_up() -> contextlib.AbstractContextManager[Any]:
    """The end of an attempt does not wake the dispatcher."""
    return mock.patch.object(Dispatcher, "_wake_when_written", lambda self: None)


@contextlib.contextmanager
def unanswered_order_is_repeated() -> Iterator[None]:
    """An order without an answer counts as one that was never carried out."""
    dial: Callable[..., Awaitable[None]] = Dispatcher._dial

    async def dial_or_end(self: Dispatcher, order: DialOrder, *when: Any) -> None:
        originate = self._dialer.originate

        async def end_if_unknown(*arguments: Any) -> None:
            try:
                await originate(*arguments)
            except AmiError:
                self.end(order.attempt, Outcome.NOT_STARTED, "no answer")
                raise

        with mock.patch.object(self._dialer, "originate", end_if_unknown):
            await dial(self, order, *when)

    with mock.patch.object(Dispatcher, "_dial", dial_or_end):
        yield


def never_reconciled() -> contextlib.AbstractContextManager[Any]:
    """Nobody finds out what became of attempts without reports."""

    async def nothing(self: Dispatcher) -> None:
        await asyncio.sleep(0)

    return mock.patch.object(Dispatcher, "reconcile", nothing)


def hours_forgotten() -> contextlib.AbstractContextManager[Any]:
    """The office is always open."""
    return mock.patch("app.domain.policy._closed_reason", lambda request, facts, now: None)


def busy_agents_forgotten() -> contextlib.AbstractContextManager[Any]:
    """An agent for whom an attempt is in flight may be rung by another one."""
    return mock.patch("app.domain.policy._agent_reason", lambda *arguments: None)


def endless_tries() -> contextlib.AbstractContextManager[Any]:
    """Attempts of the customer are not counted."""
    after = lifecycle._after_outcome

    def uncounted(request: Any, ended: Any, outcome: Outcome, now: Any) -> Any:
        decision = after(request, ended, outcome, now)
        request = replace(decision.request, customer_attempts=min(1, decision.request.customer_attempts))
        return replace(decision, request=request)

    return mock.patch.object(lifecycle, "_after_outcome", uncounted)


def no_pause_ends() -> contextlib.AbstractContextManager[Any]:
    """The dispatcher sleeps until somebody wakes it, although a waiting time ends before."""

    async def wait(self: Dispatcher, seconds: float | None) -> None:
        await self._woken.wait()

    return mock.patch.object(Dispatcher, "_wait", wait)


def death_while_ringing_is_a_try() -> contextlib.AbstractContextManager[Any]:
    """A call that died with the exchange while the customer was rung counts as one that nobody answered."""
    return mock.patch.dict(translate._LAST_STEP, {Step.CUSTOMER_DIALLED: Outcome.CUSTOMER_UNKNOWN})


def every_talk_is_enough() -> contextlib.AbstractContextManager[Any]:
    """A request is done however short the talk was."""
    return mock.patch("app.worker.talk_times.talk_outcome", lambda *arguments: Outcome.CONNECTED)


def never_forbidden() -> contextlib.AbstractContextManager[Any]:
    """An attempt that is given up without a sign may still begin."""

    async def nothing(self: Dispatcher, absent: Any) -> bool:
        return False

    return mock.patch.object(Dispatcher, "_forbid", nothing)


@dataclass(frozen=True)
class Expected:
    """What is found of a mutant, and among which faults. Without any the most offices go by undisturbed."""

    mutant: Mutant
    found: tuple[str, ...]
    faults: tuple[str, ...] = ()


MUTANTS = {
    expected.mutant.__name__: expected
    for expected in (
        Expected(claim_after_originate, ("not claimed",)),
        Expected(
            answered_leg_is_a_miss,
            ("rung after a talk", "failed after a talk", "stuck"),
            ("connection is cut during a talk",),
        ),
        Expected(swallowed_wake_up, ("lost wake-up",)),
        Expected(
            unanswered_order_is_repeated,
            ("rung after its end", "rung twice at once", "rung after a talk", "rung too often"),
            ("answer is lost", "connection is cut", "exchange freezes"),
        ),
        Expected(never_reconciled, ("stuck",), ("connection is cut",)),
        Expected(hours_forgotten, ("outside hours",)),
        Expected(busy_agents_forgotten, ("two in flight",)),
        Expected(endless_tries, ("rung too often", "stuck")),
        Expected(no_pause_ends, ("lost wake-up", "stuck")),
        Expected(death_while_ringing_is_a_try, ("rung after a death",), ("exchange dies",)),
        Expected(every_talk_is_enough, ("done without a talk",)),
        Expected(never_forbidden, ("rung after its end",), ("order outlives its connection",)),
    )
}
