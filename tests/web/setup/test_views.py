"""The set-up: who gets in, and what nobody gets without the machine's link or a log-in."""

import logging
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete

from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.services import users
from app.services.pbx.connection_test import pack
from app.services.settings import office
from app.services.setup import first_administrator
from app.store import settings as store
from app.store.database import Database
from app.store.models import ExtensionScenario, Module, QueueScenario, User
from tests.support.factories import create_line, create_module, create_running_service, reload
from tests.web.conftest import Service
from tests.web.pages import Fields, Page, Visitor, text

PASSWORD = "a good password"
FORM = {"name": "zahra", "password": PASSWORD, "again": PASSWORD}
STEPS = ("/setup/office", "/setup/exchange", "/setup/module", "/setup/call", "/setup/end")
REPORT = ConnectionReport(
    ConnectionResult.CONNECTED,
    version="22.10.1",
    extensions=12,
    queues=1,
    dialplan=DialplanState.CURRENT,
    may_reload=True,
)


@pytest.fixture
def fresh(database: Database) -> None:
    """Nobody may log in yet."""
    with database.write() as session:
        session.execute(delete(User))


def token(database: Database) -> str:
    from app.web.context import utcnow

    return first_administrator.make_token(database, utcnow())


def enter(visitor: Visitor, database: Database) -> Page:
    """Open the machine's link; return the form of the first step."""
    return visitor.follow(visitor.get(f"/setup?token={token(database)}", 302))


def typed(page: Page) -> Fields:
    """Return what a browser would send of the step's own form."""
    return page.fields(page.form(**{"class": "card"}))


def send(visitor: Visitor, page: Page, path: str, status: int = 302, **changes: str) -> Page:
    return visitor.post(path, typed(page) | changes, status)


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return store.read_all(session)


# -- the link ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fresh")
def test_the_link_leads_to_an_address_without_it(visitor: Visitor, database: Database) -> None:
    made = token(database)
    page = visitor.get(f"/setup?token={made}", 302)
    assert page.response.headers["Location"] == "/setup"
    form = visitor.follow(page)
    assert made not in form.source


@pytest.mark.usefixtures("fresh")
def test_who_has_the_link_becomes_the_administrator_and_goes_on(visitor: Visitor, database: Database) -> None:
    page = send(visitor, enter(visitor, database), "/setup", **FORM)
    assert page.response.headers["Location"] == "/setup/office"
    visitor.follow(page)
    user = users.check_password(database, "zahra", PASSWORD)
    assert user is not None and user.role == "administrator"
    with visitor.client.session_transaction() as session:
        assert "setup_token" not in session


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"name": ""}, "name", "This is needed."),
        ({"name": "a\u202eb"}, "name", "There are characters in it that cannot be shown."),
        ({"password": "short", "again": "short"}, "password", "This is too short."),
        ({"again": "another"}, "again", "The two passwords are not the same."),
    ],
)
def test_a_fault_stands_beside_its_field_and_the_link_is_still_good(
    visitor: Visitor, database: Database, changes: dict[str, str], field: str, code: str
) -> None:
    visitor.post("/language", {"locale": "en"})
    form = enter(visitor, database)
    page = send(visitor, form, "/setup", 422, **(FORM | changes))
    assert page.error(field) == code
    assert page.one(id="name").get("value") == (FORM | changes)["name"]
    assert page.one(id="password").get("value") == "", "a password is never sent back"
    send(visitor, page, "/setup", **FORM)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("query", ["", "?token=", "?token=guess", "?token=" + "x" * 5000, "?token=%ff%fe"])
def test_without_the_link_there_is_no_form(visitor: Visitor, database: Database, query: str) -> None:
    token(database)
    page = visitor.get(f"/setup{query}", 403)
    assert not page.has("input", type="password")
    assert "setup-link" in (page.one("code").text or "")
    visitor.post("/setup", FORM, 403)
    assert users.count(database) == 0


@pytest.mark.usefixtures("fresh")
def test_a_link_that_was_replaced_or_grew_old_in_the_session_opens_nothing(
    visitor: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(visitor, database)
    token(database)
    visitor.post("/setup", FORM, 403)
    enter(visitor, database)
    from app.web.setup import views

    later = views.utcnow() + timedelta(hours=25)
    monkeypatch.setattr(views, "utcnow", lambda: later)
    visitor.post("/setup", FORM, 403)
    assert users.count(database) == 0


@pytest.mark.usefixtures("fresh")
def test_a_link_is_used_once(app: Flask, visitor: Visitor, database: Database) -> None:
    made = token(database)
    second = Visitor(app)
    for each in (visitor, second):
        each.get(f"/setup?token={made}", 302)
    visitor.post("/setup", FORM)
    page = second.post("/setup", FORM | {"name": "eve"}, 403)
    assert page.has("a", href="/login")
    assert second.get(f"/setup?token={made}", 403).has("a", href="/login")
    assert users.count(database) == 1


@pytest.mark.usefixtures("fresh")
def test_a_session_that_was_planted_opens_nothing(visitor: Visitor, database: Database) -> None:
    token(database)
    with visitor.client.session_transaction() as session:
        session["setup_token"] = stored(database)["setup_token"].split()[0]
    visitor.post("/setup", FORM, 403)


@pytest.mark.usefixtures("fresh")
def test_guessing_is_slowed_down(visitor: Visitor, database: Database) -> None:
    made = token(database)
    for number in range(20):
        visitor.get(f"/setup?token=guess{number}", 403)
    assert visitor.get(f"/setup?token={made}", 429).response.headers["Retry-After"] == "60"
    visitor.post("/setup", FORM, 429)


@pytest.mark.usefixtures("fresh")
def test_the_token_gets_into_no_log(
    visitor: Visitor, database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    made = token(database)
    send(visitor, visitor.follow(visitor.get(f"/setup?token={made}", 302)), "/setup", **FORM)
    visitor.get(f"/setup?token={made}", 302)
    monkeypatch.setattr(first_administrator, "is_open", lambda database: 1 / 0)
    visitor.app.config["PROPAGATE_EXCEPTIONS"] = False
    visitor.get(f"/setup?token={made}", 500)
    assert caplog.text, "the fault of our own is in the log"
    assert made not in caplog.text
    assert first_administrator._digest(made) not in caplog.text


@pytest.mark.usefixtures("fresh")
def test_the_form_needs_its_own_token_against_forgery(app: Flask, visitor: Visitor, database: Database) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    form = enter(visitor, database)
    visitor.post("/setup", FORM, 400)
    assert users.count(database) == 0
    send(visitor, form, "/setup", **FORM)


def test_with_an_administrator_it_is_closed(visitor: Visitor, operator: Visitor, admin: Visitor) -> None:
    for path in ("/setup", "/setup?token=x"):
        assert visitor.get(path, 403).has("a", href="/login")
        operator.get(path, 403)
        assert admin.get(path, 302).response.headers["Location"] == "/setup/office"
    visitor.post("/setup", FORM, 403)


@pytest.mark.parametrize("path", STEPS)
def test_the_further_steps_are_the_administrators(visitor: Visitor, operator: Visitor, path: str) -> None:
    assert visitor.get(path, 302).response.headers["Location"].startswith("/login")
    operator.get(path, 403)


@pytest.mark.usefixtures("fresh")
def test_the_further_steps_are_closed_before_there_is_anybody(visitor: Visitor, database: Database) -> None:
    enter(visitor, database)
    for path in STEPS:
        assert visitor.get(path, 302).response.headers["Location"].startswith("/login")
        if path != "/setup/end":
            assert visitor.post(path).response.headers["Location"] == "/login"


@pytest.mark.usefixtures("fresh")
def test_the_command_prints_the_address(app: Flask, visitor: Visitor, database: Database) -> None:
    with app.app_context():
        run = app.test_cli_runner()
        printed = run.invoke(app.cli.commands["setup-link"], ["--host", "10.0.0.5", "--port", "8080"]).output.strip()
        assert printed.startswith("http://10.0.0.5:8080/setup?token=")
        visitor.get(printed.removeprefix("http://10.0.0.5:8080"), 302)
        visitor.post("/setup", FORM)
        refused = run.invoke(app.cli.commands["setup-link"], [])
    assert refused.exit_code == 1 and "there is an administrator already" in refused.output


# -- the steps --------------------------------------------------------------------------------------------------------


def test_the_office_is_settled(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get("/setup/office")
    assert page.one("div", data_guess_zone="timezone") is not None, "the browser is asked where it is"
    wrong = send(admin, page, "/setup/office", 422, area_code="x", timezone="Mars")
    assert (wrong.error("area_code"), wrong.error("timezone")) == ("Digits only.", "Choose one of the list.")
    done = send(admin, wrong, "/setup/office", area_code="۰۳۰", region="DE", timezone="Europe/Berlin", locale="en")
    assert done.response.headers["Location"] == "/setup/exchange"
    now = office.load(database, settings)
    assert (now.area_code, now.region, now.timezone, now.locale) == ("030", "DE", "Europe/Berlin", "en")
    assert not admin.get("/setup/office").has("div", data_guess_zone="timezone"), "what was chosen is not guessed over"


def test_the_exchange_is_settled_and_what_was_typed_is_kept(admin: Visitor, database: Database) -> None:
    page = admin.get("/setup/exchange")
    wrong = send(admin, page, "/setup/exchange", 422, ami_host="a b", ami_port="0", outbound_context="x y")
    assert wrong.error("ami_port") == "A port is a number from 1 to 65535, mostly 5038."
    assert wrong.error("outbound_context") == "Letters, digits, dot, dash and underscore only."
    assert typed(wrong)["ami_host"] == ["a b"]
    assert "ami_host" not in stored(database)
    fields = typed(wrong) | {"ami_host": "10.0.0.9", "ami_port": "۵۰۳۹"}
    admin.post("/setup/exchange", fields | {"outbound_context": "from-internal", "ami_secret": "s3cret"})
    there = stored(database)
    assert (there["ami_host"], there["ami_port"], there["ami_secret"]) == ("10.0.0.9", "5039", "s3cret")
    assert there["outbound_context"] == "from-internal"


def marks(page: Page) -> dict[str, str]:
    return {item.get("data-point", ""): item.get("class", "") for item in page.all("li") if item.get("data-point")}


def test_the_check_says_how_far_it_is(admin: Visitor, database: Database, service: Service) -> None:
    page = admin.press("/setup/exchange/check")
    assert marks(page)["service"] == "check-fault"
    create_running_service(database)
    with database.write() as session:
        store.write_setting(session, "outbound_context", "from-internal")
    with service(test_connection=(True, pack(REPORT)), look_up=(True, "yes")):
        page = admin.press("/setup/exchange/check")
    assert set(marks(page).values()) == {"check-ok"}
    assert not page.has(id="poll"), "there is nothing left to wait for"
    refused = ConnectionReport(ConnectionResult.REFUSED, "Authentication failed")
    with service(test_connection=(True, pack(refused))):
        page = admin.post("/setup/exchange/check", status=200)  # without scripts: the whole page
    assert (marks(page)["reached"], marks(page)["accepted"], marks(page)["rights"]) == (
        "check-ok",
        "check-fault",
        "check-unknown",
    )
    assert page.has(id="poll")


@pytest.mark.parametrize("template", ["extension", "silent"])
def test_a_module_for_extensions_is_made_with_its_scenarios(admin: Visitor, database: Database, template: str) -> None:
    page = admin.get("/setup/module")
    fields = typed(page)
    assert fields["code"] == ["*5001"]
    admin.post("/setup/module", fields | {"template": template, "extensions": "۱۰۱، 102"})
    with database.read() as session:
        module = session.get_one(Module, 1)
        rows = [session.get_one(ExtensionScenario, extension) for extension in ("101", "102")]
    assert (module.targets, module.silent) == (["101", "102"], template == "silent")
    assert {(row.busy_kind, row.no_answer_code, row.unavailable_code) for row in rows} == {("module", "*5001", "*5001")}


def test_a_module_for_a_queue_is_made_with_its_destination(admin: Visitor, database: Database) -> None:
    fields = {"template": "queue", "queue": "800", "name": "Team", "code": "*5001"}
    admin.post("/setup/module", fields)
    with database.read() as session:
        queue = session.get_one(QueueScenario, "800")
    assert (queue.failed_kind, queue.failed_code) == ("module", "*5001")


def test_a_way_that_was_chosen_before_stays(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        session.add(ExtensionScenario(extension="101", ring=40, busy_kind="extension", busy_code="102"))
    admin.post("/setup/module", {"template": "extension", "extensions": "101", "name": "A", "code": "*5001"})
    with database.read() as session:
        row = session.get_one(ExtensionScenario, "101")
    assert (row.ring, row.busy_code, row.no_answer_code) == (40, "102", "*5001")


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"extensions": ""}, "extensions", "This is needed."),
        ({"extensions": "10a"}, "extensions", "Digits, * and # only."),
        ({"template": "queue", "queue": ""}, "queue", "This is needed."),
        ({"template": "queue", "queue": "a b"}, "queue", "Digits, * and # only."),
        ({"name": ""}, "name", "This is needed."),
        ({"code": "*5009"}, "code", "This is taken already."),
        ({"template": "other"}, "template", "Choose one of the list."),
    ],
)
def test_a_module_that_makes_no_sense_is_not_made(
    admin: Visitor, database: Database, changes: dict[str, str], field: str, said: str
) -> None:
    create_module(database, code="*5009")
    fields = {"template": "extension", "extensions": "101", "name": "A", "code": "*5001"} | changes
    page = admin.post("/setup/module", fields, 422)
    assert said in (page.error(field) if field != "template" else page.main)
    with database.read() as session:
        assert session.get(Module, 2) is None
        assert session.get(ExtensionScenario, "101") is None


def test_what_the_exchange_does_not_have_is_said(admin: Visitor, database: Database, service: Service) -> None:
    create_running_service(database)
    fields = {"template": "extension", "extensions": "999", "name": "A", "code": "*5001"}
    with service(look_up=(True, "no"), code_taken=(True, "from-internal")):
        page = admin.post("/setup/module", fields, 422)
    assert page.error("extensions") == "The telephone exchange does not know it."
    assert page.error("code").startswith("Something else answers at this code")


def test_on_freepbx_the_module_alone_is_stored(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        store.write_setting(session, "pbx_profile", "freepbx")
    assert "bazang-modules,*5001,1" in admin.get("/setup/module").main
    admin.post("/setup/module", {"template": "extension", "extensions": "101", "name": "A", "code": "*5001"})
    with database.read() as session:
        assert session.get(ExtensionScenario, "101") is None
        assert session.get(Module, 1) is not None


def test_the_test_call_is_asked_for_and_its_failure_said(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    page = admin.get("/setup/call")
    wrong = admin.post("/setup/call", typed(page) | {"extension": "x"}, 422)
    assert wrong.error("extension") == "Digits, * and # only."
    asked = admin.post("/setup/call", {"extension": "۱۰۱", "language": "fa"})
    path = asked.response.headers["Location"]
    assert "asked to ring the phone" in admin.follow(asked).main
    with database.write() as session:
        from app.store.models import PhoneCall

        row = session.get_one(PhoneCall, path.rpartition("/")[2])
        row.state, row.detail = "failed", "busy"
    part = admin.ask(path)
    assert "The phone is busy" in text(part.root)
    assert not part.has(id="poll")
    admin.get("/setup/call/00000000-0000-4000-8000-000000000009", 404)


def test_a_set_up_that_was_left_is_remembered_and_can_be_dismissed(
    admin: Visitor, operator: Visitor, database: Database
) -> None:
    assert not admin.get("/requests").has(class_="setup-card")
    with database.write() as session:
        store.write_setting(session, "setup_step", "office")
    assert admin.get("/requests").has("a", href="/setup/office")
    assert not operator.get("/requests").has("a", href="/setup/office")
    assert not admin.get("/setup/module").has("a", href="/setup/exchange/done")
    assert admin.post("/setup/office/done").response.headers["Location"] == "/setup/exchange"
    assert admin.get("/requests").has("a", href="/setup/exchange")
    assert admin.post("/setup/call/done").response.headers["Location"] == "/setup/end"
    admin.post("/setup/finish")
    assert not admin.get("/requests").has(class_="setup-card")


def test_the_end_says_what_is_missing(admin: Visitor, database: Database) -> None:
    assert "no module yet" in admin.get("/setup/end").main
    module = create_module(database)
    assert "1 module takes call requests." in admin.get("/setup/end").main
    assert reload(database, module).active
