"""Old data is deleted as the settings say, what is needed stays, and others can write meanwhile."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from app.config import Settings
from app.demo_data import fill
from app.domain.lifecycle import FINAL, Status
from app.domain.retention import Kind, Retention
from app.services import retention
from app.services.audit import read
from app.services.errors import Invalid
from app.store.database import Database
from app.store.models import Attempt, AuditEntry, Base, CallRequest, HistoryEntry, MissedCall, SpokenName
from app.store.version import requests_version
from script.office.database import open_database
from tests.support.factories import NOW, create_attempt, create_missed_call, create_module, create_request, store

DAY = timedelta(days=1)
OLD = NOW - 100 * DAY


def end(database: Database, at: datetime = OLD, **values: Any) -> CallRequest:
    number = f"+9891200{database_count(database, CallRequest):05}"
    given = {"status": Status.DONE.value, "done_at": at, "registered_at": at - DAY, **values}
    request = create_request(database, None, number=number, **given)
    entry = HistoryEntry(request_id=request.id, at=at, event="marked_done", old_status="waiting", new_status="done")
    entry.detail, entry.before, entry.version = given.get("note", ""), {"note": ""}, request.version
    store(database, entry)
    return request


def database_count(database: Database, model: type[Base]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def ids(database: Database) -> set[int]:
    with database.read() as session:
        return set(session.scalars(select(CallRequest.id)))


def delete(database: Database, now: datetime = NOW, **given: int) -> Mapping[Kind, int]:
    retention.save(database, Retention(**given), actor="sara", now=NOW)
    deleted, is_more = retention.delete_some(database, now, seconds=60)
    assert not is_more
    return deleted


def test_nothing_is_deleted_by_default(database: Database) -> None:
    request = end(database, NOW - 4000 * DAY, note="old")
    end(database)
    assert retention.delete_some(database, NOW, seconds=60) == ({}, False)
    assert request.id in ids(database)


def test_old_requests_go_with_all_that_belongs_to_them(database: Database) -> None:
    old, young = end(database), end(database, NOW - 89 * DAY)
    for request in (old, young):
        create_attempt(database, request, ended_at=OLD)
        store(database, SpokenName(request_id=request.id, file=f"names/{request.id}.wav"))
    missed = create_missed_call(database, outcome="request", request_id=old.id)
    newest = end(database)
    assert delete(database, requests=90) == {Kind.REQUESTS: 1}
    assert ids(database) == {young.id, newest.id}
    counts = [database_count(database, model) for model in (Attempt, HistoryEntry, SpokenName)]
    assert counts == [1, 2, 1]
    with database.read() as session:
        kept = session.get_one(MissedCall, missed.id)
        assert (kept.request_id, kept.outcome) == (None, "request")


def test_each_kind_of_end_is_old_one_day(database: Database) -> None:
    for status in FINAL:
        end(database, status=status.value)
    newest = end(database)
    assert delete(database, requests=90) == {Kind.REQUESTS: len(FINAL)}
    assert ids(database) == {newest.id}


def test_what_is_open_stays_whatever_its_age(database: Database) -> None:
    module = create_module(database)
    values = {"registered_at": NOW - 4000 * DAY}
    waiting = create_request(database, module, number="+981", **values)
    dialling = create_request(database, module, number="+982", status="dialling", attempt="a", **values)
    reopened = create_request(database, module, number="+983", done_at=OLD, reopened_at=NOW, **values)
    called = create_request(database, module, number="+984", status="done", done_at=OLD, attempt="b", **values)
    newest = end(database)
    assert delete(database, requests=90) == {}
    assert ids(database) == {each.id for each in (waiting, dialling, reopened, called, newest)}


def test_numbers_are_not_given_away_again(database: Database) -> None:
    last_changed = end(database)
    gone, newest = end(database), end(database)
    note_again(database, last_changed)
    assert delete(database, requests=90) == {Kind.REQUESTS: 1}
    assert ids(database) == {last_changed.id, newest.id}
    assert gone.id not in ids(database)


def note_again(database: Database, request: CallRequest) -> None:
    values: dict[str, Any] = {"event": "noted", "old_status": "done", "new_status": "done", "detail": ""}
    store(database, HistoryEntry(request_id=request.id, at=OLD, **values))


def test_one_that_must_stay_holds_up_no_others(database: Database) -> None:
    last_changed = end(database, OLD - DAY)
    for _ in range(2 * retention.BATCH):
        end(database)
    note_again(database, last_changed)
    assert delete(database, requests=90) == {Kind.REQUESTS: 2 * retention.BATCH - 1}


def test_notes_go_also_from_the_history_and_cannot_be_brought_back(database: Database) -> None:
    old, young = end(database, note="calls at night"), end(database, NOW - DAY, note="fresh")
    assert delete(database, notes=30) == {Kind.NOTES: 1}
    with database.read() as session:
        row = session.get_one(CallRequest, old.id)
        assert (row.note, row.version) == ("", old.version + 1)
        entries = session.scalars(select(HistoryEntry).order_by(HistoryEntry.id)).all()
        assert [(entry.detail, entry.before) for entry in entries] == [("", None), ("fresh", {"note": ""})]
        assert session.get_one(CallRequest, young.id).note == "fresh"


def test_old_log_entries_go(database: Database) -> None:
    for days in (91, 90, 89):
        store(database, AuditEntry(at=NOW - days * DAY, actor="sara", action="logged_in", detail={}))
    assert delete(database, log=90) == {Kind.LOG: 2}
    actions = [entry.action for entry in read(database).entries]
    assert actions == ["settings_saved", "logged_in"]


def test_what_is_deleted_is_logged(database: Database) -> None:
    retention.record(database, {Kind.REQUESTS: 3, Kind.LOG: 2}, NOW)
    (entry,) = read(database).entries
    assert (entry.actor, entry.action, entry.detail) == ("", "data_deleted", {"requests": 3, "log_entries": 2})


def test_what_will_go_is_what_goes(database: Database) -> None:
    for days in (100, 95, 40, 5):
        end(database, NOW - days * DAY, note="x" if days != 95 else "")
    end(database, NOW)
    given = Retention(requests=90, notes=30)
    found = {each.kind: (each.stored, each.oldest, each.going) for each in retention.count(database, given, NOW)}
    assert found == {
        Kind.REQUESTS: (5, OLD, 2),
        Kind.NOTES: (3, OLD, 2),
        Kind.NAMES: (0, None, 0),
        Kind.LOG: (0, None, 0),
    }
    assert delete(database, requests=90, notes=30) == {
        Kind.REQUESTS: 2,
        Kind.NOTES: 1,
    }  # one note went with its request


def test_reports_are_read_anew_after_a_deletion(database: Database) -> None:
    end(database), end(database)
    with database.read() as session:
        before = requests_version(session)
    assert delete(database, requests=90)
    with database.read() as session:
        assert requests_version(session) != before


def test_a_clock_that_is_far_ahead_deletes_nothing(database: Database) -> None:
    fresh, _newest = end(database, NOW - DAY), end(database, NOW - DAY)
    assert delete(database, requests=90) == {}
    ahead = NOW + 4000 * DAY
    for later in (ahead, ahead + DAY, ahead + 2.9 * DAY):
        assert retention.delete_some(database, later, seconds=60) == ({}, False)
    for day in range(1, 89):  # the clock is put right
        assert retention.delete_some(database, NOW + day * DAY, seconds=60) == ({}, False)
    assert fresh.id in ids(database)
    assert retention.delete_some(database, NOW + 90 * DAY, seconds=60) == ({Kind.REQUESTS: 1}, False)


def test_a_machine_that_was_off_for_long_goes_on_after_some_days(database: Database) -> None:
    end(database, NOW - DAY), end(database, NOW - DAY)
    assert delete(database, requests=90) == {}
    on_again = NOW + 400 * DAY
    assert retention.delete_some(database, on_again, seconds=60) == ({}, False)
    assert retention.delete_some(database, on_again + retention.DOUBT, seconds=60) == ({Kind.REQUESTS: 1}, False)


@pytest.mark.parametrize("given", [{"requests": 89}, {"notes": 6}, {"names": 0}, {"log": 5}, {"requests": -1}])
def test_days_that_are_not_allowed_are_refused(database: Database, given: dict[str, int]) -> None:
    with pytest.raises(Invalid) as refused:
        retention.save(database, Retention(**given), actor="sara", now=NOW)
    assert set(refused.value.errors) == set(given)
    assert retention.load(database) == Retention()


def test_the_settings_are_stored_and_logged(database: Database) -> None:
    given = Retention(requests=365, notes=30, names=7, log=730)
    retention.save(database, given, actor="sara", now=NOW)
    assert retention.load(database) == given
    (entry,) = read(database).entries
    assert entry.actor == "sara"
    assert entry.detail["keep_requests"] == ["", "365"]


def test_it_deletes_in_batches_pauses_between_them_and_stops_in_time(database: Database) -> None:
    for _ in range(3 * retention.BATCH + 1):
        end(database)
    retention.save(database, Retention(requests=90), actor="sara", now=NOW)
    now, pauses = [0.0], list[float]()

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    deleted, is_more = retention.delete_some(database, NOW, seconds=4, clock=clock, pause=pauses.append)
    assert (deleted, is_more) == ({Kind.REQUESTS: retention.BATCH}, True)
    assert pauses == [1.0]
    deleted, is_more = retention.delete_some(database, NOW, seconds=60)
    assert (deleted, is_more) == ({Kind.REQUESTS: 2 * retention.BATCH}, False)
    assert len(ids(database)) == 1


def test_many_that_must_stay_end_the_round(database: Database) -> None:
    for _ in range(retention.BATCH):
        end(database, status="waiting")
    end(database)
    retention.save(database, Retention(requests=90), actor="sara", now=NOW)
    assert retention.delete_some(database, NOW, seconds=60) == ({}, False)


def test_old_data_is_found_by_indexes(office: Settings, database_file: Path) -> None:
    database = open_database(database_file)
    fill(database, office, 1000, NOW, waiting=5)
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, values, *_: executed.append((statement, values)),
    )
    delete(database, requests=3650, notes=3650, log=3650)
    retention.count(database, Retention(requests=3650, notes=3650, log=3650), NOW)
    found = []
    with database.engine.connect() as connection:
        for statement, values in list(executed):
            if statement.startswith("SELECT"):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                found.append("; ".join(row[-1] for row in rows))
    database.engine.dispose()
    assert len([plan for plan in found if "ix_call_requests_noted" in plan]) == 3
    # The whole is counted by an index that has all that is needed.
    scans = [plan for plan in found if "SCAN" in plan and "COVERING INDEX" not in plan]
    assert [plan for plan in scans if "settings" not in plan and "spoken_names" not in plan] == []
