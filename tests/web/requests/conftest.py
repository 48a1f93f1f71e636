"""The office in which the tests of requests happen."""

from typing import Any

import pytest

from app.store.database import Database
from app.store.models import QueueMemberRow, QueueRow
from tests.support.factories import create_line, create_module, create_request, create_running_service, store
from tests.web.requests.scene import now


@pytest.fixture
def office(database: Database) -> None:
    """Create request 1 for extension 101, request 2 for extension 102, and queue 800 with the member 102."""
    create_running_service(database)
    for extension in ("101", "102"):
        create_line(database, extension, name=f"Phone {extension}")
    store(database, QueueRow(name="800", live_callers=0))
    store(database, QueueMemberRow(queue="800", extension="102"))
    module = create_module(database, name="Sales", targets=["101", "102"])
    moments: dict[str, Any] = {"registered_at": now(), "first_called_at": now()}
    create_request(database, module, target="101", caller_name="Sara", **moments)
    create_request(database, module, target="102", number="+989350000002", **moments)
