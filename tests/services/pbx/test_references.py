"""References to modules."""

from app.domain.routing import DestinationKind
from app.services.pbx.references import Reference, find_references
from app.store.database import Database
from app.store.models import ExtensionScenario, QueueScenario
from tests.support.factories import create_line, create_module, store


def test_references_name_their_owner_and_its_fields(database: Database) -> None:
    to_module = {"next_kind": "module", "next_code": "*5001"}
    create_module(database, code="*5001", name="Itself", **to_module)
    night = create_module(database, code="*5002", name="Night", error_kind="module", error_code="*5001", **to_module)
    create_module(database, code="*5003", name="Extension", next_kind="extension", next_code="*5001")
    create_line(database, "101", name="Sara")
    store(database, ExtensionScenario(extension="101", no_answer_kind="module", no_answer_code="*5001"))
    busy, unavailable = {"busy_kind": "module", "busy_code": "*5001"}, {"unavailable_kind": "module"}
    store(database, ExtensionScenario(extension="102", unavailable_code="*5001", **busy, **unavailable))
    store(database, ExtensionScenario(extension="103", busy_kind="module", busy_code="*5002"))
    store(database, QueueScenario(queue="sales", failed_kind="module", failed_code="*5001"))
    store(database, QueueScenario(queue="support", failed_kind="queue", failed_code="*5001"))
    with database.read() as session:
        found = find_references(session)
    assert found == {
        "*5001": [
            Reference(DestinationKind.MODULE, "*5002", ("next", "error"), "Night", night.id),
            Reference(DestinationKind.EXTENSION, "101", ("no_answer",), "Sara"),
            Reference(DestinationKind.EXTENSION, "102", ("busy", "unavailable")),
            Reference(DestinationKind.QUEUE, "sales", ("failed",)),
        ],
        "*5002": [Reference(DestinationKind.EXTENSION, "103", ("busy",))],
    }
