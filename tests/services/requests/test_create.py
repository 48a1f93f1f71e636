"""Requests that are added by hand."""

import pytest

from app.config import Settings
from app.services.errors import Invalid
from app.services.requests.create import NewRequest, create
from app.store.database import Database
from app.store.models import CallRequest
from tests.services.scene import OTHER_SUPERVISOR, SUPERVISOR
from tests.support.factories import (
    NOW,
    NUMBER,
    at_once,
    create_line,
    create_module,
    create_request,
    history_of,
    log_of,
)


def stored(database: Database, number: int) -> CallRequest:
    with database.read() as session:
        return session.get_one(CallRequest, number)


def test_a_request_is_added_as_it_was_typed(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102"])
    given = NewRequest("۰۹۱۲ ۱۲۳ ۴۵۶۷", module.id, "102", name=" Sara Rad ", note="prefers mornings")
    result = create(database, office, SUPERVISOR, given, NOW)
    row = stored(database, result.id)
    assert result.code == "done"
    assert (row.number, row.queue, row.target, row.caller_name) == (NUMBER, False, "102", "Sara Rad")
    assert (row.created_by, row.note, row.status, row.registered_at) == ("sara", "prefers mornings", "waiting", NOW)
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.actor, entry.new_status, entry.version) == ("registered", "sara", "waiting", row.version)
    (logged,) = log_of(database)
    assert (logged.action, logged.detail["target"]) == ("request_added", ["", "102"])


def test_a_queues_request_is_for_its_queue(database: Database, office: Settings) -> None:
    module = create_module(database, target_kind="queue", targets=["support"])
    row = stored(database, create(database, office, SUPERVISOR, NewRequest("09121234567", module.id), NOW).id)
    assert (row.queue, row.target) == (True, "support")


def test_a_colleague_may_be_called_back_inside(database: Database, office: Settings) -> None:
    create_line(database, "102")
    module = create_module(database)
    assert stored(database, create(database, office, SUPERVISOR, NewRequest("102", module.id), NOW).id).number == "102"


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"number": ""}, {"number": "required"}),
        ({"number": "12"}, {"number": "number"}),
        ({"number": "+12025550123"}, {"number": "foreign"}),
        ({"number": "110"}, {"number": "emergency"}),
        ({"number": "0912123456x"}, {"number": "number"}),
        ({"module_id": 4711}, {"module_id": "choice"}),
        ({"target": "105"}, {"target": "choice"}),
        ({"name": "x" * 81}, {"name": "too_long"}),
        ({"name": "a\u202eb"}, {"name": "characters"}),
        ({"note": "x" * 2001}, {"note": "too_long"}),
        (
            {"number": "", "name": "a\x00", "target": "9"},
            {"number": "required", "name": "characters", "target": "choice"},
        ),
    ],
)
def test_each_fault_is_told_beside_its_field(
    database: Database, office: Settings, given: dict[str, object], errors: dict[str, str]
) -> None:
    module = create_module(database)
    values = {"number": "09121234567", "module_id": module.id} | given
    with pytest.raises(Invalid) as refused:
        create(database, office, SUPERVISOR, NewRequest(**values), NOW)  # type: ignore[arg-type]
    assert refused.value.errors == errors
    assert log_of(database) == []


def test_the_same_wish_is_not_added_twice(database: Database, office: Settings) -> None:
    module = create_module(database)
    row = create_request(database, module)
    result = create(database, office, SUPERVISOR, NewRequest("09121234567", module.id), NOW)
    assert (result.code, result.twin, result.id) == ("twin", row.id, row.id)
    assert (stored(database, row.id).version, log_of(database)) == (row.version, [])


def test_of_many_who_add_the_same_one_does(database: Database, office: Settings) -> None:
    module = create_module(database)
    given = NewRequest("09121234567", module.id)
    scopes = (SUPERVISOR, OTHER_SUPERVISOR) * 3
    results = at_once([lambda scope=scope: create(database, office, scope, given, NOW) for scope in scopes])
    assert sorted(result.code for result in results) == ["done"] + ["twin"] * 5
    assert len({result.id for result in results}) == 1
    assert len(log_of(database)) == 1
