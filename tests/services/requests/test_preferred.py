"""The preferred agent of a request: who talked with the number last, if they may serve it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.lifecycle import Outcome
from app.domain.policy import LineState, Member, Queue
from app.services.requests.attempts import claim_due, end
from app.services.requests.reached import Talk, close_reached
from app.services.requests.registration import Registration, register
from app.store import last_talks
from app.store.database import Database
from app.store.models import CallRequest, LastTalk, Module
from tests.support.factories import (
    NOW,
    NUMBER,
    create_attempt,
    create_line,
    create_module,
    create_queue,
    create_request,
    make_facts,
    make_line,
    reload,
    store,
)

MINUTE = timedelta(minutes=1)


def create_sales(database: Database, **kwargs: Any) -> Module:
    create_queue(database, "sales", "101", "102")
    values: dict[str, Any] = {"target_kind": "queue", "targets": ["sales"], "preferred_for": 600}
    return create_module(database, **(values | kwargs))


def registered(database: Database, module: Module, number: str = NUMBER) -> CallRequest:
    request_id = register(database, Registration(module_id=module.id, number=number), NOW)
    with database.read() as session:
        return session.get_one(CallRequest, request_id)


def talked(database: Database, extension: str, number: str = NUMBER) -> None:
    close_reached(database, Talk(number, extension=extension, since=NOW - MINUTE), NOW)


def test_who_talked_last_is_preferred(database: Database) -> None:
    module = create_sales(database)
    for extension in ("101", "102", "103"):
        create_line(database, extension)
    assert registered(database, module, "+989121111111").preferred == ""
    talked(database, "102")
    assert registered(database, module).preferred == "102"
    earlier = create_request(database, module, number="+989122222222", status="done")
    create_attempt(database, earlier, agent="101", connected_at=NOW - MINUTE, ended_at=NOW)
    assert registered(database, module, "+989122222222").preferred == "101", (
        "also by an attempt before the field was set"
    )


@pytest.mark.parametrize(
    ("change", "preferred"),
    [
        ({}, "102"),
        ({"preferred_for": 0}, ""),
        ({"targets": ["support"]}, ""),
        ({"target_kind": "extension", "targets": ["101", "102"]}, "102"),
        ({"target_kind": "extension", "targets": ["102"]}, ""),
    ],
)
def test_preferred_agent_may_serve_the_request(database: Database, change: dict[str, Any], preferred: str) -> None:
    module = create_sales(database, **change)
    create_line(database, "102")
    store(database, LastTalk(number=NUMBER, extension="102", at=NOW - MINUTE))
    assert registered(database, module).preferred == preferred


def test_nobody_waits_for_a_phone_that_is_off(database: Database) -> None:
    module = create_sales(database)
    create_line(database, "102", state=LineState.OFFLINE.value)
    talked(database, "102")
    assert registered(database, module).preferred == ""


def test_talks_are_kept_only_as_long_as_a_module_asks_for_them(database: Database) -> None:
    def kept() -> list[str]:
        with database.read() as session:
            return list(session.scalars(select(LastTalk.number)))

    module = create_sales(database, preferred_for=0)
    talked(database, "101")
    assert kept() == []
    with database.write() as session:
        session.get_one(Module, module.id).preferred_for = 60
    talked(database, "101")
    assert kept() == [NUMBER]
    with database.write() as session:
        last_talks.delete_old(session, NOW)
    assert kept() == [NUMBER]
    with database.write() as session:
        last_talks.delete_old(session, NOW + last_talks.KEPT)
    assert kept() == []


def test_preferred_agent_who_misses_the_call_is_not_waited_for(database: Database, office: Settings) -> None:
    module = create_sales(database)
    row = create_request(database, module, queue=True, target="sales", preferred="101")
    facts = make_facts(
        [make_line("101"), make_line("102")], queues={"sales": Queue((Member("101", penalty=1), Member("102")))}
    )
    (order,) = claim_due(database, office, facts, NOW).orders
    assert order.agent == "101"
    end(database, order.attempt, Outcome.AGENT_NO_ANSWER, NOW)
    assert reload(database, row).preferred == ""
    assert [order.agent for order in claim_due(database, office, facts, NOW).orders] == ["102"]
