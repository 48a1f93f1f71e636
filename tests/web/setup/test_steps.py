"""Steps 2 to 5 of the setup, its reminder and its end."""

import pytest

from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.services.pbx.connection_test import pack
from app.services.settings import office
from app.store import settings as store
from app.store.database import Database
from app.store.models import ExtensionScenario, Module, PhoneCall, QueueScenario
from app.web import wording
from app.web.prompts.wording import PHONE_CALL_FAILURE, PHONE_CALL_STATE
from tests.support.factories import create_line, create_module, create_running_service
from tests.web.conftest import Service
from tests.web.pages import Fields, Page, Visitor

REPORT = ConnectionReport(
    ConnectionResult.CONNECTED,
    version="22.10.1",
    extensions=12,
    queues=1,
    dialplan=DialplanState.CURRENT,
    may_reload=True,
)


def fields_of(page: Page) -> Fields:
    """Return what a browser would send of the step's own form."""
    return page.fields(page.form(**{"class": "card"}))


def send(visitor: Visitor, page: Page, path: str, status: int = 302, **changes: str) -> Page:
    return visitor.post(path, fields_of(page) | changes, status)


def location(page: Page) -> str:
    return page.response.headers["Location"]


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return store.read_all(session)


def write(database: Database, **values: str) -> None:
    with database.write() as session:
        for name, value in values.items():
            store.write_setting(session, name, value)


# -- the office -------------------------------------------------------------------------------------------------------


def test_the_location_of_the_office_is_saved(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get("/setup/office")
    assert page.has("div", data_guess_zone="timezone")
    wrong = send(admin, page, "/setup/office", 422, area_code="x", timezone="Mars")
    assert wrong.error("area_code") == wording.error("digits")
    assert wrong.error("timezone") == wording.error("choice")
    done = send(admin, wrong, "/setup/office", area_code="۰۳۰", region="DE", timezone="Europe/Berlin", locale="en")
    assert location(done) == "/setup/exchange"
    now = office.load(database, settings)
    assert (now.area_code, now.region, now.timezone, now.locale) == ("030", "DE", "Europe/Berlin", "en")
    assert not admin.get("/setup/office").has("div", data_guess_zone="timezone"), "a chosen time zone is not replaced"


# -- the PBX ----------------------------------------------------------------------------------------------------------


def test_the_pbx_settings_are_saved(admin: Visitor, database: Database) -> None:
    page = admin.get("/setup/exchange")
    wrong = send(admin, page, "/setup/exchange", 422, ami_host="a b", ami_port="0", outbound_context="x y")
    assert wrong.error("ami_port") == wording.error("port")
    assert wrong.error("outbound_context") == wording.error("context")
    assert fields_of(wrong)["ami_host"] == ["a b"]
    assert "ami_host" not in stored(database)
    fields = fields_of(wrong) | {"ami_host": "10.0.0.9", "ami_port": "۵۰۳۹"}
    admin.post("/setup/exchange", fields | {"outbound_context": "from-internal", "ami_secret": "s3cret"})
    now = stored(database)
    assert (now["ami_host"], now["ami_port"], now["ami_secret"]) == ("10.0.0.9", "5039", "s3cret")
    assert now["outbound_context"] == "from-internal"


def test_the_generated_secret_is_shown_and_needs_not_be_typed(admin: Visitor, database: Database) -> None:
    write(database, setup_step="exchange", ami_secret="generated")
    page = admin.get("/setup/exchange")
    assert "secret = generated" in page.main
    send(admin, page, "/setup/exchange", ami_host="10.0.0.9", ami_secret="")
    assert stored(database)["ami_secret"] == "generated"


def test_after_the_setup_another_host_needs_the_secret(admin: Visitor, database: Database) -> None:
    write(database, ami_secret="generated")
    page = send(admin, admin.get("/setup/exchange"), "/setup/exchange", 422, ami_host="10.0.0.9", ami_secret="")
    assert page.error("ami_secret") == wording.error("secret_again")


def results(page: Page) -> dict[str, str]:
    return {item.get("data-check", ""): item.get("class", "") for item in page.all("li") if item.get("data-check")}


def test_the_checks_show_what_is_missing(admin: Visitor, database: Database, service: Service) -> None:
    assert results(admin.press("/setup/exchange/check"))["service"] == "check-fault"
    create_running_service(database)
    write(database, outbound_context="from-internal")
    with service(test_connection=(True, pack(REPORT)), look_up=(True, "yes")):
        page = admin.press("/setup/exchange/check")
    assert set(results(page).values()) == {"check-ok"}
    assert not page.has(id="poll"), "nothing is left to check"
    refused = ConnectionReport(ConnectionResult.REFUSED, "Authentication failed")
    with service(test_connection=(True, pack(refused))):
        page = admin.post("/setup/exchange/check", status=200)  # without JavaScript: the whole page
    found = results(page)
    assert (found["reached"], found["accepted"], found["rights"]) == ("check-ok", "check-fault", "check-unknown")
    assert page.has(id="poll")


def test_a_context_that_cannot_dial_customers_is_a_fault(admin: Visitor, database: Database, service: Service) -> None:
    create_running_service(database)
    write(database, outbound_context="nowhere")
    report = ConnectionReport(ConnectionResult.RIGHTS_MISSING, write_missing=("originate",))
    with service(test_connection=(True, pack(report)), look_up=(True, "no")):
        page = admin.press("/setup/exchange/check")
    found = results(page)
    assert {name for name, result in found.items() if result == "check-ok"} == {"service", "reached", "accepted"}
    assert {name for name, result in found.items() if result == "check-fault"} == {
        *("rights", "dialplan", "extensions", "outbound"),
    }
    assert "nowhere" in page.main and "originate" in page.main


# -- the first module -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", ["extension", "silent"])
def test_a_module_for_extensions_is_created_with_scenarios(admin: Visitor, database: Database, template: str) -> None:
    fields = fields_of(admin.get("/setup/module"))
    assert fields["code"] == ["*5001"]
    admin.post("/setup/module", fields | {"template": template, "extensions": "۱۰۱، 102"})
    with database.read() as session:
        module = session.get_one(Module, 1)
        rows = [session.get_one(ExtensionScenario, extension) for extension in ("101", "102")]
    assert (module.targets, module.silent) == (["101", "102"], template == "silent")
    assert {(row.busy_kind, row.no_answer_code, row.unavailable_code) for row in rows} == {("module", "*5001", "*5001")}


def test_a_module_for_a_queue_is_created_with_its_destination(admin: Visitor, database: Database) -> None:
    admin.post("/setup/module", {"template": "queue", "queue": "800", "name": "Team", "code": "*5001"})
    with database.read() as session:
        queue = session.get_one(QueueScenario, "800")
    assert (queue.failed_kind, queue.failed_code) == ("module", "*5001")


def test_existing_destinations_stay(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        session.add(ExtensionScenario(extension="101", ring=40, busy_kind="extension", busy_code="102"))
    admin.post("/setup/module", {"template": "extension", "extensions": "101", "name": "A", "code": "*5001"})
    with database.read() as session:
        row = session.get_one(ExtensionScenario, "101")
    assert (row.ring, row.busy_code, row.no_answer_code) == (40, "102", "*5001")


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"extensions": ""}, "extensions", "required"),
        ({"extensions": "10a"}, "extensions", "code"),
        ({"template": "queue", "queue": "a b"}, "queue", "code"),
        ({"code": "*5009"}, "code", "taken"),
        ({"template": "other"}, "template", "choice"),
    ],
)
def test_invalid_input_creates_no_module(
    admin: Visitor, database: Database, changes: dict[str, str], field: str, code: str
) -> None:
    create_module(database, code="*5009")
    fields = {"template": "extension", "extensions": "101", "name": "A", "code": "*5001"} | changes
    page = admin.post("/setup/module", fields, 422)
    assert wording.error(code) in (page.error(field) if field != "template" else page.main)
    with database.read() as session:
        assert session.get(Module, 2) is None
        assert session.get(ExtensionScenario, "101") is None


def test_the_pbx_is_asked_for_the_code_and_the_extensions(admin: Visitor, database: Database, service: Service) -> None:
    create_running_service(database)
    fields = {"template": "extension", "extensions": "999", "name": "A", "code": "*5001"}
    with service(look_up=(True, "no"), code_taken=(True, "from-internal")):
        page = admin.post("/setup/module", fields, 422)
    assert page.error("extensions") == wording.error("not_on_exchange")
    assert page.error("code") == wording.error("code_on_exchange")


def test_on_freepbx_no_scenarios_are_created(admin: Visitor, database: Database) -> None:
    write(database, pbx_profile="freepbx")
    assert "bazang-modules,*5001,1" in admin.get("/setup/module").main
    admin.post("/setup/module", {"template": "extension", "extensions": "101", "name": "A", "code": "*5001"})
    with database.read() as session:
        assert session.get(ExtensionScenario, "101") is None
        assert session.get(Module, 1) is not None


# -- the test call ----------------------------------------------------------------------------------------------------


def test_the_state_of_the_test_call_is_shown(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    page = admin.get("/setup/call")
    wrong = admin.post("/setup/call", fields_of(page) | {"extension": "x"}, 422)
    assert wrong.error("extension") == wording.error("code")
    asked = admin.post("/setup/call", {"extension": "۱۰۱", "language": "fa"})
    assert str(PHONE_CALL_STATE["asked"]) in admin.follow(asked).main
    with database.write() as session:
        row = session.get_one(PhoneCall, location(asked).rpartition("/")[2])
        row.state, row.detail = "failed", "busy"
    part = admin.ask(location(asked))
    assert str(PHONE_CALL_FAILURE["busy"]) in part.main
    assert not part.has(id="poll")
    admin.get("/setup/call/00000000-0000-4000-8000-000000000009", 404)


def test_an_extension_of_the_first_module_is_proposed(admin: Visitor, database: Database) -> None:
    create_module(database, targets=["104"])
    assert fields_of(admin.get("/setup/call"))["extension"] == ["104"]


def test_the_test_call_can_be_cancelled(admin: Visitor) -> None:
    asked = admin.post("/setup/call", {"extension": "101", "language": "fa"})
    page = admin.follow(admin.post(f"{location(asked)}/cancel"))
    assert str(PHONE_CALL_STATE["cancelled"]) in page.main
    admin.post("/setup/call/00000000-0000-4000-8000-000000000009/cancel", status=404)


# -- the reminder and the end -----------------------------------------------------------------------------------------


def test_administrators_are_reminded_until_the_setup_is_finished(
    admin: Visitor, operator: Visitor, database: Database
) -> None:
    assert not admin.get("/requests").has(class_="setup-card")
    write(database, setup_step="office")
    assert admin.get("/requests").has("a", href="/setup/office")
    assert not operator.get("/requests").has("a", href="/setup/office")
    assert location(admin.post("/setup/office/done")) == "/setup/exchange"
    assert admin.get("/requests").has("a", href="/setup/exchange")
    assert location(admin.post("/setup/call/done")) == "/setup/end"
    admin.post("/setup/finish")
    assert not admin.get("/requests").has(class_="setup-card")


def test_the_end_shows_what_is_missing(admin: Visitor, database: Database) -> None:
    assert admin.get("/setup/end").has("a", href="/setup/module")
    create_module(database)
    assert not admin.get("/setup/end").has("a", href="/setup/module")
