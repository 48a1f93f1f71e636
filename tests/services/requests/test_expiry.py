"""Requests expire after the time that their module allows."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from app.domain.lifecycle import Status
from app.services.requests import expiry
from app.services.requests.expiry import expire
from app.store.database import Database
from tests.services.scene import HOUR
from tests.support.factories import NOW, create_module, create_request, history_of, reload


def test_waiting_and_uncertain_requests_expire(database: Database) -> None:
    module = create_module(database, expire_after=3600)
    rows = {
        status: create_request(database, module, number=f"+98912000000{n}", status=status.value, attempt="a1")
        for n, status in enumerate(Status)
    }
    unlimited = create_request(database, create_module(database))
    expire(database, NOW + HOUR - timedelta(seconds=1))
    assert all(reload(database, row).status == status.value for status, row in rows.items())
    expire(database, NOW + HOUR)
    ended = {status for status, row in rows.items() if reload(database, row).status == "expired"}
    assert ended == {Status.WAITING, Status.UNCERTAIN, Status.EXPIRED}
    assert reload(database, unlimited).status == "waiting"
    (entry,) = history_of(database, rows[Status.WAITING].id)
    assert (entry.event, entry.old_status, entry.new_status) == ("expired", "waiting", "expired")
    assert reload(database, rows[Status.WAITING]).done_at == NOW + HOUR


def test_postponed_request_expires_only_after_its_time(database: Database) -> None:
    module = create_module(database, expire_after=3600)
    row = create_request(database, module, postponed_until=NOW + 5 * HOUR)
    expire(database, NOW + 6 * HOUR - timedelta(seconds=1))
    assert reload(database, row).status == "waiting"
    expire(database, NOW + 6 * HOUR)
    assert reload(database, row).status == "expired"


def test_many_expire_in_short_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who registers meanwhile need not wait for all of them."""
    monkeypatch.setattr(expiry, "BATCH", 3)
    module = create_module(database, expire_after=3600)
    rows = [create_request(database, module, number=f"+98912000000{n}") for n in range(7)]
    commits: list[object] = []
    event.listen(database._writer, "commit", commits.append)
    expire(database, NOW + HOUR)
    assert {reload(database, row).status for row in rows} == {"expired"}
    assert len(commits) == 3
