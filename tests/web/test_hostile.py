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
OVERRIDES = "\u202e\u202d\u2066\u2067\u2068\u202a\u202b"


def shown(page: Page, name: str) -> bool:
    """Return whether the page shows the name, letter by letter."""
    return " ".join(name.split()) in page.main


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_caller_is_escaped(operator: Visitor, database: Database, name: str) -> None:
    create_request(database, create_module(database), caller_name=name, caller_number=name[:40])
    for page in (operator.get("/requests"), operator.ask("/requests/rows")):
        assert shown(page, name)
        assert not page.all("script", src="x") and not page.all("svg") and not page.all("b")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_the_name_of_a_module_is_escaped(app: Flask, database: Database, name: str, locale: str) -> None:
    module = create_module(database, name=name, code="*5001")
    create_module(database, name=f"other {name}"[:80], next_kind="module", next_code="*5001")
    create_request(database, module)
    users.set_locale(database, 1, locale)
    admin = Visitor(app, 1, locale=locale)
    for path in ("/modules", "/requests", "/modules/1/delete"):
        assert shown(admin.get(path), name), path
    form = admin.get("/modules/1")
    assert form.fields()["name"] == [name]
    assert admin.get("/modules/new?copy=1").fields()["name"][0].find(name[:20]) >= 0
    options = [text(option) for option in form.one(id="codes-module").iter("option")]
    assert " ".join(name.split()) in options


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_an_extension_is_escaped(admin: Visitor, database: Database, name: str) -> None:
    create_line(database, "101", name=name)
    assert shown(admin.get("/extensions"), name)
    assert shown(admin.get("/modules/new"), name)


@pytest.mark.parametrize("wanted", NAMES)
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


@pytest.mark.parametrize("key", ["name", "password", "locale", "csrf_token", "prompt_intro_text"])
def test_bytes_that_are_not_utf8_are_accepted(admin: Visitor, key: str) -> None:
    for path, status in (("/modules/new", 422), ("/login", 422), ("/language", 302)):
        admin.client.post(path, data={key: "\udcff".encode(errors="surrogateescape")}, buffered=True)
        admin.post(path, {key: "\ufffd"}, status)
