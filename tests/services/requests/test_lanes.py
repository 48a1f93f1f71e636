"""The dispatcher reads few requests, and decides as if it had read them all."""

import os
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text

from app.config import Settings
from app.domain import lifecycle, policy
from app.domain.agent_order import AgentOrder
from app.domain.lifecycle import Outcome, Request, Status
from app.domain.place_in_line import Place, WaitingCallers
from app.domain.policy import Facts, LineState, Member, Queue, Served
from app.services.modules.save import save_module
from app.services.requests import attempts
from app.services.requests.attempts import Dispatch, claim_due
from app.services.requests.staged import Reads, Staged, stage
from app.store import requests as store_requests
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module, RouteTroubleRow
from app.store.settings import write_setting
from tests.support.factories import (
    NOW,
    apply_event,
    create_attempt,
    create_module,
    create_request,
    make_facts,
    make_line,
    make_module_input,
    reload,
    store,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
EXTENSIONS, QUEUES = ("101", "102", "103", "104"), ("sales", "support")
OFFICES = 4 if os.environ.get("FEWER_EXAMPLES") else 12
STATES = [LineState.FREE, LineState.FREE, *LineState]


class RandomOffice:
    """An office of modules, requests, lines, attempts and limits that a seed determines."""

    def __init__(self, database: Database, settings: Settings, seed: int) -> None:
        self.database, self.settings = database, settings
        self.random, self.now = random.Random(seed), NOW
        self.facts = make_facts([])
        self.modules = [self._module() for _ in range(4)]
        rows = {(row.module_id, row.queue, row.target, row.number): row for row in map(self._request, range(30))}
        with database.write() as session:
            session.add_all(rows.values())
        self._limits()
        self.change_the_lines()

    def _some(self, *values: Any) -> Any:
        return self.random.choice(values)

    def _ago(self) -> datetime:
        return self.now - self.random.choice([0, 1, 5, 30, 120, 600]) * SECOND

    def _around(self) -> datetime:
        return self.now + self.random.choice([-600, -30, -1, 0, 1, 20, 300]) * SECOND

    def _module(self) -> Module:
        is_queue = self._some(True, False)
        return create_module(
            self.database,
            target_kind="queue" if is_queue else "extension",
            targets=[self._some(*QUEUES)] if is_queue else self.random.sample(EXTENSIONS, self._some(1, 2, 3)),
            automatic=self._some(True, True, True, False),
            min_wait=self._some(0, 0, 10, 60),
            rest=self._some(0, 0, 5, 60),
            expire_after=self._some(0, 0, 0, 300),
            preferred_for=self._some(0, 60, 600),
            agent_order=self._some(*AgentOrder).value,
            **self._fallback(),
            place=self._some(*Place).value,
            callers_lead=self._some(0, 60),
            callers_share=self._some(1, 2),
        )

    def _fallback(self) -> dict[str, Any]:
        kind, codes = self._some(("queue", QUEUES), ("extension", EXTENSIONS))
        return {"fallback_after": self._some(0, 60), "fallback_kind": kind, "fallback_code": self._some(*codes)}

    def _request(self, number: int) -> CallRequest:
        module = self._some(*self.modules, *self.modules, None)
        is_queue = self._some(True, False)
        call_now = self._some(*[False] * 8, True)
        target = self._some(*QUEUES) if is_queue else self._some("", *EXTENSIONS)
        return CallRequest(
            module_id=module.id if module is not None else None,
            module_name="Module",
            status=Status.WAITING.value,
            number=self._some(f"+98912000{number:04}", f"+98912000{number:04}", "+989120009999", "104", "105"),
            queue=is_queue,
            target=target,
            priority=self._some(0, 0, 0, 1, -1),
            first_called_at=self._ago(),
            registered_at=self._ago(),
            free_at=self._some(None, None, self._ago()),
            not_before=self._some(None, None, None, self._around()),
            postponed_until=self._some(None, None, None, self._around()),
            time_chosen=self._some(False, True),
            route_failures=self._some(0, 0, 1, 2),
            preferred=self._some("", "", *EXTENSIONS),
            fell_back=self._some(False, False, True),
            call_now=call_now,
            call_now_at=self._some(self.now - 2 * HOUR, self._ago()) if call_now else None,
            call_now_agent=self._some(None, *EXTENSIONS) if call_now else None,
        )

    def _limits(self) -> None:
        with self.database.write() as session:
            write_setting(session, "outbound_context", "out")
            write_setting(session, "calls_limit", str(self._some(0, 0, 2)))
            write_setting(session, "route_calls_limit", str(self._some(0, 0, 1, 2)))
            write_setting(session, "daily_calls_limit", str(self._some(0, 0, 0, 2)))
            write_setting(session, "all_paused", self._some("0", "0", "0", "0", "0", "1"))
        for agent in self.random.sample(EXTENSIONS, self._some(0, 1, 2)):
            request = create_request(self.database, self.modules[0], number=f"+98913000{agent}", status="done")
            create_attempt(
                self.database,
                request,
                agent=agent,
                route="out",
                started_at=self.now - 24 * HOUR + self._some(20, 60) * SECOND,
                dialled_at=self._ago(),
                ended_at=self._some(self._ago(), self._ago(), None),
                outcome=Outcome.AGENT_NO_ANSWER.value,
                agent_pause_until=self._some(None, self._around()),
            )
        self._pause_a_pair()
        if self._some(False, False, True):
            trouble = {"failures": self._some(1, 3), "since": self.now - HOUR, "outcome": "route_congested"}
            failed_at = self.now - self._some(1, 10, 40, 600) * SECOND
            store(self.database, RouteTroubleRow(context="out", failed_at=failed_at, **trouble))

    def _pause_a_pair(self) -> None:
        with self.database.read() as session:
            row = self._some(*session.scalars(select(CallRequest).where(CallRequest.status == "waiting")))
        times = {"ended_at": self._ago(), "request_pause_until": self._around()}
        create_attempt(self.database, row, agent=self._some(*EXTENSIONS), outcome="agent_no_answer", **times)

    def change_the_lines(self) -> None:
        lines = [make_line(extension, self._some(*STATES), since=self._ago()) for extension in EXTENSIONS]
        if self._some(False, False, False, True):
            lines[1] = replace(lines[1], devices=lines[0].devices)
        queues = {
            name: Queue(
                tuple(
                    Member(
                        extension, self._some(False, False, True), self._some(0, 1), self._some(None, self._around())
                    )
                    for extension in self.random.sample(EXTENSIONS, self._some(0, 1, 2, 3))
                ),
                WaitingCallers(1, (self._around(),) * self._some(0, 1, 1), self._some(0, 1, 2))
                if self._some(False, False, True)
                else WaitingCallers(),
            )
            for name in QUEUES
        }
        on_line = frozenset(self._some((), ("+989120009999",)))
        self.facts = make_facts(lines, queues=queues, numbers_on_line=on_line)

    def facts_at(self, now: datetime) -> Facts:
        return replace(self.facts, heartbeat=now)

    def staged(self) -> Staged | None:
        """Return what is read before a claim."""
        before = self.now - self.random.choice([0, 1, 40, 200]) * SECOND
        members = {name: Queue(tuple(map(Member, EXTENSIONS))) for name in QUEUES}
        facts = make_facts([make_line(extension, LineState.IN_CALL) for extension in EXTENSIONS], queues=members)
        return stage(self.database, self.settings, facts, before)

    def plan_of_all(self, now: datetime) -> policy.Plan:
        """Return the plan that all waiting requests make, each of which is read and judged."""
        with self.database.read() as session:
            facts = attempts._with_attempts(
                Reads(self.database, self.settings, session, Served(), now), self.facts_at(now)
            )
            facts = replace(facts, rung=store_requests.last_rings(session, EXTENSIONS))
            rows = store_requests.active(session, [Status.WAITING])
            return policy.decide([self._seen(store_requests.to_domain(*row), facts, now) for row in rows], facts, now)

    @staticmethod
    def _seen(request: Request, facts: Facts, now: datetime) -> Request:
        request = lifecycle.transition(request, lifecycle.TimePassed(), now).request
        if not request.queue and request.free_at is None:
            request = replace(request, free_at=policy.freed_at(request, facts))
        return request

    def moments(self) -> list[datetime]:
        """Return the moments at which the passing of time can change anything, and those right after them."""
        with self.database.read() as session:
            pairs = store_requests.active(session, [Status.WAITING])
            found = [moment for row, _ in pairs for moment in (row.postponed_until, row.not_before)]
            for row, module in pairs:
                waits = timedelta(seconds=module.min_wait if module is not None else 0)
                starts = [row.registered_at, *filter(None, (row.free_at, row.postponed_until))]
                found += [start + waits for start in starts]
                prefers = timedelta(seconds=module.preferred_for if module is not None else 0)
                found += [start + prefers + wait for start in starts for wait in (waits, timedelta(0))]
                rest = timedelta(seconds=module.rest if module is not None else 0)
                found += [line.since + rest for line in self.facts.lines.values()]
            for attempt in session.scalars(select(Attempt)):
                found += [attempt.agent_pause_until, attempt.request_pause_until, attempt.started_at + 24 * HOUR]
            for trouble in session.scalars(select(RouteTroubleRow)):
                found.append(trouble.failed_at + lifecycle.route_pause(trouble.failures))
        found += [member.wrapup_until for queue in self.facts.queues.values() for member in queue.members]
        known = {moment for moment in found if moment is not None and moment > self.now}
        return sorted(known | {moment + timedelta(milliseconds=1) for moment in known})


@pytest.mark.parametrize("seed", range(OFFICES))
def test_decision_is_that_of_all_requests_and_comes_in_time(database: Database, office: Settings, seed: int) -> None:
    check_decisions(database, office, seed)


@pytest.mark.parametrize("seed", range(100, 100 + OFFICES))
def test_decision_from_what_was_read_before_is_the_same(database: Database, office: Settings, seed: int) -> None:
    check_decisions(database, office, seed, reads_before=True)


def check_decisions(database: Database, office: Settings, seed: int, *, reads_before: bool = False) -> None:
    """Dispatch a few times in a random office. Compare each decision with that of all requests.

    `reads_before`: what it reads was read a while before, when all agents were talking.
    """
    it = RandomOffice(database, office, seed)
    for _ in range(3):
        staged = it.staged() if reads_before else None
        expected = [(dial.request.id, dial.agent) for dial in it.plan_of_all(it.now).dials]
        dispatch = claim_due(database, office, it.facts_at(it.now), it.now, staged)
        assert [(order.request_id, order.agent) for order in dispatch.orders] == expected
        for moment in it.moments():
            if dispatch.wake_at is not None and moment >= dispatch.wake_at:
                break
            assert it.plan_of_all(moment).dials == (), f"nobody looks at {moment}, only at {dispatch.wake_at}"
        assert dispatch.wake_at is None or dispatch.wake_at > it.now or dispatch.orders
        it.now = it.random.choice([dispatch.wake_at or it.now, it.now + 20 * SECOND])
        if it.random.random() < 0.5:
            it.change_the_lines()


# What is held


def test_request_waits_for_its_preferred_agent_and_is_found_when_they_are_free(
    database: Database, office: Settings
) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"], preferred_for=600)
    with database.write() as session:
        for number in range(60):
            row = {"number": f"+98912000{number:04}", "first_called_at": NOW + number * SECOND, "registered_at": NOW}
            row |= {"module_id": module.id, "module_name": "", "queue": True, "target": "sales", "preferred": "101"}
            session.add(CallRequest(status="waiting", **row))
    queues = {"sales": Queue((Member("101"), Member("102"), Member("103")))}
    busy = make_facts([make_line("101", LineState.IN_CALL), make_line("102")], queues=queues)
    assert claim_due(database, office, busy, NOW) == Dispatch((), NOW + 10 * MINUTE)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    assert claim_due(database, office, busy, NOW) == Dispatch((), NOW + 10 * MINUTE)
    assert not [statement for statement in statements if "IMMEDIATE" in statement], "they are not read again"

    free = make_facts([make_line("101"), make_line("102")], queues=queues)
    statements.clear()
    (order,) = claim_due(database, office, free, NOW).orders
    assert (order.agent, order.number) == ("101", "+989120000000")
    assert len([statement for statement in statements if "UPDATE" in statement]) <= 2, "few are read"
    later = NOW + 10 * MINUTE
    after = replace(busy, heartbeat=later)
    assert [order.agent for order in claim_due(database, office, after, later).orders] == ["102"]


def test_request_that_waits_for_its_own_time_is_read_once(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database), not_before=NOW + MINUTE)
    facts = make_facts([make_line("101")])
    assert claim_due(database, office, facts, NOW) == Dispatch((), NOW + MINUTE)
    assert reload(database, request).held_until == NOW + MINUTE
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    assert claim_due(database, office, facts, NOW + SECOND) == Dispatch((), NOW + MINUTE)
    assert not [statement for statement in statements if "IMMEDIATE" in statement]
    later = NOW + MINUTE
    assert len(claim_due(database, office, replace(facts, heartbeat=later), later).orders) == 1


def test_another_own_time_of_the_same_target_is_not_forgotten(database: Database, office: Settings) -> None:
    module = create_module(database)
    create_request(database, module, not_before=NOW + MINUTE)
    create_request(database, module, number="+989127654321", not_before=NOW + 2 * MINUTE)
    facts = make_facts([make_line("101")], numbers_on_line=frozenset({"+989121234567"}))
    assert claim_due(database, office, facts, NOW).wake_at == NOW + MINUTE
    later = NOW + MINUTE
    assert claim_due(database, office, replace(facts, heartbeat=later), later).wake_at == NOW + 2 * MINUTE


def test_saved_module_and_changed_request_are_looked_at_again(database: Database, office: Settings) -> None:
    module = create_module(database, min_wait=60, target_kind="queue", targets=["sales"])
    request = create_request(database, module, queue=True, target="sales")
    facts = make_facts([make_line("101")], queues={"sales": Queue((Member("101"),))})
    assert claim_due(database, office, facts, NOW).wake_at == NOW + MINUTE
    given = make_module_input(code=module.code, min_wait=0, target_kind="queue", targets=("sales",))
    save_module(database, given, NOW, module_id=module.id)
    assert reload(database, request).held_until is None
    assert len(claim_due(database, office, facts, NOW).orders) == 1

    second = create_request(database, create_module(database), not_before=NOW + MINUTE)
    facts = make_facts([make_line("101"), make_line("102")])
    with database.write() as session:
        session.execute(text("DELETE FROM attempts"))
    claim_due(database, office, facts, NOW)
    assert reload(database, second).held_until == NOW + MINUTE
    apply_event(database, second.id, lifecycle.Registered())
    assert reload(database, second).held_until is None


def test_lane_is_read_in_pages(database: Database, office: Settings) -> None:
    module = create_module(database)
    with database.write() as session:
        for number in range(60):
            row = {"number": f"+98912000{number:04}", "first_called_at": NOW + number * SECOND, "registered_at": NOW}
            session.add(CallRequest(module_id=module.id, module_name="", target="101", status="waiting", **row))
    on_line = frozenset(f"+98912000{number:04}" for number in range(50))
    facts = make_facts([make_line("101")], numbers_on_line=on_line)
    (order,) = claim_due(database, office, facts, NOW).orders
    assert order.number == "+989120000050"


def test_expired_requests_end_when_their_lane_is_read(database: Database, office: Settings) -> None:
    module = create_module(database, expire_after=60)
    old = create_request(database, module, registered_at=NOW - HOUR, first_called_at=NOW - HOUR)
    new = create_request(database, module, number="+989127654321")
    (order,) = claim_due(database, office, make_facts([make_line("101")]), NOW).orders
    assert (order.request_id, reload(database, old).status) == (new.id, "expired")
