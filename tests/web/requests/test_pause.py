"""Pausing and resuming automatic calls."""

import pytest

from tests.web.pages import Visitor, text
from tests.web.requests.scene import is_success


def test_everyone_sees_a_pause_until_it_ends(
    supervisor: Visitor, operator: Visitor, admin: Visitor, office: None
) -> None:
    page = supervisor.follow(supervisor.submit(supervisor.get("/calls/pause"), "/calls/pause", reason="a meeting"))
    assert is_success(page)
    for visitor, path in ((operator, "/mine"), (admin, "/modules"), (supervisor, "/requests/1")):
        banner = visitor.get(path).one(id="pause-banner")
        assert "mina" in text(banner) and "a meeting" in text(banner)
        may_resume = any(button.get("formaction") == "/calls/resume" for button in banner.iter("button"))
        assert may_resume == (visitor is not operator)
        assert "a meeting" in text(visitor.ask("/live").one(id="pause-banner"))
    assert is_success(admin.press("/calls/resume"))
    assert not is_success(supervisor.press("/calls/resume"))
    assert text(operator.get("/mine").one(id="pause-banner")) == ""


def test_the_second_user_is_told_who_has_paused(supervisor: Visitor, admin: Visitor, office: None) -> None:
    admin.press("/calls/pause", {"reason": "mine"})
    page = supervisor.press("/calls/pause", {"reason": "other"})
    assert not is_success(page) and "sara" in page.message


@pytest.mark.parametrize("reason", ["x" * 201, "a\u202eb"])
def test_an_invalid_reason_is_shown_with_its_error(supervisor: Visitor, office: None, reason: str) -> None:
    for page in (
        supervisor.press("/calls/pause", {"reason": reason}, 422),
        supervisor.submit(supervisor.get("/calls/pause"), "/calls/pause", 422, reason=reason),
    ):
        assert page.error("reason")
        assert page.one("input", name="reason").get("value") == reason


def test_an_operator_may_neither_pause_nor_resume(operator: Visitor, office: None) -> None:
    operator.get("/calls/pause", 403)
    operator.post("/calls/pause", {"reason": ""}, 403)
    operator.post("/calls/resume", status=403)
