"""Phone calls as rows: created by a page, claimed once and in time, and over when they are over."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.audio.prompt_texts import default_text
from app.domain.phone_calls import CallFailure, CallKind, CallState
from app.services import commands
from app.services.errors import Invalid, NotFound
from app.services.prompts import phone_calls
from app.services.prompts.phone_calls import CLAIM_TIMEOUT, RETENTION
from app.store.database import Database
from app.store.models import Command, PhoneCall, Recording
from tests.support.factories import NOW, create_recording, create_running_service

SECOND = timedelta(seconds=1)


def create(database: Database, **changes: Any) -> str:
    values: dict[str, Any] = {"extension": "101", "language": "fa", "name": "خوشامد", "text": "سلام"}
    return phone_calls.create_recording_call(database, **(values | changes), actor="sara", now=NOW)


def list_commands(database: Database) -> list[tuple[str, dict[str, Any]]]:
    with database.read() as session:
        return [(c.kind, c.payload) for c in session.scalars(select(Command).order_by(Command.id))]


def test_recording_call_is_a_row_and_a_command(database: Database) -> None:
    call = create(database, name=" خوشامد ")
    view = phone_calls.load(database, call, NOW)
    assert (view.kind, view.extension, view.language, view.name) == (CallKind.RECORD, "101", "fa", "خوشامد")
    assert (view.text, view.state, view.detail, view.file) == ("سلام", CallState.REQUESTED, "", None)
    assert (view.created_by, view.created_at, view.is_over) == ("sara", NOW, False)
    assert list_commands(database) == [(commands.MAKE_PHONE_CALL, {"call": call})]


def test_test_call_has_a_text(database: Database) -> None:
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=NOW)
    view = phone_calls.load(database, call, NOW)
    assert (view.kind, view.text) == (CallKind.TEST, default_text("phone_call_test", "en"))
    assert list_commands(database) == [(commands.MAKE_PHONE_CALL, {"call": call})]


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
def test_invalid_fields_are_refused(database: Database, changes: dict[str, str], errors: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        create(database, **changes)
    assert refused.value.errors == errors
    assert list_commands(database) == []


def test_unclaimed_call_is_shown_as_failed(database: Database) -> None:
    call = create(database)
    assert phone_calls.load(database, call, NOW + CLAIM_TIMEOUT - SECOND).state is CallState.REQUESTED
    view = phone_calls.load(database, call, NOW + CLAIM_TIMEOUT)
    assert (view.state, view.detail, view.is_over) == (CallState.FAILED, CallFailure.SERVICE_DOWN.value, True)


def test_active_call_fails_with_its_worker(database: Database) -> None:
    state = create_running_service(database)
    assert state.heartbeat is not None
    call = create(database)
    assert phone_calls.claim(database, call, NOW) is not None
    assert phone_calls.load(database, call, state.heartbeat).state is CallState.RINGING
    view = phone_calls.load(database, call, state.heartbeat + timedelta(minutes=1))
    assert (view.state, view.detail) == (CallState.FAILED, CallFailure.SERVICE_DOWN.value)


def test_call_is_claimed_once_and_in_time(database: Database) -> None:
    first, late = create(database), create(database)
    claimed = phone_calls.claim(database, first, NOW + SECOND)
    assert claimed is not None and claimed.id == first
    assert phone_calls.claim(database, first, NOW + SECOND) is None
    assert phone_calls.claim(database, late, NOW + CLAIM_TIMEOUT) is None
    assert phone_calls.load(database, late, NOW).detail == CallFailure.TOO_LATE.value
    assert phone_calls.claim(database, "unknown", NOW) is None


def test_call_changes_until_it_is_over(database: Database) -> None:
    call = create(database)
    file = create_recording(database, "uploads/a.wav").file
    for state in (CallState.RINGING, CallState.ANSWERED, CallState.RECORDING, CallState.CHOOSING, CallState.RECORDING):
        assert phone_calls.update_state(database, call, state, NOW + SECOND)
    assert phone_calls.update_state(database, call, CallState.SAVED, NOW + 2 * SECOND, file=file)
    assert not phone_calls.update_state(database, call, CallState.FAILED, NOW + 3 * SECOND, detail="hung_up")
    view = phone_calls.load(database, call, NOW)
    assert (view.state, view.file, view.detail, view.updated_at) == (CallState.SAVED, file, "", NOW + 2 * SECOND)
    assert not phone_calls.update_state(database, "unknown", CallState.RINGING, NOW)


def test_cancel_ends_a_call_that_is_not_over(database: Database) -> None:
    call, done = create(database), create(database)
    phone_calls.update_state(database, done, CallState.DONE, NOW)
    for each in (call, done):
        phone_calls.cancel(database, each, "sara", NOW)
    assert phone_calls.load(database, call, NOW).state is CallState.CANCELLED
    assert phone_calls.load(database, done, NOW).state is CallState.DONE
    assert list_commands(database)[2:] == [(commands.CANCEL_PHONE_CALL, {"call": call})]
    assert phone_calls.claim(database, call, NOW) is None


def test_unknown_call_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        phone_calls.load(database, "unknown", NOW)
    with pytest.raises(NotFound):
        phone_calls.cancel(database, "unknown", "sara", NOW)


def test_calls_of_a_previous_worker_are_failed(database: Database) -> None:
    active, old, new, over = create(database), create(database), create(database), create(database)
    phone_calls.update_state(database, active, CallState.RECORDING, NOW)
    phone_calls.update_state(database, over, CallState.DONE, NOW)
    with database.write() as session:
        session.get_one(PhoneCall, old).created_at = NOW - CLAIM_TIMEOUT
    assert set(phone_calls.fail_abandoned(database, NOW)) == {active, old}
    states = {call: phone_calls.load(database, call, NOW).state for call in (active, old, new, over)}
    assert states == {
        active: CallState.FAILED,
        old: CallState.FAILED,
        new: CallState.REQUESTED,
        over: CallState.DONE,
    }


def test_old_calls_are_deleted_without_their_recordings(database: Database) -> None:
    old, newer, active = create(database), create(database), create(database)
    file = create_recording(database, "uploads/a.wav").file
    phone_calls.update_state(database, old, CallState.SAVED, NOW, file=file)
    phone_calls.update_state(database, newer, CallState.FAILED, NOW + SECOND, detail="busy")
    phone_calls.update_state(database, active, CallState.RECORDING, NOW)
    assert phone_calls.delete_old(database, NOW + RETENTION - SECOND) == 0
    assert phone_calls.delete_old(database, NOW + RETENTION) == 1
    with database.read() as session:
        assert set(session.scalars(select(PhoneCall.id))) == {newer, active}
        assert session.get(Recording, file) is not None
