"""A repeated API call is answered as before, and what it asks for is done once."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.api_scopes import ApiScope
from app.services import users
from app.services.api import idempotency, tokens
from app.services.api.idempotency import KEPT, Answer, KeyReused, answer_once
from app.services.audit import AuditAction
from app.services.requests.access import Scope
from app.services.requests.create import NewRequest, create_request
from app.services.requests.results import ResultCode
from app.store.database import Database
from app.store.models import ApiAnswer, CallRequest
from tests.support.factories import NOW, create_module, log_of, run_at_once

SARA = Scope("sara", everything=True)


def add_token(database: Database, name: str = "CRM") -> int:
    """Store a token of a new user and return its id."""
    user = users.create(database, f"user of {name}", "correct horse", "administrator", NOW)
    tokens.create(database, user, name, [ApiScope.REQUESTS_WRITE], NOW, address="")
    return tokens.list_tokens(database, user)[0].id


def creating(settings: Settings, module_id: int, number: str = "09121234567") -> Callable[[Database], Answer]:
    """Return the work of creating a request."""

    def work(database: Database) -> Answer:
        result = create_request(database, settings, SARA, NewRequest(number, module_id), NOW)
        return Answer(201 if result.code is ResultCode.DONE else 200, {"id": result.id})

    return work


def keys(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(ApiAnswer.key).order_by(ApiAnswer.key)))


def refuse(_database: Database) -> Answer:
    raise RuntimeError("the machine has no power")


def test_work_is_done_once(database: Database, settings: Settings) -> None:
    token, work = add_token(database), creating(settings, create_module(database).id)
    assert answer_once(database, token, "k", "a", NOW, work) == Answer(201, {"id": 1})
    assert answer_once(database, token, "k", "a", NOW, refuse) == Answer(201, {"id": 1}, repeated=True)
    with pytest.raises(KeyReused):
        answer_once(database, token, "k", "b", NOW, refuse)


def test_key_belongs_to_one_token(database: Database, settings: Settings) -> None:
    work = creating(settings, create_module(database).id)
    first, second = add_token(database), add_token(database, "other")
    assert answer_once(database, first, "k", "a", NOW, work).status == 201
    assert answer_once(database, second, "k", "a", NOW, work) == Answer(200, {"id": 1})


def test_failed_work_leaves_nothing(database: Database, settings: Settings) -> None:
    token, module = add_token(database), create_module(database)

    def fail(joined: Database) -> Answer:
        creating(settings, module.id)(joined)
        raise RuntimeError("the machine has no power")

    with pytest.raises(RuntimeError):
        answer_once(database, token, "k", "a", NOW, fail)
    assert keys(database) == []
    with database.read() as session:
        assert session.scalars(select(CallRequest)).all() == []
    assert AuditAction.REQUEST_ADDED not in [entry.action for entry in log_of(database)]


def test_answer_is_kept_for_a_day(database: Database, settings: Settings) -> None:
    token, work = add_token(database), creating(settings, create_module(database).id)
    answer_once(database, token, "k", "a", NOW, work)
    assert answer_once(database, token, "k", "a", NOW + KEPT - timedelta(seconds=1), refuse).repeated
    assert not answer_once(database, token, "k", "a", NOW + KEPT, work).repeated
    answer_once(database, token, "l", "a", NOW + 2 * KEPT, work)
    assert keys(database) == ["l"]


def test_answers_go_with_their_token(database: Database, settings: Settings) -> None:
    token, work = add_token(database), creating(settings, create_module(database).id)
    answer_once(database, token, "k", "a", NOW, work)
    tokens.revoke(database, token, NOW, actor="sara", address="")
    assert keys(database) == []


def check_calls_at_the_same_time(database: Database, settings: Settings) -> None:
    """Check that of equal calls at the same time one does the work, and all get its answer."""
    token, work = add_token(database), creating(settings, create_module(database).id)
    call = partial(answer_once, database, token, "k", "a", NOW, work)
    answers = run_at_once([call] * 6)
    assert sorted(answer.repeated for answer in answers) == [False, True, True, True, True, True]
    assert {(answer.status, answer.body["id"]) for answer in answers} == {(201, 1)}
    with database.read() as session:
        assert len(session.scalars(select(CallRequest)).all()) == 1


def test_calls_at_the_same_time_do_the_work_once(database: Database, settings: Settings) -> None:
    check_calls_at_the_same_time(database, settings)


def test_longest_key_fits() -> None:
    assert ApiAnswer.__table__.c.key.type.length == idempotency.LONGEST_KEY  # type: ignore[attr-defined]
