"""What keeps failing is tried less often, and attempts in which nothing rang are one row that counts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import CalledNow, CallNowWithdrawn, Outcome, Registered, Reopened
from app.domain.policy import Facts, Member, Queue, Reason, ReasonCode, explain
from app.services.requests.access import Scope
from app.services.requests.attempts import claim_due, end, mark_records_deleted
from app.services.requests.detail import load_detail
from app.services.requests.expiry import expire
from app.store import requests as store_requests
from app.store.database import Database
from app.store.models import Attempt, CallRequest
from tests.support.factories import (
    NOW,
    apply_event,
    create_module,
    create_request,
    history_of,
    make_facts,
    make_line,
    reload,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
OTHER = "+989127654321"
EVERYTHING = Scope("", everything=True)


class Pbx:
    """Agents that look free, and a PBX on which each dial order ends with the outcome that `outcome_of` returns.

    `forgets`: its records are deleted. `dialled` are the moments and the orders so far.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        agents: Sequence[str],
        outcome_of: Callable[[DialOrder], Outcome],
        *,
        forgets: bool = True,
    ) -> None:
        self.forgets = forgets
        self.database, self.settings, self.agents, self.outcome_of = database, settings, agents, outcome_of
        self.now = NOW
        self.dialled: list[tuple[datetime, DialOrder]] = []

    def run(self, duration: timedelta) -> None:
        """Dispatch as the worker does, until nothing can change before the end."""
        until = self.now + duration
        while self.now < until:
            dispatch = claim_due(self.database, self.settings, self.facts(), self.now)
            for order in dispatch.orders:
                self.dialled.append((self.now, order))
                outcome = self.outcome_of(order)
                end(self.database, order.attempt, outcome, self.now, "test", refused=outcome is Outcome.NOT_STARTED)
                if self.forgets:
                    mark_records_deleted(self.database, (order.attempt,))
            if not dispatch.orders:
                self.now = min(until, dispatch.wake_at or until)

    def facts(self) -> Facts:
        lines = [make_line(agent, since=NOW - HOUR) for agent in self.agents]
        queues = {"sales": Queue(tuple(Member(agent) for agent in self.agents))}
        return make_facts(lines, queues=queues, now=self.now)

    def seconds(self, agent: str = "", request: int = 0) -> list[float]:
        """Return when an agent was dialled for a request, in seconds from the start."""
        return [
            (at - NOW).total_seconds()
            for at, order in self.dialled
            if agent in ("", order.agent) and request in (0, order.request_id)
        ]


def attempts_of(database: Database, request: CallRequest) -> list[Attempt]:
    with database.read() as session:
        query = select(Attempt).where(Attempt.request_id == request.id).order_by(Attempt.started_at)
        return list(session.scalars(query))


NOTHING_RANG = [Outcome.NOT_STARTED, Outcome.AGENT_TAKEN, Outcome.AGENT_UNREACHABLE]


@pytest.mark.parametrize(("outcome", "hours"), [*zip(NOTHING_RANG, (24, 1, 1), strict=True)])
def test_a_day_of_attempts_in_which_nothing_rings_is_one_row(
    database: Database, office: Settings, outcome: Outcome, hours: int
) -> None:
    request = create_request(database, create_module(database, agent_pause=0))
    before = len(history_of(database, request.id))
    pbx = Pbx(database, office, ["101"], lambda order: outcome)
    pbx.run(hours * HOUR)
    assert pbx.seconds()[:9] == [0, 5, 15, 35, 75, 155, 315, 635, 1235], "5 s, doubled up to 10 minutes"
    assert len(pbx.dialled) < 160
    (row,) = attempts_of(database, request)
    assert (row.repeats, row.since, row.outcome) == (len(pbx.dialled), NOW, outcome.value)
    assert len(history_of(database, request.id)) == before + 2, "the start and the end of the last one"
    (attempt,) = load_detail(database, EVERYTHING, request.id, pbx.now).attempts
    assert (attempt.repeats, attempt.since, attempt.agent_rang) == (len(pbx.dialled), NOW, None)


@pytest.mark.parametrize("outcome", NOTHING_RANG)
def test_the_pause_is_one_reason_with_its_cause(database: Database, office: Settings, outcome: Outcome) -> None:
    create_request(database, create_module(database, agent_pause=0))
    queue = create_module(database, code="*5002", target_kind="queue", targets=["sales"], agent_pause=0)
    create_request(database, queue, queue=True, target="sales", number=OTHER)
    pbx = Pbx(database, office, ["101", "102"], lambda order: outcome)
    pbx.run(12 * SECOND)
    facts = pbx.facts()
    with database.read() as session:
        pauses = store_requests.occupied(session, pbx.now).request_pauses
        waiting = [store_requests.to_domain(row, module) for row, module in store_requests.active(session)]
    assert {(request, agent) for request, agent in pauses} == {(1, "101"), (2, "101"), (2, "102")}
    for request in waiting:
        first = min((pause.until, agent) for (id_, agent), pause in pauses.items() if id_ == request.id)
        reason = explain(request, replace(facts, request_pauses=pauses), pbx.now)
        assert reason == Reason(ReasonCode.NOTHING_RANG, until=first[0], subject=first[1], outcome=outcome)


def test_attempts_that_the_pbx_may_still_know_keep_their_rows(database: Database, office: Settings) -> None:
    """A PBX that hung may ring such an attempt late. Its row shows then that it is ours."""
    request = create_request(database, create_module(database))
    pbx = Pbx(database, office, ["101"], lambda order: Outcome.AGENT_TAKEN, forgets=False)
    pbx.run(20 * SECOND)
    rows = attempts_of(database, request)
    assert [(row.id, row.repeats) for row in rows] == [(order.attempt, 1) for _, order in pbx.dialled]
    mark_records_deleted(database, tuple(row.id for row in rows))
    pbx.run(20 * SECOND)
    (row,) = attempts_of(database, request)
    assert (row.repeats, row.since) == (len(pbx.dialled), NOW)


def test_other_attempts_are_not_merged(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, agent_pause=0))
    outcomes = [Outcome.NOT_STARTED, Outcome.NOT_STARTED, Outcome.AGENT_BUSY, Outcome.NOT_STARTED, Outcome.AGENT_TAKEN]
    left = iter(outcomes)
    Pbx(database, office, ["101"], lambda order: next(left, Outcome.CONNECTED)).run(5 * MINUTE)
    rows = [(row.outcome, row.repeats) for row in attempts_of(database, request)]
    assert rows == [("not_started", 2), ("agent_busy", 1), ("not_started", 1), ("agent_taken", 1), ("connected", 1)]


def test_misses_and_attempts_in_which_nothing_rang_grow_apart(database: Database, office: Settings) -> None:
    create_request(database, create_module(database, agent_pause=60))
    left = iter([Outcome.AGENT_NO_ANSWER, Outcome.AGENT_TAKEN, Outcome.AGENT_TAKEN, Outcome.AGENT_BUSY])
    pbx = Pbx(database, office, ["101"], lambda order: next(left, Outcome.CONNECTED))
    pbx.run(HOUR)
    assert pbx.seconds() == [0, 60, 65, 75, 195]


def test_an_agent_who_misses_is_rung_later_and_later_for_this_request_only(
    database: Database, office: Settings
) -> None:
    module = create_module(database, agent_pause=60)
    missed = create_request(database, module)
    pbx = Pbx(database, office, ["101"], lambda order: Outcome.AGENT_NO_ANSWER)
    pbx.run(8 * MINUTE)
    assert pbx.seconds() == [0, 60, 180, 420]
    other = create_request(database, module, number=OTHER, registered_at=pbx.now, first_called_at=pbx.now)
    pbx.run(SECOND)
    assert pbx.seconds(request=other.id) == [480], "the request that waits for longer is left out"
    assert pbx.seconds(request=missed.id) == [0, 60, 180, 420]


def test_the_pause_starts_again_after_the_caller_has_registered_again(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, agent_pause=60))
    pbx = Pbx(database, office, ["101"], lambda order: Outcome.AGENT_NO_ANSWER)
    pbx.run(8 * MINUTE)
    apply_event(database, request.id, Registered(), now=pbx.now)
    pbx.run(HOUR)
    assert pbx.seconds()[4:7] == [900, 960, 1080], "the pause that runs goes on, and the next is the first one"


def test_the_pause_starts_again_after_the_agent_has_answered(database: Database, office: Settings) -> None:
    create_request(database, create_module(database, agent_pause=60, retry_pauses=[60]))
    missed = [Outcome.AGENT_NO_ANSWER] * 2
    left = iter([*missed, Outcome.CUSTOMER_NO_ANSWER, *missed, Outcome.ROUTE_CONGESTED, *missed])
    pbx = Pbx(database, office, ["101"], lambda order: next(left, Outcome.CONNECTED))
    pbx.run(HOUR)
    assert pbx.seconds() == [0, 60, 180, 240, 300, 420, 450, 510, 630]


@pytest.mark.parametrize("outcome", [Outcome.AGENT_NO_ANSWER, Outcome.AGENT_REFUSED])
def test_an_agent_who_always_misses_is_passed_over_and_uses_up_no_retry(
    database: Database, office: Settings, outcome: Outcome
) -> None:
    """The other agent is rung meanwhile. Without one, the agent is rung every 10 minutes for good."""
    request = create_request(database, create_module(database, agent_pause=60, retries=0, targets=["101", "102"]))
    pbx = Pbx(database, office, ["101", "102"], lambda order: outcome)
    pbx.run(2 * HOUR)
    for agent in pbx.agents:
        pauses = [after - before for before, after in pairwise(pbx.seconds(agent))]
        assert pauses == sorted(pauses)
        assert (pauses[:5], pauses[-1]) == ([60, 120, 240, 480, 600], 600)
    row = reload(database, request)
    assert (row.status, row.customer_attempts, row.agent_misses) == ("waiting", 0, len(pbx.dialled))


def test_the_pause_starts_again_after_the_request_was_reopened(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, agent_pause=60, expire_after=8 * 60))
    pbx = Pbx(database, office, ["101"], lambda order: Outcome.AGENT_NO_ANSWER)
    pbx.run(10 * MINUTE)
    expire(database, pbx.now)
    assert reload(database, request).status == "expired"
    pbx.run(10 * MINUTE)
    apply_event(database, request.id, Reopened(), now=pbx.now)
    pbx.run(7 * MINUTE)
    assert pbx.seconds()[-3:] == [1200, 1260, 1380]


def test_trouble_of_the_trunk_uses_up_neither_retries_nor_misses(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, retries=1, retry_pauses=[300, 900]))
    left = iter([Outcome.ROUTE_CONGESTED] * 3 + [Outcome.CUSTOMER_NO_ANSWER])
    pbx = Pbx(database, office, ["101"], lambda order: next(left, Outcome.CONNECTED))
    pbx.run(HOUR)
    assert pbx.seconds() == [0, 30, 90, 210, 510], "then the first pause of the list"
    row = reload(database, request)
    assert (row.status, row.customer_attempts, row.agent_misses) == ("done", 1, 0)


def test_one_request_for_which_nothing_rings_does_not_hold_up_the_others(database: Database, office: Settings) -> None:
    module = create_module(database)
    bad = create_request(database, module)
    good = create_request(database, module, number=OTHER, first_called_at=NOW + SECOND)
    outcomes = {bad.id: Outcome.NOT_STARTED, good.id: Outcome.CONNECTED}
    pbx = Pbx(database, office, ["101"], lambda order: outcomes[order.request_id])
    pbx.run(MINUTE)
    assert pbx.seconds(request=bad.id)[:2] == [0, 5]
    assert pbx.seconds(request=good.id) == [10]


def test_an_agent_for_whom_nothing_rings_is_paused_for_all_requests(database: Database, office: Settings) -> None:
    """The pauses of each request alone would be one call each few seconds, if there are many requests."""
    module = create_module(database, targets=["101", "102"])
    for number in range(40):
        create_request(database, module, number=f"+98912000{number:04}")
    left = {"101": Outcome.AGENT_TAKEN, "102": Outcome.AGENT_NO_ANSWER}
    pbx = Pbx(database, office, ["101", "102"], lambda order: left[order.agent])
    pbx.run(HOUR)
    pauses = [after - before for before, after in pairwise(pbx.seconds("101"))]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (5, 600)
    assert len(pauses) < 25


def test_call_now_is_tried_until_something_rings(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, automatic=False))
    outcomes = iter([Outcome.NOT_STARTED] * 3 + [Outcome.AGENT_NO_ANSWER])
    pbx = Pbx(database, office, ["101"], lambda order: next(outcomes))
    pbx.run(HOUR)
    assert pbx.dialled == []
    apply_event(database, request.id, CalledNow("101"), now=pbx.now)
    pbx.run(HOUR)
    assert pbx.seconds() == [3600, 3605, 3615, 3635], "then the phone rang, and it is not called by itself"
    assert not reload(database, request).call_now


def test_call_now_skips_the_pauses_that_began_before_it(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database))
    pbx = Pbx(database, office, ["101"], lambda order: Outcome.NOT_STARTED)
    pbx.run(10 * MINUTE)
    count = len(pbx.dialled)
    apply_event(database, request.id, CalledNow(), now=pbx.now)
    pbx.run(SECOND)
    assert pbx.seconds()[count:] == [600]
    for event in (CalledNow(), CallNowWithdrawn()):  # again is no new wish
        apply_event(database, request.id, event, now=pbx.now)
        pbx.run(SECOND)
        assert pbx.seconds()[count:] == [600]
    apply_event(database, request.id, CalledNow(), now=pbx.now)
    pbx.run(SECOND)
    assert pbx.seconds()[count:] == [600, 603]


def test_call_now_that_never_rings_ends_after_an_hour(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, automatic=False))
    apply_event(database, request.id, CalledNow("105"), now=NOW)  # 105 is not there
    pbx = Pbx(database, office, ["101"], lambda order: Outcome.CONNECTED)
    pbx.run(HOUR - SECOND)
    expire(database, pbx.now)
    assert reload(database, request).call_now
    expire(database, NOW + HOUR)
    row = reload(database, request)
    assert (row.status, row.call_now, row.call_now_agent, row.call_now_at) == ("waiting", False, None, None)
    assert history_of(database, request.id)[-1].event == "call_now_over"
