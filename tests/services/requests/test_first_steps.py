"""What an office does first, which the page shows until its first request is done."""

from dataclasses import replace

from app.services.requests.first_steps import FirstSteps, load_first_steps
from app.store.database import Database
from tests.support.factories import create_module, create_request


def steps(database: Database) -> FirstSteps | None:
    with database.read() as session:
        return load_first_steps(session)


def test_steps_lead_to_the_first_request_that_is_done(database: Database) -> None:
    assert steps(database) == FirstSteps("", "", False, False, (), False)
    create_module(database, name="Night", code="*5000", active=False)
    module = create_module(database, name="Sales", code="*5001", target_kind="queue", targets=["800"], silent=True)
    expected = FirstSteps("*5001", "Sales", True, True, ("800",), False)
    create_request(database, module, number="+989121230001", created_by="sara")
    assert steps(database) == expected, "a caller has not tried it yet"
    create_request(database, module, number="+989121230002")
    assert steps(database) == replace(expected, registered=True)
    create_request(database, module, number="+989121230003", status="done")
    assert steps(database) is None
