"""What the telephone service stores is what every page reads: the same facts, to the moment."""

import warnings
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.domain.lifecycle import Status
from app.domain.policy import Line, LineState, Member, Queue, ReasonCode
from app.store.database import Database
from app.store.models import ExtensionRow, QueueMemberRow
from app.store.pbx_state import (
    SLACK,
    STALE_POLLS,
    ExtensionReport,
    QueueReport,
    store_extensions,
    store_queues,
    stored_facts,
    worker_state,
)
from app.store.requests import occupied
from app.store.settings import write_setting
from tests.support.factories import (
    LONG_AGO,
    NOW,
    create_attempt,
    create_line,
    create_module,
    create_request,
)

MINUTE = timedelta(minutes=1)
OTHER = "+989127654321"


def test_reading_the_pauses_of_agents_warns_of_nothing(database: Database) -> None:
    with warnings.catch_warnings(), database.read() as session:
        warnings.simplefilter("error")
        assert occupied(session, NOW).agent_pauses == {}


def test_an_empty_database_tells_of_no_service_and_no_exchange(database: Database) -> None:
    with database.read() as session:
        facts = stored_facts(session, NOW)
    assert (facts.lines, facts.queues, facts.agent_pauses) == ({}, {}, {})
    assert (facts.heartbeat, facts.connected, facts.obstacle, facts.all_paused) == (None, False, None, False)


def test_reading_facts_writes_nothing(database: Database) -> None:
    """Not even the row of the telephone service, which is made at first use: a page is no writer."""
    with database.read() as session:
        stored_facts(session, NOW)
        assert not session.new


def test_facts_say_what_the_service_stored_of_itself(database: Database) -> None:
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


@pytest.mark.parametrize("status", ["connecting", "refused", "down", ""])
def test_only_a_connection_that_stands_counts(database: Database, status: str) -> None:
    with database.write() as session:
        state = worker_state(session)
        state.ami_status = status
        session.add(state)
    with database.read() as session:
        assert not stored_facts(session, NOW).connected


# Lines


def test_facts_say_what_was_stored_of_lines(database: Database) -> None:
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


def test_a_name_stays_until_another_is_told(database: Database) -> None:
    def name_after(report: ExtensionReport) -> str:
        with database.write() as session:
            store_extensions(session, [report], complete=True)
        with database.read() as session:
            return session.get_one(ExtensionRow, "101").name

    assert name_after(ExtensionReport("101", LineState.FREE, NOW)) == ""
    assert name_after(ExtensionReport("101", LineState.FREE, NOW, "Sara")) == "Sara"
    assert name_after(ExtensionReport("101", LineState.IN_CALL, NOW, context="hints")) == "Sara"
    assert name_after(ExtensionReport("101", LineState.IN_CALL, NOW, "")) == ""


def test_a_change_touches_its_line_and_a_complete_report_drops_the_rest(database: Database) -> None:
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


def test_facts_say_what_was_stored_of_queues(database: Database) -> None:
    wrapping = Member("102", paused=True, penalty=3, wrapup_until=NOW + MINUTE)
    with database.write() as session:
        store_queues(session, [QueueReport("sales", 2, (Member("101"), wrapping))], complete=True)
        store_queues(session, [QueueReport("empty", 0, ())], complete=False)
    assert members_of(database, "sales") == {Member("101"), wrapping}
    with database.read() as session:
        facts = stored_facts(session, NOW)
    assert facts.queues["sales"].live_callers == 2
    assert facts.queues["empty"] == Queue()


def test_a_queue_is_stored_with_all_its_members(database: Database) -> None:
    """Who has left is gone, who stayed is as last reported; also within a session that has read them before."""
    with database.write() as session:
        store_queues(session, [QueueReport("sales", 0, (Member("101"), Member("102")))], complete=True)
    with database.write() as session:
        assert len(session.scalars(select(QueueMemberRow)).all()) == 2
        store_queues(session, [QueueReport("sales", 1, (Member("102", paused=True), Member("103")))], complete=False)
        store_queues(session, [QueueReport("sales", 1, (Member("102", penalty=2), Member("103")))], complete=False)
    assert members_of(database, "sales") == {Member("102", penalty=2), Member("103")}


def test_a_complete_report_drops_the_queues_it_does_not_name(database: Database) -> None:
    with database.write() as session:
        store_queues(
            session,
            [QueueReport("sales", 0, (Member("101"),)), QueueReport("support", 0, (Member("101"),))],
            complete=True,
        )
    with database.write() as session:
        store_queues(session, [QueueReport("support", 0, (Member("102"),))], complete=True)
    with database.read() as session:
        assert stored_facts(session, NOW).queues == {"support": Queue((Member("102"),))}
        assert len(session.scalars(select(QueueMemberRow)).all()) == 1


# Attempts


def test_facts_say_whom_the_attempts_in_flight_keep_busy(database: Database) -> None:
    module = create_module(database)
    flying = create_request(database, module, status=Status.DIALLING.value)
    ended = create_request(database, module, number=OTHER)
    create_attempt(database, flying, agent="101")
    create_attempt(database, ended, agent="102", ended_at=NOW)
    with database.read() as session:
        facts = stored_facts(session, NOW)
    assert facts.numbers_in_flight == {flying.number}
    assert facts.agents_in_flight == {"101"}


def test_an_agent_is_left_alone_until_the_latest_of_their_pauses(database: Database) -> None:
    request = create_request(database, create_module(database))
    for agent, until in (("101", 2), ("101", 5), ("101", 1), ("102", -1), ("103", 0)):
        create_attempt(database, request, agent=agent, ended_at=NOW, agent_pause_until=NOW + until * MINUTE)
    create_attempt(database, request, agent="104", ended_at=NOW)
    with database.read() as session:
        assert stored_facts(session, NOW).agent_pauses == {"101": NOW + 5 * MINUTE}
