"""Talks close the requests that they answer."""

from datetime import timedelta

import pytest

from app.domain.lifecycle import Step
from app.services.requests.reached import Talk, close_reached
from app.store.database import Database
from app.store.models import CallRequest, Module
from tests.support.factories import NOW, NUMBER, create_attempt, create_module, create_request, history_of, reload

OTHER = "+989127654321"


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database, targets=["101", "102"])


def is_closed_by(database: Database, row: CallRequest, talk: Talk) -> bool:
    close_reached(database, talk, NOW)
    return reload(database, row).status == "done"


def test_a_talk_with_the_target_closes_the_request(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101")
    assert close_reached(database, Talk(NUMBER, extension="101"), NOW) == []
    closed = reload(database, row)
    assert (closed.status, closed.done_at, closed.done_by) == ("done", NOW, "101")
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.detail, entry.new_status) == ("reached", "101", "done")


def test_a_talk_with_another_extension_or_number_does_not(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101")
    for talk in (
        Talk(NUMBER, extension="102"),
        Talk(OTHER, extension="101"),
        Talk(NUMBER),
        Talk(NUMBER, queue="101"),
        Talk(NUMBER, extension="102", queues_of_extension=("101",)),
    ):
        assert not is_closed_by(database, row, talk), talk


def test_without_a_target_any_extension_of_the_module_counts(database: Database, module: Module) -> None:
    row = create_request(database, module)
    assert not is_closed_by(database, row, Talk(NUMBER, extension="103"))
    assert is_closed_by(database, row, Talk(NUMBER, extension="102"))


@pytest.mark.parametrize(
    ("talk", "closes"),
    [
        (Talk(NUMBER, queue="sales"), True),
        (Talk(NUMBER, extension="101", queues_of_extension=("support", "sales")), True),
        (Talk(NUMBER, extension="101", queues_of_extension=("support",)), False),
        (Talk(NUMBER, queue="support"), False),
        (Talk(NUMBER, extension="sales"), False),
    ],
)
def test_a_talk_with_the_queue_or_a_member_closes_a_request_for_the_queue(
    database: Database, talk: Talk, closes: bool
) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    row = create_request(database, module, queue=True, target="sales")
    assert is_closed_by(database, row, talk) is closes


def test_a_talk_closes_requests_of_several_modules(database: Database, module: Module) -> None:
    second = create_module(database, targets=["101"])
    rows = [create_request(database, module, target="101"), create_request(database, second)]
    other = create_request(database, module, target="101", number=OTHER)
    close_reached(database, Talk(NUMBER, extension="101"), NOW)
    assert [reload(database, row).status for row in rows] == ["done", "done"]
    assert reload(database, other).status == "waiting"


def test_the_attempt_of_a_closed_request_must_be_hung_up(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101", status="dialling", attempt="a1", step=Step.CLAIMED.value)
    create_attempt(database, row, id="a1")
    assert close_reached(database, Talk(NUMBER, extension="101"), NOW) == ["a1"]
    assert reload(database, row).status == "done"


@pytest.mark.parametrize(("before", "after"), [("connected", "connected"), ("failed", "failed"), ("uncertain", "done")])
def test_a_talk_closes_waiting_and_uncertain_requests_only(
    database: Database, module: Module, before: str, after: str
) -> None:
    row = create_request(database, module, target="101", status=before, attempt="a1")
    assert close_reached(database, Talk(NUMBER, extension="101"), NOW) == []
    assert reload(database, row).status == after


def test_a_talk_by_our_own_attempt_closes_the_other_requests_only(database: Database, module: Module) -> None:
    queue = create_module(database, target_kind="queue", targets=["sales"])
    own = create_request(database, module, target="101", status="dialling", attempt="a1", step=Step.CLAIMED.value)
    other = create_request(database, queue, queue=True, target="sales")
    talk = Talk(NUMBER, "101", queues_of_extension=("sales",), attempts=frozenset({"a1"}))
    assert close_reached(database, talk, NOW) == []
    assert (reload(database, own).status, reload(database, other).status) == ("dialling", "done")


@pytest.mark.parametrize(("seconds", "closes"), [(-1, True), (0, True), (1, False)])
def test_a_talk_does_not_close_what_was_registered_during_it(
    database: Database, module: Module, seconds: int, closes: bool
) -> None:
    row = create_request(database, module, target="101", registered_at=NOW + timedelta(seconds=seconds))
    assert is_closed_by(database, row, Talk(NUMBER, extension="101", since=NOW)) is closes


def test_a_talk_does_not_close_what_was_registered_again_during_it(database: Database, module: Module) -> None:
    again = NOW + timedelta(seconds=1)
    row = create_request(
        database, module, target="101", registered_at=NOW - timedelta(hours=1), registered_again_at=again
    )
    assert not is_closed_by(database, row, Talk(NUMBER, extension="101", since=NOW))
    assert is_closed_by(database, row, Talk(NUMBER, extension="101", since=again))
