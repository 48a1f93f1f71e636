"""Contacts in the database: saved, found, imported, exported, and shown by their numbers."""

import csv
import io
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select

from app.config import Settings
from app.domain.contacts import MOST, Action, search_text
from app.services.contacts import export, importing, save
from app.services.contacts import list as contacts
from app.services.contacts.save import ContactInput
from app.services.errors import ErrorCode, Invalid, NotFound
from app.store.contacts import names_of
from app.store.database import Database
from app.store.models import AuditEntry, Contact, ContactImport, ContactNumber, LookedUpName, User
from tests.support.factories import NOW, NUMBER, create_contact, store

OTHER, LANDLINE = "+989127654321", "+982188776655"
BY: dict[str, Any] = {"actor": "sara", "now": NOW}
TITLES = {"name": "Name", "organisation": "Organisation", "numbers": "Numbers", "note": "Note"}


def stored(database: Database) -> list[tuple[str, str, tuple[str, ...], str]]:
    with database.read() as session:
        found = contacts.load_all(session)
    return [(data.name, data.organisation, data.numbers, data.note) for data in found.values()]


def log(database: Database) -> list[tuple[str, str, Mapping[str, Any]]]:
    with database.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        return [(row.action, row.subject, row.detail) for row in rows]


def errors(database: Database, settings: Settings, **given: str) -> Mapping[str, str]:
    with pytest.raises(Invalid) as refused:
        save.add(database, settings, ContactInput(**{"name": "Omid", "numbers": "09127654321"} | given), **BY)
    return refused.value.errors


def test_add_change_and_delete(database: Database, office: Settings) -> None:
    added = save.add(database, office, ContactInput(" Sara ", "Pars", "0912 123 4567\n021-88776655 ext 3", "VIP"), **BY)
    assert stored(database) == [("Sara", "Pars", (LANDLINE, NUMBER), "VIP")]
    assert contacts.load(database, added).numbers == ("02188776655", "09121234567")
    save.change(database, office, added, ContactInput("Sara A", "", "98912 765 4321; 09121234567"), **BY)
    assert stored(database) == [("Sara A", "", (NUMBER, OTHER), "")]
    assert save.remove(database, added, **BY) == "Sara A"
    assert stored(database) == []
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ContactNumber)) == 0
    assert [entry[:2] for entry in log(database)] == [
        ("contact_saved", "Sara"),
        ("contact_saved", "Sara A"),
        ("contact_deleted", "Sara A"),
    ]
    for act in (lambda: save.remove(database, added, **BY), lambda: contacts.load(database, added)):
        with pytest.raises(NotFound):
            act()


def test_input_is_checked(database: Database, office: Settings) -> None:
    create_contact(database, "Sara", NUMBER)
    assert errors(database, office, name=" ") == {"name": ErrorCode.REQUIRED}
    assert errors(database, office, name="x" * 121) == {"name": ErrorCode.TOO_LONG}
    assert errors(database, office, organisation="a\u202eb") == {"organisation": ErrorCode.CHARACTERS}
    assert errors(database, office, note="x" * 501) == {"note": ErrorCode.TOO_LONG}
    assert errors(database, office, note="a\n\x07") == {"note": ErrorCode.CHARACTERS}
    assert errors(database, office, numbers="") == {"numbers": ErrorCode.REQUIRED}
    assert errors(database, office, numbers="09127654321;12") == {"numbers": ErrorCode.NUMBER}
    assert errors(database, office, numbers="09127654321;09121234567") == {"numbers": ErrorCode.OF_CONTACT}
    many = ";".join(f"0912{number:07}" for number in range(21))
    assert errors(database, office, numbers=many) == {"numbers": ErrorCode.TOO_MANY}
    assert len(stored(database)) == 1 and log(database) == []


@pytest.mark.parametrize("text", ["كريمي", "کریمی", "علی‌کریمی", "PARS", "pa", "0912", "۹۱۲ ۱۲۳", "+98912123"])
def test_search(database: Database, text: str) -> None:
    create_contact(database, "علی كریمي", NUMBER, LANDLINE, organisation="Pars")
    create_contact(database, "Omid", "+982144444444")
    assert [found.name for found in contacts.load_page(database, text).contacts] == ["علی كریمي"]
    assert contacts.load_page(database, text + "x%").contacts == []


def test_pages(database: Database) -> None:
    for number in range(5):
        create_contact(database, f"Contact {number}", f"+98912000000{number}")
    page = contacts.load_page(database, page=9, per_page=2)
    assert (page.page, page.pages, page.total) == (3, 3, 5)
    assert [found.name for found in page.contacts] == ["Contact 4"]


def test_names_in_one_query_and_contacts_first(database: Database) -> None:
    create_contact(database, "Sara", NUMBER, LANDLINE)
    for number, name in ((NUMBER, "S. of the program"), (OTHER, "Omid"), ("+982144444444", "")):
        store(database, LookedUpName(number=number, name=name, asked_at=NOW))
    statements: list[str] = []

    def note(*given: Any) -> None:
        if given[2].startswith("SELECT"):
            statements.append(given[2])

    with database.read() as session:
        event.listen(session.get_bind(), "before_cursor_execute", note)
        found = names_of(session, [NUMBER, LANDLINE, OTHER, "+982144444444", "+982155555555", ""])
        assert found == {NUMBER: "Sara", LANDLINE: "Sara", OTHER: "Omid"}
        assert len(statements) == 1
        assert names_of(session, [""]) == {} and len(statements) == 1


# -- import and export ------------------------------------------------------------------------------------------------


@pytest.fixture
def user_id(database: Database) -> int:
    user = User(name="sara", password_hash="x", role="supervisor", created_at=NOW)
    return store(database, user).id


def import_file(database: Database, office: Settings, user_id: int, content: bytes) -> Mapping[Action, int]:
    importing.upload(database, office, user_id, "list.csv", content, NOW)
    return importing.store(database, user_id, **BY)


def test_import_twice_changes_and_does_not_double(database: Database, office: Settings, user_id: int) -> None:
    content = (
        b"name,company,phone,phone 2\nSara,Pars,09121234567,02188776655\nOmid,Pars,02188776655,09127654321\nx,,12,\n"
    )
    first = import_file(database, office, user_id, content)
    assert first == {Action.ADDED: 2, Action.LEFT_OUT: 1}
    both = [("Omid", "Pars", (OTHER,), ""), ("Sara", "Pars", (LANDLINE, NUMBER), "")]
    assert stored(database) == both
    assert import_file(database, office, user_id, content) == {Action.UNCHANGED: 2, Action.LEFT_OUT: 1}
    assert stored(database) == both
    import_file(database, office, user_id, content.replace(b"Sara,Pars", b"Sara Ahmadi,Parsian"))
    assert ("Sara Ahmadi", "Parsian", (LANDLINE, NUMBER), "") in stored(database) and len(stored(database)) == 2
    assert log(database)[0] == ("contacts_imported", "list.csv", {"added": 2, "left_out": 1})


def test_nothing_is_stored_before_somebody_says_so(database: Database, office: Settings, user_id: int) -> None:
    importing.upload(database, office, user_id, "a.csv", b"name,phone\nSara,09121234567\n", NOW)
    preview = importing.load_preview(database, user_id)
    assert preview.stores_something and preview.counts == {Action.ADDED: 1}
    assert stored(database) == []
    importing.drop(database, user_id)
    for act in (lambda: importing.load_preview(database, user_id), lambda: importing.store(database, user_id, **BY)):
        with pytest.raises(NotFound):
            act()


def test_columns_can_be_chosen(database: Database, office: Settings, user_id: int) -> None:
    importing.upload(database, office, user_id, "a.csv", b"x,y\n09121234567,Sara\n", NOW)
    importing.choose_columns(database, office, user_id, ["number", "note"], has_titles=True)
    assert importing.load_preview(database, user_id).counts == {Action.LEFT_OUT: 1}
    importing.choose_columns(database, office, user_id, ["number", "name"], has_titles=True)
    assert importing.load_preview(database, user_id).counts == {Action.ADDED: 1}
    for columns in (["number"], ["number", "nothing"]):
        with pytest.raises(Invalid):
            importing.choose_columns(database, office, user_id, columns, has_titles=True)


def test_number_that_another_contact_got_meanwhile_stays_there(
    database: Database, office: Settings, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing.upload(database, office, user_id, "a.csv", b"name,phone\nSara,09121234567\nOmid,09127654321\n", NOW)
    planned = importing.load_preview(database, user_id)
    create_contact(database, "Mina", NUMBER)
    monkeypatch.setattr(importing, "load_preview", lambda *_: planned)
    importing.store(database, user_id, **BY)
    assert [entry[0] for entry in stored(database)] == ["Mina", "Omid"]


def test_forgotten_files_are_deleted(database: Database, office: Settings, user_id: int) -> None:
    importing.upload(database, office, user_id, "a.csv", b"name,phone\nSara,09121234567\n", NOW)
    for later, left in ((timedelta(hours=23), 1), (timedelta(hours=25), 0)):
        with database.write() as session:
            importing.delete_old(session, NOW + later)
        with database.read() as session:
            assert session.scalar(select(func.count()).select_from(ContactImport)) == left


def test_export_is_safe_and_can_be_imported(database: Database, office: Settings, user_id: int) -> None:
    create_contact(database, "=HYPERLINK(1)", NUMBER, LANDLINE, organisation="@Pars", note="-1, a\nb")
    create_contact(database, "سارا", OTHER)
    before = stored(database)
    content = b"".join(export.write_csv(database, TITLES, **BY))
    assert content.startswith("\ufeffName,".encode())
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert rows[1:] == [
        ["'=HYPERLINK(1)", "'@Pars", "02188776655; 09121234567", "'-1, a\nb"],
        ["سارا", "", "'09127654321", ""],
    ]
    assert log(database) == [("contacts_exported", "", {"contacts": 2})]
    assert import_file(database, office, user_id, content) == {Action.UNCHANGED: 2}
    assert stored(database) == before


def test_a_full_list_stays_quick(database: Database) -> None:
    numbers = range(MOST)
    with database.write() as session:
        rows = [
            {
                "id": number + 1,
                "name": f"نام {number}",
                "search_key": search_text(f"نام {number}", "شرکت"),
                "organisation": "شرکت",
                "note": "",
                "updated_by": "",
                "created_at": NOW,
                "updated_at": NOW,
            }
            for number in numbers
        ]
        session.execute(insert(Contact), rows)
        session.execute(insert(ContactNumber), [{"number": f"+98912{n:07}", "contact_id": n + 1} for n in numbers])
    began = time.process_time()
    with database.read() as session:
        assert len(names_of(session, [f"+98912{number:07}" for number in range(0, MOST, 1000)])) == 50
    looked_up = time.process_time() - began
    assert contacts.load_page(database, "نام 49999").total == 1
    assert contacts.load_page(database, "9120049999").total == 1
    assert looked_up < 0.2
    assert time.process_time() - began < 2.0
