"""What people wish, what a talk settles, and what time ends."""

from datetime import timedelta

import pytest

from app.domain.lifecycle import (
    Cancelled,
    Outcome,
    Status,
    Step,
)
from app.services.requests.attempts import Talk, close_reached, end, expire
from app.store.database import Database
from app.store.models import CallRequest, Module
from tests.support.factories import (
    NOW,
    NUMBER,
    at_once,
    create_attempt,
    create_module,
    create_request,
    history_of,
    reload,
    wish,
)

HOUR = timedelta(hours=1)
OTHER = "+989127654321"


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database, targets=["101", "102"])


def dialling(database: Database, module: Module, **kwargs: object) -> CallRequest:
    row = create_request(database, module, status="dialling", attempt="a1", step=Step.CLAIMED.value, **kwargs)
    create_attempt(database, row, id="a1")
    return row


# Wishes


def test_of_a_cancel_and_an_end_at_the_same_instant_both_are_recorded_and_one_counts(
    database: Database, module: Module
) -> None:
    for turn in range(10):
        row = create_request(database, module, number=f"+98912000{turn:04}", status="dialling", attempt=f"b{turn}")
        attempt = create_attempt(database, row, id=f"b{turn}")
        at_once(
            [
                lambda row=row: wish(database, row.id, Cancelled()),
                lambda attempt=attempt: end(database, attempt.id, Outcome.CONNECTED, NOW),
            ]
        )
        events = [entry.event for entry in history_of(database, row.id)]
        assert (reload(database, row).status, events) in [("cancelled", ["wish"]), ("done", ["ended"])]
        assert reload(database, attempt).outcome == "connected"  # they talked, whoever was first


# A talk of their own


def closed_by(database: Database, row: CallRequest, talk: Talk) -> bool:
    close_reached(database, talk, NOW)
    return reload(database, row).status == "done"


def test_a_talk_with_the_wanted_extension_closes_the_request(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101")
    assert close_reached(database, Talk(NUMBER, extension="101"), NOW) == []
    assert reload(database, row).done_at == NOW
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.detail, entry.new_status) == ("reached", "101", "done")


def test_only_the_wanted_one_counts(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101")
    for talk in (
        Talk(NUMBER, extension="102"),
        Talk(OTHER, extension="101"),
        Talk(NUMBER),
        Talk(NUMBER, queue="101"),
        Talk(NUMBER, extension="102", queues_of_extension=("101",)),
    ):
        assert not closed_by(database, row, talk), talk


def test_any_of_the_modules_extensions_counts_for_who_named_none(database: Database, module: Module) -> None:
    row = create_request(database, module)
    assert not closed_by(database, row, Talk(NUMBER, extension="103"))
    assert closed_by(database, row, Talk(NUMBER, extension="102"))


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
def test_a_talk_with_the_queue_or_one_of_its_members_closes_its_request(
    database: Database, talk: Talk, closes: bool
) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    row = create_request(database, module, queue=True, target="sales")
    assert closed_by(database, row, talk) is closes


def test_a_talk_closes_the_requests_of_all_modules_that_it_answers(database: Database, module: Module) -> None:
    second = create_module(database, targets=["101"])
    rows = [create_request(database, module, target="101"), create_request(database, second)]
    other = create_request(database, module, target="101", number=OTHER)
    close_reached(database, Talk(NUMBER, extension="101"), NOW)
    assert [reload(database, row).status for row in rows] == ["done", "done"]
    assert reload(database, other).status == "waiting"


def test_the_call_that_rings_meanwhile_is_to_be_hung_up(database: Database, module: Module) -> None:
    row = dialling(database, module, target="101")
    assert close_reached(database, Talk(NUMBER, extension="101"), NOW) == ["a1"]
    assert reload(database, row).status == "done"


def test_who_talks_by_our_own_call_is_left_to_that_call(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101", status="connected", attempt="a1", step=Step.CONNECTED.value)
    assert close_reached(database, Talk(NUMBER, extension="101"), NOW) == []
    assert reload(database, row).status == "connected"


def test_an_uncertain_request_is_closed_as_well(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101", status="uncertain", attempt="a1")
    assert close_reached(database, Talk(NUMBER, extension="101"), NOW) == []
    assert reload(database, row).status == "done"


def test_a_talk_leaves_what_has_ended_as_it_is(database: Database, module: Module) -> None:
    row = create_request(database, module, target="101", status="failed")
    close_reached(database, Talk(NUMBER, extension="101"), NOW)
    assert reload(database, row).status == "failed"


# Expiry


def test_requests_that_have_outlived_their_time_end(database: Database) -> None:
    module = create_module(database, expire_after=3600)
    rows = {
        status: create_request(database, module, number=f"+98912000000{n}", status=status.value, attempt="a1")
        for n, status in enumerate(Status)
    }
    forever = create_request(database, create_module(database))
    expire(database, NOW + HOUR - timedelta(seconds=1))
    assert all(reload(database, row).status == status.value for status, row in rows.items())
    expire(database, NOW + HOUR)
    ended = {status for status, row in rows.items() if reload(database, row).status == "expired"}
    assert ended == {Status.WAITING, Status.UNCERTAIN, Status.EXPIRED}
    assert reload(database, forever).status == "waiting"
    (entry,) = history_of(database, rows[Status.WAITING].id)
    assert (entry.event, entry.old_status, entry.new_status) == ("expired", "waiting", "expired")
    assert reload(database, rows[Status.WAITING]).done_at == NOW + HOUR
