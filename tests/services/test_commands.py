"""Commands: stored by the panel, returned in order, never executed once expired, answered once."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from app.services.commands import (
    CALL_NOW,
    CANCEL,
    KEEP_ANSWERED,
    MAX_RESULT_LENGTH,
    TIME_TO_LIVE,
    WRITE_DIALPLAN,
    answer,
    delete_old,
    open_commands,
    send,
    wait_for_answer,
)
from app.store.database import Database
from app.store.models import Command
from tests.support.factories import NOW, run_at_once

SECOND = timedelta(seconds=1)


def load(database: Database, command_id: int) -> Command:
    with database.read() as session:
        return session.get_one(Command, command_id)


def ids_of(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(select(Command.id).order_by(Command.id)))


def send_cancel(database: Database, request: int = 7) -> int:
    return send(database, CANCEL, {"request": request}, actor="sara", now=NOW)


def test_a_command_is_stored(database: Database) -> None:
    command_id = send(database, CALL_NOW, {"request": 7, "agent": None}, actor="sara", now=NOW)
    command = load(database, command_id)
    assert (command.kind, command.payload, command.actor) == (CALL_NOW, {"request": 7, "agent": None}, "sara")
    assert (command.created_at, command.expires_at) == (NOW, NOW + TIME_TO_LIVE)
    assert (command.done_at, command.ok, command.result) == (None, None, "")


def test_open_commands_come_in_the_order_of_sending_without_answered_ones(database: Database) -> None:
    first, second, third = (send_cancel(database, n) for n in range(3))
    answer(database, second, ok=True, result="done", now=NOW)
    found = open_commands(database, NOW)
    assert [command.id for command in found] == [first, third]
    assert found[1].payload == {"request": 2}  # readable although the session is closed


def test_looking_at_commands_needs_no_turn_to_write(database: Database) -> None:
    """The worker looks at every change of the database, also while many callers register."""
    assert open_commands(database, NOW) == []
    sent = send_cancel(database)
    with database.write():
        assert [command.id for command in run_at_once([lambda: open_commands(database, NOW)])[0]] == [sent]


@pytest.mark.parametrize(("age", "fresh"), [(TIME_TO_LIVE - SECOND, True), (TIME_TO_LIVE, False)])
def test_an_expired_command_is_answered_and_left_out(database: Database, age: timedelta, fresh: bool) -> None:
    """The page has already told the user that nothing happened, so nothing may happen later."""
    command_id = send_cancel(database)
    newer = send(database, CANCEL, {"request": 8}, actor="sara", now=NOW + age)
    found = [command.id for command in open_commands(database, NOW + age)]
    assert found == ([command_id, newer] if fresh else [newer])
    command = load(database, command_id)
    expected = (None, None, "") if fresh else (NOW + age, False, "expired")
    assert (command.done_at, command.ok, command.result) == expected
    assert open_commands(database, NOW + 3 * TIME_TO_LIVE) == []


def test_the_first_answer_counts(database: Database) -> None:
    command_id = send_cancel(database)
    answer(database, command_id, ok=True, result="done", now=NOW)
    answer(database, command_id, ok=False, result="too late", now=NOW + SECOND)
    command = load(database, command_id)
    assert (command.done_at, command.ok, command.result) == (NOW, True, "done")


def test_an_answer_after_the_expiry_is_ignored(database: Database) -> None:
    command_id = send_cancel(database)
    open_commands(database, NOW + TIME_TO_LIVE)
    answer(database, command_id, ok=True, result="done", now=NOW + TIME_TO_LIVE)
    assert load(database, command_id).result == "expired"


def test_an_answer_to_a_missing_command_is_ignored(database: Database) -> None:
    answer(database, 4711, ok=True, result="done", now=NOW)
    assert ids_of(database) == []


def test_a_long_result_is_cut(database: Database) -> None:
    command_id = send_cancel(database)
    answer(database, command_id, ok=False, result="x" * 5000, now=NOW)
    assert load(database, command_id).result == "x" * MAX_RESULT_LENGTH


def test_commands_sent_at_the_same_time_are_all_stored(database: Database) -> None:
    ids = run_at_once([partial(send_cancel, database, n) for n in range(12)])
    found = open_commands(database, NOW)
    assert sorted(ids) == [command.id for command in found]
    assert {command.payload["request"] for command in found} == set(range(12))


def test_waiting_ends_with_the_answer(database: Database) -> None:
    """The answer comes from another thread, after the first look."""
    command_id = send_cancel(database)
    looked, answered = threading.Event(), threading.Event()

    def worker() -> None:
        assert looked.wait(30)
        answer(database, command_id, ok=True, result="done", now=NOW)
        answered.set()

    def pause(_: float) -> None:
        looked.set()
        assert answered.wait(30)

    thread = threading.Thread(target=worker)
    thread.start()
    command = wait_for_answer(database, command_id, seconds=30, pause=pause)
    thread.join()
    assert command is not None
    assert (command.ok, command.result) == (True, "done")


def test_waiting_ends_with_the_time(database: Database) -> None:
    pauses: list[float] = []
    assert wait_for_answer(database, send_cancel(database), seconds=0, pause=pauses.append) is None
    assert wait_for_answer(database, 4711, seconds=0, pause=pauses.append) is None
    assert pauses == []


def test_commands_answered_long_ago_are_deleted(database: Database) -> None:
    old, fresh, unanswered = (send_cancel(database, n) for n in range(3))
    answer(database, old, ok=True, result="done", now=NOW)
    answer(database, fresh, ok=True, result="done", now=NOW + SECOND)
    assert delete_old(database, NOW + KEEP_ANSWERED - SECOND) == 0
    assert delete_old(database, NOW + KEEP_ANSWERED) == 1
    assert ids_of(database) == [fresh, unanswered]


def test_the_newest_command_and_the_newest_dialplan_command_stay(database: Database) -> None:
    """The panel reads the one; without the other SQLite would reuse an id that the worker has executed."""
    dialplan = [send(database, WRITE_DIALPLAN, {}, actor="sara", now=NOW) for _ in range(3)]
    last = send_cancel(database)
    for command in (*dialplan, last):
        answer(database, command, ok=False, result="not_connected", now=NOW)
    assert delete_old(database, NOW + 9 * KEEP_ANSWERED) == 2
    assert ids_of(database) == [dialplan[2], last]
    assert send_cancel(database) > last
