"""Call now tells the truth: what rings, or for what the urgent call waits; and it can be withdrawn."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.domain.hours import NEVER, format_week
from app.domain.policy import ReasonCode
from app.services import commands
from app.services.requests import command_results, perform
from app.services.requests.results import ActionResult
from app.store.database import Database
from app.store.models import CallRequest, ExtensionRow, Module, QueueMemberRow, WorkerState
from app.store.settings import write_setting
from app.web.requests import urgent
from tests.web.pages import Visitor, text
from tests.web.requests.scene import load, now

CALL = "/requests/acts/call"


@pytest.fixture
def worker(app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute commands as the worker does, without dialling anybody."""

    def run(_database: Database, results: Sequence[ActionResult]) -> list[ActionResult]:
        for command in commands.open_commands(database, now()):
            outcome = perform.execute(database, command.kind, command.payload, command.actor, now())
            commands.answer(database, command.id, ok=outcome.ok, result=outcome.answer, now=now())
        return command_results.wait_for_results(database, results, seconds=0)

    monkeypatch.setattr("app.web.requests.actions.wait_for_results", run)


def change(database: Database, kind: type[Any], key: Any, **values: Any) -> None:
    with database.write() as session:
        row = session.get_one(kind, key)
        for name, value in values.items():
            setattr(row, name, value)


# reason -> (row of the database, its key, its values, what is said)
SCENES: dict[str, tuple[type[Any], Any, dict[str, Any], str, str]] = {
    "offline": (
        ExtensionRow,
        "101",
        {"state": "offline"},
        "info",
        "No phone rings yet: 101 is offline. It rings as soon as it is connected. The wish lasts until ",
    ),
    "busy": (ExtensionRow, "101", {"state": "in_call"}, "info", "101 is in a call. It rings as soon as it is free."),
    "dnd": (
        ExtensionRow,
        "101",
        {"state": "dnd"},
        "info",
        "101 is set to do not disturb. It rings as soon as do not disturb is switched off.",
    ),
    "not connected": (
        WorkerState,
        1,
        {"ami_status": "down"},
        "info",
        "not connected to the PBX. The call is made as soon as this is solved.",
    ),
    "closed": (
        Module,
        1,
        {"hours": format_week(NEVER)},
        "success",
        "101 rings first, then the customer. An urgent call does not wait for this: office closed",
    ),
    "by hand": (
        Module,
        1,
        {"automatic": False},
        "success",
        "An urgent call does not wait for this: automatic calls are off",
    ),
    "nothing": (ExtensionRow, "101", {"state": "free"}, "success", "101 rings first, then the customer."),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("htmx", [True, False])
def test_the_message_says_what_will_happen(
    operator: Visitor, database: Database, office: None, worker: None, name: str, htmx: bool
) -> None:
    kind, key, values, level, said = SCENES[name]
    change(database, ExtensionRow, "101", since=now() - timedelta(hours=1))
    change(database, WorkerState, 1, timezone="Asia/Tehran", region="IR")
    change(database, kind, key, **values)
    address = f"{CALL}?agent=101"
    page = operator.press(address, {"row": "1.1"}) if htmx else operator.follow(operator.post(address, {"row": "1.1"}))
    toast = page.one(class_="toast-message")
    assert said in text(toast) and "09121234567" in text(toast)
    assert toast.get("class", "").endswith(f"alert-{level}") and toast.get("role") == "status"


def test_a_queue_without_free_members_rings_the_first_who_is_free(
    supervisor: Visitor, database: Database, office: None, worker: None
) -> None:
    change(database, CallRequest, 2, queue=True, target="800")
    change(database, ExtensionRow, "102", state="offline")
    assert "102 is offline. It rings as soon as it is connected." in supervisor.press(CALL, {"row": "2.2"}).message
    with database.write() as session:
        session.add(QueueMemberRow(queue="800", extension="101"))
        session.get_one(ExtensionRow, "101").state = "in_call"
    page = supervisor.press(CALL, {"row": f"2.{load(database, 2).version}"})
    assert "Nothing was changed. No phone rings yet: no agent is free. The first one who is free rings." in page.message


def test_a_wish_is_shown_counted_once_and_withdrawn(
    operator: Visitor, database: Database, office: None, worker: None
) -> None:
    change(database, ExtensionRow, "101", state="offline")
    first = operator.press(f"{CALL}?agent=101", {"row": "1.1"})
    again = operator.press(f"{CALL}?agent=101", {"row": "1.1"})  # of a page that does not show the first one yet
    assert "Nothing" not in first.message
    assert "omid asked for an urgent call just now. Nothing was changed. No phone rings yet" in again.message
    assert load(database).version == 2
    for path in ("/requests", "/mine", "/requests/1"):
        shown = text(operator.get(path).one(class_="urgent"))
        assert shown.startswith("urgent call asked for, 101 rings first, until ") and shown.endswith("Withdraw")
    answer = operator.press("/requests/acts/withdraw", {"row": "1.2"})
    assert "The urgent call is withdrawn." in answer.message
    assert not load(database).call_now and not operator.get("/requests").has(class_="urgent")


def test_the_button_says_whose_phone_rings(operator: Visitor, supervisor: Visitor, office: None) -> None:
    def label(visitor: Visitor, path: str) -> str:
        buttons = visitor.get(path).all("button", name="row")
        button = next(part for part in buttons if "row-call" in part.get("class", ""))
        assert text(button) in button.get("aria-label", ""), "who says what they see presses it"
        return text(button)

    assert label(operator, "/mine") == "Call with my phone"
    assert label(supervisor, "/requests") == label(operator, "/requests") == "Next free agent"


def test_several_wishes_are_no_success_while_they_wait(
    supervisor: Visitor, database: Database, office: None, worker: None
) -> None:
    with database.write() as session:
        write_setting(session, "calls_limit", "1")
        for extension in ("101", "102"):
            session.get_one(ExtensionRow, extension).state = "offline"
    page = supervisor.press(CALL, {"row": ["1.1", "2.1"]})
    assert "An urgent call was asked for, for 2 requests." in page.message
    assert page.one(class_="toast-message").get("class", "").endswith("alert-info")


def test_every_reason_says_what_becomes_of_an_urgent_call() -> None:
    never = {ReasonCode.UNCERTAIN, ReasonCode.BEHIND_OTHERS}  # it waits again, and it is first
    assert set(urgent.NEXT) | urgent.SKIPPED | never == set(ReasonCode)
    assert not set(urgent.NEXT) & urgent.SKIPPED
