"""Callers who register at once are stored as if they had come one after the other."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from app.domain.number_policy import Source
from app.domain.routing import CameBy
from app.services.errors import NotFound
from app.services.requests.registration import Registration, RegistrationRefused, register
from app.services.requests.together import foresee, register_together
from app.store import waiting
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry, ListedNumber, MissedCall, Module
from app.store.settings import write_setting
from tests.support.factories import NOW, create_missed_call, create_module, create_request

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def of(module: Module, number: int, **values: Any) -> Registration:
    given = {"number": f"+98912{number:07}", "caller_number": f"0912{number:07}", "uniqueid": f"{module.id}.{number}"}
    return Registration(**{"module_id": module.id, "caller_name": "Sara", **given, **values})


def let_wait(database: Database, module: Module, count: int) -> None:
    """Let requests wait for the module that came before and after, have priority, or wait for their own time."""
    kinds: list[dict[str, Any]] = [
        {"first_called_at": NOW - HOUR},
        {"first_called_at": NOW - MINUTE},
        {"first_called_at": NOW + HOUR, "priority": 1},
        {"first_called_at": NOW + HOUR},
        {"first_called_at": NOW - HOUR, "not_before": NOW + HOUR},
        {"first_called_at": NOW - HOUR, "held_until": NOW - MINUTE},
        {"first_called_at": NOW - HOUR, "held_until": NOW + MINUTE},
    ]
    target = {"queue": module.target_kind == "queue", "target": module.targets[0] if len(module.targets) == 1 else ""}
    for number in range(count):
        more = {**target, **kinds[number % len(kinds)]}
        create_request(database, module, number=f"+98935{module.id:03}{number:04}", registered_at=NOW, **more)


def rows_of(database: Database, module: Module) -> list[dict[str, Any]]:
    """Return the requests of the callers with their history, without what differs between the modules."""
    left_out = {"id", "module_id", "module_name", "call_uniqueid", "target", "request_id"}

    def values(row: Any) -> dict[str, Any]:
        return {c.name: getattr(row, c.name) for c in row.__table__.columns if c.name not in left_out}

    query = select(CallRequest).where(CallRequest.module_id == module.id, CallRequest.caller_name == "Sara")
    with database.read() as session:
        rows = session.scalars(query.order_by(CallRequest.id)).all()
        entries = select(HistoryEntry).order_by(HistoryEntry.id)
        return [
            {
                **values(row),
                "history": list(map(values, session.scalars(entries.where(HistoryEntry.request_id == row.id)))),
            }
            for row in rows
        ]


@pytest.mark.parametrize("count", [0, 20, 2 * waiting.MOST_BEFORE])
@pytest.mark.parametrize("targets", [["201"], ["201", "202"]])
def test_together_is_as_one_after_the_other(database: Database, count: int, targets: list[str]) -> None:
    other = [f"3{target[1:]}" for target in targets]
    modules = create_module(database, code="*701", targets=targets), create_module(database, code="*702", targets=other)
    for module in modules:
        let_wait(database, module, count)
    with database.write() as session:
        write_setting(session, "number_open_limit", "0")
        for name in ("module_hour", "total_hour", "waiting"):
            write_setting(session, f"{name}_limit", "1000")
    details: list[dict[str, Any]] = [
        {},
        {"first_called_at": NOW - 2 * MINUTE},
        {"source": Source.TYPED, "came_by": CameBy.EXTENSION},
        {"call_at": NOW + HOUR},
        {"first_called_at": NOW + HOUR},  # the clock of the PBX is wrong
        {"caller_number": "", "uniqueid": None},
    ]
    given = [[of(module, number, **more) for number, more in enumerate(details)] for module in modules]
    ids = register_together(database, [(each, NOW) for each in given[0]])
    assert all(isinstance(each, int) for each in ids) and ids == sorted(map(int, ids))  # type: ignore[arg-type]
    for each in given[1]:
        register(database, each, NOW)
    first, second = (rows_of(database, module) for module in modules)
    assert first == second and len(first) == len(details)


def test_newcomers_need_few_statements(database: Database) -> None:
    """However many come, and however many wait."""
    module = create_module(database)
    register_together(database, [(of(module, 1), NOW)])
    counts = []
    executed: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _k, statement, *_: executed.append(statement))
    for first, callers in ((100, 2), (200, 40)):
        executed.clear()
        register_together(database, [(of(module, first + number), NOW) for number in range(callers)])
        counts.append(len(executed))
    assert counts[0] == counts[1] <= 11


def test_each_gets_its_own_answer(database: Database) -> None:
    module = create_module(database)
    for number, kind in ((3, "block"), (4, "priority")):
        row = ListedNumber(kind=kind, first=of(module, number).number, last=of(module, number).number, created_at=NOW)
        with database.write() as session:
            session.add(row)
    create_missed_call(database, number=of(module, 5).number, at=NOW - MINUTE)
    before = create_request(database, module, number=of(module, 2).number, target="", registered_at=NOW)
    unknown = Registration(4711, "+989121110000")
    given = [of(module, 1), of(module, 2), of(module, 3), of(module, 4), of(module, 5), unknown, of(module, 1)]
    new, again, blocked, preferred, missed, nowhere, twice = register_together(
        database, [(each, NOW) for each in given]
    )
    assert new == twice and again == before.id
    assert isinstance(blocked, RegistrationRefused) and isinstance(nowhere, NotFound)
    with database.read() as session:
        assert session.get_one(CallRequest, preferred).priority == 1
        assert session.scalars(select(MissedCall.request_id)).all() == [missed]
        found = foresee(database, session, given, NOW)
    assert [each.is_open for each in found] == [True, True, False, True, True, False, True]
    assert [each.refusal is not None for each in found] == [False, False, True, False, False, False, False]


def test_limits_count_those_of_the_same_transaction(database: Database) -> None:
    module = create_module(database)
    with database.write() as session:
        write_setting(session, "module_hour_limit", "3")
    results = register_together(database, [(of(module, number), NOW) for number in range(5)])
    assert [isinstance(each, int) for each in results] == [True, True, True, False, False]
