"""Undo, beside the message and in the history of a request."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.services.requests.actions import WriteNote
from app.store.database import Database
from tests.web.pages import Fields, Page, Visitor
from tests.web.requests.scene import act_as_other, is_success, load, now

UNDO = "/requests/acts/undo"


def undo_form(page: Page) -> Fields:
    return page.fields(page.one("form", action=UNDO))


@pytest.mark.parametrize(
    ("act", "typed", "said"),
    [
        ("done", {"note": "by mail"}, "The request was marked as done."),
        ("cancel", {}, "The request was cancelled."),
        ("postpone", {"until": "60"}, "The request was postponed until "),
        ("reassign", {"target": "extension:102"}, "The request was reassigned to extension 102."),
    ],
)
@pytest.mark.parametrize("htmx", [True, False])
def test_the_message_names_number_and_moment_and_offers_to_undo(
    supervisor: Visitor, database: Database, office: None, act: str, typed: dict[str, Any], said: str, htmx: bool
) -> None:
    before, address = load(database), f"/requests/acts/{act}"
    fields = {"row": "1.1", **typed}
    page = supervisor.press(address, fields) if htmx else supervisor.follow(supervisor.post(address, fields))
    assert page.message.startswith("09121234567 ") and said in page.message
    assert page.one("time", class_="small").get("datetime", "") <= now().isoformat()
    answer = supervisor.press(UNDO, undo_form(page)) if htmx else supervisor.post(UNDO, undo_form(page))
    answer = answer if htmx else supervisor.follow(answer)
    assert is_success(answer) and not answer.has("form", action=UNDO)
    after = load(database)
    for column in ("status", "target", "postponed_until", "note", "done_by", "done_at"):
        assert getattr(after, column) == getattr(before, column), column


def test_several_requests_are_undone_at_once(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.press("/requests/acts/cancel", {"row": ["1.1", "2.1"]})
    assert "Done for 2 requests." in supervisor.press(UNDO, undo_form(page)).message
    assert [load(database, number).status for number in (1, 2)] == ["waiting", "waiting"]


def test_other_messages_offer_no_undo(supervisor: Visitor, office: None) -> None:
    for act, typed in (("note", {"note": "x"}), ("priority", {"priority": "1"}), ("block", {})):
        page = supervisor.press(f"/requests/acts/{act}", {"row": f"1.{load_version(supervisor)}", **typed})
        assert page.message and not page.has("form", action=UNDO)


def load_version(visitor: Visitor) -> int:
    return load(visitor.app.extensions["bazang"]["database"]).version


def test_the_history_offers_to_undo_the_last_change_only(supervisor: Visitor, database: Database, office: None) -> None:
    supervisor.press("/requests/acts/postpone", {"row": "1.1", "until": "60"})
    supervisor.press("/requests/acts/cancel", {"row": "1.2"})
    page = supervisor.get("/requests/1")
    (button,) = (part for part in page.all("button") if part.get("formaction") == UNDO)
    assert button.get("value") == "1.3" and button.get("form") == "acts"
    supervisor.press(UNDO, {"row": "1.3"})
    page = supervisor.get("/requests/1")
    assert "Undone: The request was cancelled." in page.main
    assert not [part for part in page.all("button") if part.get("formaction") == UNDO]
    assert load(database).postponed_until is not None


def test_what_somebody_else_has_done_since_is_named(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.press("/requests/acts/cancel", {"row": "1.1"})
    act_as_other(database, WriteNote("x"))
    answer = supervisor.press(UNDO, undo_form(page))
    assert not is_success(answer) and "reza wrote a note just now." in answer.message
    assert load(database).status == "cancelled"


def test_an_undo_needs_a_token(app: Flask, supervisor: Visitor, database: Database, office: None) -> None:
    supervisor.press("/requests/acts/cancel", {"row": "1.1"})
    app.config["WTF_CSRF_ENABLED"] = True
    assert supervisor.client.post(UNDO, data={"row": "1.2"}).status_code == 400
    assert load(database).status == "cancelled"


def test_an_operator_undoes_what_has_left_their_sight(operator: Visitor, database: Database, office: None) -> None:
    page = operator.press("/requests/acts/reassign", {"row": "1.1", "target": "extension:102"})
    assert "09121234567" not in operator.get("/requests").main.replace(page.message, "")
    answer = operator.press(UNDO, undo_form(page))
    assert is_success(answer) and answer.message.startswith("09121234567")
    assert load(database).target == "101" and load(database).registered_at > now() - timedelta(minutes=5)
