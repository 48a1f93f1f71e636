"""The list of modules: search, pages, and what each row tells."""

import pytest

from app.store.database import Database
from app.store.models import ExtensionScenario, QueueScenario
from tests.support.factories import create_line, create_module, reload, store
from tests.web.pages import Page, Visitor, rows, text


def names(page: Page) -> list[str]:
    return ["".join(link.itertext()) for cell in page.all("td", data_label="Name") for link in cell.iter("a")]


def test_an_empty_list_says_what_a_module_is(admin: Visitor) -> None:
    page = admin.get("/modules")
    assert "There is no module yet." in page.main
    assert not page.has("input", name="q"), "there is nothing to search in"


def test_a_row_tells_what_the_module_is(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001", targets=["101", "102"], silent=True)
    create_module(
        database, name="Night", code="*5002", target_kind="queue", targets=["800"], active=False, automatic=False
    )
    page = admin.get("/modules")
    assert rows(page) == [
        "*5001 Sales silent extension 101, 102 nothing leads here Extensions · Queues Edit Duplicate Delete",
        "*5002 Night by hand queue 800 nothing leads here Extensions · Queues Edit Duplicate Delete",
    ]
    assert [switch.get("aria-checked") for switch in page.all("button", role="switch")] == ["true", "false"]


def test_a_row_tells_from_where_it_is_reached(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001")
    create_module(database, name="Night", code="*5002", error_kind="module", error_code="*5001")
    create_line(database, "101", name="Sara")
    store(database, ExtensionScenario(extension="101", busy_kind="module", busy_code="*5001"))
    store(database, QueueScenario(queue="800", failed_kind="module", failed_code="*5001"))
    cells = admin.get("/modules").all("td", data_label="Reached from")
    assert [text(cell) for cell in cells] == ["Night, 101 Sara, queue 800", "nothing leads here Extensions · Queues"]
    assert [link.get("href") for link in cells[0].iter("a")] == ["/modules/2", "/extensions/101", "/queues/800"]


@pytest.mark.parametrize("fragment", [True, False])
def test_a_module_is_switched_off_and_on_in_its_row(admin: Visitor, database: Database, fragment: bool) -> None:
    module = create_module(database, name="Sales")
    for active in (False, True):
        fields = admin.get("/modules").fields()
        if fragment:
            row = admin.press("/modules/1/active", fields)
            assert row.one("button", role="switch").get("aria-checked") == str(active).lower()
        else:
            page = admin.follow(admin.post("/modules/1/active", fields))
            assert page.message == ("The module is switched on." if active else "The module is switched off.")
        assert reload(database, module).active == active
    admin.post("/modules/9/active", {"active": "1"}, 404)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("code", ["b", "A", "c"]),
        ("-code", ["c", "A", "b"]),
        ("name", ["A", "b", "c"]),
        ("-name", ["c", "b", "A"]),
        ("kind", ["b", "c", "A"]),
        ("active", ["c", "b", "A"]),
        ("-active", ["b", "A", "c"]),
        ("targets; DROP TABLE modules", ["b", "A", "c"]),
    ],
)
def test_the_list_is_sorted_by_a_column(admin: Visitor, database: Database, sort: str, found: list[str]) -> None:
    create_module(database, name="A", code="*5002", target_kind="queue", targets=["800"])
    create_module(database, name="b", code="*5001")
    create_module(database, name="c", code="*5003", active=False)
    page = admin.get("/modules", sort=sort)
    assert names(page) == found
    sorted_by = {text(head): head.get("aria-sort") for head in page.all("th") if head.get("aria-sort") != "none"}
    column = {"code": "Code", "name": "Name", "kind": "For whom", "active": "Active"}.get(sort.lstrip("-"), "Code")
    assert sorted_by[column] == ("descending" if sort.startswith("-") else "ascending")


def test_a_click_on_the_column_turns_the_order_round(admin: Visitor, database: Database) -> None:
    create_module(database)
    hrefs = [link.get("href") for head in admin.get("/modules", q="Sal").all("th") for link in head.iter("a")]
    assert hrefs[:2] == ["/modules?q=Sal&sort=-code", "/modules?q=Sal&sort=name"]


def test_a_search_by_htmx_is_answered_by_the_list_alone(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales")
    create_module(database, name="Night")
    page = admin.ask("/modules?q=nig")
    assert names(page) == ["Night"] and not page.has("h1")


def test_a_row_leads_to_what_can_be_done(admin: Visitor, database: Database) -> None:
    module = create_module(database)
    links = {link.get("href") for link in admin.get("/modules").one("tbody").iter("a")}
    own = {f"/modules/{module.id}", f"/modules/new?copy={module.id}", f"/modules/{module.id}/delete"}
    assert links == own | {"/extensions", "/queues"}
    for link in links:
        admin.get(str(link))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Sales", ["Sales"]),
        ("sAL", ["Sales"]),
        (" sales ", ["Sales"]),
        ("فروش", ["فروش ویژه"]),
        ("5002", ["فروش ویژه"]),
        ("۵۰۰۲", ["فروش ویژه"]),
        ("*500", ["Sales", "فروش ویژه", "50% off_"]),
        ("%", ["50% off_"]),
        ("_", ["50% off_"]),
        ("'; DROP TABLE modules; --", []),
    ],
)
def test_search_looks_in_name_and_code(admin: Visitor, database: Database, wanted: str, found: list[str]) -> None:
    for name, code in (("Sales", "*5001"), ("فروش ویژه", "*5002"), ("50% off_", "*5003")):
        create_module(database, name=name, code=code)
    page = admin.get("/modules", q=wanted)
    assert names(page) == found
    assert page.one("input", name="q").get("value") == wanted.strip()
    if not found:
        assert "No module matches." in page.main


def test_a_long_list_has_pages(admin: Visitor, database: Database) -> None:
    for number in range(60):
        create_module(database, name=f"Module {number:02}", code=f"*6{number:03}")
    found, path, seen = [], "/modules?q=Module", 0
    while path:
        page = admin.get(path)
        found += names(page)
        seen += 1
        assert "60 modules" in page.main
        assert text(page.one("a", aria_current="page", class_="here")) == str(seen)
        path = next((link.get("href", "") for link in page.all("a") if link.text == "Next"), "")
    assert (found, seen) == ([f"Module {number:02}" for number in range(60)], 3)
    before = next(link.get("href", "") for link in page.all("a") if link.text == "Previous")
    assert names(admin.get(before))[0] == "Module 25"


def test_a_full_page_promises_no_other(admin: Visitor, database: Database) -> None:
    for number in range(25):
        create_module(database, code=f"*6{number:03}")
    assert "Next" not in admin.get("/modules").main


def test_a_page_beyond_the_last_is_the_last(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales")
    assert names(admin.get("/modules", page=9)) == ["Sales"]


def test_of_many_pages_the_near_ones_are_named(admin: Visitor, database: Database) -> None:
    for number in range(251):
        create_module(database, code=f"*6{number:03}")
    page = admin.get("/modules", page=6)
    named = [text(part) for part in page.one("nav", aria_label="Pages of the list")]
    assert named == ["Previous", "1", "…", "4", "5", "6", "7", "8", "…", "11", "Next"]
