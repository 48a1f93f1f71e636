"""The panel with two exchanges: nobody reaches one that they may not see, by any route."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from flask import Flask, url_for
from sqlalchemy import MetaData, event
from sqlalchemy.schema import DropTable

from app import create_app
from app.config import Settings
from app.domain.api_scopes import ApiScope
from app.extensions import db, limiter
from app.services import exchanges, users
from app.services.api import tokens
from app.services.users import UserInput
from app.store.database import Database
from app.store.exchanges import EXCHANGE_TABLES, Exchanges, schema_of
from app.store.models import AuditEntry, Base, QueueRow, UserExchange
from app.web.api.views import OPERATIONS
from app.web.assets import FILES
from script.office.database import make_settings
from script.office.server_database import new_database
from tests.support.exchanges import NORTH, add_exchange
from tests.support.factories import (
    NOW,
    create_attempt,
    create_contact,
    create_line,
    create_missed_call,
    create_module,
    create_request,
    create_webhook,
    create_website_form,
    store,
)
from tests.web.api.caller import ADMINISTRATOR, OPERATOR, SUPERVISOR
from tests.web.api.test_access import BODIES
from tests.web.conftest import add_people
from tests.web.pages import HTML, Fields, Page, Visitor, rows, text
from tests.web.test_everywhere import FRAGMENTS, QUERIES, all_rules, api_rules, furnish, url_of

SECRET = "Zanbagh"  # a word that is in the rows of the first exchange only
OWN = "Narges"  # and one in those of the other
NUMBER = "+989131112233"
SHOWN_NUMBER = "09131112233"


@pytest.fixture
def app(settings: Settings, postgres_url: str, postgres_template: str) -> Iterator[Flask]:
    """The panel on a PostgreSQL database of its own."""
    with new_database(postgres_url, postgres_template) as url:
        app = create_app(make_settings(settings.data_dir, database_url=url, metrics_token="a" * 20))
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        limiter.reset()
        yield app
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def north(app: Flask, database: Database) -> Database:
    """The second exchange. Both have rows of the same ids, and names that are their own."""
    found = add_exchange(app, NORTH, OWN + " branch")
    exchanges.rename(database, 1, SECRET + " office", NOW, actor="sara")
    for exchange, word, number in ((database, SECRET, NUMBER), (found, OWN, "+989129998877")):
        module = create_module(exchange, name=f"{word} module", code="*5001", language="en")
        create_line(exchange, "101", name=f"{word} desk")
        store(exchange, QueueRow(name="800", live_callers=1))
        request = create_request(exchange, module, target="101", number=number, note=f"{word} note")
        create_attempt(exchange, request, ended_at=NOW, outcome="agent_no_answer")
        create_missed_call(exchange, caller_name=f"{word} caller", at=datetime.now(UTC))
        create_contact(exchange, f"{word} contact", number)
        create_webhook(exchange, name=f"{word} hook")
        create_website_form(exchange, module, name=f"{word} form", key=word.lower() * 3)
    return found


def add_user(database: Database, name: str, role: str, *seen: int, extensions: tuple[str, ...] = ()) -> int:
    password = "a long password"
    return users.create(database, name, password, role, NOW, exchanges=seen, extensions=extensions, locale="en")


def leaks(text: str) -> bool:
    return any(word in text for word in (SECRET, SECRET.lower(), SHOWN_NUMBER, NUMBER))


HTMX = {"HX-Request": "true"}
ENDS_SESSIONS = {"auth.log_out", "auth.log_in", "account.end_session", "account.password", "setup.index"}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["operator", "supervisor"])
def test_no_route_shows_or_changes_another_exchange(
    app: Flask, database: Database, north: Database, role: str, subtests: pytest.Subtests
) -> None:
    """Whatever the address names: the exchange that the user may not see, theirs, or one that there is not."""
    user = add_user(north, "Omid", role, 2, extensions=("101",))
    before = snapshot(database)
    visitor = Visitor(app, user)
    followed = 0
    for rule in all_rules():
        if rule.endpoint in ENDS_SESSIONS or rule.endpoint.startswith("second_factor."):
            continue
        with subtests.test(rule.endpoint):
            for prefix, headers in (("", {}), ("", HTMX), (f"/x/{NORTH}", {}), ("/x/main", {})):
                url = prefix + url_of(app, rule)
                for method in sorted({"GET", "POST"} & (rule.methods or set())):
                    answer = visitor.client.open(
                        url, method=method, query_string=QUERIES.get(rule.endpoint), headers=headers, buffered=True
                    )
                    assert not leaks(answer.get_data().decode("latin-1")), f"{method} {url}"
                    assert not leaks(str(answer.headers)), f"{method} {url}"
                    followed += answer.status_code == 200 and prefix == f"/x/{NORTH}"
    assert OWN in visitor.get(f"/x/{NORTH}/requests").main, "the user was logged in all the time"
    assert followed > 25
    assert snapshot(database) == before, "nothing of the other exchange has changed"


def snapshot(database: Database) -> dict[str, object]:
    """Return all rows of an exchange but its log, in which log-ins of the whole panel are."""
    with database.read() as session:
        return {
            name: session.execute(Base.metadata.tables[name].select()).all()
            for name in sorted(EXCHANGE_TABLES - {"log_entries", "counts", "settings"})
        }


def test_both_see_their_own(app: Flask, database: Database, north: Database) -> None:
    """The words that the test above looks for are there to be found."""
    of_first = Visitor(app, add_user(database, "Sara", "supervisor", 1))
    of_north = Visitor(app, add_user(database, "Omid", "supervisor", 2))
    for path in ("/requests", "/requests/1", "/missed", "/contacts", "/report", f"/search?find={SECRET}"):
        assert leaks(of_first.get(path).main), path
    for path in ("/requests", "/requests/1", "/missed", "/contacts", "/report", f"/search?find={OWN}"):
        shown = of_north.get(f"/x/{NORTH}{path}").main
        assert OWN in shown, path
    assert not leaks(of_north.get(f"/x/{NORTH}/search?find={NUMBER}").main.replace(NUMBER, ""))


def test_who_may_not_see_the_first_exchange_is_led_to_their_own(
    app: Flask, database: Database, north: Database
) -> None:
    visitor = Visitor(app, add_user(database, "Omid", "supervisor", 2))
    assert visitor.get("/requests/1", 302).response.headers["Location"] == f"/x/{NORTH}/"
    assert visitor.get("/x/nowhere/requests", 302).response.headers["Location"] == f"/x/{NORTH}/"
    assert visitor.client.get("/requests/rows", headers={"HX-Request": "true"}).status_code == 403
    visitor.post("/requests/acts/cancel", {"row": "1.1"}, 403)
    colleague = Visitor(app, add_user(database, "Sara", "supervisor", 1))
    assert colleague.get(f"/x/{NORTH}/requests/1", 302).response.headers["Location"] == "/"
    colleague.post(f"/x/{NORTH}/requests/acts/cancel", {"row": "1.1"}, 403)


def test_an_exchange_that_there_is_not_looks_as_one_that_is_hidden(
    app: Flask, database: Database, north: Database
) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "operator", 1))
    for path in ("requests", "requests/1", "api/v1/queues"):
        answers = [visitor.client.get(f"/x/{code}/{path}") for code in (NORTH, "nowhere")]
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].headers.get("Location") == answers[1].headers.get("Location")


def test_a_log_in_leads_to_the_page_of_the_exchange(app: Flask, database: Database, north: Database) -> None:
    add_user(database, "Omid", "supervisor", 2)
    visitor = Visitor(app)
    page = visitor.get(f"/x/{NORTH}/requests", 302)
    assert page.response.headers["Location"] == f"/login?next=/x/{NORTH}/requests"
    page = visitor.post(f"/login?next=/x/{NORTH}/requests", {"name": "Omid", "password": "a long password"})
    assert page.response.headers["Location"] == f"/x/{NORTH}/requests"
    assert OWN in visitor.follow(page).main
    page = visitor.post("/login", {"name": "Omid", "password": "a long password"})
    first = visitor.get(page.response.headers["Location"], 302)
    assert first.response.headers["Location"] == f"/x/{NORTH}/"


def test_the_switch_leads_from_one_exchange_to_the_other(app: Flask, database: Database, north: Database) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    page = visitor.get("/requests")
    assert [(link.get("href"), link.get("aria-current")) for link in switch(page)] == [
        ("/", "true"),
        (f"/x/{NORTH}/", None),
    ]
    assert SECRET in rows(page)[0]
    page = visitor.get(f"/x/{NORTH}/requests")
    assert [(link.get("href"), link.get("aria-current")) for link in switch(page)] == [
        ("/", None),
        (f"/x/{NORTH}/", "true"),
    ]
    assert OWN in rows(page)[0] and SECRET not in rows(page)[0]
    assert text(page.one(id="status-line")).startswith(f"{OWN} branch:")
    links = [element.get("href", "") for element in page.one("main").iter("a")]
    assert all(link.startswith((f"/x/{NORTH}", "?", "#", "tel:")) for link in links), links
    alone = Visitor(app, add_user(database, "Omid", "supervisor", 2))
    assert switch(alone.get(f"/x/{NORTH}/requests")) == []


def switch(page: Page) -> list[Element]:
    found = page.all("nav", aria_label="Exchanges")
    return list(found[0].iter("a")) if found else []


def test_two_tabs_do_not_disturb_each_other(app: Flask, database: Database, north: Database) -> None:
    """An action reaches the exchange of the page on which it was made."""
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    visitor.get("/requests")
    visitor.get(f"/x/{NORTH}/requests")
    assert "The request was cancelled." in visitor.press("/requests/acts/cancel", {"row": "1.1"}).message
    assert "cancelled" not in rows(visitor.get(f"/x/{NORTH}/requests"))[0]


def test_an_operator_has_other_extensions_in_another_exchange(app: Flask, database: Database, north: Database) -> None:
    user = add_user(database, "Omid", "operator", 1, 2, extensions=("102",))
    users.change(north, user, UserInput("operator", ("101",)), NOW)
    visitor = Visitor(app, user)
    assert rows(visitor.get("/requests")) == []
    assert OWN in rows(visitor.get(f"/x/{NORTH}/requests"))[0]
    assert users.get(database, user).extensions == ["102"]
    assert users.get(north, user).extensions == ["101"]


def test_a_change_of_a_user_gives_no_access(app: Flask, database: Database, north: Database) -> None:
    user = add_user(database, "Omid", "operator", 1, extensions=("102",))
    users.change(north, user, UserInput("supervisor", ("101",)), NOW)
    with database.read() as session:
        assert session.get(UserExchange, (user, 2)) is None
    assert users.get(database, user).extensions == ["102"]


def test_the_role_of_an_administrator_leaves_no_access_behind(app: Flask, database: Database, north: Database) -> None:
    """Who is saved on a page of an exchange as an administrator does not see it for ever."""
    add_user(database, "Sara", "administrator", 1)
    user = add_user(database, "Omid", "administrator", 1)
    users.change(north, user, UserInput("administrator", exchanges=(1,)), NOW)
    users.change(north, user, UserInput("operator"), NOW)
    assert exchanges.seen_ids(database, users.get(database, user)) == (1,)
    users.change(north, user, UserInput("administrator", ("101",)), NOW)
    assert exchanges.seen_ids(database, users.get(database, user)) == (1, 2), "with an extension there"


def test_who_may_see_an_exchange_is_in_the_log(app: Flask, database: Database, north: Database) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    user = add_user(database, "Omid", "operator", 1)
    for chosen in (["1", "2"], ["1", "2"], ["2"]):
        visitor.submit(visitor.get(f"/users/{user}"), f"/users/{user}", exchanges=chosen)
    with database.read() as session:
        entries = session.query(AuditEntry).filter_by(action="user_changed").order_by(AuditEntry.id).all()
        assert [entry.detail for entry in entries] == [
            {"exchanges": [["main"], ["main", NORTH]]},
            {"exchanges": [["main", NORTH], [NORTH]]},
        ]
    assert f"main, {NORTH}" in visitor.get("/log").main


def test_the_page_of_email_suggests_the_address_of_the_panel(app: Flask, database: Database, north: Database) -> None:
    """It holds for all exchanges: letters add the exchange to it by themselves."""
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    for prefix in ("", f"/x/{NORTH}"):
        assert visitor.get(f"{prefix}/settings/mail").fields()["panel_url"] == ["http://localhost/"]


def test_an_administrator_says_who_sees_what(app: Flask, database: Database, north: Database) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    user = add_user(database, "Omid", "operator", 1)
    page = visitor.get(f"/users/{user}")
    assert page.fields()["exchanges"] == ["1"]
    visitor.submit(page, f"/users/{user}", exchanges=["2"])
    assert exchanges.seen_ids(database, users.get(database, user)) == (2,)
    page = visitor.submit(visitor.get(f"/users/{user}"), f"/users/{user}", 422, exchanges=None)
    assert page.error("exchanges")
    visitor.submit(visitor.get(f"/users/{user}"), f"/users/{user}", 422, exchanges=["7"])
    page = visitor.get(f"/x/{NORTH}/users/new")
    assert page.fields()["exchanges"] == ["2"]
    visitor.submit(page, f"/x/{NORTH}/users/new", name="Nika", password="a long password", role="operator")
    added = users.find_by_name(database, "Nika")
    assert exchanges.seen_ids(database, added) == (2,)


def test_access_ends_at_once(app: Flask, database: Database, north: Database) -> None:
    user = add_user(database, "Omid", "supervisor", 1, 2)
    visitor = Visitor(app, user)
    visitor.get(f"/x/{NORTH}/requests")
    users.change(database, user, UserInput("supervisor", exchanges=(1,)), NOW)
    visitor.get(f"/x/{NORTH}/requests", 302)
    visitor.post(f"/x/{NORTH}/requests/acts/cancel", {"row": "1.1"}, 403)


def test_exchanges_are_added_and_named(app: Flask, database: Database) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    page = visitor.get("/settings/exchanges")
    page = visitor.submit(page, "/settings/exchanges", 422, name="", code="A b")
    assert page.error("name") and page.error("code")
    page = visitor.submit(page, "/settings/exchanges", name="Isfahan", code="Isfahan")
    assert page.response.headers["Location"] == "/x/isfahan/settings/exchange"
    visitor.follow(page)
    page = visitor.get("/settings/exchanges/1")
    visitor.submit(page, "/settings/exchanges/1", name="Tehran")
    assert [row.split()[0] for row in rows(visitor.get("/x/isfahan/settings/exchanges"))] == ["Tehran", "Isfahan"]
    visitor.get("/settings/exchanges/9", 404)
    assert rows(visitor.get("/x/isfahan/requests")) == []
    with database.read() as session:
        actions = {row.action for row in session.query(AuditEntry)}
    assert {"exchange_added", "exchange_renamed"} <= actions


def test_an_exchange_is_removed_when_its_code_is_typed(app: Flask, database: Database, north: Database) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    add_user(database, "Omid", "operator", 2)
    add_user(database, "Nika", "operator", 1, 2)
    assert len(rows(visitor.get("/settings/exchanges"))) == 2
    visitor.get("/settings/exchanges/1/remove", 404)
    visitor.post("/settings/exchanges/1/remove", {"code": "main"}, 404)
    path = f"/x/{NORTH}/settings/exchanges/2/remove"
    page = visitor.get(path)
    assert "1 request " in page.main and "1 is still open" in page.main
    assert "Omid" in page.main and "Nika" not in page.main
    for typed in ("", "main", "nort"):
        assert visitor.submit(page, path, 422, code=typed).error("code")
    assert OWN in visitor.get(f"/x/{NORTH}/requests").main
    page = visitor.submit(page, path, code=" North ")
    assert page.response.headers["Location"] == "/settings/exchanges"
    page = visitor.follow(page)
    assert len(rows(page)) == 1 and "The exchange is removed." in page.message
    visitor.get(f"/x/{NORTH}/requests", 302)
    client = app.test_client()
    with app.test_request_context():
        script = url_for("website.script", key=OWN.lower() * 3)
    for address in (f"/x/{NORTH}/readyz", f"/x/{NORTH}{script}"):
        assert client.get(address).status_code == 404
    with database.read() as session:
        (entry,) = session.query(AuditEntry).filter_by(action="exchange_removed")
        assert (entry.actor, entry.subject) == ("Sara", f"{OWN} branch")
        assert session.query(UserExchange).all() == []
    assert "was removed" in visitor.get("/log").main


def test_an_exchange_of_the_same_code_begins_empty(app: Flask, database: Database, north: Database) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    visitor.get(f"/x/{NORTH}/requests")
    exchanges.remove(exchanges_of(app), app.extensions["bazang"]["settings"], NORTH, NORTH, NOW, actor="sara")
    add_exchange(app, NORTH, "Another")
    assert rows(visitor.get(f"/x/{NORTH}/requests")) == []
    assert SECRET in rows(visitor.get("/requests"))[0]


# -- what only another exchange has -----------------------------------------------------------------------------------

# Arguments of addresses: what an exchange has, what the panel has, and what is no row.
OF_EXCHANGE = {
    *("module_id", "request_id", "missed_id", "contact_id", "entry_id", "rule_id", "filter_id", "digest", "call"),
    *("call_id", "webhook_id", "message_id", "form_id"),
}
OF_PANEL = {"user_id", "session_id", "token_id", "identity_id", "subscription_id", "exchange_id"}
WORDS = {
    *("act", "extension", "queue", "key", "language", "digit", "number", "step", "role", "source", "filename"),
}


def forms_of(app: Flask, visitor: Visitor) -> dict[str, Fields]:
    """Return what the forms of all pages would send to each address."""
    found: dict[str, Fields] = {}
    for rule in all_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint not in ENDS_SESSIONS:
            path = url_of(app, rule, **QUERIES.get(rule.endpoint, {}))
            answer = visitor.client.get(path, buffered=True)
            if answer.status_code != 200 or answer.content_type != HTML:
                continue
            page = Page(answer, fragment=rule.endpoint in FRAGMENTS)
            for form in page.all("form", method="post"):
                found.setdefault(form.get("action") or path, page.fields(form))
    return found


def test_every_argument_of_an_address_is_known() -> None:
    """Name a new one above. So the tests below know whose it is."""
    known = OF_EXCHANGE | OF_PANEL | WORDS
    assert not (OF_EXCHANGE & OF_PANEL or OF_EXCHANGE & WORDS or OF_PANEL & WORDS)
    assert {name for rule in (*all_rules(), *api_rules()) for name in rule.arguments} == known


@pytest.mark.slow
def test_what_another_exchange_has_is_not_found(
    app: Flask, database: Database, settings: Settings, subtests: pytest.Subtests
) -> None:
    """Nobody finds it by its number or its name, not even somebody who may see both exchanges."""
    add_people(database)
    furnish(database, settings)
    empty = add_exchange(app, NORTH, OWN + " branch")
    for user in (OPERATOR, SUPERVISOR):
        role = users.get(database, user).role
        users.change(empty, user, UserInput(role, ("101",), locale="en", exchanges=(2,)), NOW)
    users.set_locale(database, ADMINISTRATOR, "en")
    visitors = {user: Visitor(app, user) for user in (ADMINISTRATOR, SUPERVISOR, OPERATOR)}
    sent = forms_of(app, visitors[ADMINISTRATOR])
    before, filled = (snapshot(database), snapshot(empty)), set()
    for rule in all_rules():
        if not OF_EXCHANGE & rule.arguments or rule.endpoint in FILES:
            continue
        path = url_of(app, rule)
        for method in sorted({"GET", "POST"} & (rule.methods or set())):
            with subtests.test(rule.endpoint, method=method):
                tries: list[Fields] = [{}, sent[path]] if method == "POST" and path in sent else [{}]
                filled |= {rule.endpoint} if len(tries) > 1 else set()
                for user, headers in ((ADMINISTRATOR, {}), (ADMINISTRATOR, HTMX), (SUPERVISOR, HTMX), (OPERATOR, {})):
                    for fields in tries:
                        answer = visitors[user].client.open(
                            f"/x/{NORTH}{path}", method=method, data=fields, headers=headers, buffered=True
                        )
                        allowed = {404} if user == ADMINISTRATOR else {403, 404}
                        if rule.endpoint == "requests.menu" and not headers:
                            allowed = {302}  # to the page of the request, whatever its number
                        assert answer.status_code in allowed, (user, fields)
    assert len(filled) > 15
    assert (snapshot(database), snapshot(empty)) == before


# -- programs and visitors --------------------------------------------------------------------------------------------


def call(app: Flask, token: str, path: str, method: str = "GET") -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().open(path, method=method, headers=headers)


def token_of(database: Database, user: int) -> str:
    return tokens.create(database, user, "CRM", [scope.value for scope in ApiScope], NOW, address="127.0.0.1")


@pytest.mark.slow
def test_no_operation_of_the_api_reaches_another_exchange(
    app: Flask, database: Database, north: Database, subtests: pytest.Subtests
) -> None:
    token = token_of(database, add_user(database, "Omid", "supervisor", 2))
    before = snapshot(database)
    for rule in api_rules():
        with subtests.test(rule.endpoint):
            for prefix in ("", f"/x/{NORTH}", "/x/main"):
                for method in sorted({"GET", "POST"} & (rule.methods or set())):
                    answer = call(app, token, prefix + url_of(app, rule), method)
                    assert not leaks(answer.get_data(as_text=True)), f"{method} {prefix}{rule.rule}"
                    if prefix == "/x/main":
                        assert answer.status_code == 404, answer.get_data(as_text=True)
    assert snapshot(database) == before


def test_programs_find_nothing_that_only_another_exchange_has(app: Flask, database: Database) -> None:
    """Nor do they with a key of which the other exchange knows the answer."""
    north = add_exchange(app, NORTH, OWN + " branch")
    create_request(database, create_module(database), target="101", number=NUMBER)
    of_both = token_of(database, add_user(database, "Sara", "administrator", 1))
    of_north = token_of(database, add_user(database, "Omid", "supervisor", 2))
    answered = post(app, of_both, "/api/v1/requests", BODIES["create_request"])
    assert answered.status_code == 201
    before = snapshot(database), snapshot(north)
    for token, prefix in ((of_both, f"/x/{NORTH}"), (of_north, f"/x/{NORTH}"), (of_north, "")):
        for operation in OPERATIONS.values():
            path = f"{prefix}/api/v1{operation.path}".replace("<row:request_id>", "1")
            if path.endswith(operation.path):
                continue
            if operation.changes:
                answer = post(app, token, path, BODIES.get(operation.name, {}))
            else:
                answer = call(app, token, path)
            assert answer.status_code == 404, (operation.name, answer.get_data(as_text=True))
        answer = post(app, token, f"{prefix}/api/v1/requests", BODIES["create_request"])
        assert (answer.status_code, answer.json["code"]) == (422, "invalid"), "there is no such module"
    assert (snapshot(database), snapshot(north)) == before


def post(app: Flask, token: str, path: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "the-same"}
    return app.test_client().post(path, headers=headers, json=body)


def test_a_user_rings_the_phone_that_is_theirs_at_the_exchange(app: Flask, database: Database, north: Database) -> None:
    user = add_user(database, "Omid", "operator", 1, 2, extensions=("102",))
    users.change(north, user, UserInput("operator", ("101",)), NOW)
    token, visitor = token_of(database, user), Visitor(app, user)
    for prefix, own, other in (("", "102", "101"), (f"/x/{NORTH}", "101", "102")):
        path = f"{prefix}/call?number=09121234567"
        form = visitor.get(path).one("form", id="action-form")
        assert [option.get("value") for option in form.iter("option")] == [own]
        for extension in (own, other):
            answer = post(app, token, f"{prefix}/api/v1/calls", BODIES["call"] | {"extension": extension})
            codes = [error["code"] for error in answer.json.get("errors", ())]
            assert ("not_yours" in codes) == (extension == other), (prefix, extension)
        visitor.post(path, {"number": "09121234567", "extension": other}, 422)


def test_a_call_without_an_exchange_is_about_the_first_of_the_user(
    app: Flask, database: Database, north: Database
) -> None:
    of_first = token_of(database, add_user(database, "Sara", "administrator", 1))
    of_north = token_of(database, add_user(database, "Omid", "supervisor", 2))
    assert SECRET in call(app, of_first, "/api/v1/modules").get_data(as_text=True)
    assert OWN in call(app, of_north, "/api/v1/modules").get_data(as_text=True)
    assert OWN in call(app, of_first, f"/x/{NORTH}/api/v1/modules").get_data(as_text=True)
    answer = call(app, of_north, "/x/nowhere/api/v1/modules")
    assert (answer.status_code, answer.json["code"]) == (403, "exchange_forbidden")


def test_an_idempotency_key_belongs_to_one_exchange(app: Flask, database: Database, north: Database) -> None:
    token = token_of(database, add_user(database, "Sara", "administrator", 1))
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "1"}
    body = {"number": "09121234567", "module_id": 1}
    for path in ("/api/v1/requests", f"/x/{NORTH}/api/v1/requests"):
        answer = app.test_client().post(path, headers=headers, json=body)
        assert answer.status_code == 201, answer.get_data(as_text=True)
    for exchange in (database, north):
        visible = call(app, token, "/api/v1/requests" if exchange is database else f"/x/{NORTH}/api/v1/requests")
        assert len(visible.json["requests"] if "requests" in visible.json else visible.json["items"]) == 2


def test_a_form_of_a_website_leads_to_its_exchange(app: Flask, database: Database, north: Database) -> None:
    with app.test_request_context():
        of_first, of_north = (url_for("website.script", key=word.lower() * 3) for word in (SECRET, OWN))
    client = app.test_client()
    assert client.get(of_first).status_code == client.get(f"/x/{NORTH}{of_north}").status_code == 200
    assert f"/x/{NORTH}/website/" in client.get(f"/x/{NORTH}{of_north}").get_data(as_text=True)
    for path in (f"/x/{NORTH}{of_first}", of_north, f"/x/nowhere{of_first}"):
        assert client.get(path).status_code == 404


def test_monitors_ask_each_exchange(app: Flask, database: Database, north: Database) -> None:
    client = app.test_client()
    token = {"Authorization": f"Bearer {'a' * 20}"}
    assert SECRET in client.get("/metrics", headers=token).get_data(as_text=True)
    figures = client.get(f"/x/{NORTH}/metrics", headers=token).get_data(as_text=True)
    assert OWN in figures and SECRET not in figures
    state = client.get(f"/x/{NORTH}/readyz").json
    assert state is not None and state["tables"] == "ok"
    assert client.get("/x/nowhere/readyz").status_code == 404


def test_with_one_exchange_nothing_is_asked_for(app: Flask, database: Database) -> None:
    visitor = Visitor(app, add_user(database, "Sara", "administrator", 1))
    visitor.get("/requests")
    asked: list[str] = []
    listen = lambda _c, _cursor, statement, *_: asked.append(statement)  # noqa: E731
    event.listen(database.engine, "before_cursor_execute", listen)
    visitor.get("/requests")
    assert asked and not [statement for statement in asked if "exchanges" in statement]


def test_a_broken_exchange_shows_nothing_of_the_first(app: Flask, database: Database, north: Database) -> None:
    """Neither its pages nor the page about the error."""
    visitor = Visitor(app, add_user(database, "Omid", "supervisor", 2))
    exchanges_of(app).dispose()
    with database.engine.begin() as connection:
        connection.execute(DropTable(Base.metadata.tables["prompts"].to_metadata(MetaData(), schema=schema_of(NORTH))))
    for path in (f"/x/{NORTH}/requests", f"/x/{NORTH}/requests/1", f"/x/{NORTH}/nothing", "/requests"):
        answer = visitor.client.get(path)
        assert answer.status_code >= 300
        assert not leaks(answer.get_data(as_text=True))


def exchanges_of(app: Flask) -> Exchanges:
    found: Exchanges = app.extensions["bazang"]["exchanges"]
    return found
