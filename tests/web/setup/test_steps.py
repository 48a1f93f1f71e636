"""Steps 2 to 5 of the setup, its reminder and its end."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from app.config import Settings
from app.domain.pbx_connection import CallersState, ConnectionReport, ConnectionResult
from app.domain.pbx_product import Product
from app.domain.phone_calls import CallFailure, CallState
from app.services import users
from app.services.pbx.connection_commands import pack
from app.services.pbx.product import store_product
from app.services.settings import office, pbx
from app.store import settings as store
from app.store.database import Database
from app.store.models import ExtensionScenario, Module, PhoneCall, QueueScenario
from app.web import wording
from app.web.prompts.wording import PHONE_CALL_FAILURE, PHONE_CALL_STATE
from tests.support.factories import NOW, create_line, create_module, create_running_service
from tests.web.conftest import CONNECTED, Service
from tests.web.pages import Fields, Page, Visitor


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


def test_the_pbx_settings_are_saved(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get("/setup/exchange")
    wrong = send(admin, page, "/setup/exchange", 422, ami_host="a b", ami_port="0", outbound_context="x y")
    assert wrong.error("ami_port") == wording.error("port")
    assert wrong.error("outbound_context") == wording.error("context")
    assert fields_of(wrong)["ami_host"] == ["a b"]
    assert "ami_host" not in stored(database)
    fields = fields_of(wrong) | {"ami_host": "10.0.0.9", "ami_port": "۵۰۳۹"}
    admin.post("/setup/exchange", fields | {"outbound_context": "from-internal", "ami_secret": "s3cret"})
    now = stored(database)
    assert (now["ami_host"], now["ami_port"]) == ("10.0.0.9", "5039")
    assert secret_of(database, settings) == "s3cret"
    assert now["outbound_context"] == "from-internal"


def secret_of(database: Database, settings: Settings) -> str:
    return pbx.read_secret(database, settings)


def shown_secret(page: Page) -> str:
    """Return the secret in the lines for manager.conf."""
    found = re.search(r"secret = (\S.*?) (?:deny|read) = ", page.main)
    assert found is not None
    return found[1]


def test_a_new_secret_is_shown_to_who_made_it_and_needs_not_be_typed(
    admin: Visitor, database: Database, settings: Settings, app: Flask
) -> None:
    write(database, setup_step="exchange", ami_secret="old")
    assert "old" not in shown_secret(admin.get("/setup/exchange"))
    admin.press("/setup/exchange/secret", status=302)
    page = admin.get("/setup/exchange")
    secret = secret_of(database, settings)
    assert shown_secret(page) == secret != "old"
    assert secret not in str(stored(database)), "it is stored encrypted"
    send(admin, page, "/setup/exchange", ami_host="10.0.0.9", ami_secret="")
    assert secret_of(database, settings) == secret
    assert shown_secret(admin.get("/setup/exchange")) == secret, "a reloaded page still shows it"
    with app.app_context():
        colleague = users.create(database, "colleague", "a long password", "administrator", NOW)
    assert secret not in Visitor(app, colleague).get("/setup/exchange").source


def test_a_new_secret_is_hidden_once_the_pbx_accepts_it(
    admin: Visitor, database: Database, settings: Settings, service: Service
) -> None:
    write(database, setup_step="exchange", outbound_context="from-internal")
    create_running_service(database)
    admin.press("/setup/exchange/secret", status=302)
    secret = secret_of(database, settings)
    for result, is_shown in ((ConnectionReport(ConnectionResult.REFUSED, "no"), True), (CONNECTED, False)):
        answers = {"test_connection": (True, pack(result)), "outbound": (True, "dialled"), "apply_settings": (True, "")}
        with service(**answers):
            admin.press("/setup/exchange/check")
        assert (shown_secret(admin.get("/setup/exchange")) == secret) is is_shown
    page = send(admin, admin.get("/setup/exchange"), "/setup/exchange", 422, ami_host="10.0.0.9", ami_secret="")
    assert page.error("ami_secret") == wording.error("secret_again")


def test_a_new_secret_is_not_shown_after_an_hour_or_after_the_setup(
    admin: Visitor, database: Database, settings: Settings
) -> None:
    write(database, setup_step="exchange")
    user, now = 1, datetime.now(UTC)
    pbx.replace_secret(database, settings, user, now, actor="sara")
    secret = secret_of(database, settings)
    assert pbx.secret_to_show(database, settings, user, now + timedelta(minutes=59)) == secret
    for later in (timedelta(hours=1), timedelta(days=1), timedelta(days=-1)):
        assert pbx.secret_to_show(database, settings, user, now + later) == ""
    assert secret in admin.get("/setup/exchange").source
    admin.press("/setup/finish", status=302)
    assert secret not in admin.get("/setup/exchange").source
    assert not admin.get("/setup/exchange").has("form", action="/setup/exchange/secret")


def test_after_the_setup_another_host_needs_the_secret(admin: Visitor, database: Database) -> None:
    write(database, ami_secret="generated")
    page = send(admin, admin.get("/setup/exchange"), "/setup/exchange", 422, ami_host="10.0.0.9", ami_secret="")
    assert page.error("ami_secret") == wording.error("secret_again")


def results(page: Page) -> dict[str, str]:
    return {item.get("data-check", ""): item.get("class", "") for item in page.all("li") if item.get("data-check")}


def test_the_checks_show_what_is_missing(admin: Visitor, database: Database, service: Service) -> None:
    assert results(admin.press("/setup/exchange/check"))["service"] == "check-fault"
    create_running_service(database)
    write(database, outbound_context="from-internal", ami_secret="stored")
    page = check(admin, service, CONNECTED)
    assert set(results(page).values()) == {"check-ok"}
    assert not page.has(id="poll"), "nothing is left to check"
    refused = ConnectionReport(ConnectionResult.REFUSED, "Authentication failed")
    with service(test_connection=(True, pack(refused))):
        page = admin.post("/setup/exchange/check", status=200)  # without JavaScript: the whole page
    found = results(page)
    assert (found["reached"], found["accepted"], found["rights"]) == ("check-ok", "check-fault", "check-unknown")
    assert page.has(id="poll")


def test_the_pbx_is_asked_after_its_settings_are_saved(
    admin: Visitor, database: Database, settings: Settings, service: Service
) -> None:
    create_running_service(database)
    with database.write() as session:
        pbx.ensure_secret(session, settings, 1, datetime.now(UTC))
    with service() as asked:
        page = admin.press("/setup/exchange/check")
    assert not asked, "a log-in with a secret that nobody has pasted is refused"
    assert by_result(page, "ok") == {"service"} and "Save and check" in page.main
    page = admin.get("/setup/exchange")
    assert page.source.index("secret = ") < page.source.index(">Save and check<"), "the lines come first"
    send(admin, page, "/setup/exchange")
    refused = ConnectionReport(ConnectionResult.REFUSED, "Authentication failed")
    assert check(admin, service, refused).one(id="poll").get("hx-trigger") == "every 20s", (
        "a PBX may block this machine"
    )
    assert check(admin, service, CONNECTED, "no_context").one(id="poll").get("hx-trigger") == "every 2s"


def test_the_context_for_customers_is_chosen_from_those_of_the_pbx(
    admin: Visitor, database: Database, service: Service
) -> None:
    create_running_service(database)
    write(database, ami_secret="stored")
    found = replace(CONNECTED, outbound=("abroad",), all_contexts=("abroad", "phones"))
    page = check(admin, service, found, "no_context")
    assert "Choose the context" in page.main
    for path in ("/setup/exchange", "/settings/exchange", "/settings"):
        offered = admin.get(path).one("datalist", id="context-list")
        assert [option.get("value") for option in offered.iter("option")] == ["abroad", "phones"]
    (button,) = (each for each in page.all("button") if "Use abroad" in "".join(each.itertext()))
    assert location(admin.post(button.get("formaction", ""))) == "/setup/exchange#checks"
    assert stored(database)["outbound_context"] == "abroad"
    admin.post("/setup/exchange/outbound?context=a%20b", status=400)


FREEPBX = replace(
    CONNECTED,
    product=Product.FREEPBX_17,
    contexts=("from-did-direct", "ext-queues"),
    outbound=("from-internal", "from-phones"),
    callers=CallersState.UNREACHED,
)


def check(admin: Visitor, service: Service, report: ConnectionReport, outbound: str = "dialled") -> Page:
    """Run the checks. `outbound`: the OutboundResult that the worker answers."""
    with service(test_connection=(True, pack(report)), outbound=(True, outbound), apply_settings=(True, "")):
        return admin.press("/setup/exchange/check")


def by_result(page: Page, result: str) -> set[str]:
    return {name for name, shown in results(page).items() if shown == f"check-{result}"}


def test_contexts_that_do_not_fit_are_faults(admin: Visitor, database: Database, service: Service) -> None:
    create_running_service(database)
    write(database, outbound_context="nowhere", extension_context="mine", ami_secret="stored")
    page = check(admin, service, FREEPBX, "no_context")
    assert by_result(page, "fault") == {"product", "contexts", "callers", "outbound"}
    assert "The PBX does not have: mine." in page.main and "It has: from-did-direct, ext-queues." in page.main
    assert "nowhere cannot dial" in page.main and "These can: from-internal, from-phones." in page.main
    assert "no answer at 127.0.0.1:4573" in page.main
    assert page.one(id="proposal").get("hx-swap-oob"), "it is shown at the top of the page"
    (button,) = (
        button for button in page.all("button") if "Use the settings for FreePBX" in "".join(button.itertext())
    )
    assert "outbound_context=from-internal" in button.get("formaction", "")


def test_what_may_not_be_read_is_no_fault(admin: Visitor, database: Database, service: Service) -> None:
    create_running_service(database)
    write(database, outbound_context="nowhere", ami_secret="stored")
    report = ConnectionReport(ConnectionResult.RIGHTS_MISSING, write_missing=("originate",))
    page = check(admin, service, report, "no_context")
    assert by_result(page, "ok") == {"service", "reached", "accepted"}
    assert by_result(page, "fault") == {"rights", "dialplan", "extensions", "outbound"}
    assert "originate" in page.main and "nowhere" in page.main
    write(database, outbound_context="")
    assert "outbound" in by_result(check(admin, service, report), "fault"), "none is given"


def test_a_plain_asterisk_with_the_settings_of_freepbx_is_a_fault(
    admin: Visitor, database: Database, service: Service
) -> None:
    create_running_service(database)
    write(database, pbx_profile="freepbx", ami_secret="stored")
    page = check(admin, service, replace(CONNECTED, outbound=("outbound",)), "no_context")
    assert by_result(page, "fault") == {"product", "contexts", "outbound"}
    assert "Use the settings for a plain Asterisk" in page.main and "These can: outbound." in page.main
    assert "No outbound route" in check(admin, service, replace(CONNECTED, outbound=()), "no_route").main
    write(database, pbx_profile="asterisk", outbound_context="x")
    assert "Check its name." in check(admin, service, replace(CONNECTED, outbound=()), "no_context").main


def test_a_route_that_asks_for_a_password_is_a_fault(admin: Visitor, database: Database, service: Service) -> None:
    create_running_service(database)
    write(database, outbound_context="from-internal", ami_secret="stored")
    page = check(admin, service, CONNECTED, "password")
    assert results(page)["outbound"] == "check-fault" and "asks for a password" in page.main


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


@pytest.mark.parametrize(("typed", "name"), [("۸۰۰", "800"), ("فروش ۲", "فروش ۲")])
def test_a_module_for_a_queue_is_created_with_its_destination(
    admin: Visitor, database: Database, typed: str, name: str
) -> None:
    admin.post("/setup/module", {"template": "queue", "queue": typed, "name": "Team", "code": "*5001"})
    with database.read() as session:
        queue = session.get_one(QueueScenario, name)
    assert (queue.failed_kind, queue.failed_code) == ("module", "*5001")


def test_the_extensions_of_the_pbx_are_offered(admin: Visitor, database: Database) -> None:
    for extension in ("101", "102", "103"):
        create_line(database, extension)
    page = admin.get("/setup/module")
    assert [box.get("value") for box in page.all("input", name="picked")] == ["101", "102", "103"]
    fields = fields_of(page) | {"picked": ["101", "103"], "extensions": "۱۰۳، 120"}
    admin.post("/setup/module", fields)
    with database.read() as session:
        assert session.get_one(Module, 1).targets == ["101", "103", "120"]


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
        ({"template": "queue", "queue": "a|b"}, "queue", "queue_name"),
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
    assert page.error("extensions") == wording.error("no_phone")
    assert page.error("code") == wording.error("code_on_exchange")


def test_on_freepbx_no_scenarios_are_created(admin: Visitor, database: Database) -> None:
    write(database, pbx_profile="freepbx")
    assert "bazang-modules,*5001,1" in admin.get("/setup/module").main
    store_product(database, Product.FREEPBX_17)
    assert "Admin → Custom Destinations" in admin.get("/setup/module").main
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
    assert str(PHONE_CALL_STATE[CallState.REQUESTED]) in admin.follow(asked).main
    with database.write() as session:
        row = session.get_one(PhoneCall, location(asked).rpartition("/")[2])
        row.state, row.detail = "failed", "busy"
    part = admin.ask(location(asked))
    assert str(PHONE_CALL_FAILURE[CallFailure.BUSY]) in part.main
    assert not part.has(id="poll")
    admin.get("/setup/call/00000000-0000-4000-8000-000000000009", 404)


def test_an_extension_of_the_first_module_is_proposed(admin: Visitor, database: Database) -> None:
    create_module(database, targets=["104"])
    assert fields_of(admin.get("/setup/call"))["extension"] == ["104"]


def test_the_test_call_can_be_cancelled(admin: Visitor) -> None:
    asked = admin.post("/setup/call", {"extension": "101", "language": "fa"})
    page = admin.follow(admin.post(f"{location(asked)}/cancel"))
    assert str(PHONE_CALL_STATE[CallState.CANCELLED]) in page.main
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


def test_the_end_follows_the_making_of_sounds(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        store.write_setting(session, "outbound_context", "from-internal")
    state = create_running_service(database, dialplan_detail="sounds_missing")
    for page in (admin.get("/setup/end"), admin.ask("/setup/end")):
        assert "Sounds are being made" in page.source and page.has(id="poll")
    with database.write() as session:
        session.merge(state).dialplan_detail = ""
    page = admin.ask("/setup/end")
    assert "Calls can be made" in page.source and not page.has(id="poll")
