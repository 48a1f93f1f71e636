"""Recording by phone: the state of a call in words."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.domain.phone_calls import CallFailure, CallState
from app.services import commands, users
from app.services.prompts import phone_calls
from app.store.database import Database
from app.store.models import Command, PhoneCall
from app.web.locale import use_locale
from app.web.prompts import wording
from tests.support.factories import NOW, create_recording, create_running_service, store
from tests.web.pages import Visitor, text

BY_PHONE = "/recordings/by-phone"
CALL_ID = "00000000-0000-0000-0000-000000000001"
FIELDS = {"extension": "۱۰۱", "language": "fa", "name": "خوشامد", "text": "سلام"}


def list_calls(database: Database) -> list[PhoneCall]:
    with database.read() as session:
        return list(session.scalars(select(PhoneCall)))


def create_call(database: Database, state: str, detail: str = "") -> None:
    call = PhoneCall(id=CALL_ID, kind="record", extension="101", language="en", state=state, detail=detail)
    call.created_at = call.updated_at = NOW
    store(database, call)


def test_call_is_followed_to_its_recording(admin: Visitor, database: Database) -> None:
    create_running_service(database)
    shown = admin.press(BY_PHONE, FIELDS).one("div", class_="phone-call")
    (call,) = list_calls(database)
    assert (call.extension, call.name, call.text, call.created_by) == ("101", "خوشامد", "سلام", "sara")
    url = str(shown.get("data-url"))
    for state in (CallState.RINGING, CallState.RECORDING, CallState.CHOOSING):
        phone_calls.update_state(database, call.id, state, NOW)
        shown = admin.ask(url).one("div", class_="phone-call")
        assert (shown.get("data-state"), shown.get("data-is-over")) == (state.value, None)
    file = create_recording(database, f"uploads/{'a' * 64}.wav").file
    phone_calls.update_state(database, call.id, CallState.SAVED, NOW, file=file)
    shown = admin.ask(url).one("div", class_="phone-call")
    assert shown.get("data-is-over") == ""
    admin.ask(str(shown.get("data-recording-url")))


def test_call_is_cancelled(admin: Visitor, database: Database) -> None:
    create_running_service(database)
    button = admin.press(BY_PHONE, FIELDS).one("button")
    shown = admin.press(str(button.get("data-cancel-call"))).one("div", class_="phone-call")
    assert shown.get("data-state") == "cancelled" and shown.get("data-recording-url") is None
    with database.read() as session:
        kinds = [command.kind for command in session.scalars(select(Command))]
    assert kinds == [commands.MAKE_PHONE_CALL, commands.CANCEL_PHONE_CALL]


@pytest.mark.parametrize("field", ["extension", "language", "name"])
def test_invalid_fields_are_named(admin: Visitor, database: Database, field: str) -> None:
    page = admin.post(BY_PHONE, FIELDS | {field: "\u202e"}, 422)
    assert page.source.startswith(f"{field.capitalize()}: ")
    assert page.response.content_type == "text/plain; charset=utf-8"
    assert list_calls(database) == []


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_failures_are_explained(app: Flask, database: Database, locale: str) -> None:
    users.set_locale(database, 1, locale)
    visitor = Visitor(app, 1, locale=locale)
    create_call(database, "failed")
    for failure in CallFailure:
        with database.write() as session:
            session.get_one(PhoneCall, CALL_ID).detail = failure.value
        shown = text(visitor.ask(f"{BY_PHONE}/{CALL_ID}").one("div", class_="phone-call"))
        with app.test_request_context(), use_locale(locale):
            assert str(wording.PHONE_CALL_FAILURE[failure]) in shown


def test_worker_that_does_not_run_is_a_failure(admin: Visitor, database: Database) -> None:
    create_call(database, "asked")
    assert admin.ask(f"{BY_PHONE}/{CALL_ID}").one("div", class_="phone-call").get("data-state") == "failed"


def test_test_calls_and_unknown_calls_are_not_found(admin: Visitor, database: Database) -> None:
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=NOW)
    admin.get(f"{BY_PHONE}/{call}", 404)
    admin.get(f"{BY_PHONE}/{CALL_ID}", 404)
    admin.post(f"{BY_PHONE}/{CALL_ID}/cancel", {}, 404)
