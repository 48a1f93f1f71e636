"""The services on a PostgreSQL server: as many hands as there are, and a telephone service that hears at once."""

import asyncio
import json
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.lifecycle import Cancelled, Outcome, Postponed, Status, Step
from app.domain.login_limits import ALLOWANCES
from app.domain.login_limits import Counter as Counted
from app.domain.routing import Destination, Situation
from app.domain.sessions import SessionLimits
from app.domain.webhooks import Fate
from app.services import clock_jump, commands, logins, second_factor, sessions, users
from app.services.commands import CANCEL, answer, open_commands, send
from app.services.errors import Invalid, NotFound
from app.services.modules import save, transfer
from app.services.modules.save import delete_module, save_module, set_active, store_module
from app.services.modules.transfer import BadFile, export_settings, import_settings
from app.services.notifications import keys, outbox
from app.services.pbx import references
from app.services.pbx.references import Reference
from app.services.pbx.scenarios import ExtensionInput, QueueInput, save_scenario
from app.services.requests import attempts
from app.services.requests.attempts import Dispatch, claim_due
from app.services.requests.reached import Talk, close_reached
from app.services.requests.registration import Registration, register
from app.services.requests.staged import stage
from app.services.settings import save as settle
from app.services.webhooks import outbox as webhooks
from app.store import routes
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Command, ExtensionScenario, Module, QueueScenario, Setting
from app.store.settings import read_all
from app.worker.leadership import Leadership, leadership_of
from app.worker.lease import WorkerRunning
from script.office.patience import PATIENCE
from script.office.server_database import new_database, open_server_database
from tests.services.api.test_idempotency import check_calls_at_the_same_time
from tests.services.notifications.test_outbox import add_user as add_notified_user
from tests.services.notifications.test_outbox import messages
from tests.services.notifications.test_outbox import register as register_request
from tests.services.requests.test_lanes import check_decisions
from tests.services.requests.test_prospects import check_estimate, check_line
from tests.support.factories import (
    NOW,
    NUMBER,
    apply_event,
    create_attempt,
    create_module,
    create_request,
    create_webhook,
    history_of,
    make_facts,
    make_line,
    make_module_input,
    reload,
    run_at_once,
)
from tests.support.locks import wait_for_a_waiter
from tests.support.second_factors import Phone, create_second_factor
from tests.support.watching import watching

MODULE = Destination("module", "*5001")


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_database(postgres_url, postgres_template) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with open_server_database(url) as opened:
        yield opened


def all_requests(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest).order_by(CallRequest.id)))


# Registering


def test_sixteen_calls_with_the_same_wish_make_one_request(database: Database) -> None:
    module = create_module(database)
    ids = run_at_once([partial(register, database, Registration(module.id, NUMBER, uniqueid=f"1.{n}"), NOW)
                   for n in range(16)])  # fmt: skip
    (row,) = all_requests(database)
    assert set(ids) == {row.id}
    events = Counter(entry.event for entry in history_of(database, row.id))
    assert events == {"registered": 1, "registered_again": 1}


def test_sixteen_times_the_same_call_makes_one_request(database: Database) -> None:
    module = create_module(database)
    ids = run_at_once([lambda: register(database, Registration(module.id, NUMBER, uniqueid="1.1"), NOW)] * 16)
    assert set(ids) == {all_requests(database)[0].id}
    assert len(all_requests(database)) == 1


def test_sixteen_wishes_are_sixteen_requests(database: Database) -> None:
    module = create_module(database)
    run_at_once([partial(register, database, Registration(module.id, f"+98912000{n:04}"), NOW) for n in range(16)])
    assert len({row.number for row in all_requests(database)}) == 16


# Claiming


def test_nothing_is_read_ahead_of_a_claim(database: Database, office: Settings) -> None:
    """Others write during its transaction here, so it could not prove that nothing has changed."""
    create_request(database, create_module(database))
    assert stage(database, office, make_facts([make_line("101")]), NOW) is None


def claim_until_it_is_told(database: Database, office: Settings, agents: list[str]) -> Dispatch:
    """Claim as the dispatcher does: what the database refuses is looked at again."""
    for _ in range(20):
        try:
            return claim_due(database, office, make_facts([make_line(agent) for agent in agents]), NOW)
        except IntegrityError:
            continue
    raise AssertionError("the database keeps refusing")


def test_eight_dispatchers_give_each_request_one_attempt(database: Database, office: Settings) -> None:
    """There is one worker; should there be two for a moment, no phone rings twice and no number is dialled twice."""
    agents = [str(number) for number in range(101, 106)]
    module = create_module(database, targets=agents)
    for number in range(12):
        create_request(database, module, number=f"+98912000{number:04}")
    for _ in range(3):  # who was passed over while another hand held the rows is found at the next look
        run_at_once([lambda: claim_until_it_is_told(database, office, agents)] * 8)
    with database.read() as session:
        attempts = list(session.scalars(select(Attempt)))
        dialling = session.scalar(select(func.count()).where(CallRequest.status == Status.DIALLING.value))
    assert len(attempts) == dialling == len(agents)
    assert len({row.agent for row in attempts}) == len({row.number for row in attempts}) == len(agents)
    assert len({row.request_id for row in attempts}) == len(agents)


def test_a_claim_that_was_refused_leaves_nothing_behind(database: Database, office: Settings) -> None:
    """An order that is promised is on disk; one that is not was rolled back whole."""
    module = create_module(database)
    for turn in range(5):
        request = create_request(database, module, number=f"+98912000{turn:04}")
        orders = [
            order
            for dispatch in run_at_once([lambda: claim_until_it_is_told(database, office, ["101"])] * 4)
            for order in dispatch.orders
        ]
        assert [order.request_id for order in orders] == [request.id]
        with database.write() as session:
            assert session.get_one(Attempt, orders[0].attempt).ended_at is None
            session.get_one(Attempt, orders[0].attempt).ended_at = NOW


def test_news_of_one_attempt_from_many_hands_are_told_once(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database))
    (order,) = claim_until_it_is_told(database, office, ["101"]).orders
    run_at_once([lambda: attempts.progress(database, order.attempt, Step.AGENT_ANSWERED, NOW)] * 6)
    run_at_once([lambda: attempts.end(database, order.attempt, Outcome.CUSTOMER_BUSY, NOW)] * 6)
    row = reload(database, request)
    assert (row.status, row.customer_attempts, row.attempt) == ("waiting", 1, None)


def test_wishes_of_many_hands_lose_nothing(database: Database) -> None:
    """Each is a change of the same row; whoever comes later reads what the one before has made of it."""
    request = create_request(database, create_module(database))

    def postpone(turn: int) -> None:
        until = NOW + timedelta(minutes=turn + 1)
        apply_event(database, request.id, Postponed(until), f"hand {turn}")

    run_at_once([partial(postpone, n) for n in range(8)])
    changes = run_at_once([lambda: apply_event(database, request.id, Cancelled(), "x")] * 8)
    assert [change.changed for change in changes].count(True) == 1
    entries = history_of(database, request.id)
    assert Counter(entry.new_status for entry in entries) == {"waiting": 8, "cancelled": 1}
    assert reload(database, request).version == 10


def test_a_talk_closes_what_waits_for_it(database: Database) -> None:
    request = create_request(database, create_module(database), target="101")
    assert close_reached(database, Talk(NUMBER, "101"), NOW) == []
    assert reload(database, request).status == "done"


# Commands


def test_commands_of_many_pages_are_each_done_once_and_in_their_order(database: Database) -> None:
    pages, each = 8, 6
    done: list[int] = []
    asked = threading.Event()

    def page(number: int) -> list[int]:
        return [send(database, CANCEL, {"request": number}, actor="sara", now=NOW) for _ in range(each)]

    def worker() -> list[int]:
        deadline = time.monotonic() + PATIENCE
        while len(done) < pages * each and time.monotonic() < deadline:
            for command in open_commands(database, NOW):
                answer(database, command.id, ok=True, result="done", now=NOW)
                done.append(command.id)
            asked.wait(0.001)
        return []

    asking = run_at_once([worker, *[lambda n=n: page(n) for n in range(pages)]])
    ids = [command for page_ids in asking for command in page_ids]
    assert Counter(done) == Counter(ids)
    for page_ids in asking[1:]:
        assert [command for command in done if command in page_ids] == page_ids
    assert open_commands(database, NOW) == []


def test_old_commands_are_forgotten_but_for_the_newest(database: Database) -> None:
    ids = [send(database, kind, {}, actor="sara", now=NOW) for kind in (commands.WRITE_DIALPLAN, CANCEL, CANCEL)]
    for command in ids:
        answer(database, command, ok=True, result="done", now=NOW)
    assert commands.delete_old(database, NOW + commands.KEEP_ANSWERED) == 1
    with database.read() as session:
        assert list(session.scalars(select(Command.id).order_by(Command.id))) == [ids[0], ids[2]]


# Saving in the same instant


def look_together(monkeypatch: pytest.MonkeyPatch, table: type[Any], look: int) -> None:
    """Have two hands go on from their `look`-th look at a row only when both have looked."""
    real, gate, mine = Session.get, threading.Barrier(2), threading.local()

    def get(session: Session, entity: Any, *args: Any, **kwargs: Any) -> Any:
        found = real(session, entity, *args, **kwargs)
        if entity is table:
            mine.looks = getattr(mine, "looks", 0) + 1
            if mine.looks == look:
                gate.wait(PATIENCE)
        return found

    monkeypatch.setattr(Session, "get", get)


def meet_before_storing(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Make two threads call `store_module` at the same time. `module`: the one that calls it."""
    real, gate = store_module, threading.Barrier(2)

    def enter(*args: Any) -> Any:
        gate.wait(PATIENCE)
        return real(*args)

    monkeypatch.setattr(module, "store_module", enter)


def test_a_setting_that_two_people_save_first_is_there_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_together(monkeypatch, Setting, 1)

    def save(value: str) -> None:
        with database.write() as session:
            settle.save_values(session, {"area_code": value}, NOW, actor="sara")

    run_at_once([lambda: save("021"), lambda: save("026")])
    with database.read() as session:
        assert read_all(session)["area_code"] in ("021", "026")


@pytest.mark.parametrize("table", [ExtensionScenario, QueueScenario])
def test_a_scenario_that_two_people_save_first_is_one_of_both(
    database: Database, monkeypatch: pytest.MonkeyPatch, table: type[Any]
) -> None:
    look_together(monkeypatch, table, 2)

    def save(seconds: int) -> None:
        if table is QueueScenario:
            save_scenario(database, QueueInput("800", max_wait=seconds, wrapup=seconds), now=NOW)
        else:
            save_scenario(database, ExtensionInput("101", ring=seconds), now=NOW)

    run_at_once([lambda: save(20), lambda: save(30)])
    with database.read() as session:
        (row,) = session.scalars(select(table))
    assert (row.ring if table is ExtensionScenario else row.max_wait) in (20, 30)
    assert table is ExtensionScenario or row.wrapup == row.max_wait


def test_a_code_that_two_modules_take_at_once_is_one_modules(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet_before_storing(monkeypatch, save)

    def save_new() -> str:
        try:
            save_module(database, make_module_input(code="*5001"), NOW)
        except Invalid as invalid:
            return invalid.errors["code"]
        return "saved"

    assert sorted(run_at_once([save_new] * 2)) == ["saved", "taken"]


def test_a_file_that_two_people_take_in_at_once_is_refused_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_module(database, make_module_input(code="*5001"), NOW)
    content = export_settings(database)
    delete_module(database, 1, NOW)
    meet_before_storing(monkeypatch, transfer)

    def bring() -> str:
        try:
            import_settings(database, SoundLibrary(tmp_path / "prompts"), content, NOW)
        except BadFile as bad:
            return bad.errors[0].partition(":")[0]
        return "taken in"

    assert sorted(run_at_once([bring] * 2)) == ["modules[0].code", "taken in"]


@pytest.mark.parametrize("late", ["save", "delete", "set_active"])
def test_a_module_that_is_being_deleted_is_gone_for_who_comes_late(
    database: Database, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    module = save_module(database, make_module_input(code="*5001"), NOW)
    real, comers = references.find_references, list[Future[Any]]()
    works: dict[str, Callable[[], Any]] = {
        "save": lambda: save_module(database, make_module_input(code="*5001", name="X"), NOW, module_id=module),
        "delete": lambda: delete_module(database, module, NOW),
        "set_active": lambda: set_active(database, module, False, NOW),
    }

    with ThreadPoolExecutor(1) as pool:

        def find_references(session: Session) -> dict[str, list[Reference]]:
            found = real(session)
            if not comers:
                session.execute(select(Module.id).where(Module.id == module).with_for_update())
                comers.append(pool.submit(works[late]))
                wait_for_a_waiter(database)
            return found

        monkeypatch.setattr(save, "find_references", find_references)
        delete_module(database, module, NOW)
        with pytest.raises(NotFound):
            comers[0].result(PATIENCE)
    with database.read() as session:
        assert session.get(Module, module) is None


# What SQLite would let pass


def test_nobody_of_a_strange_name_breaks_the_log_in(database: Database) -> None:
    users.create(database, "سارا", "a long password", "operator", NOW)
    assert users.check_password(database, "سارا", "a long password") is not None
    assert users.check_password(database, "sa\x00ra", "a long password") is None
    with pytest.raises(Invalid):
        users.create(database, "sa\x00ra", "a long password", "operator", NOW)

    def take_name() -> str:
        try:
            users.create(database, "omid", "a long password", "operator", NOW)
        except Invalid as invalid:
            return invalid.errors["name"]
        return "created"

    assert sorted(run_at_once([take_name] * 4)) == ["created", "taken", "taken", "taken"]


def test_settings_travel_and_a_fault_is_a_fault_and_no_failure(database: Database, tmp_path: Path) -> None:
    library = SoundLibrary(tmp_path / "prompts")
    save_module(database, make_module_input(code="*5001", caller_id="+" + "9" * 20), NOW)
    save_scenario(database, ExtensionInput("101", destinations={Situation.BUSY: MODULE}), now=NOW)
    save_scenario(database, QueueInput("800", failed=MODULE), now=NOW)
    content = export_settings(database)
    assert import_settings(database, library, content, NOW) == 3
    assert export_settings(database) == content
    for values in (
        {"target_kind": "x" * 17},
        {"language": "x" * 9},
        {"name": "\0"},
        {"code": "x" * 21},
        {"prompts": {"intro": {"mode": "x" * 9}}},
        {"prompts": {"intro": {"mode": "file", "file": "x" * 201}}},
        {"prompts": {"x" * 20: {"mode": "none"}}},
        {"next": {"kind": "x" * 16}},
    ):
        with pytest.raises(BadFile):
            import_settings(database, library, {"bazang": 1, "modules": [content["modules"][0] | values]}, NOW)
        assert export_settings(database) == content


# Deciding


@pytest.mark.parametrize("seed", range(6))
def test_decisions_are_those_of_all_requests(database: Database, office: Settings, seed: int) -> None:
    check_decisions(database, office, seed)


# Hearing of it


def test_prospects_are_found(database: Database) -> None:
    check_estimate(database)
    check_line(database)


async def test_each_command_wakes_the_worker(database: Database) -> None:
    async with watching(database) as told:
        for number in range(5):
            await asyncio.to_thread(send, database, CANCEL, {"request": number}, actor="sara", now=NOW)
            async with asyncio.timeout(PATIENCE):
                await told.get()


async def test_no_command_is_left_lying_however_many_come_at_once(database: Database) -> None:
    """A notice that comes while another is being told must not be lost with it."""
    taken: list[int] = []
    async with watching(database) as told:
        asking = asyncio.gather(
            *[asyncio.to_thread(send, database, CANCEL, {"request": n}, actor="sara", now=NOW) for n in range(60)]
        )
        async with asyncio.timeout(PATIENCE):
            while len(taken) < 60:
                await told.get()
                for command in await asyncio.to_thread(open_commands, database, NOW):
                    await asyncio.to_thread(answer, database, command.id, ok=True, result="done", now=NOW)
                    taken.append(command.id)
        assert sorted(taken) == sorted(await asking)


async def test_nobody_is_woken_by_a_command_that_was_taken_back(database: Database) -> None:
    async with watching(database) as told:
        with pytest.raises(ZeroDivisionError):
            with database.write() as session:
                session.add(Command(kind=CANCEL, payload={}, created_at=NOW, expires_at=NOW))
                session.execute(select(func.pg_notify(commands.CHANNEL, "")))
                _ = 1 / 0
        await asyncio.to_thread(send, database, CANCEL, {}, actor="sara", now=NOW)
        async with asyncio.timeout(PATIENCE):
            await told.get()
        assert told.empty()


async def test_a_watch_whose_connection_was_cut_listens_again(database: Database) -> None:
    async with watching(database) as told:
        with database.engine.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND left(query, 6) = 'LISTEN'"
            )
        async with asyncio.timeout(PATIENCE):
            await told.get()  # at its new beginning, since something may have been missed
            await asyncio.to_thread(send, database, CANCEL, {}, actor="sara", now=NOW)
            await told.get()


# One worker only


def test_there_is_one_leader_and_its_place_is_free_afterwards(url: str, database: Database) -> None:
    first, second = leadership_of(database), leadership_of(database)
    first.acquire()
    with pytest.raises(WorkerRunning):
        second.acquire()
    first.release()
    take_over(second)
    second.release()


def test_another_databases_leader_is_nobodys_business(
    postgres_url: str, postgres_template: str, database: Database
) -> None:
    leader = leadership_of(database)
    leader.acquire()
    with new_database(postgres_url, postgres_template) as other_url, open_server_database(other_url) as other:
        elsewhere = leadership_of(other)
        elsewhere.acquire()
        elsewhere.release()
    leader.release()


def lead(url: str, told: Connection) -> None:
    """Be the worker of a database until somebody ends us."""
    leadership = leadership_of(Database(create_engine(url)))
    leadership.acquire()
    told.send("taken")
    threading.Event().wait()


def take_over(leadership: Leadership) -> None:
    """Take the place as soon as the server has seen that it is free."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            leadership.acquire()
            return
        except WorkerRunning:
            assert time.monotonic() < deadline, "the place is never free"
            time.sleep(0.01)


def test_the_place_of_a_worker_that_was_killed_is_free(url: str, database: Database) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=lead, args=(url, there), daemon=True)
    process.start()
    try:
        assert here.poll(PATIENCE) and here.recv() == "taken"
        other = leadership_of(database)
        with pytest.raises(WorkerRunning):
            other.acquire()
        process.kill()
        take_over(other)
        other.release()
    finally:
        process.kill()
        process.join(PATIENCE)
        here.close()
        there.close()
        process.close()


def test_moments_move_when_the_clock_jumps(database: Database) -> None:
    request = create_request(database, create_module(database), not_before=NOW + timedelta(minutes=1))
    attempt = create_attempt(database, request, ended_at=NOW, agent_pause_until=NOW + timedelta(minutes=1))
    by = timedelta(hours=-3.5)
    clock_jump.apply(database, clock_jump.Jump(by, NOW + by, NOW), lambda: NOW + by)
    assert reload(database, request).registered_at == NOW + by
    assert reload(database, request).not_before == NOW + by + timedelta(minutes=1)
    assert reload(database, attempt).agent_pause_until == NOW + by + timedelta(minutes=1)


def test_log_ins_at_once_count_like_log_ins_one_by_one(database: Database) -> None:
    users.create(database, "سارا", "a long password", "operator", NOW)
    source, free = logins.Source("10.0.0.1"), ALLOWANCES[Counted.PAIR].free

    def attempt(password: str) -> str:
        try:
            return logins.log_in(database, "سارا", password, source, NOW).name
        except (logins.WrongPassword, logins.TooManyFailures) as error:
            return type(error).__name__

    found = Counter(run_at_once([lambda: attempt("wrong")] * 12))
    assert found == {"WrongPassword": free, "TooManyFailures": 12 - free}
    with database.write() as session:
        logins.forget_failures(session, "سارا")
    assert attempt("a long password") == "سارا"


def test_of_many_log_ins_at_once_with_the_same_code_one_succeeds(database: Database, office: Settings) -> None:
    user_id = users.create(database, "سارا", "a long password", "operator", NOW)
    phone = create_second_factor(database, office, user_id)
    source = logins.Source("10.0.0.1")

    def password() -> str:
        with pytest.raises(logins.CodeNeeded) as needed:
            logins.log_in(database, "سارا", "a long password", source, NOW)
        return needed.value.token

    def attempt(token: str, code: str) -> str:
        try:
            return logins.enter_code(database, office, token, code, source, NOW).name
        except (logins.WrongCode, logins.TooManyFailures) as error:
            return type(error).__name__

    for code in (phone.code(NOW), phone.recovery_codes[0]):
        # Passwords and codes at the same time: both lock the user and the counters, in the same order.
        tokens = [password() for _ in range(4)]
        work = [lambda token=token, code=code: attempt(token, code) for token in tokens] + [password]
        found = Counter(run_at_once(work)[:4])
        assert found == {"سارا": 1, "WrongCode": 3}
        with database.write() as session:
            logins.forget_failures(session, "سارا")


def test_second_factors_are_set_up_and_removed(database: Database, office: Settings) -> None:
    user = users.get(database, users.create(database, "سارا", "a long password", "operator", NOW))
    limits = SessionLimits(timedelta(hours=1), timedelta(days=1))
    found = sessions.find(database, sessions.digest(sessions.start(database, user, sessions.Client(), NOW, limits)))
    assert found is not None
    row = found[0].id
    run_at_once([lambda: second_factor.start(database, office, user.id, row, NOW)] * 4)
    phone = Phone(second_factor.new_secret(database, office, user.id, row, NOW))
    codes = second_factor.confirm(database, office, user.id, row, phone.code(NOW), NOW)
    assert second_factor.state(database, user.id) == second_factor.State(NOW, len(codes))
    assert second_factor.reset(database, user.id, NOW, actor="mina")
    assert second_factor.state(database, user.id) is None


def test_sessions_start_and_end(database: Database) -> None:
    user = users.get(database, users.create(database, "سارا", "a long password", "operator", NOW))
    limits = SessionLimits(timedelta(hours=1), timedelta(days=1))
    tokens = [sessions.start(database, user, sessions.Client("::1", "Firefox"), NOW, limits) for _ in range(3)]
    rows = sessions.list_sessions(database, user.id, NOW, limits)
    sessions.mark_used(database, rows[0].id, NOW + timedelta(minutes=30))
    sessions.end(database, user.id, rows[1].id, NOW, address="::1")
    sessions.start(database, user, sessions.Client(), NOW + timedelta(minutes=70), limits)
    assert [sessions.find(database, sessions.digest(token)) is not None for token in tokens] == [False, False, True]
    assert len(sessions.list_sessions(database, user.id, NOW + timedelta(minutes=70), limits)) == 2
    users.reset_password(database, user.id, "another long one", NOW)
    assert sessions.list_sessions(database, user.id, NOW, limits) == []


def test_webhooks_are_stored_with_the_change_and_handed_out_once(database: Database, office: Settings) -> None:
    """A change stores its messages in its own transaction, even while other sessions change requests."""
    module = create_module(database)
    chosen = {"events": " request.registered attempt.started trunk.trouble ", "modules": f" {module.id} "}
    webhook = create_webhook(database, **chosen)
    create_webhook(database, name="Other", events=" request.registered ", modules=" 99 ")
    run_at_once([partial(register, database, Registration(module.id, f"+98912000000{n}"), NOW) for n in range(8)])
    with database.write() as session:
        routes.apply_outcome(session, "out", Outcome.ROUTE_FAILED, NOW, claimed_at=NOW, dialled_at=NOW, cause="")
    now = NOW + timedelta(seconds=1)
    assert webhooks.due(database, now) == [webhook.id]
    claimed = run_at_once([partial(webhooks.claim, database, office, webhook.id, now)] * 9)
    told = [delivery for delivery in claimed if delivery is not None]
    assert len({delivery.uid for delivery in told}) == len(told) == 9
    assert Counter(json.loads(delivery.body)["type"] for delivery in told) == {
        "request.registered": 8,
        "trunk.trouble": 1,
    }
    for delivery in told:
        webhooks.finish(database, delivery, webhooks.Result(Fate.SENT, "http_200"), now)
    assert webhooks.due(database, now + timedelta(hours=1)) == []
    assert webhooks.give_up_old(database, now + timedelta(days=3)) == 0


def test_notifications_have_one_key_and_are_stored_and_handed_out_once(database: Database, office: Settings) -> None:
    assert len(set(run_at_once([partial(keys.private_key, database, office)] * 8))) == 1
    add_notified_user(database, office, "omid", "101")
    module = create_module(database)
    for number in range(5):
        register_request(database, module, f"+98912000000{number}")
    now = NOW + timedelta(seconds=1)
    run_at_once([partial(outbox.collect, database, office, now)] * 4)
    assert len(messages(database)) == 5
    claimed = run_at_once([partial(outbox.claim, database, office, now)] * 4)
    assert sorted(delivery.message_id for found in claimed for delivery in found) == [1, 2, 3, 4, 5]
    (delivery, *_others) = [delivery for found in claimed for delivery in found]
    outbox.finish(database, [outbox.Result(delivery, done=True, gone=True)], now)
    assert messages(database) == [], "the browser is gone, and all that was for it"


def test_equal_calls_of_the_api_at_once_do_their_work_once(database: Database, office: Settings) -> None:
    check_calls_at_the_same_time(database, office)
