"""My requests: those for the user's own extensions."""

from datetime import timedelta

from app.services.report.own_requests import load_own_requests
from app.services.report.periods import today
from app.services.requests.access import Scope
from app.store.database import Database
from tests.services.scene import HOUR, OPERATOR, SUPERVISOR, ZONE
from tests.support.factories import NOW, create_module, create_request


def test_my_requests_are_those_for_my_extensions_in_every_role(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    waiting = create_request(database, module, target="101", registered_at=NOW - timedelta(days=40))
    create_request(database, module, target="102")
    done = create_request(database, module, target="101", status="done", done_at=NOW - HOUR)
    create_request(database, module, target="101", status="done", registered_at=NOW - timedelta(days=2))
    for scope in (OPERATOR, Scope("sara", True, ("101",))):
        found = load_own_requests(database, scope, today(NOW, ZONE), NOW)
        assert [row.id for row in found.active] == [waiting.id]
        assert [row.id for row in found.past.rows] == [done.id]
    assert load_own_requests(database, SUPERVISOR, today(NOW, ZONE), NOW).active == []
