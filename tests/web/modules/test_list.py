"""The list of modules: its rows, order, search and pages."""

import pytest

from app.domain.routing import HANG_UP
from app.store.database import Database
from app.store.models import ExtensionScenario, FormerCode, QueueScenario
from tests.support.factories import create_line, create_module, reload, store
from tests.web.pages import Page, Visitor, rows, text


def names(page: Page) -> list[str]:
    return ["".join(link.itertext()) for cell in page.all("td", data_label="Name") for link in cell.iter("a")]


def test_empty_list_offers_to_add_a_module(admin: Visitor) -> None:
    page = admin.get("/modules")
    assert page.has("a", href="/modules/new")
    assert not page.has("input", name="q")


def test_row_describes_the_module(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001", targets=["101", "102"], silent=True)
    create_module(
        database, name="Night", code="*5002", target_kind="queue", targets=["800"], active=False, automatic=False
    )
    page = admin.get("/modules")
    first, second = rows(page)
    assert first.startswith("*5001 Sales silent extension 101, 102 nothing points to it")
    assert second.startswith("*5002 Night by hand queue 800 nothing points to it")
    assert [switch.get("aria-checked") for switch in page.all("button", role="switch")] == ["true", "false"]


def test_row_lists_the_references(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001")
    create_module(database, name="Night", code="*5002", error_kind="module", error_code="*5001")
    create_line(database, "101", name="Sara")
    store(database, ExtensionScenario(extension="101", busy_kind="module", busy_code="*5001"))
    store(database, QueueScenario(queue="800", failed_kind="module", failed_code="*5001"))
    cell = admin.get("/modules").all("td", data_label="Reached from")[0]
    assert text(cell) == "Night, 101 Sara, queue 800"
    assert [link.get("href") for link in cell.iter("a")] == ["/modules/2", "/extensions/101", "/queues/800"]


def test_row_links_to_its_pages(admin: Visitor, database: Database) -> None:
    module = create_module(database)
    links = {link.get("href") for link in admin.get("/modules").one("tbody").iter("a")}
    own = {f"/modules/{module.id}", f"/modules/new?copy={module.id}", f"/modules/{module.id}/delete"}
    assert links == own | {"/extensions", "/queues"}
    for link in links:
        admin.get(str(link))


@pytest.mark.parametrize("fragment", [True, False])
def test_module_is_switched_in_its_row(admin: Visitor, database: Database, fragment: bool) -> None:
    module = create_module(database, name="Sales")
    for active in (False, True):
        fields = admin.get("/modules").fields()
        if fragment:
            row = admin.press("/modules/1/active", fields)
            assert row.one("button", role="switch").get("aria-checked") == str(active).lower()
        else:
            page = admin.follow(admin.post("/modules/1/active", fields))
            assert page.message == f"The module is now {'active' if active else 'inactive'}."
        assert reload(database, module).active == active
    admin.post("/modules/9/active", {"active": "1"}, 404)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("code", ["b", "A", "c"]),
        ("-code", ["c", "A", "b"]),
        ("name", ["A", "b", "c"]),
        ("kind", ["b", "c", "A"]),
        ("-active", ["b", "A", "c"]),
        ("targets; DROP TABLE modules", ["b", "A", "c"]),
    ],
)
def test_list_is_sorted_by_a_column(admin: Visitor, database: Database, sort: str, found: list[str]) -> None:
    create_module(database, name="A", code="*5002", target_kind="queue", targets=["800"])
    create_module(database, name="b", code="*5001")
    create_module(database, name="c", code="*5003", active=False)
    page = admin.get("/modules", sort=sort)
    assert names(page) == found
    orders = {text(head): head.get("aria-sort") for head in page.all("th") if head.get("aria-sort") != "none"}
    column = {"name": "Name", "kind": "For whom", "active": "Active"}.get(sort.lstrip("-"), "Code")
    assert orders[column] == ("descending" if sort.startswith("-") else "ascending")


def test_column_head_links_to_the_other_direction(admin: Visitor, database: Database) -> None:
    create_module(database)
    hrefs = [link.get("href") for head in admin.get("/modules", q="Sal").all("th") for link in head.iter("a")]
    assert hrefs[:2] == ["/modules?q=Sal&sort=-code", "/modules?q=Sal&sort=name"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("sAL", ["Sales"]),
        (" sales ", ["Sales"]),
        ("فروش", ["فروش ویژه"]),
        ("۵۰۰۲", ["فروش ویژه"]),
        ("*500", ["Sales", "فروش ویژه", "50% off_"]),
        ("%", ["50% off_"]),
        ("_", ["50% off_"]),
        ("'; DROP TABLE modules; --", []),
    ],
)
def test_search_looks_in_name_and_code(admin: Visitor, database: Database, typed: str, found: list[str]) -> None:
    for name, code in (("Sales", "*5001"), ("فروش ویژه", "*5002"), ("50% off_", "*5003")):
        create_module(database, name=name, code=code)
    page = admin.get("/modules", q=typed)
    assert names(page) == found
    assert page.one("input", name="q").get("value") == typed.strip()
    fragment = admin.ask(f"/modules?q={typed}") if typed == "sAL" else None
    assert fragment is None or (names(fragment) == found and not fragment.has("h1"))


def test_long_list_has_pages(admin: Visitor, database: Database) -> None:
    for number in range(60):
        create_module(database, name=f"Module {number:02}", code=f"*6{number:03}")
    found, path, seen = [], "/modules?q=Module", 0
    while path:
        page = admin.get(path)
        found += names(page)
        seen += 1
        assert "60 modules" in page.main
        assert text(page.one("a", aria_current="page", class_="here")) == str(seen)
        path = next((link.get("href", "") for link in page.all("a", rel="next")), "")
    assert (found, seen) == ([f"Module {number:02}" for number in range(60)], 3)
    assert names(admin.get(page.one("a", rel="prev").get("href", "")))[0] == "Module 25"
    assert names(admin.get("/modules", page=9)) == names(page), "a page after the last is the last"


def test_full_page_has_no_next_page(admin: Visitor, database: Database) -> None:
    for number in range(25):
        create_module(database, code=f"*6{number:03}")
    assert not admin.get("/modules").has("a", rel="next")


def test_first_last_and_near_pages_have_links(admin: Visitor, database: Database) -> None:
    for number in range(251):
        create_module(database, code=f"*6{number:03}")
    links = [text(part) for part in admin.get("/modules", page=6).one("nav", aria_label="Pages of the list")]
    assert links == ["Previous", "1", "…", "4", "5", "6", "7", "8", "…", "11", "Next"]


def test_former_codes_are_listed_until_they_are_removed(admin: Visitor, database: Database) -> None:
    assert "Former codes" not in admin.get("/modules").main
    module = create_module(database, name="Sales", code="*5002")
    store(database, FormerCode(code="*5001", module_id=module.id, name="", error=HANG_UP))
    store(database, FormerCode(code="*5003", module_id=None, name="<b>Night</b>", error=HANG_UP))
    page = admin.get("/modules")
    assert "*5001 Sales (*5002) Remove" in page.main
    assert "*5003 <b>Night</b> is deleted: its error destination Remove" in page.main
    admin.post("/modules/former-codes", {"code": "*5001"})
    page = admin.get("/modules")
    assert "former code *5001 is removed" in page.message and "*5003" in page.main
    admin.post("/modules/former-codes", {"code": "*5001"}, 404)


def test_former_code_is_named_when_a_module_is_changed_or_deleted(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001")
    admin.submit(admin.get("/modules/1"), "/modules/1", code="*5007")
    assert "The former code *5001 still leads" in admin.get("/modules").message
    admin.submit(admin.get("/modules/1/delete"), "/modules/1/delete")
    assert "The former code *5007 still leads" in admin.get("/modules").message
