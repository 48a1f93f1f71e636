"""The pages of the contacts, and where their names are shown."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from app.config import Settings
from app.services.contacts.templates import ContactTemplates
from app.services.contacts.templates import save as save_templates
from app.store.database import Database
from app.store.models import Attempt, CallRequest, User
from tests.support.factories import (
    create_attempt,
    create_contact,
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_request,
)
from tests.web.pages import Page, Visitor, text

NUMBER, OTHER = "+989121234567", "+989127654321"


def upload(visitor: Visitor, content: bytes, status: int = 302) -> Page:
    return visitor.post("/contacts/import", {"file": (io.BytesIO(content), "list.csv")}, status)


def test_supervisor_adds_changes_and_deletes(supervisor: Visitor, database: Database) -> None:
    given = {"name": "Sara", "organisation": "Pars", "numbers": "0912 123 4567", "note": ""}
    page = supervisor.follow(supervisor.post("/contacts/new", given))
    assert "The contact is added." in page.message and "09121234567" in page.main
    page = supervisor.post("/contacts/1", given | {"numbers": "12"}, 422)
    assert "not a telephone number" in page.error("numbers")
    supervisor.follow(supervisor.post("/contacts/1", given | {"name": "Sara Ahmadi"}))
    assert "Sara Ahmadi" in supervisor.get("/contacts", find="ahmadi").main
    assert "No contacts match." in supervisor.get("/contacts", find="omid").main
    assert "Sara Ahmadi" in supervisor.get("/contacts/1/delete").main
    supervisor.follow(supervisor.post("/contacts/1/delete"))
    assert "There are no contacts yet." in supervisor.get("/contacts").main
    for path in ("/contacts/1", "/contacts/1/delete"):
        supervisor.get(path, 404)


def test_import_with_preview(supervisor: Visitor, database: Database) -> None:
    create_contact(database, "Sara", NUMBER)
    page = supervisor.follow(upload(supervisor, b"name,phone\nSara A,09121234567\nOmid,09127654321\nx,12\n"))
    for part in ("1 row", "left out", "no telephone number", "Sara A", "09127654321"):
        assert part in page.main
    assert "Sara A" not in supervisor.get("/contacts").main
    page = supervisor.follow(
        supervisor.post("/contacts/import/columns", {"column": ["note", "number"], "has_titles": "1"})
    )
    assert "Store the contacts" not in page.main
    supervisor.post("/contacts/import/columns", {"column": ["name", "number"], "has_titles": "1"})
    page = supervisor.follow(supervisor.post("/contacts/import/store"))
    assert "1 contact is added. 1 contact is changed." in page.message
    assert "Sara A" in page.main and "Omid" in page.main
    for path in ("columns", "store"):
        assert supervisor.post(f"/contacts/import/{path}").response.location == "/contacts/import"


def test_file_can_be_dropped_and_is_of_its_user(supervisor: Visitor, admin: Visitor) -> None:
    upload(supervisor, b"name,phone\nSara,09121234567\n")
    assert admin.get("/contacts/import/preview", 302).response.location == "/contacts/import"
    assert "Nothing of the file is stored." in supervisor.follow(supervisor.post("/contacts/import/drop")).message
    supervisor.get("/contacts/import/preview", 302)


@pytest.mark.parametrize(("content", "words"), [(b"", "Choose a file"), (b"\x89PNG\xff", "letters of this file")])
def test_refused_file(supervisor: Visitor, content: bytes, words: str) -> None:
    data: dict[str, Any] = {"file": (io.BytesIO(content), "a.csv")} if content else {}
    assert words in supervisor.post("/contacts/import", data, 422).error("file")


def test_hostile_names_stay_text(supervisor: Visitor) -> None:
    page = supervisor.follow(upload(supervisor, b'"<script>x</script>",09121234567\n"=1+1",09127654321\n'))
    assert "<script>x</script>" in page.main
    supervisor.post("/contacts/import/store")
    assert "<script>x</script>" in supervisor.get("/contacts").main


@pytest.fixture
def scene(database: Database) -> None:
    module = create_module(database, code="*5001", targets=["101", "102"])
    now = datetime.now(UTC)
    create_request(database, module, target="101", number=NUMBER, caller_name="+98 IPHONE", registered_at=now)
    create_missed_call_rule(database)
    create_missed_call(database, number=NUMBER, caller_name="+98 IPHONE", at=now)


@pytest.mark.parametrize(
    "path", ["/requests", "/requests/1", "/mine", "/missed", "/report?period=all", "/search?find=ahm"]
)
def test_name_is_shown_where_the_number_is(scene: None, operator: Visitor, database: Database, path: str) -> None:
    create_contact(database, "Sara Ahmadi", NUMBER)
    page = operator.get(path)
    assert "Sara Ahmadi" in page.main
    assert path == "/requests/1" or "IPHONE" not in page.main


def test_without_a_contact_the_phone_is_believed(scene: None, operator: Visitor) -> None:
    for path in ("/requests", "/requests/1", "/missed", "/report?period=all"):
        assert "IPHONE" in operator.get(path).main


def test_unknown_caller_can_be_added(scene: None, operator: Visitor, supervisor: Visitor) -> None:
    (link,) = (a for a in supervisor.get("/requests/1").all("a") if text(a) == "Add to the contacts")
    assert supervisor.get(link.get("href", "")).fields()["numbers"] == ["09121234567"]
    assert "Add to the contacts" not in operator.get("/requests/1").main


def test_search_finds_contacts_for_those_who_may_change_them(
    scene: None, operator: Visitor, supervisor: Visitor, database: Database
) -> None:
    create_contact(database, "سارا احمدي", NUMBER, organisation="Pars")
    for asked in ("احمدی", "pars"):
        assert supervisor.get("/search", find=asked).has("section", id="found-contacts")
        page = operator.get("/search", find=asked)
        assert page.has("section", id="found-requests") and not page.has("section", id="found-contacts")


def test_more_rows_need_no_more_queries(operator: Visitor, database: Database) -> None:
    module = create_module(database, code="*5001")
    counts = []
    for number in range(6):
        create_request(database, module, target="101", number=f"+98912000000{number}")
        create_contact(database, f"Contact {number}", f"+98912000000{number}")
        statements: list[str] = []
        listen = lambda *given: statements.append(given[2])  # noqa: B023, E731 - called in this turn only
        event.listen(database.engine, "before_cursor_execute", listen)
        assert f"Contact {number}" in operator.get("/requests").main
        event.remove(database.engine, "before_cursor_execute", listen)
        counts.append(len([each for each in statements if each.startswith("SELECT")]))
    assert counts[1] == counts[-1]


def test_report_file_has_the_contact(scene: None, admin: Visitor, database: Database) -> None:
    create_contact(database, "=Sara", NUMBER)
    content = admin.client.get("/report.csv?period=all").get_data(as_text=True)
    assert ",'=Sara\r\n" in content and "Contact" in content.splitlines()[0]


# -- the screen pop ---------------------------------------------------------------------------------------------------


@pytest.fixture
def talking(scene: None, settings: Settings, database: Database) -> None:
    given = ContactTemplates(screen_pop_url="https://crm.example/{number}?n={name}&r={request}&m={module}")
    save_templates(database, settings, given, actor="sara", now=datetime.now(UTC))
    create_contact(database, "سارا & co", NUMBER)
    create_attempt(database, request_of(database), agent="101", answered_at=datetime.now(UTC))


def request_of(database: Database) -> Any:
    with database.read() as session:
        return session.get(CallRequest, 1)


def pops(page: Page) -> list[str]:
    return [link.get("href", "") for link in page.all("a") if link.get("data-pop")]


def test_link_is_offered_to_the_agent_only(talking: None, operator: Visitor, admin: Visitor) -> None:
    url = "https://crm.example/09121234567?n=%D8%B3%D8%A7%D8%B1%D8%A7%20%26%20co&r=1&m=Sales"
    assert pops(operator.get("/mine")) == [url]
    assert pops(operator.ask("/live")) == [url]
    assert pops(admin.get("/requests")) == []


def test_no_link_before_the_answer_and_after_the_call(
    scene: None, talking: None, operator: Visitor, database: Database
) -> None:
    with database.write() as session:
        session.query(Attempt).update({"answered_at": None})
    assert pops(operator.get("/mine")) == []
    with database.write() as session:
        session.query(Attempt).update({"answered_at": datetime.now(UTC), "ended_at": datetime.now(UTC)})
    assert pops(operator.get("/mine")) == []


def test_user_switches_the_new_tab_on(talking: None, operator: Visitor, database: Database) -> None:
    assert "data-opens" not in operator.get("/mine").one(id="screen-pop").attrib
    account = operator.get("/account")
    fields = account.fields(account.form(action="/account/screen-pop"))
    assert "opens" not in fields
    page = operator.follow(operator.post("/account/screen-pop", fields | {"opens": "y"}))
    assert page.message and "data-opens" in page.one(id="screen-pop").attrib
    operator.post("/account/screen-pop")
    with database.read() as session:
        user = session.get(User, 2)
        assert user is not None and not user.opens_screen_pop


def test_settings_of_the_customer_program(admin: Visitor, operator: Visitor) -> None:
    page = admin.get("/settings/contacts")
    given = {"screen_pop_url": "https://crm.example/{number}", "name_lookup_days": "7"}
    page = admin.follow(admin.post("/settings/contacts", given))
    assert "The settings are saved." in page.message
    page = admin.post("/settings/contacts", given | {"name_lookup_url": "http://localhost/{number}"}, 422)
    assert "inside the office" in page.error("name_lookup_url")
    assert text(page.one("h1")) == "Settings"
    operator.get("/settings/contacts", 403)
