"""The lists of numbers: what people type, and what an action on a request adds."""

from typing import Any

import pytest

from app.config import Settings
from app.domain.limits import ListKind, NumberRange
from app.domain.numbers import NumberPlan
from app.services.errors import Invalid, NotFound
from app.services.requests import number_lists, perform
from app.services.requests.access import Scope
from app.services.requests.actions import Block, ShownRequest
from app.services.requests.create import NewRequest, create_request
from app.services.requests.registration import Registration, register
from app.services.requests.results import ResultCode
from app.store.database import Database
from app.store.models import CallRequest
from tests.support.factories import NOW, create_line, create_module, history_of, log_of, reload
from tests.support.factories import create_request as add_request

RULES = NumberPlan("IR", "021", frozenset({"101"}))
MOBILE = "+989121234567"


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("0912 123 4567", MOBILE, MOBILE),
        ("۰۹۱۲۱۲۳۴۵۶۷", MOBILE, MOBILE),
        ("101", "101", "101"),
        ("+44 20 7946 0018", "+442079460018", "+442079460018"),
        ("0912*", "+98912", ""),
        ("+44*", "+44", ""),
        ("0044 20*", "+4420", ""),
        ("02188880000 - 02188889999", "+982188880000", "+982188889999"),
        ("02188880000-02188889999", "+982188880000", "+982188889999"),
        ("02188880000 تا 02188889999", "+982188880000", "+982188889999"),
    ],
)
def test_numbers_and_ranges(text: str, first: str, last: str) -> None:
    assert number_lists.parse_range(text, RULES) == NumberRange(first, last)


@pytest.mark.parametrize(
    "text", ["", "*", "0*", "+*", "+1*", "x", "0912x*", "02188889999 - 02188880000", "02188880000 - 110", "\0"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(number_lists.NotARange):
        number_lists.parse_range(text, RULES)


@pytest.mark.parametrize("text", ["09121234567", "+98912*", "02188880000 – 02188889999"])
def test_written_range_is_read_again(text: str) -> None:
    entry = number_lists.parse_range(text, RULES)
    assert number_lists.write_range(entry, "IR") == text
    assert number_lists.parse_range(number_lists.write_range(entry, "IR"), RULES) == entry


def add(database: Database, office: Settings, text: str, kind: str = "block", note: str = "", agent: str = "") -> None:
    number_lists.add_entry(database, office, kind, text, note, agent=agent, actor="sara", now=NOW)


def test_entry_is_added_once_and_removed(database: Database, office: Settings) -> None:
    add(database, office, "0912*", note="a fraudster")
    (entry,) = number_lists.load_entries(database)
    assert (entry.kind, entry.text, entry.note, entry.created_by) == (ListKind.BLOCK, "+98912*", "a fraudster", "sara")
    for kind in ListKind:
        with pytest.raises(Invalid) as invalid:
            add(database, office, "+98912*", kind)
        assert invalid.value.errors == {"number": "taken"}
    number_lists.remove_entry(database, entry.id, actor="sara", now=NOW)
    assert number_lists.load_entries(database) == []
    with pytest.raises(NotFound):
        number_lists.remove_entry(database, entry.id, actor="sara", now=NOW)


def test_invalid_entries(database: Database, office: Settings) -> None:
    for text, kind, note, errors in (
        ("", "block", "", {"number": "required"}),
        ("abc", "block", "", {"number": "number"}),
        ("0912*", "other", "", {"kind": "choice"}),
        ("0912*", "block", "x" * 201, {"note": "too_long"}),
        ("0912*", "block", "a\nb", {"note": "characters"}),
    ):
        with pytest.raises(Invalid) as invalid:
            add(database, office, text, kind, note)
        assert invalid.value.errors == errors


SUPERVISOR = Scope("sara", everything=True)


def act(database: Database, row: CallRequest, scope: Scope = SUPERVISOR) -> ResultCode:
    shown = ShownRequest(row.id, reload(database, row).version)
    (result,) = perform.perform(database, scope, Block("rude"), [shown], NOW)
    return result.code


def test_block_puts_the_number_on_the_list_and_cancels_the_request(database: Database, office: Settings) -> None:
    add(database, office, "09121234567", "allow")
    row = add_request(database, create_module(database), number=MOBILE)
    assert act(database, row) is ResultCode.DONE
    assert reload(database, row).status == "cancelled"
    (entry,) = number_lists.load_entries(database)
    assert (entry.kind, entry.text, entry.note) == (ListKind.BLOCK, "09121234567", "rude")
    assert act(database, row) is ResultCode.DONE, "the request has ended, and the number is blocked already"
    assert len(number_lists.load_entries(database)) == 1


def test_operator_may_not_block(database: Database) -> None:
    row = add_request(database, create_module(database), number=MOBILE, target="101")
    assert act(database, row, Scope("reza", extensions=("101",))) is ResultCode.NOT_ALLOWED
    assert (reload(database, row).status, number_lists.load_entries(database)) == ("waiting", [])


@pytest.mark.parametrize(
    ("kind", "agent", "code"),
    [("block", "101", "only_priority"), ("allow", "101", "only_priority"), ("priority", "1a", "code")],
)
def test_only_numbers_with_priority_have_a_fixed_agent(
    database: Database, office: Settings, kind: str, agent: str, code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        add(database, office, "0912*", kind, agent=agent)
    assert caught.value.errors == {"agent": code}


@pytest.mark.parametrize(
    ("module", "extension", "target"),
    [
        ({"targets": ["101", "102"]}, "", (False, "102")),
        ({"targets": ["101", "103"]}, "101", (False, "102")),
        ({"target_kind": "queue", "targets": ["800"]}, "", (False, "102")),
        ({"targets": ["101"]}, "101", (False, "101")),
    ],
)
def test_number_with_priority_is_served_first_by_its_fixed_agent(
    database: Database, office: Settings, module: dict[str, Any], extension: str, target: tuple[bool, str]
) -> None:
    create_line(database, "102")
    add(database, office, "0912*", "priority", agent="101")
    add(database, office, "09121234567", "priority", agent="102")
    given = Registration(create_module(database, **module).id, MOBILE, extension=extension)
    number = register(database, given, NOW)
    with database.read() as session:
        row = session.get_one(CallRequest, number)
    assert (row.priority, (row.queue, row.target)) == (1, target)
    events = [(entry.event, entry.detail) for entry in history_of(database, number)]
    assert events == [("registered", MOBILE), ("standing", "102" if target[1] == "102" else "")]
    listed = [entry.detail["fixed_agent"] for entry in log_of(database) if entry.action == "number_listed"]
    assert listed == [["", "101"], ["", "102"]]
    assert register(database, given, NOW) == number, "once"


def test_request_of_a_user_gets_the_priority_and_keeps_its_target(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102"])
    add(database, office, "0912*", "priority", agent="102")
    result = create_request(database, office, Scope("sara", True), NewRequest("09121234567", module.id, "101"), NOW)
    with database.read() as session:
        row = session.get_one(CallRequest, result.id)
    assert (row.priority, row.target) == (1, "101")


def test_fixed_agent_that_nobody_knows_or_that_asks_is_no_target(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102"])
    create_line(database, "101")
    add(database, office, "0912*", "priority", agent="999")
    add(database, office, "101", "priority", agent="101")
    for number in (MOBILE, "101"):
        request = register(database, Registration(module.id, number), NOW)
        with database.read() as session:
            row = session.get_one(CallRequest, request)
        assert (row.priority, row.target) == (1, "")
