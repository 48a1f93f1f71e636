"""What is read ahead of a claim: it saves the reading, and the claim decides as if it had read everything itself."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text

from app.config import Settings
from app.domain.lifecycle import Outcome, Status
from app.domain.place_in_line import WaitingCallers
from app.domain.policy import Facts, LineState, Member, Queue
from app.services.requests import staged as staging
from app.services.requests.attempts import Dispatch, claim_due
from app.services.requests.staged import Staged, stage
from app.store.database import Database
from app.store.hours import WEEK
from app.store.models import (
    Attempt,
    CallRequest,
    HistoryEntry,
    Module,
    NumberRule,
    RouteTroubleRow,
    SpecialDay,
    WebhookMessage,
)
from app.store.settings import write_setting
from script.office.database import open_database
from tests.support.factories import (
    NOW,
    NUMBER,
    create_attempt,
    create_module,
    create_request,
    create_webhook,
    make_facts,
    make_line,
    reload,
    run_at_once,
    store,
)

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=seconds) for seconds in (1, 60, 3600, 86400))
OTHER = "+989127654321"
IN_CALL = LineState.IN_CALL


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database)


@pytest.fixture
def request_(database: Database, module: Module) -> CallRequest:
    return create_request(database, module)


def talking(*extensions: str, **kwargs: Any) -> Facts:
    """Return the facts before the hang-up."""
    return make_facts([make_line(extension, IN_CALL) for extension in extensions or ("101",)], **kwargs)


def free(*extensions: str, **kwargs: Any) -> Facts:
    return make_facts([make_line(extension) for extension in extensions or ("101",)], **kwargs)


def staged_for(database: Database, office: Settings, facts: Facts | None = None, now: Any = NOW) -> Staged:
    found = stage(database, office, facts or talking(), now)
    assert found is not None
    return found


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Collect the statements."""
    executed: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def claim(
    database: Database, office: Settings, staged: Staged, facts: Facts | None = None, *, now: Any = NOW
) -> tuple[Dispatch, bool]:
    """Claim with what is staged. Return the dispatch, and whether the claim has read the database all the same."""
    with statements(database) as executed:
        dispatch = claim_due(database, office, replace(facts or free(), heartbeat=now), now, staged)
    return dispatch, any(statement.startswith(("SELECT", "WITH")) for statement in executed)


def numbers_of(dispatch: Dispatch) -> list[str]:
    return [order.number for order in dispatch.orders]


def snapshot_of(database: Database) -> list[Any]:
    """Return everything that a claim writes, but the UUID of the attempt."""
    with database.read() as session:
        rows: list[Any] = [
            [(row.id, row.status, row.step, row.free_at, row.held_until, row.version) for row in _all(session, table)]
            if table is CallRequest
            else [
                {k: v for k, v in vars(row).items() if k not in ("id", "attempt", "_sa_instance_state")}
                for row in _all(session, table)
            ]
            for table in (CallRequest, Attempt, HistoryEntry)
        ]
    return rows


def _all(session: Any, table: Any) -> list[Any]:
    return list(session.scalars(select(table)))


# -- it saves the reading ---------------------------------------------------------------------------------------------


def test_claim_makes_three_statements_and_one_commit(
    database: Database, office: Settings, request_: CallRequest
) -> None:
    staged, commits = staged_for(database, office), []
    event.listen(database.engine, "commit", lambda _connection: commits.append(1))
    with statements(database) as executed:
        (order,) = claim_due(database, office, free(), NOW, staged).orders
    assert order.request_id == request_.id
    assert [statement.split()[0] for statement in executed] == ["BEGIN", "UPDATE", "INSERT", "INSERT"]
    assert len(commits) == 1


def test_claim_writes_what_it_writes_without(
    database: Database, office: Settings, request_: CallRequest, database_file: Path, tmp_path: Path
) -> None:
    create_request(database, None, number=OTHER, call_now=False)
    with sqlite3.connect(tmp_path / "copy.sqlite3") as copy, sqlite3.connect(database_file) as original:
        original.backup(copy)
    other = open_database(tmp_path / "copy.sqlite3")
    first, _ = claim(database, office, staged_for(database, office))
    second = claim_due(other, office, free(), NOW)
    assert snapshot_of(database) == snapshot_of(other)
    assert replace(first.orders[0], attempt="") == replace(second.orders[0], attempt="")
    assert first.wake_at == second.wake_at
    other.engine.dispose()


def test_nobody_waits_for_this_agent(database: Database, office: Settings, request_: CallRequest) -> None:
    """Another agent of whom somebody waits still talks."""
    staged = staged_for(database, office, talking("101", "102"))
    facts = make_facts([make_line("101", IN_CALL), make_line("102")])
    with statements(database) as executed:
        assert claim_due(database, office, facts, NOW, staged) == Dispatch((), None)
    assert executed == []


def test_queue_module_and_extension_are_found_in_what_is_staged(database: Database, office: Settings) -> None:
    queue = create_module(database, target_kind="queue", targets=["sales"])
    anybody = create_module(database, targets=["103", "104"])
    preferred = create_module(database, targets=["105", "106"])
    create_request(database, create_module(database, targets=["101"]), target="101", number="+989120000001")
    create_request(database, queue, queue=True, target="sales", number="+989120000002")
    create_request(database, anybody, number="+989120000003")
    create_request(database, preferred, number="+989120000004")
    queues = {"sales": Queue((Member("102"),))}
    agents = [str(number) for number in range(101, 107)]
    for agent, number in {"101": "1", "102": "2", "104": "3", "106": "4"}.items():
        staged = staged_for(database, office, talking(*agents, queues=queues))
        facts = make_facts(
            [make_line(each, LineState.FREE if each == agent else IN_CALL) for each in agents], queues=queues
        )
        dispatch, has_read = claim(database, office, staged, facts)
        assert [(order.agent, order.number[-1]) for order in dispatch.orders] == [(agent, number)]
        assert not has_read


def test_other_requests_learn_that_their_extension_is_free(
    database: Database, office: Settings, module: Module, request_: CallRequest
) -> None:
    """The waiting time is counted from then, also for those who are not dialled."""
    second = create_request(database, module, number=OTHER, first_called_at=NOW + SECOND)
    claim(database, office, staged_for(database, office))
    assert [reload(database, row).free_at for row in (request_, second)] == [NOW, NOW]


def test_nothing_new_is_not_read_again(database: Database, office: Settings, request_: CallRequest) -> None:
    staged = staged_for(database, office)
    with statements(database) as executed:
        assert stage(database, office, talking(), NOW + SECOND, staged) is staged
    assert executed == []
    create_request(database, None, number=OTHER)
    assert stage(database, office, talking(), NOW + SECOND, staged) is not staged


def test_nothing_is_staged_if_nobody_waits_or_for_too_many(
    database: Database, office: Settings, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage(database, office, talking(), NOW) is None
    create_request(database, module)
    monkeypatch.setattr(staging, "MOST_COVERED", 2)
    assert stage(database, office, talking("101", "102"), NOW) is not None
    assert stage(database, office, talking("101", "102", "103"), NOW) is None


# -- somebody has written since: the claim reads again ----------------------------------------------------------------


def _cancel(database: Database, row: CallRequest) -> None:
    _set(database, row, status=Status.CANCELLED.value)


def _set(database: Database, row: Any, **values: Any) -> None:
    with database.write() as session:
        found = session.get_one(type(row), row.id)
        for name, value in values.items():
            setattr(found, name, value)


def _setting(name: str, value: str) -> Callable[[Database, CallRequest], None]:
    def change(database: Database, _row: CallRequest) -> None:
        with database.write() as session:
            write_setting(session, name, value)

    return change


def _module(**values: Any) -> Callable[[Database, CallRequest], None]:
    def change(database: Database, row: CallRequest) -> None:
        with database.write() as session:
            module = session.get_one(Module, row.module_id)
            for name, value in values.items():
                setattr(module, name, value)

    return change


def _request(**values: Any) -> Callable[[Database, CallRequest], None]:
    return lambda database, row: _set(database, row, **values)


def _attempt(**values: Any) -> Callable[[Database, CallRequest], None]:
    def change(database: Database, row: CallRequest) -> None:
        other = create_request(database, None, number=OTHER, status=Status.CANCELLED.value)
        create_attempt(database, other, **values)

    return change


def _fail_route(database: Database, _row: CallRequest) -> None:
    trouble = {"failures": 3, "since": NOW - MINUTE, "failed_at": NOW, "outcome": Outcome.ROUTE_CONGESTED.value}
    store(database, RouteTroubleRow(context=ROUTE, **trouble))


ROUTE = "outbound"
CHANGES: dict[str, Callable[[Database, CallRequest], Any]] = {
    "cancelled": _cancel,
    "postponed": _request(postponed_until=NOW + HOUR),
    "a retry later": _request(not_before=NOW + HOUR),
    "held": _request(held_until=NOW + HOUR),
    "claimed by another worker": _request(status=Status.DIALLING.value, attempt="a1", step="claimed"),
    "for another agent": _request(target="102"),
    "number not allowed": _request(number="+442071838750"),
    "all paused": _setting("all_paused", "1"),
    "office closed": _setting(WEEK, "sun 00:00-00:01"),
    "a limit of calls is reached": lambda database, row: (
        _setting("calls_limit", "1")(database, row),
        _attempt(agent="109", number=OTHER)(database, row),
    ),
    "the daily limit is reached": lambda database, row: (
        _setting("daily_calls_limit", "1")(database, row),
        _attempt(agent="109", number=OTHER, route=ROUTE, dialled_at=NOW, ended_at=NOW)(database, row),
    ),
    "module not automatic": _module(automatic=False),
    "module with a waiting time": _module(min_wait=600),
    "module with a rest": _module(rest=100 * 86400),
    "module of other extensions": _module(targets=["102"]),
    "a rule refuses the number": lambda database, _row: store(
        database, NumberRule(kind="refuse", value="+98912", typed=False, created_at=NOW)
    ),
    "a day off": lambda database, _row: store(
        database, SpecialDay(date=date(2026, 3, 2), hours="", name="Holiday", created_at=NOW)
    ),
    "the agent has an attempt in flight": _attempt(agent="101"),
    "the number has an attempt in flight": _attempt(agent="109", number=NUMBER),
    "the agent is paused": _attempt(
        agent="101", ended_at=NOW, outcome=Outcome.AGENT_NO_ANSWER.value, agent_pause_until=NOW + HOUR
    ),
    "the route fails": _fail_route,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_change_that_forbids_the_call_is_seen(
    database: Database, office: Settings, request_: CallRequest, change: Callable[[Database, CallRequest], Any]
) -> None:
    with database.write() as session:
        write_setting(session, "outbound_context", ROUTE)
        write_setting(session, WEEK, "mon 00:00-24:00")
    staged = staged_for(database, office)
    change(database, reload(database, request_))
    dispatch, has_read = claim(database, office, staged)
    assert (dispatch.orders, has_read) == ((), True)


def test_all_that_was_forbidden_is_allowed_without_the_changes(
    database: Database, office: Settings, request_: CallRequest
) -> None:
    """So each of these changes is the reason why nobody is dialled."""
    with database.write() as session:
        write_setting(session, "outbound_context", ROUTE)
        write_setting(session, WEEK, "mon 00:00-24:00")
    dispatch, has_read = claim(database, office, staged_for(database, office))
    assert (numbers_of(dispatch), has_read) == ([NUMBER], False)


def test_request_that_was_added_comes_first_by_its_priority(
    database: Database, office: Settings, module: Module, request_: CallRequest
) -> None:
    staged = staged_for(database, office)
    create_request(database, module, number=OTHER, priority=1)
    dispatch, has_read = claim(database, office, staged)
    assert (numbers_of(dispatch), has_read) == ([OTHER], True)


def test_request_that_somebody_calls_now_comes_first(
    database: Database, office: Settings, module: Module, request_: CallRequest
) -> None:
    staged = staged_for(database, office)
    create_request(database, module, number=OTHER, call_now=True, call_now_at=NOW)
    dispatch, has_read = claim(database, office, staged)
    assert (numbers_of(dispatch), has_read) == ([OTHER], True)


def test_webhook_that_was_added_is_told(database: Database, office: Settings, request_: CallRequest) -> None:
    staged = staged_for(database, office)
    create_webhook(database, events=" attempt.started ")
    assert claim(database, office, staged)[1]
    with database.read() as session:
        assert len(_all(session, WebhookMessage)) == 1


def test_webhook_that_was_there_is_told_too(database: Database, office: Settings, request_: CallRequest) -> None:
    create_webhook(database, events=" attempt.started ")
    assert numbers_of(claim(database, office, staged_for(database, office))[0]) == [NUMBER]
    with database.read() as session:
        assert len(_all(session, WebhookMessage)) == 1


def test_another_process_has_written(
    database: Database, office: Settings, request_: CallRequest, database_file: Path
) -> None:
    staged = staged_for(database, office)
    with sqlite3.connect(database_file) as other:
        other.execute("UPDATE call_requests SET status = 'cancelled'")
    dispatch, has_read = claim(database, office, staged)
    assert (dispatch.orders, has_read) == ((), True)


def test_somebody_writes_right_before_the_transaction_of_the_claim(
    database: Database, office: Settings, request_: CallRequest, database_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It held when the claim began, but not in its transaction."""
    staged, write, other = staged_for(database, office), database.write, open_database(database_file)

    def write_later(*arguments: Any) -> Any:
        _setting("all_paused", "1")(other, request_)
        return write(*arguments)

    monkeypatch.setattr(database, "write", write_later)
    dispatch, has_read = claim(database, office, staged)
    assert (dispatch.orders, has_read) == ((), True)
    other.engine.dispose()


def test_nobody_can_write_during_the_transaction_of_the_claim(
    database: Database, office: Settings, request_: CallRequest, database_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was proven stays true until the commit."""
    staged, refused = staged_for(database, office), list[str]()
    is_newest = Staged.is_newest

    def write_then(self: Staged, database: Database) -> bool:
        found = is_newest(self, database)
        if len(refused) == 0:
            refused.append("first look")
            return found
        with sqlite3.connect(database_file, timeout=0) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("UPDATE call_requests SET status = 'cancelled'")
            refused.append("in the transaction")
        return found

    monkeypatch.setattr(Staged, "is_newest", write_then)
    assert numbers_of(claim(database, office, staged)[0]) == [NUMBER]
    assert refused == ["first look", "in the transaction"]


def test_same_plan_dials_once(database: Database, office: Settings, module: Module, request_: CallRequest) -> None:
    staged = staged_for(database, office)
    assert numbers_of(claim(database, office, staged)[0]) == [NUMBER]
    assert claim(database, office, staged) == (Dispatch((), None), True)


def test_many_dispatches_with_the_same_plan_dial_once(
    database: Database, office: Settings, module: Module, request_: CallRequest
) -> None:
    create_request(database, module, number=OTHER)
    staged = staged_for(database, office)
    dispatches = run_at_once([lambda: claim_due(database, office, free(), NOW, staged)] * 8)
    assert len([order for dispatch in dispatches for order in dispatch.orders]) == 1
    with database.read() as session:
        assert len(_all(session, Attempt)) == 1


def test_failed_claim_leaves_what_is_staged_as_it_is(
    database: Database, office: Settings, request_: CallRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = staged_for(database, office)
    with monkeypatch.context() as broken:
        broken.setattr("app.store.requests._ADD_ENTRY", text("INSERT INTO nowhere VALUES (1)"))
        with pytest.raises(Exception, match="nowhere"):
            claim(database, office, staged)
    assert numbers_of(claim(database, office, staged)[0]) == [NUMBER]


# -- nobody has written, but the PBX or the time has changed: it is decided by these ----------------------------------


def test_agent_who_does_not_want_to_be_disturbed(database: Database, office: Settings, request_: CallRequest) -> None:
    staged = staged_for(database, office)
    for state in (LineState.DND, LineState.OFFLINE, LineState.RINGING, LineState.UNKNOWN):
        dispatch, _ = claim(database, office, staged, make_facts([make_line("101", state)]))
        assert dispatch.orders == ()


def test_caller_in_the_queue_comes_first(database: Database, office: Settings) -> None:
    queue = create_module(database, target_kind="queue", targets=["sales"])
    create_request(database, queue, queue=True, target="sales")
    quiet = {"sales": Queue((Member("101"),))}
    staged = staged_for(database, office, talking(queues=quiet))
    callers = {"sales": Queue((Member("101"),), WaitingCallers(1, (NOW - HOUR,)))}
    assert claim(database, office, staged, free(queues=callers))[0].orders == ()
    assert numbers_of(claim(database, office, staged, free(queues=quiet))[0]) == [NUMBER]


def test_member_who_is_paused_or_has_left(database: Database, office: Settings) -> None:
    queue = create_module(database, target_kind="queue", targets=["sales"])
    create_request(database, queue, queue=True, target="sales")
    staged = staged_for(database, office, talking(queues={"sales": Queue((Member("101"),))}))
    for members in ((Member("101", paused=True),), (Member("101", wrapup_until=NOW + MINUTE),), ()):
        assert claim(database, office, staged, free(queues={"sales": Queue(members)}))[0].orders == ()


def test_customer_who_is_on_the_line(database: Database, office: Settings, request_: CallRequest) -> None:
    staged = staged_for(database, office)
    facts = replace(free(), numbers_on_line=frozenset({NUMBER}))
    assert claim(database, office, staged, facts)[0].orders == ()


def test_agent_who_was_not_expected_is_looked_up(database: Database, office: Settings, request_: CallRequest) -> None:
    """A phone that was offline, and a queue that the agent has just entered."""
    queue = create_module(database, target_kind="queue", targets=["sales"])
    create_request(database, queue, queue=True, target="sales", number=OTHER)
    staged = staged_for(database, office, make_facts([make_line("101", IN_CALL), make_line("102", LineState.OFFLINE)]))
    facts = make_facts([make_line("102")], queues={"sales": Queue((Member("102"),))})
    dispatch, has_read = claim(database, office, staged, facts)
    assert (numbers_of(dispatch), has_read) == ([OTHER], True)


def test_pause_of_an_agent_ends_meanwhile(
    database: Database, office: Settings, module: Module, request_: CallRequest
) -> None:
    ended = {"ended_at": NOW, "outcome": Outcome.AGENT_NO_ANSWER.value}
    create_attempt(database, request_, agent="101", agent_pause_until=NOW + MINUTE, **ended)
    staged = staged_for(database, office)
    early, _ = claim(database, office, staged, now=NOW + 59 * SECOND)
    assert (early.orders, early.wake_at) == ((), NOW + MINUTE)
    staged = staged_for(database, office)
    assert numbers_of(claim(database, office, staged, now=NOW + MINUTE)[0]) == [NUMBER]


def test_own_time_of_a_request_comes_meanwhile(
    database: Database, office: Settings, module: Module, request_: CallRequest
) -> None:
    _set(database, request_, postponed_until=NOW + MINUTE, held_until=NOW + MINUTE, target="101", priority=1)
    create_request(database, module, number=OTHER)
    staged = staged_for(database, office)
    assert numbers_of(claim(database, office, staged, now=NOW + MINUTE)[0]) == [NUMBER]


def test_request_expires_meanwhile(database: Database, office: Settings) -> None:
    module = create_module(database, expire_after=60)
    old = create_request(database, module)
    create_request(database, module, number=OTHER, registered_at=NOW + MINUTE, first_called_at=NOW + MINUTE)
    staged = staged_for(database, office)
    assert numbers_of(claim(database, office, staged, now=NOW + MINUTE)[0]) == [OTHER]
    assert reload(database, old).status == Status.EXPIRED.value


def test_office_closes_meanwhile(database: Database, office: Settings, request_: CallRequest) -> None:
    with database.write() as session:
        write_setting(session, "timezone", "UTC")
        write_setting(session, WEEK, "mon 00:00-09:00")
    staged = staged_for(database, office)
    assert claim(database, office, staged, now=NOW + HOUR)[0].orders == ()
    assert numbers_of(claim(database, office, staged, now=NOW + HOUR - SECOND)[0]) == [NUMBER]


def test_next_day_is_read_again(database: Database, office: Settings, request_: CallRequest) -> None:
    staged = staged_for(database, office)
    assert claim(database, office, staged, now=NOW + DAY)[1]


def test_clock_that_was_set_back_lets_the_claim_read_again(
    database: Database, office: Settings, request_: CallRequest
) -> None:
    """A pause that was over when it was read is not over before that."""
    ended = {"ended_at": NOW, "outcome": Outcome.AGENT_NO_ANSWER.value}
    create_attempt(database, request_, agent="101", agent_pause_until=NOW + MINUTE, **ended)
    staged = staged_for(database, office, now=NOW + 2 * MINUTE)
    dispatch, has_read = claim(database, office, staged, now=NOW)
    assert (dispatch.orders, has_read) == ((), True)


@pytest.mark.parametrize("limit", ["1", "0"])
def test_call_leaves_the_last_24_hours(database: Database, office: Settings, request_: CallRequest, limit: str) -> None:
    with database.write() as session:
        write_setting(session, "daily_calls_limit", limit)
        write_setting(session, "outbound_context", ROUTE)
    past = {"started_at": NOW - DAY + MINUTE, "dialled_at": NOW - DAY + MINUTE, "ended_at": NOW - DAY + 2 * MINUTE}
    create_attempt(database, request_, agent="109", number=OTHER, route=ROUTE, outcome="connected", **past)
    staged = staged_for(database, office)
    before, _ = claim(database, office, staged, now=NOW + MINUTE - SECOND)
    assert bool(before.orders) is (limit == "0")
    if limit == "1":
        assert numbers_of(claim(database, office, staged_for(database, office), now=NOW + MINUTE)[0]) == [NUMBER]


def test_pause_of_a_route_ends_meanwhile(
    database: Database, office: Settings, module: Module, request_: CallRequest
) -> None:
    """The requests take turns by their failures then."""
    with database.write() as session:
        write_setting(session, "outbound_context", ROUTE)
    _set(database, request_, route_failures=2)
    create_request(database, module, number=OTHER, first_called_at=NOW + SECOND)
    _fail_route(database, request_)
    staged = staged_for(database, office)
    assert claim(database, office, staged)[0].orders == ()
    staged = staged_for(database, office)
    assert numbers_of(claim(database, office, staged, now=NOW + HOUR)[0]) == [OTHER]
