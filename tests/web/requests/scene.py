"""What the tests of requests share."""

from datetime import UTC, datetime, timedelta

from app.services.requests import perform
from app.services.requests.access import Scope
from app.services.requests.actions import Action, ShownRequest
from app.store.database import Database
from app.store.models import CallRequest
from tests.web.pages import Page

OTHER_USER = Scope("reza", everything=True)


def now() -> datetime:
    return datetime.now(UTC)


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


def load(database: Database, number: int = 1) -> CallRequest:
    with database.read() as session:
        return session.get_one(CallRequest, number)


def act_as_other(database: Database, action: Action, number: int = 1) -> None:
    """Perform an action as another user, on the present version of the request."""
    shown = ShownRequest(number, load(database, number).version)
    (result,) = perform.perform(database, OTHER_USER, action, [shown], now())
    assert result.ok


def is_success(page: Page) -> bool:
    """Return whether the message of the page is about a success, and not a warning."""
    (alert,) = (part for part in page.one(id="message") if "alert" in part.get("class", "").split())
    category = alert.get("class", "").split()[-1]
    assert category in ("alert-success", "alert-info", "alert-warning")
    return category == "alert-success"
