"""Requests that users create in the panel."""

from functools import partial
from typing import Any

import pytest

from app.config import Settings
from app.services.errors import Invalid
from app.services.requests.create import NewRequest, TargetChoice, create_request, load_target_choices
from app.store.database import Database
from app.store.models import CallRequest
from tests.services.scene import OPERATOR, OTHER_SUPERVISOR, SUPERVISOR
from tests.support import factories
from tests.support.factories import NOW, NUMBER, create_line, create_module, history_of, log_of, run_at_once


def stored(database: Database, number: int) -> CallRequest:
    with database.read() as session:
        return session.get_one(CallRequest, number)


def test_a_request_is_created_as_typed(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102"])
    given = NewRequest("۰۹۱۲ ۱۲۳ ۴۵۶۷", module.id, "102", name=" Sara Rad ", note="prefers mornings")
    result = create_request(database, office, SUPERVISOR, given, NOW)
    row = stored(database, result.id)
    assert result.code == "done"
    assert (row.number, row.queue, row.target, row.caller_name) == (NUMBER, False, "102", "Sara Rad")
    assert (row.created_by, row.note, row.status, row.registered_at) == ("sara", "prefers mornings", "waiting", NOW)
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.actor, entry.new_status, entry.version) == ("registered", "sara", "waiting", row.version)
    (logged,) = log_of(database)
    assert (logged.action, logged.detail["target"]) == ("request_added", ["", "102"])


def test_the_request_of_a_queue_module_is_for_the_queue(database: Database, office: Settings) -> None:
    module = create_module(database, target_kind="queue", targets=["support"])
    given = NewRequest("09121234567", module.id)
    row = stored(database, create_request(database, office, SUPERVISOR, given, NOW).id)
    assert (row.queue, row.target) == (True, "support")


def test_an_extension_can_be_the_customer(database: Database, office: Settings) -> None:
    create_line(database, "102")
    given = NewRequest("102", create_module(database).id)
    assert stored(database, create_request(database, office, SUPERVISOR, given, NOW).id).number == "102"


def test_nobody_is_called_back_to_themselves(database: Database, office: Settings) -> None:
    create_line(database, "101")
    with pytest.raises(Invalid) as refused:
        create_request(database, office, SUPERVISOR, NewRequest("101", create_module(database).id, "101"), NOW)
    assert refused.value.errors == {"number": "self"}


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"number": "12"}, {"number": "number"}),
        ({"number": "+12025550123"}, {"number": "foreign"}),
        ({"number": "110"}, {"number": "emergency"}),
        ({"number": "+989601"}, {"number": "number"}),
        ({"module_id": 4711}, {"module_id": "choice"}),
        ({"target": "105"}, {"target": "choice"}),
        ({"name": "x" * 81}, {"name": "too_long"}),
        ({"note": "x" * 2001}, {"note": "too_long"}),
        (
            {"number": "", "name": "a\x00", "target": "9"},
            {"number": "required", "name": "characters", "target": "choice"},
        ),
    ],
)
def test_errors_name_their_fields(
    database: Database, office: Settings, given: dict[str, Any], errors: dict[str, str]
) -> None:
    module = create_module(database)
    values: dict[str, Any] = {"number": "09121234567", "module_id": module.id} | given
    with pytest.raises(Invalid) as refused:
        create_request(database, office, SUPERVISOR, NewRequest(**values), NOW)
    assert refused.value.errors == errors
    assert log_of(database) == []


def test_a_duplicate_is_not_created(database: Database, office: Settings) -> None:
    module = create_module(database)
    row = factories.create_request(database, module)
    result = create_request(database, office, SUPERVISOR, NewRequest("09121234567", module.id), NOW)
    assert (result.code, result.duplicate, result.id) == ("duplicate", row.id, row.id)
    assert (stored(database, row.id).version, log_of(database)) == (row.version, [])


def test_of_many_duplicates_at_the_same_time_one_is_created(database: Database, office: Settings) -> None:
    module = create_module(database)
    given = NewRequest("09121234567", module.id)
    scopes = (SUPERVISOR, OTHER_SUPERVISOR) * 3
    results = run_at_once([partial(create_request, database, office, scope, given, NOW) for scope in scopes])
    assert sorted(result.code for result in results) == ["done"] + ["duplicate"] * 5
    assert len({result.id for result in results}) == 1
    assert len(log_of(database)) == 1


def test_the_choices_are_the_targets_that_the_user_may_see(database: Database) -> None:
    sales = create_module(database, name="Sales", targets=["101", "102"])
    support = create_module(database, name="Support", target_kind="queue", targets=["800"])
    private = create_module(database, name="Private", targets=["103"])
    own = [TargetChoice(sales.id, "Sales", False, ""), TargetChoice(sales.id, "Sales", False, "101")]
    assert load_target_choices(database, OPERATOR) == own
    assert load_target_choices(database, SUPERVISOR) == [
        *own,
        TargetChoice(sales.id, "Sales", False, "102"),
        TargetChoice(support.id, "Support", True, "800"),
        TargetChoice(private.id, "Private", False, "103"),
    ]
