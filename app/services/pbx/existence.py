"""Holds what a form names against what the exchange has. What is known already is not asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.services.pbx import lookup
from app.services.pbx.directory import directory
from app.store.database import Database

ASKED = ("extension", "queue", "custom")  # kinds of places that are the exchange's
Place = tuple[str, str]  # kind and code, as the forms have them


@dataclass(frozen=True)
class Findings:
    """`unknown`: the exchange does not have it. `unasked`: nobody could say."""

    unknown: frozenset[Place] = frozenset()
    unasked: frozenset[Place] = frozenset()


def check_destinations(database: Database, places: Iterable[Place], *, actor: str, now: datetime) -> Findings:
    """Look places up at the exchange; once it does not answer it is not asked for the rest."""
    with database.read() as session:
        known = directory(session)
    unknown: set[Place] = set()
    unasked: set[Place] = set()
    for kind, code in dict.fromkeys(places):
        if kind not in ASKED or not code or (kind == "queue" and code in known.queues):
            continue
        if kind == "extension" and code in known.extensions and not known.extensions[code].own_hint:
            continue
        there = None if unasked else lookup.exists(database, kind, code, actor, now)
        if there is not True:
            (unasked if there is None else unknown).add((kind, code))
    return Findings(frozenset(unknown), frozenset(unasked))
