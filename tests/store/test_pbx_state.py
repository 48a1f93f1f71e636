"""The state of the PBX and of the worker: the facts that pages read are those that the worker stored."""

import warnings
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from app.domain.lifecycle import Status
from app.domain.place_in_line import WaitingCallers
from app.domain.policy import Line, LineState, Member, Queue, ReasonCode
from app.store import pbx_state
from app.store.database import Database
from app.store.models import ExtensionRow, QueueMemberRow, QueueScenario, WorkerState
from app.store.pbx_state import (
    SLACK,
    STALE_POLLS,
    ExtensionReport,
    QueueReport,
    idle_since,
    store_extensions,
    store_numbers_on_line,
    store_queues,
    stored_facts,
    worker_state,
    wrapups,
    writable_worker_state,
)
from app.store.requests import occupied
from app.store.settings import write_setting
from tests.support.factories import (
    LONG_AGO,
    NOW,
    NUMBER,
    create_attempt,
    create_line,
    create_module,
    create_request,
    store,
)

NOBODY, ONE = WaitingCallers(), WaitingCallers(1)
MINUTE = timedelta(minutes=1)
OTHER = "+989127654321"


def test_reading_agent_pauses_causes_no_warning(database: Database) -> None:
    with warnings.catch_warnings(), database.read() as session:
        warnings.simplefilter("error")
        assert occupied(session, NOW).agent_pauses == {}


def test_facts_of_an_empty_database(database: Database) -> None:
    with database.read() as session:
        facts = stored_facts(session, NOW)
    assert (facts.lines, facts.queues, facts.agent_pauses) == ({}, {}, {})
    assert (facts.heartbeat, facts.connected, facts.obstacle, facts.all_paused) == (None, False, None, False)


def test_worker_state_of_an_empty_database(database: Database) -> None:
    with database.read() as session:
        state = worker_state(session)
    assert {column.key: getattr(state, column.key) for column in WorkerState.__table__.columns} == {
        "id": 1,
        "heartbeat": None,
        "started_at": None,
        "ami_status": "down",
        "ami_detail": "",
        "asterisk_version": "",
        "dialplan_written": "",
        "dialplan_running": "",
        "dialplan_detail": "",
        "obstacle": "",
        "outbound_context": "",
        "region": "",
        "timezone": "",
        "poll_seconds": 5.0,
        "boot_id": "",
        "booted_at": None,
        "jumped_at": None,
        "jump_seconds": 0,
        "figures": "",
        "deletions": 0,
        "holder": "",
        "host": "",
    }


def test_reading_facts_adds_no_row(database: Database) -> None:
    """The row of the worker's state is created in memory only."""
    with database.read() as session:
        stored_facts(session, NOW)
        assert not session.new


def test_facts_contain_the_stored_worker_state(database: Database) -> None:
    with database.write() as session:
        state = worker_state(session)
        state.heartbeat, state.ami_status, state.poll_seconds = NOW, "connected", 4.0
        state.obstacle = ReasonCode.NO_OUTBOUND.value
        session.add(state)
        write_setting(session, "all_paused", "1")
    with database.read() as session:
        facts = stored_facts(session, NOW)
        assert worker_state(session).heartbeat == NOW
    assert facts.heartbeat == NOW
    assert facts.connected
    assert facts.obstacle is ReasonCode.NO_OUTBOUND
    assert facts.all_paused
    assert facts.stale_after == STALE_POLLS * timedelta(seconds=4) + SLACK


def test_heartbeat_of_another_machine_counts_unless_it_is_of_the_future() -> None:
    state = WorkerState(heartbeat=NOW, boot_id="of another machine", booted_at=NOW, poll_seconds=1.0)
    hour = timedelta(hours=1)
    assert pbx_state.heartbeat_age(state, NOW + hour) == hour
    assert pbx_state.heartbeat_age(state, NOW - timedelta(seconds=1)) == timedelta()
    assert pbx_state.heartbeat_age(state, NOW - hour) is None


@pytest.mark.parametrize("status", ["connecting", "refused", "down", ""])
def test_facts_are_connected_only_in_status_connected(database: Database, status: str) -> None:
    with database.write() as session:
        state = worker_state(session)
        state.ami_status = status
        session.add(state)
    with database.read() as session:
        assert not stored_facts(session, NOW).connected


# Lines


def test_facts_contain_the_stored_lines(database: Database) -> None:
    with database.write() as session:
        store_extensions(
            session,
            [
                ExtensionReport("101", LineState.FREE, NOW, "Sara", "hints", "PJSIP/101"),
                ExtensionReport("102", LineState.IN_CALL, LONG_AGO),
            ],
            complete=True,
        )
    with database.read() as session:
        assert stored_facts(session, NOW).lines == {
            "101": Line("101", LineState.FREE, NOW, "PJSIP/101", "hints"),
            "102": Line("102", LineState.IN_CALL, LONG_AGO),
        }
        row = session.get_one(ExtensionRow, "101")
    assert (row.name, row.context, row.devices) == ("Sara", "hints", "PJSIP/101")


def test_idle_times_survive_a_restart(database: Database) -> None:
    reports = [
        ExtensionReport("101", LineState.FREE, NOW, idle_since=LONG_AGO),
        ExtensionReport("102", LineState.IN_CALL, LONG_AGO, idle_since=LONG_AGO),
        ExtensionReport("103", LineState.FREE, NOW),
    ]
    with database.write() as session:
        store_extensions(session, reports, complete=True)
    with database.read() as session:
        assert idle_since(session, NOW) == {"101": LONG_AGO, "102": NOW}
        assert stored_facts(session, NOW).lines["101"].idle_since == LONG_AGO


def test_extension_keeps_its_name_until_another_is_reported(database: Database) -> None:
    def name_after(report: ExtensionReport) -> str:
        with database.write() as session:
            store_extensions(session, [report], complete=True)
        with database.read() as session:
            return session.get_one(ExtensionRow, "101").name

    assert name_after(ExtensionReport("101", LineState.FREE, NOW)) == ""
    assert name_after(ExtensionReport("101", LineState.FREE, NOW, "Sara")) == "Sara"
    assert name_after(ExtensionReport("101", LineState.IN_CALL, NOW, context="hints")) == "Sara"
    assert name_after(ExtensionReport("101", LineState.IN_CALL, NOW, "")) == ""


def test_only_a_complete_report_deletes_other_extensions(database: Database) -> None:
    create_line(database, "101")
    create_line(database, "102")
    with database.write() as session:
        store_extensions(session, [ExtensionReport("102", LineState.RINGING, NOW)], complete=False)
    with database.read() as session:
        assert stored_facts(session, NOW).lines == {
            "101": Line("101", LineState.FREE, LONG_AGO, "PJSIP/101", "hints"),
            "102": Line("102", LineState.RINGING, NOW),
        }
    with database.write() as session:
        store_extensions(session, [ExtensionReport("103", LineState.DND, NOW)], complete=True)
    with database.read() as session:
        assert stored_facts(session, NOW).lines == {"103": Line("103", LineState.DND, NOW)}
    with database.write() as session:
        store_extensions(session, [], complete=True)
    with database.read() as session:
        assert stored_facts(session, NOW).lines == {}


# Queues


def members_of(database: Database, queue: str) -> set[Member]:
    with database.read() as session:
        return set(stored_facts(session, NOW).queues[queue].members)


def test_facts_contain_the_stored_queues(database: Database) -> None:
    in_wrapup = Member("102", paused=True, penalty=3, wrapup_until=NOW + MINUTE, name="Sara")
    callers = WaitingCallers(2, (NOW - MINUTE, NOW), 3)
    with database.write() as session:
        store_queues(session, [QueueReport("sales", callers, (Member("101"), in_wrapup))], complete=True)
        store_queues(session, [QueueReport("empty", NOBODY, ())], complete=False)
    assert members_of(database, "sales") == {Member("101"), in_wrapup}
    with database.read() as session:
        facts = stored_facts(session, NOW)
    assert {member.extension: member.name for member in facts.queues["sales"].members} == {"101": "", "102": "Sara"}
    assert facts.queues["sales"].callers == callers
    assert facts.queues["empty"] == Queue()


def test_stored_queue_replaces_its_members(database: Database) -> None:
    """Also in a session that has read the members before."""
    with database.write() as session:
        store_queues(session, [QueueReport("sales", NOBODY, (Member("101"), Member("102")))], complete=True)
    with database.write() as session:
        assert len(session.scalars(select(QueueMemberRow)).all()) == 2
        store_queues(
            session,
            [QueueReport("sales", ONE, (Member("102", paused=True), Member("103")))],
            complete=False,
        )
        store_queues(
            session,
            [QueueReport("sales", ONE, (Member("102", penalty=2), Member("103")))],
            complete=False,
        )
    assert members_of(database, "sales") == {Member("102", penalty=2), Member("103")}


def test_complete_report_deletes_other_queues(database: Database) -> None:
    with database.write() as session:
        store_queues(
            session,
            [
                QueueReport("sales", NOBODY, (Member("101"),)),
                QueueReport("support", NOBODY, (Member("101"),)),
            ],
            complete=True,
        )
    with database.write() as session:
        store_queues(session, [QueueReport("support", NOBODY, (Member("102"),))], complete=True)
    with database.read() as session:
        assert stored_facts(session, NOW).queues == {"support": Queue((Member("102"),))}
        assert len(session.scalars(select(QueueMemberRow)).all()) == 1


def test_unchanged_report_writes_no_row(database: Database) -> None:
    extension = ExtensionReport("101", LineState.FREE, NOW, "Sara")
    queue = QueueReport("sales", WaitingCallers(2), (Member("101"), Member("102", wrapup_until=NOW + MINUTE)))
    statements: list[str] = []

    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    for expected in (True, False):
        statements.clear()
        event.listen(database.engine, "before_cursor_execute", count)
        with database.write() as session:
            store_extensions(session, [extension], complete=False)
            store_queues(session, [queue], complete=False)
        event.remove(database.engine, "before_cursor_execute", count)
        written = [text for text in statements if text.startswith(("INSERT", "UPDATE", "DELETE"))]
        assert bool(written) is expected, written


def test_second_writer_uses_the_worker_state_of_the_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.write() as session:
        writable_worker_state(session).ami_detail = "first"
    absent = WorkerState(id=1, ami_status="", ami_detail="", asterisk_version="", dialplan_written="", poll_seconds=5.0)
    absent.dialplan_running = absent.dialplan_detail = absent.obstacle = ""
    monkeypatch.setattr(pbx_state, "worker_state", lambda session: absent)  # as read before the first one commits
    with database.write() as session:
        state = writable_worker_state(session)
        assert state.ami_detail == "first"
        state.ami_detail = "second"
    monkeypatch.undo()
    with database.read() as session:
        assert worker_state(session).ami_detail == "second"


def test_wrapup_times_come_from_the_scenarios(database: Database) -> None:
    store(database, QueueScenario(queue="sales", max_wait=90, wrapup=20))
    store(database, QueueScenario(queue="support"))
    with database.read() as session:
        assert wrapups(session) == {"sales": 20, "support": 0}


# Attempts


def test_facts_contain_the_numbers_and_agents_in_flight(database: Database) -> None:
    module = create_module(database)
    dialling = create_request(database, module, status=Status.DIALLING.value)
    ended = create_request(database, module, number=OTHER)
    create_attempt(database, dialling, agent="101")
    create_attempt(database, ended, agent="102", ended_at=NOW)
    with database.read() as session:
        facts = stored_facts(session, NOW)
    assert facts.numbers_in_flight == {dialling.number}
    assert facts.agents_in_flight == {"101"}


@pytest.mark.parametrize("numbers", [(), (OTHER,), (NUMBER, "101"), (OTHER, "101")])
def test_numbers_on_the_line_are_replaced(database: Database, numbers: tuple[str, ...]) -> None:
    for each in ((NUMBER, "101"), numbers):
        with database.write() as session:
            store_numbers_on_line(session, each)
    with database.read() as session:
        assert stored_facts(session, NOW).numbers_on_line == set(numbers)


def test_agent_is_paused_until_the_end_of_the_latest_pause(database: Database) -> None:
    request = create_request(database, create_module(database))
    for agent, until in (("101", 2), ("101", 5), ("101", 1), ("102", -1), ("103", 0)):
        create_attempt(database, request, agent=agent, ended_at=NOW, agent_pause_until=NOW + until * MINUTE)
    create_attempt(database, request, agent="104", ended_at=NOW)
    with database.read() as session:
        assert stored_facts(session, NOW).agent_pauses == {"101": NOW + 5 * MINUTE}
