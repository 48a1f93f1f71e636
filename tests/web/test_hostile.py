"""Hostile text from outside is shown as text and does nothing else."""

import pytest
from flask import Flask

from app.services import users
from app.store.database import Database
from tests.support.factories import create_line, create_module, create_request
from tests.web.pages import Page, Visitor, text

NAMES = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "' onclick='alert(1)' x='",
    "&lt;b&gt; &amp; %s %(name)s {{ 7 * 7 }} {% raw %}",
    "</td></tr></table><h1>mine</h1>",
    "<!-- mine",
    "]]><!--",
    "javascript:alert(1)",
]
FEW = NAMES[2:5]  # quotes and signs of tags, entities, formats
OVERRIDES = "\u202e\u202d\u2066\u2067\u2068\u202a\u202b"


def shown(page: Page, name: str) -> bool:
    """Return whether the page shows the name, letter by letter."""
    return " ".join(name.split()) in page.main


def test_names_of_callers_are_escaped(operator: Visitor, database: Database) -> None:
    module = create_module(database)
    for number, name in enumerate(NAMES):
        create_request(database, module, number=f"+98912000{number:04}", caller_name=name, caller_number=name[:40])
    for page in (operator.get("/requests"), operator.ask("/requests/rows")):
        assert [name for name in NAMES if not shown(page, name)] == []
        assert not page.all("script", src="x") and not page.all("svg") and not page.all("b")


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_names_of_modules_are_escaped(app: Flask, database: Database, locale: str) -> None:
    modules = [create_module(database, name=name, code=f"*500{number}") for number, name in enumerate(NAMES)]
    for number, module in enumerate(modules):
        name = f"other {module.name}"[:80]
        create_module(database, name=name, code=f"*501{number}", next_kind="module", next_code=module.code)
        create_request(database, module, number=f"+98912000{number:04}")
    users.set_locale(database, 1, locale)
    admin = Visitor(app, 1, locale=locale)
    form = admin.get("/modules/1")
    options = [text(option) for option in form.one("select", id="next_kind").iter("option")]
    for page in (admin.get("/modules"), admin.get("/requests")):
        assert [name for name in NAMES if not shown(page, name)] == [], page.title
    assert [name for name in NAMES if not any(option.endswith(" ".join(name.split())) for option in options)] == []


def test_the_name_of_a_module_is_escaped_in_its_form(admin: Visitor, database: Database) -> None:
    for module_id, name in enumerate(NAMES, 1):
        create_module(database, name=name)
        assert admin.get(f"/modules/{module_id}").fields()["name"] == [name]
        assert shown(admin.get(f"/modules/{module_id}/delete"), name)
    for module_id, name in enumerate(FEW, 1 + len(NAMES)):
        create_module(database, name=name)
        assert name[:20] in admin.get(f"/modules/new?copy={module_id}").fields()["name"][0]


def test_names_of_extensions_are_escaped(admin: Visitor, database: Database) -> None:
    for extension, name in enumerate(NAMES, 101):
        create_line(database, str(extension), name=name)
    for path in ("/extensions", "/modules/new"):
        page = admin.get(path)
        assert [name for name in NAMES if not shown(page, name)] == [], path


@pytest.mark.parametrize("wanted", FEW)
def test_a_search_is_escaped(admin: Visitor, database: Database, wanted: str) -> None:
    for number in range(30):
        create_module(database, name=f"{wanted} {number}")
    page = admin.get("/modules", q=wanted)
    assert page.one("input", name="q").get("value") == wanted
    following = next(link.get("href", "") for link in page.all("a") if link.text == "Next")
    assert admin.get(following).one("input", name="q").get("value") == wanted


def test_direction_characters_do_not_affect_other_text(operator: Visitor, database: Database) -> None:
    """Otherwise a name could make one number look like another."""
    create_request(database, create_module(database, name=f"m{OVERRIDES}m"), caller_name=f"a{OVERRIDES}b\u2069\u202cc")
    page = operator.get("/requests")
    isolated = {id(part) for bdi in page.all("bdi") for part in bdi.iter()}
    turned = [
        e for e in page.root.iter() if any(o in (e.text or "") + (e.tail or "") for o in OVERRIDES + "\u2069\u202c")
    ]
    assert [e for e in turned if id(e) not in isolated] == [], "not isolated"
    assert not any(end in "".join(bdi.itertext()) for bdi in page.all("bdi") for end in "\u2069\u202c"), (
        "it could end its isolation"
    )


def test_a_long_name_without_spaces_is_shown(operator: Visitor, database: Database) -> None:
    create_request(database, create_module(database, name="w" * 80), caller_name="m" * 80)
    assert shown(operator.get("/requests"), "w" * 80)


def test_bytes_that_are_not_utf8_are_accepted(admin: Visitor) -> None:
    keys = ["name", "password", "locale", "csrf_token", "prompt_intro_text"]
    for path, status in (("/modules/new", 422), ("/login", 422), ("/language", 302)):
        admin.client.post(path, data=dict.fromkeys(keys, b"\xff"), buffered=True)
        admin.post(path, dict.fromkeys(keys, "\ufffd"), status)
