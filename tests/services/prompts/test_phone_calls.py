"""Calls of the studio as rows: asked by a page, taken once and in time, and over when they are over."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.audio.prompt_texts import default_text
from app.domain.phone_calls import FINAL, CallFailure, CallKind, CallState
from app.services import commands
from app.services.errors import Invalid, NotFound
from app.services.prompts import phone_calls
from app.store.database import Database
from app.store.models import Command, PhoneCall, Recording
from tests.support.factories import NOW, create_recording, create_running_service

SECOND = timedelta(seconds=1)


def ask(database: Database, **changes: Any) -> str:
    values: dict[str, Any] = {"extension": "101", "language": "fa", "name": "خوشامد", "text": "سلام"}
    return phone_calls.create_recording_call(database, **(values | changes), actor="sara", now=NOW)


def asked(database: Database) -> list[tuple[str, dict[str, Any]]]:
    with database.read() as session:
        return [(c.kind, c.payload) for c in session.scalars(select(Command).order_by(Command.id))]


def test_recording_is_asked_for_by_a_row_and_a_command(database: Database) -> None:
    call = ask(database, name=" خوشامد ")
    view = phone_calls.load(database, call, NOW)
    assert (view.kind, view.extension, view.language, view.name) == (CallKind.RECORD, "101", "fa", "خوشامد")
    assert (view.text, view.state, view.detail, view.file) == ("سلام", CallState.REQUESTED, "", None)
    assert (view.created_by, view.created_at, view.is_over) == ("sara", NOW, False)
    assert asked(database) == [(commands.MAKE_PHONE_CALL, {"call": call})]


def test_test_call_says_what_will_be_heard(database: Database) -> None:
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=NOW)
    view = phone_calls.load(database, call, NOW)
    assert (view.kind, view.text) == (CallKind.TEST, default_text("phone_call_test", "en"))
    assert asked(database) == [(commands.MAKE_PHONE_CALL, {"call": call})]


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"extension": ""}, {"extension": "required"}),
        ({"extension": "101&102"}, {"extension": "code"}),
        ({"extension": "1" * 21}, {"extension": "code"}),
        ({"extension": "101\n"}, {"extension": "code"}),
        ({"language": "de"}, {"language": "choice"}),
        ({"name": "  "}, {"name": "required"}),
        ({"name": "x" * 81}, {"name": "too_long"}),
        ({"name": "a\u202eb"}, {"name": "characters"}),
        ({"text": "x" * 1501}, {"text": "too_long"}),
        ({"name": "", "extension": "x"}, {"name": "required", "extension": "code"}),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(
    database: Database, changes: dict[str, str], errors: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        ask(database, **changes)
    assert refused.value.errors == errors
    assert asked(database) == []


def test_call_that_nobody_takes_is_shown_as_failed(database: Database) -> None:
    call = ask(database)
    assert phone_calls.load(database, call, NOW + phone_calls.CLAIM_TIMEOUT - SECOND).state is CallState.REQUESTED
    view = phone_calls.load(database, call, NOW + phone_calls.CLAIM_TIMEOUT)
    assert (view.state, view.detail, view.is_over) == (CallState.FAILED, CallFailure.SERVICE_DOWN.value, True)


def test_call_in_the_middle_fails_with_its_service(database: Database) -> None:
    state = create_running_service(database)
    assert state.heartbeat is not None
    call = ask(database)
    assert phone_calls.claim(database, call, NOW) is not None
    assert phone_calls.load(database, call, state.heartbeat).state is CallState.RINGING
    late = phone_calls.load(database, call, state.heartbeat + timedelta(minutes=1))
    assert (late.state, late.detail) == (CallState.FAILED, CallFailure.SERVICE_DOWN.value)


def test_call_is_taken_once_and_in_time(database: Database) -> None:
    first, late = ask(database), ask(database)
    taken = phone_calls.claim(database, first, NOW + SECOND)
    assert taken is not None and taken.id == first
    assert phone_calls.claim(database, first, NOW + SECOND) is None
    assert phone_calls.claim(database, late, NOW + phone_calls.CLAIM_TIMEOUT) is None
    assert phone_calls.load(database, late, NOW).detail == CallFailure.TOO_LATE.value
    assert phone_calls.claim(database, "nothing", NOW) is None


def test_call_goes_on_until_it_is_over(database: Database) -> None:
    call = ask(database)
    file = create_recording(database, "uploads/a.wav").file
    for state in (CallState.RINGING, CallState.ANSWERED, CallState.RECORDING, CallState.CHOOSING, CallState.RECORDING):
        assert phone_calls.update_state(database, call, state, NOW + SECOND)
    assert phone_calls.update_state(database, call, CallState.SAVED, NOW + 2 * SECOND, file=file)
    assert not phone_calls.update_state(database, call, CallState.FAILED, NOW + 3 * SECOND, detail="hung_up")
    view = phone_calls.load(database, call, NOW)
    assert (view.state, view.file, view.detail, view.updated_at) == (CallState.SAVED, file, "", NOW + 2 * SECOND)
    assert not phone_calls.update_state(database, "nothing", CallState.RINGING, NOW)


def test_call_is_cancelled_while_it_lasts(database: Database) -> None:
    call, done = ask(database), ask(database)
    phone_calls.update_state(database, done, CallState.DONE, NOW)
    for each in (call, done):
        phone_calls.cancel(database, each, "sara", NOW)
    assert phone_calls.load(database, call, NOW).state is CallState.CANCELLED
    assert phone_calls.load(database, done, NOW).state is CallState.DONE
    assert asked(database)[2:] == [(commands.CANCEL_PHONE_CALL, {"call": call})]
    assert phone_calls.claim(database, call, NOW) is None


def test_what_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        phone_calls.load(database, "nothing", NOW)
    with pytest.raises(NotFound):
        phone_calls.cancel(database, "nothing", "sara", NOW)


def test_service_that_begins_gives_up_what_another_left(database: Database) -> None:
    middle, old, fresh, over = ask(database), ask(database), ask(database), ask(database)
    phone_calls.update_state(database, middle, CallState.RECORDING, NOW)
    phone_calls.update_state(database, over, CallState.DONE, NOW)
    with database.write() as session:
        session.get_one(PhoneCall, old).created_at = NOW - phone_calls.CLAIM_TIMEOUT
    assert set(phone_calls.fail_abandoned(database, NOW)) == {middle, old}
    states = {call: phone_calls.load(database, call, NOW).state for call in (middle, old, fresh, over)}
    assert states == {middle: CallState.FAILED, old: CallState.FAILED, fresh: CallState.REQUESTED, over: CallState.DONE}


def test_calls_that_were_over_long_ago_are_forgotten_and_what_they_recorded_is_not(database: Database) -> None:
    kept, fresh, middle = ask(database), ask(database), ask(database)
    file = create_recording(database, "uploads/a.wav").file
    phone_calls.update_state(database, kept, CallState.SAVED, NOW, file=file)
    phone_calls.update_state(database, fresh, CallState.FAILED, NOW + SECOND, detail="busy")
    phone_calls.update_state(database, middle, CallState.RECORDING, NOW)
    assert phone_calls.delete_old(database, NOW + phone_calls.RETENTION - SECOND) == 0
    assert phone_calls.delete_old(database, NOW + phone_calls.RETENTION) == 1
    with database.read() as session:
        assert set(session.scalars(select(PhoneCall.id))) == {fresh, middle}
        assert session.get(Recording, file) is not None


def test_the_states_that_are_final() -> None:
    assert {state.value for state in FINAL} == {"kept", "done", "failed", "cancelled"}
