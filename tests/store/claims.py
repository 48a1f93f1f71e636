"""Concurrent work on SQLite and PostgreSQL."""

from app.domain.lifecycle import Claimed, Status, transition
from app.store import requests
from app.store.database import Database
from tests.support.factories import NOW


def claim_all(database: Database) -> list[int]:
    """Claim one waiting request after the other until there is none. Return the ids of the claimed requests."""
    claimed: list[int] = []
    while True:
        with database.write() as session:
            waiting = requests.active(session, [Status.WAITING], lock=True)
            if not waiting:
                return claimed
            row, module = waiting[0]
            decision = transition(requests.to_domain(row, module), Claimed(f"attempt-{row.id}"), NOW)
            assert decision.changed
            requests.apply_decision(session, row, decision, NOW, event="claimed")
            claimed.append(row.id)
