"""The stored moments after a jump of the wall clock."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect

from app.domain.lifecycle import Status
from app.domain.phone_calls import CallState
from app.services import clock_jump, commands, users
from app.services.clock_jump import LONGEST_PAUSE, RUNNING, Jump
from app.services.prompts import phone_calls
from app.services.requests import pause
from app.services.requests.access import Scope
from app.services.requests.expiry import expire
from app.store import pbx_state
from app.store.database import Database
from app.store.models import (
    Base,
    Command,
    HistoryEntry,
    PendingLogin,
    PhoneCall,
    QueueMemberRow,
    RouteTroubleRow,
    SecondFactor,
    UtcDateTime,
    WorkerState,
)
from app.store.uptime import boot_id, uptime
from tests.support.factories import (
    NOW,
    create_attempt,
    create_line,
    create_missed_call,
    create_module,
    create_request,
    create_running_service,
    create_webhook,
    create_webhook_message,
    reload,
    store,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
JUMP = 3.5 * HOUR
DAY = timedelta(days=1)
UPTIME = 10 * DAY
both_ways = pytest.mark.parametrize("by", [JUMP, -JUMP], ids=["forward", "back"])


def make_jump(by: timedelta) -> Jump:
    """Return a jump that was noticed within a second, at NOW by the old time."""
    return Jump(by, NOW + by, NOW - SECOND)


def apply(database: Database, by: timedelta) -> None:
    clock_jump.apply(database, make_jump(by), lambda: NOW + by)


def moments(row: Base) -> dict[str, datetime]:
    """Return all moments of a row."""
    later: set[str] = inspect(
        row
    ).unloaded  # columns that are loaded when they are asked for, of which none is a moment
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns if column.key not in later}
    return {name: value for name, value in values.items() if isinstance(value, datetime)}


def assert_moved(database: Database, row: Base, by: timedelta, *, but: tuple[str, ...] = ()) -> None:
    """Check that all moments of a stored row have moved, without those named."""
    before, after = moments(row), moments(reload(database, row))
    assert after == {name: value + (timedelta(0) if name in but else by) for name, value in before.items()}


# -- what moves -----------------------------------------------------------------------------------------------------


@both_ways
def test_active_request_moves_with_its_attempts_and_its_history(database: Database, by: timedelta) -> None:
    module = create_module(database)
    request = create_request(
        database,
        module,
        first_called_at=NOW - 3 * MINUTE,
        registered_at=NOW - 2 * MINUTE,
        registered_again_at=NOW - MINUTE,
        free_at=NOW - MINUTE,
        not_before=NOW + MINUTE,
        call_now_at=NOW - MINUTE,
        postponed_until=NOW + DAY,  # by the calendar
    )
    ended = create_attempt(
        database,
        request,
        since=NOW - 2 * MINUTE,
        started_at=NOW - MINUTE,
        ended_at=NOW - 30 * SECOND,
        request_pause_until=NOW + MINUTE,
    )
    running = create_attempt(
        database, request, started_at=NOW - 20 * SECOND, answered_at=NOW - 10 * SECOND, dialled_at=NOW - 5 * SECOND
    )
    entry = store(
        database,
        HistoryEntry(
            request_id=request.id,
            at=NOW - MINUTE,
            event="postponed",
            old_status="waiting",
            new_status="waiting",
            version=1,
            before={"free_at": (NOW - MINUTE).isoformat()},
        ),
    )
    apply(database, by)
    assert reload(database, entry).before is None, "nothing is undone whose moments are by the old time"
    assert_moved(database, request, by, but=("postponed_until",))
    for row in (ended, running, entry):
        assert_moved(database, row, by)


@both_ways
def test_open_missed_call_moves_and_another_stays(database: Database, by: timedelta) -> None:
    """Its look-back and the minutes until it becomes a request go on; what has become of one is the past."""
    is_open = create_missed_call(database, at=NOW - MINUTE)
    past: dict[str, Any] = {"at": NOW - DAY, "outcome_at": NOW - DAY}
    reached = create_missed_call(database, outcome="reached", **past)
    apply(database, by)
    assert_moved(database, is_open, by)
    assert_moved(database, reached, timedelta(0))


@both_ways
def test_ended_request_stays_but_the_attempt_after_which_its_agent_pauses_moves(
    database: Database, by: timedelta
) -> None:
    past: dict[str, Any] = {"registered_at": NOW - DAY, "first_called_at": NOW - DAY, "done_at": NOW - DAY / 2}
    request = create_request(database, status=Status.FAILED.value, **past)
    over = create_attempt(database, request, started_at=NOW - DAY, ended_at=NOW - DAY)
    pausing = create_attempt(
        database, request, started_at=NOW - MINUTE, ended_at=NOW - MINUTE, agent_pause_until=NOW + 10 * SECOND
    )
    apply(database, by)
    for row in (request, over):
        assert_moved(database, row, timedelta(0))
    assert_moved(database, pausing, by)


@pytest.mark.parametrize(("by", "moves"), [(JUMP, False), (-JUMP, True)])
def test_what_has_ended_moves_if_it_would_be_in_the_future(database: Database, by: timedelta, moves: bool) -> None:
    """Otherwise it would be the newest for hours."""
    past: dict[str, Any] = {
        "registered_at": NOW - 3 * MINUTE,
        "first_called_at": NOW - 3 * MINUTE,
        "done_at": NOW - MINUTE,
    }
    request = create_request(database, status=Status.DONE.value, **past)
    attempt = create_attempt(database, request, started_at=NOW - 2 * MINUTE, ended_at=NOW - MINUTE)
    apply(database, by)
    for row in (request, attempt):
        assert_moved(database, row, by if moves else timedelta(0))


def test_pause_that_has_passed_does_not_begin_again_when_the_clock_is_put_back(database: Database) -> None:
    request = create_request(database, status=Status.DONE.value)
    attempt = create_attempt(database, request, ended_at=NOW - MINUTE, agent_pause_until=NOW - SECOND)
    apply(database, -JUMP)
    assert reload(database, attempt).agent_pause_until == NOW - JUMP - SECOND


@both_ways
def test_state_of_the_pbx_routes_and_open_work_move(database: Database, by: timedelta) -> None:
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=NOW - 5 * SECOND)
    with database.read() as session:
        command, phone_call = session.get_one(Command, 1), session.get_one(PhoneCall, call)
    rows: list[Base] = [
        create_line(database, since=NOW - MINUTE),
        store(database, QueueMemberRow(queue="800", extension="101", wrapup_until=NOW + MINUTE)),
        store(
            database,
            RouteTroubleRow(
                context="out", failures=2, since=NOW - HOUR, failed_at=NOW - MINUTE, outcome="route_failed"
            ),
        ),
        create_running_service(database, heartbeat=NOW - 5 * SECOND, started_at=NOW - HOUR, booted_at=NOW - DAY),
        command,
        phone_call,
    ]
    before = [moments(row) for row in rows]
    apply(database, by)
    for row, old in zip(rows, before, strict=True):
        new = moments(reload(database, row))
        assert {name: new[name] for name in old} == {name: value + by for name, value in old.items()}


@both_ways
def test_webhooks_and_their_waiting_messages_move(database: Database, by: timedelta) -> None:
    webhook = create_webhook(
        database,
        created_at=NOW - DAY,
        failing_since=NOW - HOUR,
        paused_at=NOW - MINUTE,
        sent_at=NOW - 2 * HOUR,
        next_at=NOW + MINUTE,
    )
    moments = {"at": NOW - HOUR, "since": NOW - HOUR, "tried_at": NOW - MINUTE, "next_at": NOW + MINUTE}
    waiting = create_webhook_message(database, webhook, **moments)
    past = dict.fromkeys(moments, NOW - DAY)
    sent = create_webhook_message(database, webhook, state="sent", **past)
    apply(database, by)
    for row in (webhook, waiting):
        assert_moved(database, row, by)
    assert_moved(database, sent, timedelta(0))


@both_ways
def test_what_a_log_in_waits_for_moves(database: Database, by: timedelta) -> None:
    user = users.create(database, "sara", "a long password", "operator", NOW - DAY)
    other = users.create(database, "omid", "a long password", "operator", NOW - DAY)
    waiting = store(database, PendingLogin(digest="a", user_id=user, generation=0, started_at=NOW - MINUTE))
    begun = store(database, SecondFactor(user_id=user, secret="", started_at=NOW - MINUTE))
    used = store(database, SecondFactor(user_id=other, secret="", started_at=NOW - DAY, confirmed_at=NOW - DAY))
    apply(database, by)
    for row in (waiting, begun):
        assert_moved(database, row, by)
    assert_moved(database, used, timedelta(0))


@both_ways
def test_work_that_is_over_does_not_move(database: Database, by: timedelta) -> None:
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=NOW - DAY)
    commands.answer(database, 1, ok=True, result="taken", now=NOW - DAY)
    phone_calls.update_state(database, call, CallState.DONE, NOW - DAY)
    with database.read() as session:
        rows: list[Base] = [session.get_one(Command, 1), session.get_one(PhoneCall, call)]
    apply(database, by)
    for row in rows:
        assert_moved(database, row, timedelta(0))


@both_ways
def test_pause_of_all_calls_began_as_long_ago_as_before(database: Database, by: timedelta) -> None:
    pause.pause(database, Scope("mina", everything=True), "", NOW - HOUR)
    apply(database, by)
    with database.read() as session:
        assert pause.load_pause(session) == pause.Pause("mina", NOW - HOUR + by)


def test_nothing_expires_by_a_jump(database: Database) -> None:
    request = create_request(
        database, create_module(database, expire_after=3600), registered_at=NOW - MINUTE, first_called_at=NOW - MINUTE
    )
    apply(database, JUMP)
    expire(database, NOW + JUMP)
    assert reload(database, request).status == Status.WAITING.value


@both_ways
def test_jump_is_noted_for_the_panel(database: Database, by: timedelta) -> None:
    create_running_service(database, heartbeat=NOW)
    apply(database, by)
    with database.read() as session:
        state = pbx_state.worker_state(session)
    assert (state.jumped_at, state.jump_seconds) == (NOW + by, by.total_seconds())
    assert pbx_state.has_jumped(state, NOW + by + DAY - SECOND) and not pbx_state.has_jumped(state, NOW + by + DAY)


# -- what the panel stores before the worker notices ----------------------------------------------------------------


@both_ways
def test_request_that_was_added_after_the_jump_does_not_move(database: Database, by: timedelta) -> None:
    added = NOW + by - SECOND / 2
    request = create_request(database, registered_at=added, first_called_at=added)
    command = commands.send(database, commands.CALL_NOW, {}, actor="sara", now=added)
    apply(database, by)
    assert_moved(database, request, timedelta(0))
    with database.read() as session:
        assert session.get_one(Command, command).expires_at == added + commands.TIME_TO_LIVE


@given(
    by=st.floats(-1e6, 1e6).filter(lambda seconds: abs(seconds) > 3).map(lambda seconds: timedelta(seconds=seconds)),
    unseen=st.floats(0, 100).map(lambda seconds: timedelta(seconds=seconds)),
    age=st.floats(0, 1),
)
def test_moment_after_the_jump_is_never_taken_for_one_before(by: timedelta, unseen: timedelta, age: float) -> None:
    """`age`: when, between the last look at the clock and now, the clock jumped and then the moment was stored."""
    jump = Jump(by, NOW + by, NOW - unseen)
    assert not jump.is_before(NOW + by - age * unseen + timedelta(microseconds=1), NOW + by + SECOND)


@given(
    by=st.floats(3, 1e6).map(lambda seconds: timedelta(seconds=seconds)),
    unseen=st.floats(0, 100).map(lambda seconds: timedelta(seconds=seconds)),
    age=st.floats(0, 1e7).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_moment_before_a_jump_forward_is_always_moved(by: timedelta, unseen: timedelta, age: timedelta) -> None:
    assert Jump(by, NOW + by, NOW - unseen).is_before(NOW - age, NOW + by)


# -- a jump while no worker runs ------------------------------------------------------------------------------------


def stop_worker(database: Database, **kwargs: Any) -> None:
    """Store the state of a worker that has stopped at NOW."""
    values = {"heartbeat": NOW, "boot_id": "this", "booted_at": NOW - UPTIME}
    create_running_service(database, **(values | kwargs))


def find(database: Database, later: timedelta, by: timedelta, boot: str = "this") -> Jump | None:
    """Return the jump that a worker finds that starts some time later."""
    since_boot = UPTIME + later if boot == "this" else later / 2
    return clock_jump.find_since_stop(database, NOW + later + by, since_boot, boot)


@both_ways
@pytest.mark.parametrize("later", [SECOND, HOUR, DAY])
def test_jump_while_the_worker_was_stopped_is_known(database: Database, by: timedelta, later: timedelta) -> None:
    stop_worker(database)
    jump = find(database, later, by)
    assert jump == Jump(by, NOW + later + by, NOW)


@pytest.mark.parametrize("by", [timedelta(0), 2 * SECOND, -2 * SECOND])
def test_small_correction_is_no_jump(database: Database, by: timedelta) -> None:
    stop_worker(database)
    assert find(database, HOUR, by) is None


def test_clock_that_says_less_than_the_last_heartbeat_was_put_back(database: Database) -> None:
    stop_worker(database)
    jump = find(database, MINUTE, -JUMP, boot="another")
    assert jump is not None and jump.by == MINUTE - JUMP


@pytest.mark.parametrize("boot", ["another", ""])
def test_jump_forward_with_a_restart_of_the_machine_looks_like_time(database: Database, boot: str) -> None:
    stop_worker(database)
    assert find(database, MINUTE, JUMP, boot=boot) is None


def test_first_worker_finds_no_jump(database: Database) -> None:
    assert find(database, MINUTE, JUMP) is None


def test_request_that_was_added_since_a_restart_of_the_machine_does_not_move(database: Database) -> None:
    stop_worker(database)
    now = NOW + MINUTE - JUMP
    added = create_request(database, number="+989120000001", registered_at=now - SECOND, first_called_at=now - SECOND)
    older = create_request(database, number="+989120000002", registered_at=NOW - MINUTE, first_called_at=NOW - MINUTE)
    jump = find(database, MINUTE, -JUMP, boot="another")
    assert jump is not None
    clock_jump.apply(database, jump, lambda: now)
    assert reload(database, added).registered_at == now - SECOND
    assert reload(database, older).registered_at == now - MINUTE


# -- what cannot be -------------------------------------------------------------------------------------------------


def test_past_moments_of_the_future_become_now(database: Database) -> None:
    request = create_request(database, registered_at=NOW + HOUR, first_called_at=NOW - HOUR, free_at=NOW + HOUR)
    attempt = create_attempt(database, request, started_at=NOW + HOUR)
    line = create_line(database, since=NOW + HOUR)
    clock_jump.limit(database, NOW)
    stored = reload(database, request)
    assert (stored.registered_at, stored.first_called_at, stored.free_at) == (NOW, NOW - HOUR, NOW)
    assert (reload(database, attempt).started_at, reload(database, line).since) == (NOW, NOW)


@pytest.mark.parametrize(("pause", "longest"), [(60, LONGEST_PAUSE), (7200, 2 * HOUR)])
def test_pauses_are_no_longer_than_their_rule(database: Database, pause: int, longest: timedelta) -> None:
    module = create_module(database, retry_pauses=[60, pause], busy_pause=0, agent_pause=pause)
    request = create_request(database, module, not_before=NOW + DAY, postponed_until=NOW + DAY)
    short = create_request(database, module, number="+989120000001", not_before=NOW + MINUTE)
    attempt = create_attempt(
        database, request, ended_at=NOW, agent_pause_until=NOW + DAY, request_pause_until=NOW + MINUTE
    )
    clock_jump.limit(database, NOW)
    assert reload(database, request).not_before == NOW + longest
    assert reload(database, request).postponed_until == NOW + DAY
    assert reload(database, short).not_before == NOW + MINUTE
    assert reload(database, attempt).agent_pause_until == NOW + longest
    assert reload(database, attempt).request_pause_until == NOW + MINUTE


# -- all moments ----------------------------------------------------------------------------------------------------

# These do not move: they are by the calendar, belong to the past for good, or are not judged by the worker.
STAY = {
    *{("contacts", "created_at"), ("contacts", "updated_at"), ("contact_imports", "created_at")},
    ("looked_up_names", "asked_at"),  # in the future, it counts as never asked
    ("call_requests", "postponed_until"),
    ("call_requests", "held_until"),
    ("worker_state", "jumped_at"),
    ("last_talks", "at"),
    ("users", "created_at"),
    ("exchanges", "created_at"),
    ("user_identities", "linked_at"),
    ("second_factors", "confirmed_at"),
    ("modules", "created_at"),
    ("modules", "updated_at"),
    ("recordings", "created_at"),
    ("log_entries", "at"),
    ("listed_numbers", "created_at"),
    ("number_rules", "created_at"),
    ("special_days", "created_at"),
    ("refused_registrations", "hour"),
    ("kept_registrations", "called_at"),
    ("kept_registrations", "stored_at"),
    ("saved_filters", "created_at"),
    ("api_tokens", "created_at"),
    ("api_tokens", "expires_at"),
    ("counts", "until"),
    ("website_forms", "created_at"),
}


def test_each_moment_moves_or_is_known_to_stay() -> None:
    every = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, UtcDateTime)
    }
    moved = {(r.table.__tablename__, name) for r in RUNNING for name in (*r.happened, *r.ends)}
    assert moved | STAY == every and not moved & STAY


# -- the heartbeat --------------------------------------------------------------------------------------------------


def age_heartbeat(age: timedelta, **kwargs: Any) -> WorkerState:
    """Return the state of a worker whose last heartbeat on this machine is of this age."""
    heartbeat = NOW - age
    values = {"heartbeat": heartbeat, "poll_seconds": 5.0, "boot_id": boot_id(), "booted_at": NOW - uptime()}
    return WorkerState(id=1, **(values | kwargs))


@pytest.mark.parametrize(("age", "runs"), [(MINUTE / 6, True), (MINUTE, False)])
@pytest.mark.parametrize("now", [NOW, NOW + JUMP, NOW - JUMP])
def test_age_of_the_heartbeat_does_not_depend_on_the_wall_clock(age: timedelta, runs: bool, now: datetime) -> None:
    assert pbx_state.has_heartbeat(age_heartbeat(age), now) is runs


@pytest.mark.parametrize(
    ("now", "runs"), [(NOW, True), (NOW + MINUTE, False), (NOW - SECOND, True), (NOW - JUMP, False)]
)
def test_heartbeat_of_another_start_of_the_machine_counts_by_the_wall_clock(now: datetime, runs: bool) -> None:
    state = age_heartbeat(timedelta(0), boot_id="another")
    assert pbx_state.has_heartbeat(state, now) is runs
