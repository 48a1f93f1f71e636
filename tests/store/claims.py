"""What many hands do at the same time, on whichever database."""

from app.domain.lifecycle import Claimed, Status, transition
from app.store import requests
from app.store.database import Database
from tests.support.factories import NOW


def claim_all(database: Database) -> list[int]:
    """Claim one waiting request after the other until there is none; return those that became ours."""
    mine: list[int] = []
    while True:
        with database.write() as session:
            waiting = requests.active(session, [Status.WAITING], lock=True)
            if not waiting:
                return mine
            row, module = waiting[0]
            decision = transition(requests.to_domain(row, module), Claimed(f"attempt-{row.id}"), NOW)
            assert decision.changed
            requests.apply_decision(session, row, decision, NOW, event="claimed")
            mine.append(row.id)
