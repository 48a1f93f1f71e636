"""Commands: asked as rows, taken in order, never done when too late, answered once."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.services.commands import (
    CALL_NOW,
    CANCEL,
    KEPT,
    LONGEST_RESULT,
    TIME_TO_LIVE,
    WRITE_DIALPLAN,
    answer,
    ask,
    forget_old,
    open_commands,
    wait_for,
)
from app.store.database import Database
from app.store.models import Command
from tests.support.factories import NOW, at_once

SECOND = timedelta(seconds=1)


def load(database: Database, command_id: int) -> Command:
    with database.read() as session:
        return session.get_one(Command, command_id)


def test_a_command_is_stored_as_it_was_asked(database: Database) -> None:
    command_id = ask(database, CALL_NOW, {"request": 7, "agent": None}, actor="sara", now=NOW)
    command = load(database, command_id)
    assert (command.kind, command.payload, command.actor) == (CALL_NOW, {"request": 7, "agent": None}, "sara")
    assert (command.created_at, command.expires_at) == (NOW, NOW + TIME_TO_LIVE)
    assert (command.done_at, command.ok, command.result) == (None, None, "")


def test_a_command_asked_without_a_moment_is_asked_now(database: Database) -> None:
    before = datetime.now(UTC)
    command = load(database, ask(database, CANCEL, {"request": 7}, actor="sara"))
    assert before <= command.created_at <= datetime.now(UTC)


def test_commands_are_taken_in_the_order_in_which_they_were_asked(database: Database) -> None:
    ids = [ask(database, CANCEL, {"request": n}, actor="sara", now=NOW) for n in range(3)]
    taken = open_commands(database, NOW)
    assert [command.id for command in taken] == ids
    assert taken[1].payload == {"request": 1}  # readable although the session is closed


def test_an_answered_command_is_not_taken_again(database: Database) -> None:
    first, second = (ask(database, CANCEL, {"request": n}, actor="sara", now=NOW) for n in range(2))
    answer(database, first, ok=True, result="done", now=NOW)
    assert [command.id for command in open_commands(database, NOW)] == [second]


@pytest.mark.parametrize(
    ("age", "taken"), [(TIME_TO_LIVE - SECOND, True), (TIME_TO_LIVE, False), (2 * TIME_TO_LIVE, False)]
)
def test_a_command_that_has_expired_is_answered_and_never_done(database: Database, age: timedelta, taken: bool) -> None:
    """Whoever pressed the button has been told that nothing happened; so nothing may happen afterwards."""
    command_id = ask(database, CALL_NOW, {"request": 7}, actor="sara", now=NOW)
    assert [command.id for command in open_commands(database, NOW + age)] == ([command_id] if taken else [])
    command = load(database, command_id)
    expected = (None, None, "") if taken else (NOW + age, False, "expired")
    assert (command.done_at, command.ok, command.result) == expected
    assert open_commands(database, NOW + 3 * TIME_TO_LIVE) == []


def test_the_expired_do_not_hide_the_fresh(database: Database) -> None:
    ask(database, CANCEL, {"request": 1}, actor="sara", now=NOW - TIME_TO_LIVE)
    fresh = ask(database, CANCEL, {"request": 2}, actor="sara", now=NOW)
    assert [command.id for command in open_commands(database, NOW)] == [fresh]


def test_the_first_answer_counts(database: Database) -> None:
    command_id = ask(database, CANCEL, {"request": 7}, actor="sara", now=NOW)
    answer(database, command_id, ok=True, result="done", now=NOW)
    answer(database, command_id, ok=False, result="too late", now=NOW + SECOND)
    command = load(database, command_id)
    assert (command.done_at, command.ok, command.result) == (NOW, True, "done")


def test_an_answer_to_an_expired_command_is_too_late(database: Database) -> None:
    command_id = ask(database, CANCEL, {"request": 7}, actor="sara", now=NOW)
    open_commands(database, NOW + TIME_TO_LIVE)
    answer(database, command_id, ok=True, result="done", now=NOW + TIME_TO_LIVE)
    assert load(database, command_id).result == "expired"


def test_an_answer_to_nothing_changes_nothing(database: Database) -> None:
    answer(database, 4711, ok=True, result="done", now=NOW)
    with database.read() as session:
        assert session.scalars(select(Command)).all() == []


def test_an_overlong_answer_is_cut(database: Database) -> None:
    command_id = ask(database, CANCEL, {"request": 7}, actor="sara", now=NOW)
    answer(database, command_id, ok=False, result="x" * 5000, now=NOW)
    assert load(database, command_id).result == "x" * LONGEST_RESULT


def test_many_pages_ask_at_once_and_nothing_is_lost(database: Database) -> None:
    ids = at_once([lambda n=n: ask(database, CANCEL, {"request": n}, actor="sara", now=NOW) for n in range(12)])
    taken = open_commands(database, NOW)
    assert sorted(ids) == [command.id for command in taken]
    assert {command.payload["request"] for command in taken} == set(range(12))


def test_a_page_waits_until_the_answer_is_there(database: Database) -> None:
    """The answer comes from another thread, after the page has looked in vain at least once."""
    command_id = ask(database, CANCEL, {"request": 7}, actor="sara", now=NOW)
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
    command = wait_for(database, command_id, seconds=30, pause=pause)
    thread.join()
    assert command is not None
    assert (command.ok, command.result) == (True, "done")


def test_a_page_does_not_wait_for_ever(database: Database) -> None:
    command_id = ask(database, CANCEL, {"request": 7}, actor="sara", now=NOW)
    pauses: list[float] = []
    assert wait_for(database, command_id, seconds=0, pause=pauses.append) is None
    assert wait_for(database, 4711, seconds=0, pause=pauses.append) is None
    assert pauses == []


def test_what_was_answered_long_ago_is_forgotten(database: Database) -> None:
    old, fresh, unanswered = (ask(database, CANCEL, {"request": n}, actor="sara", now=NOW) for n in range(3))
    answer(database, old, ok=True, result="done", now=NOW)
    answer(database, fresh, ok=True, result="done", now=NOW + SECOND)
    assert forget_old(database, NOW + KEPT - SECOND) == 0
    assert forget_old(database, NOW + KEPT) == 1
    with database.read() as session:
        assert list(session.scalars(select(Command.id).order_by(Command.id))) == [fresh, unanswered]


def test_the_newest_order_to_write_the_dialplan_is_never_forgotten(database: Database) -> None:
    orders = [ask(database, WRITE_DIALPLAN, {}, actor="sara", now=NOW) for _ in range(3)]
    last = ask(database, CANCEL, {"request": 1}, actor="sara", now=NOW)
    for command in (*orders, last):
        answer(database, command, ok=False, result="not_connected", now=NOW)
    assert forget_old(database, NOW + 9 * KEPT) == 2
    with database.read() as session:
        assert list(session.scalars(select(Command.id).order_by(Command.id))) == [orders[2], last]


def test_no_number_of_a_command_is_given_again(database: Database) -> None:
    """The telephone service remembers which it has begun, and would leave the new one lying."""
    old = [ask(database, CANCEL, {"request": n}, actor="sara", now=NOW) for n in range(3)]
    for command in old:
        answer(database, command, ok=True, result="done", now=NOW)
    assert forget_old(database, NOW + 9 * KEPT) == 2
    assert ask(database, CANCEL, {"request": 4}, actor="sara", now=NOW) not in old
