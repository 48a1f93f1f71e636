"""Requests that have waited too long are served by the fallback of their module, too."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.config import Settings
from app.domain.policy import Facts, LineState, Member, Queue
from app.services.requests.access import Scope
from app.services.requests.attempts import claim_due
from app.services.requests.fallback import fall_back
from app.services.requests.pending import load_pending
from app.services.requests.reached import Talk, close_reached
from app.store.database import Database
from app.store.models import CallRequest, Module, SpecialDay
from tests.support.factories import (
    NOW,
    create_module,
    create_request,
    create_running_service,
    history_of,
    make_facts,
    make_line,
    reload,
    store,
)

MINUTE = timedelta(minutes=1)
LATER = NOW + 10 * MINUTE


@pytest.fixture
def module(database: Database) -> Module:
    fallback: dict[str, Any] = {"fallback_after": 600, "fallback_kind": "queue", "fallback_code": "support"}
    return create_module(database, targets=["101", "102"], **fallback)


def facts(now: datetime = LATER) -> Facts:
    lines = [make_line("101", LineState.IN_CALL), make_line("102", LineState.IN_CALL), make_line("103")]
    return make_facts(lines, queues={"support": Queue((Member("103"),)), "sales": Queue()}, now=now)


def test_fallback_serves_a_request_after_its_time(database: Database, office: Settings, module: Module) -> None:
    request = create_request(database, module, target="101")
    assert fall_back(database, LATER - timedelta(seconds=1)) == 0
    assert claim_due(database, office, facts(), LATER).orders == ()
    assert fall_back(database, LATER) == 1
    assert fall_back(database, LATER) == 0
    (entry,) = history_of(database, request.id)
    assert (entry.event, entry.detail, entry.new_status) == ("fell_back", "queue:support", "waiting")
    assert [order.agent for order in claim_due(database, office, facts(), LATER).orders] == ["103"]


def test_page_says_who_may_serve_it_too_while_it_waits(database: Database, module: Module) -> None:
    requests: list[dict[str, Any]] = [{"fell_back": True}, {}, {"fell_back": True, "status": "connected"}]
    for number, values in enumerate(requests):
        create_request(database, module, number=f"+98912000000{number}", **values)
    rows = load_pending(database, Scope("sara", everything=True), LATER).active
    assert {row.id: row.fallback for row in rows} == {1: (True, "support"), 2: None, 3: None}


def test_own_target_still_serves_it_first(database: Database, office: Settings, module: Module) -> None:
    create_request(database, module, target="101", fell_back=True)
    free = make_facts([make_line("101"), make_line("103")], queues={"support": Queue((Member("103"),))}, now=LATER)
    assert [order.agent for order in claim_due(database, office, free, LATER).orders] == ["101"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "dialling"},
        {"target": "109"},  # somebody assigned it
        {"queue": True, "target": "sales"},
        {"reopened_at": NOW + MINUTE},
        {"postponed_until": NOW + MINUTE},
    ],
)
def test_others_do_not_fall_back(database: Database, module: Module, change: dict[str, Any]) -> None:
    create_request(database, module, **({"target": "101"} | change))
    assert fall_back(database, LATER) == 0


def test_time_counts_while_the_office_is_open(database: Database, module: Module) -> None:
    create_running_service(database, timezone="UTC", region="IR")
    store(database, SpecialDay(date=NOW.date(), hours="08:00-12:00", created_at=NOW))
    create_request(database, module, registered_at=NOW - 60 * MINUTE)
    assert fall_back(database, NOW + 9 * MINUTE) == 0
    assert fall_back(database, NOW + 10 * MINUTE) == 1
    create_request(database, module, number="+989127654321", registered_at=NOW)
    assert fall_back(database, NOW + 300 * MINUTE) == 0


def test_request_that_waits_for_a_retry_is_found_by_the_fallback_in_time(
    database: Database, office: Settings, module: Module
) -> None:
    request = create_request(database, module, target="101", fell_back=True, not_before=LATER)
    early = NOW + MINUTE
    assert claim_due(database, office, facts(early), early).wake_at == LATER
    assert reload(database, request).held_until == LATER
    assert claim_due(database, office, facts(early), early).wake_at == LATER
    assert [order.agent for order in claim_due(database, office, facts(), LATER).orders] == ["103"]


def test_long_line_of_requests_for_the_fallback_is_read_in_pages(
    database: Database, office: Settings, module: Module
) -> None:
    with database.write() as session:
        for number in range(40):
            row = {"number": f"+98912000{number:04}", "first_called_at": NOW + number * MINUTE, "registered_at": NOW}
            row |= {"target": ("101", "102")[number % 2], "module_name": "", "fell_back": number != 20}
            session.add(CallRequest(module_id=module.id, status="waiting", **row))
    on_line = frozenset(f"+98912000{number:04}" for number in range(20))
    later = NOW + 100 * MINUTE
    busy = replace(facts(later), numbers_on_line=on_line)
    assert [order.number for order in claim_due(database, office, busy, later).orders] == ["+989120000021"]


def test_talk_with_the_fallback_closes_the_request(database: Database, module: Module) -> None:
    cases = ((False, "101"), (True, "102"))
    rows = [create_request(database, module, fell_back=fell_back, target=target) for fell_back, target in cases]
    talk = Talk("+989121234567", extension="103", queues_of_extension=("support",))
    close_reached(database, talk, LATER)
    assert [reload(database, row).status for row in rows] == ["waiting", "done"]
