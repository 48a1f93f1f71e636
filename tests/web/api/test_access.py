"""Who may call the API: rules for every operation, including operations that are added later."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.domain.api_scopes import ApiScope
from app.services import users
from app.services.api import tokens
from app.store.database import Database
from app.store.models import ApiToken, LoginFailures, User, UserSession
from app.store.settings import write_setting
from app.web.api import access
from app.web.api.operation import Operation
from app.web.api.views import OPERATIONS
from tests.support.factories import create_module, create_request, log_of
from tests.web.api.caller import ADMINISTRATOR, OPERATOR, SUPERVISOR, Caller, code_of, make_token
from tests.web.pages import Visitor
from tests.web.test_everywhere import api_rules, count_writes

WRONG = tokens.PREFIX + "x" * 43
DESCRIPTION = "/openapi.json"
# A body for each operation that needs one.
BODIES: dict[str, dict[str, Any]] = {
    "create_request": {"number": "09121234567", "module_id": 1},
    "postpone_request": {"until": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
    "write_note": {"note": "Hello"},
    "call": {"number": "09121234567", "extension": "101"},
}


def calls() -> list[tuple[Operation, str, dict[str, Any]]]:
    """Return each operation with its path and what is sent to it."""
    found = []
    for operation in OPERATIONS.values():
        sent = {"json": BODIES.get(operation.name, {})} if operation.changes else {}
        found.append((operation, operation.path.replace("<row:request_id>", "1"), sent))
    return found


@pytest.fixture
def furnished(database: Database) -> None:
    create_request(database, create_module(database), target="101")


def test_every_route_of_the_api_is_a_declared_operation() -> None:
    declared = {(f"api.{operation.name}", operation.method) for operation in OPERATIONS.values()}
    declared.add(("api.describe", "GET"))
    served = {
        (rule.endpoint, method) for rule in api_rules() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == declared


def test_every_operation_needs_a_token(app: Flask, furnished: None) -> None:
    everybody = Caller(app, None)
    for operation, path, sent in calls():
        with count_writes(app) as writes:
            problem, response = everybody.call(operation.method, path, 401, **sent)
        assert problem["code"] == "token_missing" and writes == [], operation.name
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="Bazang"'
    assert everybody.get(DESCRIPTION, 401)["code"] == "token_missing"


@pytest.mark.parametrize("user", [ADMINISTRATOR, OPERATOR, SUPERVISOR])
def test_every_operation_refuses_the_session_of_a_browser(app: Flask, furnished: None, user: int) -> None:
    browser = Visitor(app, user).client
    for operation, path, sent in calls():
        with count_writes(app) as writes:
            response = browser.open(f"/api/v1{path}", method=operation.method, **sent)
        assert (response.status_code, code_of(response)) == (401, "token_missing"), operation.name
        assert writes == [] and "Set-Cookie" not in response.headers


def test_session_is_not_used_by_calls_of_the_api(app: Flask, database: Database) -> None:
    """Neither as a log-in nor to keep it alive, and a lacking second factor redirects no program."""
    browser = Visitor(app, ADMINISTRATOR).client
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with database.write() as session:
        session.execute(update(UserSession).values(used_at=long_ago))
        write_setting(session, "second_factor", "administrators")
    response = browser.get("/api/v1/queues", headers={"Authorization": f"Bearer {make_token(app, OPERATOR)}"})
    assert response.status_code == 200
    with database.read() as session:
        assert session.scalars(select(UserSession.used_at)).all() == [long_ago]


def test_every_operation_needs_its_scope(app: Flask, database: Database, furnished: None) -> None:
    for operation, path, sent in calls():
        assert operation.scope is not None
        others = [scope for scope in ApiScope if scope is not operation.scope]
        with_others = Caller(app, make_token(app, scopes=others, name=f"without {operation.name}"))
        problem, response = with_others.call(operation.method, path, 403, **sent)
        assert problem["code"] == "scope_missing"
        assert f'scope="{operation.scope}"' in response.headers["WWW-Authenticate"]
    assert len(tokens.list_tokens(database, ADMINISTRATOR)) == len(OPERATIONS)


def test_scope_is_enough_for_each_operation(app: Flask, furnished: None) -> None:
    callers = {scope: Caller(app, make_token(app, scopes=[scope], name=scope)) for scope in ApiScope}
    for operation, path, sent in calls():
        assert operation.scope is not None
        response = callers[operation.scope].client.open(
            f"/api/v1{path}", method=operation.method, headers=callers[operation.scope].headers, **sent
        )
        assert response.status_code in operation.answers or code_of(response).startswith("is_"), operation.name
    assert all(caller.get(DESCRIPTION) for caller in callers.values())


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic c2FyYTpjb3JyZWN0IGhvcnNl", "Token x", "bzg_", "Bearer\u00a0x"],
)
def test_header_without_a_token_is_refused_and_counts_as_no_try(app: Flask, database: Database, header: str) -> None:
    assert (
        Caller(app, None).call("GET", "/queues", 401, headers={"Authorization": header})[0]["code"] == "token_missing"
    )
    with database.read() as session:
        assert session.scalars(select(LoginFailures)).all() == []


def test_word_bearer_is_read_in_any_case(app: Flask) -> None:
    token = make_token(app)
    for word in ("bearer", "BEARER", " Bearer "):
        Caller(app, None).call("GET", "/queues", 200, headers={"Authorization": f"{word} {token}"})


@pytest.mark.parametrize("name", ["token", "access_token", "Authorization", "api_key"])
def test_token_in_the_address_means_nothing(app: Flask, name: str) -> None:
    token = make_token(app)
    assert Caller(app, None).call("GET", "/queues", 401, query_string={name: token})[0]["code"] == "token_missing"
    assert Caller(app, token).call("GET", "/queues", 422, query_string={name: token})[0]["code"] == "invalid"


def test_token_in_a_cookie_or_a_form_means_nothing(app: Flask) -> None:
    token = make_token(app)
    client = app.test_client()
    client.set_cookie("Authorization", f"Bearer {token}")
    assert client.get("/api/v1/queues").status_code == 401
    assert client.post("/api/v1/requests", data={"access_token": token}).status_code == 401


def test_page_does_not_take_a_token(app: Flask) -> None:
    response = app.test_client().get("/requests", headers={"Authorization": f"Bearer {make_token(app)}"})
    assert response.location.startswith("/login")


# -- tokens that do not count any more --------------------------------------------------------------------------------


def test_revoked_token_is_refused_at_once(app: Flask, database: Database, crm: Caller) -> None:
    crm.get("/queues")
    tokens.revoke(database, 1, datetime.now(UTC), actor="sara", address="")
    problem, response = crm.call("GET", "/queues", 401)
    assert problem["code"] == "token_invalid" and 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_tokens_of_a_deactivated_user_are_dead_and_stay_dead(app: Flask, database: Database, assistant: Caller) -> None:
    assistant.get("/queues")
    for active in (False, True):
        given = users.UserInput("operator", ("101",), active=active)
        users.change(database, OPERATOR, given, datetime.now(UTC), actor="sara")
        assert assistant.get("/queues", 401)["code"] == "token_invalid"
    assert tokens.list_tokens(database, OPERATOR) == []


def test_tokens_of_a_deleted_user_are_dead(app: Flask, database: Database, assistant: Caller) -> None:
    with database.write() as session:
        user = session.get_one(User, OPERATOR)
        session.delete(user)
    assistant.get("/queues", 401)


def test_token_follows_the_role_and_the_extensions_of_its_user(
    app: Flask, database: Database, furnished: None, assistant: Caller
) -> None:
    create_request(database, number="+989120000002", target="102")
    assert len(assistant.get("/requests")["requests"]) == 1
    now = datetime.now(UTC)
    users.change(database, OPERATOR, users.UserInput("operator", ("102",)), now, actor="sara")
    assert [row["id"] for row in assistant.get("/requests")["requests"]] == [2]
    users.change(database, OPERATOR, users.UserInput("supervisor"), now, actor="sara")
    assert len(assistant.get("/requests")["requests"]) == 2
    users.change(database, OPERATOR, users.UserInput("operator"), now, actor="sara")
    assert assistant.get("/requests")["requests"] == []


def test_token_is_dead_while_its_user_must_set_up_the_second_factor(
    app: Flask, database: Database, crm: Caller, assistant: Caller
) -> None:
    with database.write() as session:
        write_setting(session, "second_factor", "administrators")
    assert crm.get("/queues", 401)["code"] == "token_invalid"
    assistant.get("/queues")


def test_expired_token_is_refused_with_the_moment(app: Flask, database: Database, crm: Caller) -> None:
    """It is told apart from a wrong one, and is no try to guess one."""
    expired = datetime.now(UTC) - timedelta(seconds=1)
    with database.write() as session:
        session.execute(update(ApiToken).values(expires_at=expired))
    problem, response = crm.call("GET", "/queues", 401)
    assert problem["code"] == "token_expired" and expired.isoformat(timespec="seconds") in problem["detail"]
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    with database.read() as session:
        assert session.scalars(select(LoginFailures)).all() == []
        assert session.scalars(select(ApiToken.used_at)).all() == [None]
    with database.write() as session:
        session.execute(update(ApiToken).values(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    crm.get("/queues")


def test_scope_of_another_version_gives_no_right(app: Flask, database: Database, crm: Caller) -> None:
    with database.write() as session:
        session.execute(update(ApiToken).values(scopes=["everything", "*"]))
    assert crm.get("/queues", 403)["code"] == "scope_missing"


def test_use_of_a_token_is_stored_now_and_then(app: Flask, database: Database, crm: Caller) -> None:
    crm.get("/queues")
    (token,) = tokens.list_tokens(database, ADMINISTRATOR)
    assert token.used_at is not None and token.used_from == "127.0.0.1"
    with count_writes(app) as writes:
        crm.get("/queues")
    assert writes == []
    with database.write() as session:
        session.execute(update(ApiToken).values(used_at=token.used_at - timedelta(minutes=5)))
    crm.get("/queues")
    used_at = tokens.list_tokens(database, ADMINISTRATOR)[0].used_at
    assert used_at is not None and used_at > token.used_at


# -- limits -----------------------------------------------------------------------------------------------------------


def test_wrong_tokens_are_limited_by_address_and_recorded(app: Flask, database: Database, crm: Caller) -> None:
    stranger = Caller(app, WRONG)
    for _ in range(10):
        assert stranger.get("/queues", 401)["code"] == "token_invalid"
    with count_writes(app) as writes:
        problem, response = stranger.call("GET", "/queues", 429)
    assert problem["code"] == "too_many_wrong_tokens" and 0 < int(response.headers["Retry-After"]) <= 15 * 60
    assert not [statement for statement in writes if "log_entries" in statement]
    refused = [entry for entry in log_of(database) if entry.action == "api_token_refused"]
    assert len(refused) == 10 and refused[0].detail == {"address": "127.0.0.1"} and refused[0].actor == ""
    assert WRONG not in str([(entry.subject, entry.detail) for entry in log_of(database)])
    crm.get("/queues")  # a right token from the same address
    elsewhere = app.test_client().get(
        "/api/v1/queues", headers=stranger.headers, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}
    )
    assert elsewhere.status_code == 401


@pytest.mark.parametrize("token", ["x", "a b", "\u00e9", WRONG + "x", "x" * 8000, "Bearer " + WRONG, WRONG.upper()])
def test_what_cannot_be_a_token_is_a_wrong_one(app: Flask, token: str) -> None:
    assert Caller(app, token).get("/queues", 401)["code"] == "token_invalid"


def test_calls_of_a_token_are_limited(app: Flask, monkeypatch: pytest.MonkeyPatch, crm: Caller) -> None:
    monkeypatch.setattr(access, "CALLS", replace(access.CALLS, most=3))
    monkeypatch.setattr(access, "CHANGES", replace(access.CHANGES, most=1))
    crm.post("/requests/1/cancel", {}, 404)
    problem, response = crm.call("POST", "/requests/1/cancel", 429)
    assert problem["code"] == "too_many_calls" and 0 < int(response.headers["Retry-After"]) <= 60
    crm.get("/queues")
    assert crm.get("/queues", 429)["code"] == "too_many_calls"
    Caller(app, make_token(app, name="Other")).get("/queues")


# -- what is sent -----------------------------------------------------------------------------------------------------

BODY = b'{"number": "09121234567", "module_id": 1}'


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"],
)
def test_body_of_another_kind_is_refused(app: Flask, furnished: None, crm: Caller, kind: str) -> None:
    problem, _response = crm.call("POST", "/requests", 415, data=BODY, headers={"Content-Type": kind})
    assert problem["code"] == "not_json"


@pytest.mark.parametrize("body", [b"{", b"nothing", b"{'a': 1}", b"\xff\xfe", b"[" * 20_000, b"\0"])
def test_malformed_json_is_refused(crm: Caller, body: bytes) -> None:
    problem, _response = crm.call("POST", "/requests", 400, data=body, content_type="application/json")
    assert problem["code"] == "malformed_json"


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"{}", b'{"number": "1", "module_id": NaN}'])
def test_json_that_is_no_such_object_is_refused(crm: Caller, body: bytes) -> None:
    problem, _response = crm.call("POST", "/requests", 422, data=body, content_type="application/json")
    assert problem["code"] == "invalid"


@pytest.mark.parametrize("size", [70_000, 600_000, 30_000_000])
def test_large_body_is_refused_before_it_is_read(crm: Caller, size: int) -> None:
    problem, _response = crm.call(
        "POST",
        "/requests",
        413,
        data=b" " * 10,
        environ_overrides={"CONTENT_LENGTH": str(size)},
        content_type="application/json",
    )
    assert problem["code"] == "body_too_large"


def test_bug_is_a_problem_and_logged(
    app: Flask, crm: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.web.api.office.load_target_choices", lambda *_: 1 / 0)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert crm.get("/modules", 500)["code"] == "internal_error"
    assert "ZeroDivisionError" in caplog.text


def test_unknown_host_is_a_problem(crm: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.host_check.hosts.is_allowed", lambda *_: False)
    assert crm.get("/queues", 421)["code"] == "unknown_host"
