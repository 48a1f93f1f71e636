"""Walk every route with every role, and try what must be refused.

A new route is tried without any change here: it is for administrators only, unless the sets of test_everywhere.py name
it, and an argument that its address takes must be named below, if more than administrators may use it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from flask import Flask, url_for
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app.domain.external_users import ExternalUser, Source
from app.services import identities, users
from app.services.api import tokens
from app.services.notifications import subscriptions
from app.services.report import saved_filters
from app.store.database import Database
from app.store.models import UserSession
from app.store.settings import write_setting
from tests.support.factories import NOW, create_line, create_missed_call, create_module, create_request
from tests.support.push_service import make_subscription
from tests.web.conftest import PASSWORD, SUPERVISOR
from tests.web.pages import Visitor
from tests.web.test_everywhere import (
    FOR_EVERYBODY,
    FOR_OPERATORS,
    FOR_SUPERVISORS,
    VALUES,
    all_rules,
    count_writes,
    furnished,
    url_of,
)

__all__ = ["furnished"]  # a fixture

METHODS = ("GET", "POST", "DELETE")
USERS = {"administrator": 1, "operator": 2, "supervisor": 4}
WAITING = "waiting for a code"  # the password was right
ROLES = (None, WAITING, "operator", "supervisor", "administrator")
NOT_LOGGED_IN = (None, WAITING)
# What users can do who must set up the second factor first.
BEFORE_SET_UP = {"second_factor.index", "second_factor.set_up", "auth.log_out"}
# Arguments of addresses that are the number of a record which belongs to somebody.
OWNED = {"missed_id", "request_id", "session_id", "subscription_id", "filter_id", "token_id", "identity_id"}
# Arguments that name no record, or one that belongs to all.
NAMES_NOTHING = {"act", "contact_id", "filename", "digest", "language", "role", "source"}
# Routes that name records by their query, and the query for a record of somebody else.
OWNED_BY_QUERY = {"acts.perform": {"row": "2.1"}}


@pytest.fixture
def clients(app: Flask, furnished: None) -> dict[str | None, FlaskClient]:
    """A browser for each role, one without a log-in, and one in which the log-in of the supervisor is half done."""
    waiting = Visitor(app)
    assert waiting.post("/login", {"name": SUPERVISOR, "password": PASSWORD}).response.location == "/login/code"
    clients = {None: app.test_client(), WAITING: waiting.client}
    return clients | {role: Visitor(app, user).client for role, user in USERS.items()}


def may(rule: Rule, role: str | None) -> bool:
    """Return whether the role may use the route."""
    if rule.endpoint in FOR_EVERYBODY or role == "administrator":
        return True
    return rule.endpoint in {"operator": FOR_OPERATORS, "supervisor": FOR_SUPERVISORS}.get(role or "", set())


def send(app: Flask, client: FlaskClient, method: str, path: str, **values: Any) -> tuple[TestResponse, list[str]]:
    """Return the response and the statements that changed the database."""
    with count_writes(app) as writes:
        # As HTMX asks: the answer to a refused request is short then.
        response = client.open(path, method=method, buffered=True, headers={"HX-Request": "true"}, **values)
    return response, writes


def accepted(app: Flask, path: str) -> set[str]:
    """Return the methods that any route with this path accepts."""
    with app.test_request_context():
        adapter = app.create_url_adapter(None) or app.url_map.bind("localhost")
        return set(adapter.allowed_methods(path))


def walk(app: Flask) -> Iterator[tuple[Rule, str, str, str | None]]:
    """Yield each route with its path, each method and each role."""
    for rule in all_rules():
        path = url_of(app, rule)
        for method, role in product(METHODS, ROLES):
            yield rule, path, method, role


@pytest.mark.slow
def test_every_route_refuses_the_wrong_role_and_the_wrong_method(
    app: Flask, clients: dict[str | None, FlaskClient]
) -> None:
    faults, tried = [], 0
    for rule, path, method, role in walk(app):
        if method not in accepted(app, path):
            expected = 405
        elif method in (rule.methods or ()) and not may(rule, role):
            expected = 401 if role in NOT_LOGGED_IN else 403
        else:
            continue
        tried += 1
        response, writes = send(app, clients[role], method, path)
        if response.status_code != expected or writes:
            faults.append(f"{method} {path} as {role}: {response.status_code}, not {expected}; writes: {writes}")
    assert faults == []
    assert tried > 500, "the walk was short"
    assert {method for rule in all_rules() for method in rule.methods or ()} == {"GET", "POST", "HEAD", "OPTIONS"}


@pytest.mark.slow
def test_every_action_refuses_a_missing_or_foreign_token(app: Flask, clients: dict[str | None, FlaskClient]) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    foreign = "ImEi.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"
    faults, tried = [], 0
    for rule, path, method, role in walk(app):
        if method == "GET" or method not in (rule.methods or ()):
            continue
        for data in ({}, {"csrf_token": foreign}):
            tried += 1
            response, writes = send(app, clients[role], method, path, data=data)
            if response.status_code != 400 or writes:
                faults.append(f"{method} {path} as {role} with {data}: {response.status_code}; writes: {writes}")
    assert faults == []
    assert tried > 250, "the walk was short"


@pytest.mark.parametrize("role", ["operator", "administrator"])
def test_without_a_required_second_factor_every_route_leads_to_its_set_up(
    app: Flask, database: Database, clients: dict[str | None, FlaskClient], role: str
) -> None:
    with database.write() as session:
        write_setting(session, "second_factor", "everybody")
    faults, tried = [], 0
    for rule in all_rules():
        if rule.endpoint in BEFORE_SET_UP | FOR_EVERYBODY - {"setup.index"}:
            continue
        path = url_of(app, rule)
        for method in sorted({"GET", "POST"} & (rule.methods or set())):
            tried += 1
            response, writes = send(app, clients[role], method, path)
            leads_to = response.headers.get("HX-Redirect", "").partition("?")[0]
            if (response.status_code, leads_to) != (401, "/account/second-factor") or writes or response.data:
                faults.append(f"{method} {path}: {response.status_code} {leads_to}; writes: {writes}")
    assert faults == []
    assert tried > 80, "the walk was short"


def hostile_paths(app: Flask, rule: Rule, foreign: dict[str, int]) -> Iterator[str]:
    """Yield the addresses of a route with records of somebody else, and with ones that do not exist."""
    if query := OWNED_BY_QUERY.get(rule.endpoint):
        yield url_of(app, rule, **query)
    for name, number in product(sorted(rule.arguments & OWNED), (None, 4711)):
        with app.test_request_context():
            values = {argument: VALUES[argument] for argument in rule.arguments}
            yield url_for(rule.endpoint, **values | {name: number or foreign[name]})


def test_no_route_shows_or_changes_the_record_of_somebody_else(app: Flask, database: Database, furnished: None) -> None:
    """An operator tries records of another operator, and ones that do not exist."""
    create_line(database, "102")
    create_request(database, create_module(database, code="*5002"), target="102", number="+989120000002")
    other = users.create(database, "other", PASSWORD, "operator", NOW, extensions=("102",))
    Visitor(app, other)
    with database.read() as session:
        (foreign_session,) = session.query(UserSession.id).where(UserSession.user_id == other).one()
    missed = create_missed_call(database, target="102", number="+989120000002", at=datetime.now(UTC))
    now = datetime.now(UTC)
    browser = subscriptions.add(database, other, foreign_session, make_subscription(), "localhost", now)
    saved_filters.save(database, other, "Mine", "period=7", now)
    (saved,) = saved_filters.list_filters(database, other)
    foreign = {"missed_id": missed.id, "request_id": 2, "session_id": foreign_session}
    tokens.create(database, other, "Mine", ["requests:read"], now, address="127.0.0.1")
    identities.link(database, other, ExternalUser(Source.LDAP, "ldap", "entry-2", "other"), now, address="127.0.0.1")
    foreign |= {
        "identity_id": identities.list_identities(database, other)[0].id,
        "subscription_id": browser,
        "filter_id": saved.id,
        "token_id": tokens.list_tokens(database, other)[0].id,
    }
    assert foreign.keys() == OWNED
    client = Visitor(app, USERS["operator"]).client
    faults, tried = [], set()
    for rule in all_rules():
        if rule.endpoint not in FOR_EVERYBODY | FOR_OPERATORS | FOR_SUPERVISORS:
            continue
        assert rule.arguments <= OWNED | NAMES_NOTHING, f"{rule.endpoint}: whose record is it?"
        for path in hostile_paths(app, rule, foreign):
            for method in sorted({"GET", "POST"} & (rule.methods or set())):
                tried.add(rule.endpoint)
                response, writes = send(app, client, method, path)
                if response.status_code != 404 or writes or "9120000002" in response.text:
                    faults.append(f"{method} {path}: {response.status_code}; writes: {writes}")
    assert faults == []
    assert tried >= {"requests.show", "requests.show_rows", "acts.perform", "account.end_session"}
