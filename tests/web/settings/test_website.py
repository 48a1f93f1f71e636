"""The forms of websites on their pages."""

import pytest
from sqlalchemy import select

from app.store.database import Database
from app.store.models import Module, WebsiteForm
from tests.support.factories import create_module, create_request, create_website_form, log_of
from tests.support.rows import for_each
from tests.web.pages import Visitor

PATH = "/settings/websites"
GOOD = {
    "name": "Shop",
    "wanted": "1:",
    "origins": "https://Shop.example/\nhttps://www.shop.example https://shop.example",
    "language": "fa",
    "daily_limit": "۲۰",
    "asks_name": "y",
    "active": "y",
}


@pytest.fixture(autouse=True)
def module(database: Database) -> Module:
    return create_module(database, name="Sales")


def forms_of(database: Database) -> list[WebsiteForm]:
    with database.read() as session:
        return list(session.scalars(select(WebsiteForm)))


def test_form_is_added_changed_and_removed(database: Database, admin: Visitor) -> None:
    assert admin.post(f"{PATH}/new", GOOD).response.location == f"{PATH}/1"
    (row,) = forms_of(database)
    assert row.origins == ["https://shop.example", "https://www.shop.example"]
    assert (row.daily_limit, row.language, row.asks_name, row.offers_times) == (20, "fa", True, False)
    page = admin.get(f"{PATH}/1")
    assert f"http://localhost/website/{row.key}.js" in page.source and len(row.key) == 24
    entry = log_of(database)[-1]
    assert (entry.action, entry.subject) == ("website_form_saved", "Shop")
    assert entry.detail["module"] == [None, "Sales"] and row.key not in str(entry.detail)
    admin.post(f"{PATH}/1", {**GOOD, "name": "Store", "wanted": "1:101"})
    assert "Store" in admin.get(PATH).main
    assert log_of(database)[-1].detail == {"name": ["Shop", "Store"], "target": ["*", "101"]}
    assert "Store" in admin.get("/log").main
    assert "Remove “Store”?" in admin.get(f"{PATH}/1/delete").main
    create_request(database, came_by="website", website="Store")
    assert admin.post(f"{PATH}/1/delete").response.location == PATH
    assert forms_of(database) == [] and log_of(database)[-1].action == "website_form_removed"
    assert "Store" in admin.get("/requests/1").main


def test_new_key_replaces_the_old_one(database: Database, admin: Visitor, module: Module) -> None:
    create_website_form(database, module)
    admin.post(f"{PATH}/1/key")
    (row,) = forms_of(database)
    assert row.key != "form" and log_of(database)[-1].action == "website_key_renewed"


@for_each(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"wanted": ""}, "wanted"),
        ({"wanted": "4711:"}, "wanted"),
        ({"wanted": "1:4711"}, "wanted"),
        ({"wanted": "x"}, "wanted"),
        ({"origins": ""}, "origins"),
        ({"origins": "http://shop.example"}, "origins"),
        ({"origins": "https://shop.example/contact"}, "origins"),
        ({"origins": "*"}, "origins"),
        ({"origins": " ".join(f"https://shop{number}.example" for number in range(11))}, "origins"),
        ({"language": "de"}, "language"),
        ({"daily_limit": "0"}, "daily_limit"),
        ({"daily_limit": "1001"}, "daily_limit"),
        ({"privacy": "x" * 301}, "privacy"),
    ],
)
def test_wrong_input_is_refused(database: Database, admin: Visitor, values: dict[str, str], field: str) -> None:
    assert admin.post(f"{PATH}/new", {**GOOD, **values}, 422).error(field)
    assert forms_of(database) == []


def test_name_is_taken_once_and_the_number_of_forms_is_limited(
    database: Database, admin: Visitor, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_website_form(database, module)
    assert admin.post(f"{PATH}/new", GOOD, 422).error("name")
    monkeypatch.setattr("app.services.website.forms.MOST", 1)
    assert admin.post(f"{PATH}/new", {**GOOD, "name": "Other"}, 422).error("name")


def test_deleted_module_leaves_a_form_out_of_service(database: Database, admin: Visitor, module: Module) -> None:
    create_website_form(database, module)
    with database.write() as session:
        session.delete(session.get_one(Module, module.id))
    assert "out of service" in admin.get(PATH).main
    assert "The form is out of service" in admin.get(f"{PATH}/1").main
