"""The list of modules: search, pages, and what each row tells."""

import pytest

from app.store.database import Database
from tests.support.factories import create_module
from tests.web.pages import Page, Visitor, rows


def names(page: Page) -> list[str]:
    return ["".join(link.itertext()) for cell in page.all("td", data_label="Name") for link in cell.iter("a")]


def test_an_empty_list_says_what_a_module_is(admin: Visitor) -> None:
    page = admin.get("/modules")
    assert "There is no module yet." in page.main
    assert not page.has("input", name="q"), "there is nothing to search in"


def test_a_row_tells_what_the_module_is(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001", targets=["101", "102"], silent=True)
    create_module(database, name="Night", code="*5002", target_kind="queue", targets=["800"], active=False)
    page = admin.get("/modules")
    assert rows(page) == [
        "*5001 Sales extension 101, 102 yes yes Edit Duplicate Delete",
        "*5002 Night queue 800 no no Edit Duplicate Delete",
    ]


def test_a_row_leads_to_what_can_be_done(admin: Visitor, database: Database) -> None:
    module = create_module(database)
    links = {link.get("href") for link in admin.get("/modules").one("tbody").iter("a")}
    assert links == {f"/modules/{module.id}", f"/modules/new?copy={module.id}", f"/modules/{module.id}/delete"}
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
        path = next((link.get("href", "") for link in page.all("a") if link.text == "Next"), "")
    assert (found, seen) == ([f"Module {number:02}" for number in range(60)], 3)
    before = next(link.get("href", "") for link in page.all("a") if link.text == "Previous")
    assert names(admin.get(before))[0] == "Module 25"


def test_a_full_page_promises_no_other(admin: Visitor, database: Database) -> None:
    for number in range(25):
        create_module(database, code=f"*6{number:03}")
    assert "Next" not in admin.get("/modules").main


def test_a_page_beyond_the_last_does_not_speak_of_the_first_module(admin: Visitor, database: Database) -> None:
    create_module(database)
    assert "There is no module yet." not in admin.get("/modules", page=9).main
