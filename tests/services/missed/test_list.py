"""The list of missed calls: who sees what, and what can be done with an entry."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.config import Settings
from app.domain.missed_calls import Outcome, Target
from app.domain.routing import CameBy
from app.services.errors import Invalid, NotFound
from app.services.missed import list as missed
from app.services.missed.list import Figures
from app.services.requests import number_lists
from app.services.requests.access import Scope
from app.store.database import Database
from app.store.models import CallRequest
from tests.services.scene import SUPERVISOR
from tests.support.factories import (
    NOW,
    NUMBER,
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_queue,
    reload,
)

OTHER, THIRD = "+989127654321", "+989351234567"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SARA, SALES = Target(False, "101"), Target(True, "sales")
OPERATOR = Scope("omid", extensions=("101",))


def test_calls_of_a_number_are_one_entry(database: Database) -> None:
    create_module(database, targets=["101"])
    create_missed_call_rule(database, minutes=30)
    rows = [create_missed_call(database, at=NOW - minutes * MINUTE) for minutes in (20, 10, 1)]
    create_missed_call(database, at=NOW - 25 * HOUR)
    (entry,) = missed.load(database, SUPERVISOR, NOW).entries
    assert (entry.id, entry.count) == (rows[-1].id, 3)
    assert (entry.first_at, entry.last_at, entry.due_at) == (NOW - 20 * MINUTE, NOW - MINUTE, NOW + 10 * MINUTE)
    assert (entry.target, entry.number, entry.outcome, entry.can_request) == (SARA, "09121234567", Outcome.OPEN, True)


def test_open_calls_come_first_then_the_last_ones(database: Database) -> None:
    create_missed_call(database, number=OTHER, outcome="reached", outcome_at=NOW, outcome_by="102", at=NOW)
    create_missed_call(database, at=NOW - HOUR)
    create_missed_call(database, number=THIRD, at=NOW - MINUTE)
    entries = missed.load(database, SUPERVISOR, NOW).entries
    assert [entry.number for entry in entries] == ["09351234567", "09121234567", "09127654321"]
    assert [(entry.outcome, entry.by) for entry in entries][-1] == (Outcome.REACHED, "102")
    assert not any(entry.can_request for entry in entries), "no module serves 101"


def test_pages_have_every_entry_once(database: Database) -> None:
    for number in range(5):
        create_missed_call(database, number=f"+98912000000{number}", at=NOW - number * MINUTE)
    create_missed_call(database, number="+989120000000", at=NOW - HOUR)
    pages = [missed.load(database, SUPERVISOR, NOW, page=page, per_page=2) for page in (1, 2, 3, 4)]
    assert [(found.page, found.pages, found.total) for found in pages] == [(1, 3, 5), (2, 3, 5), (3, 3, 5), (3, 3, 5)]
    assert [entry.number[-1] for found in pages[:3] for entry in found.entries] == list("01234")
    assert {found.figures.missed for found in pages} == {6}


def test_figures_count_calls(database: Database) -> None:
    outcomes = ("open", "open", "reached", "left", "requested", "dismissed")
    for outcome in outcomes:
        create_missed_call(database, outcome=outcome)
    create_missed_call(database, queue=True, target="sales", outcome="reached")
    assert missed.load(database, SUPERVISOR, NOW).figures == Figures(missed=7, reached=2, requested=2, open=2)
    found = missed.load(database, SUPERVISOR, NOW, SALES)
    assert (found.figures, found.targets) == (Figures(missed=1, reached=1), [SARA, SALES])


@pytest.mark.parametrize(
    ("scope", "targets"),
    [
        (SUPERVISOR, {"101", "102", "sales", "support"}),
        (OPERATOR, {"101", "sales"}),
        (Scope("lale"), set()),
    ],
)
def test_operators_see_their_own_extensions_and_queues(database: Database, scope: Scope, targets: set[str]) -> None:
    create_queue(database, "sales", "101")
    create_queue(database, "support", "102")
    for queue, target in ((False, "101"), (False, "102"), (True, "sales"), (True, "support")):
        row = create_missed_call(database, queue=queue, target=target)
        if target not in targets:
            with pytest.raises(NotFound):
                missed.dismiss(database, scope, row.id, NOW)
    found = missed.load(database, scope, NOW)
    assert {entry.target.code for entry in found.entries} == targets == {target.code for target in found.targets}
    assert found.figures.missed == len(targets)


def test_one_click_makes_a_request_with_the_place_of_the_first_call(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101"])
    rows = [create_missed_call(database, at=NOW - minutes * MINUTE, caller_name="Mina") for minutes in (20, 10)]
    result = missed.request(database, office, OPERATOR, rows[-1].id, NOW)
    with database.read() as session:
        request = session.get_one(CallRequest, result.id)
    assert (request.module_id, request.target, request.number) == (module.id, "101", NUMBER)
    assert (request.created_by, request.caller_name, request.came_by) == ("omid", "Mina", CameBy.MISSED_CALL)
    assert (request.first_called_at, request.registered_at) == (NOW - 20 * MINUTE, NOW)
    (entry,) = missed.load(database, OPERATOR, NOW).entries
    assert (entry.outcome, entry.by, entry.request_id, entry.count) == (Outcome.REQUESTED, "omid", request.id, 2)
    assert missed.request(database, office, OPERATOR, rows[-1].id, NOW).code == "duplicate"


def test_one_click_makes_a_request_for_a_queue(database: Database, office: Settings) -> None:
    create_module(database, target_kind="queue", targets=["sales"])
    row = create_missed_call(database, queue=True, target="sales")
    result = missed.request(database, office, SUPERVISOR, row.id, NOW)
    with database.read() as session:
        request = session.get_one(CallRequest, result.id)
    assert (request.queue, request.target) == (True, "sales")


def test_request_is_refused_with_the_reason(database: Database, office: Settings) -> None:
    row, withheld = create_missed_call(database), create_missed_call(database, number="")
    with pytest.raises(Invalid) as refused:
        missed.request(database, office, SUPERVISOR, row.id, NOW)
    assert refused.value.errors == {"module_id": "no_module"}
    create_module(database, targets=["101"])
    number_lists.add_entry(database, office, "block", NUMBER, "", actor="sara", now=NOW)
    with pytest.raises(Invalid) as refused:
        missed.request(database, office, SUPERVISOR, row.id, NOW)
    assert refused.value.errors == {"number": "blocked"}
    with pytest.raises(Invalid):
        missed.request(database, office, SUPERVISOR, withheld.id, NOW)
    assert reload(database, row).outcome == Outcome.OPEN
    with pytest.raises(NotFound):
        missed.request(database, office, SUPERVISOR, 99, NOW)


def test_dismissed_calls_are_off_the_list_of_open_ones_until_the_next_call(database: Database) -> None:
    rows = [create_missed_call(database) for _ in range(2)]
    other = create_missed_call(database, number=OTHER)
    later = create_missed_call(database)
    missed.dismiss(database, SUPERVISOR, rows[-1].id, NOW)
    after = [reload(database, row) for row in rows]
    assert [(row.outcome, row.outcome_by, row.outcome_at) for row in after] == [(Outcome.DISMISSED, "sara", NOW)] * 2
    assert {reload(database, row).outcome for row in (other, later)} == {Outcome.OPEN}


@pytest.mark.parametrize("create", [create_missed_call, create_missed_call_rule])
def test_page_is_in_use_with_a_rule_or_a_call(database: Database, create: Callable[[Database], object]) -> None:
    with database.read() as session:
        assert not missed.is_in_use(session)
    create(database)
    with database.read() as session:
        assert missed.is_in_use(session)


def test_number_is_written_as_in_the_office_country(database: Database) -> None:
    create_missed_call(database, number=OTHER, at=NOW)
    create_missed_call(database, number="", target="102", at=NOW)
    assert {entry.number for entry in missed.load(database, SUPERVISOR, NOW).entries} == {"09127654321", ""}
