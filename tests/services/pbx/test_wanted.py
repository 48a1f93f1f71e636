"""Which extensions Bazang needs to know."""

from app.services import users
from app.services.pbx.wanted import wanted_extensions
from app.store.database import Database
from app.store.models import ExtensionScenario
from tests.support.factories import NOW, NUMBER, create_module, create_request, store


def test_extensions_of_modules_scenarios_users_and_requests(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    create_module(database, code="*5002", target_kind="queue", targets=["800"])
    users.create(database, "sara", "a long password", "operator", NOW, extensions=["103"])
    store(database, ExtensionScenario(extension="104"))
    create_request(database, module, number="105", target="106")
    create_request(database, module, number="107", status="done")
    create_request(database, module, number=NUMBER, queue=True, target="801")
    with database.read() as session:
        assert wanted_extensions(session) == {"101", "102", "103", "104", "105", "106"}
