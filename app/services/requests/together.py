"""Check and store the requests of callers who come at once, together.

Most callers are newcomers: nothing is stored of their numbers that could matter. A few statements serve all of them, so
the cost of a caller grows neither with the number of callers nor with that of requests. All others are looked at one by
one (`registration.py`).
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, and_, bindparam, func, insert, literal, or_, select, union
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.domain.limits import DAY, HOUR, LimitReason, find_reason
from app.domain.place_in_line import count_ahead
from app.domain.routing import CameBy
from app.domain.webhooks import WebhookEvent
from app.services.requests.history import EventKind
from app.services.requests.registration import (
    Registration,
    RegistrationRefused,
    find_open,
    find_refusal,
    numbers_of,
    register,
    target_of,
)
from app.store import missed_calls, pbx_state, waiting, webhooks
from app.store import requests as store
from app.store.configuration import load_configuration
from app.store.database import PASSING_FAILURES, Database, Joined
from app.store.models import Base, CallRequest, HistoryEntry, MissedCall
from app.store.settings import registration_limits
from app.store.turns import Urgency

log = logging.getLogger(__name__)

_REQUESTS, _HISTORY, _MISSED = (
    Base.metadata.tables[model.__tablename__] for model in (CallRequest, HistoryEntry, MissedCall)
)


def _make_find_known() -> Any:
    """Return the query of what `Newcomers` must know of numbers and dialogues."""
    c, m = _REQUESTS.c, _MISSED.c
    names = ("numbers", "callers", "dialogues")
    numbers, callers, dialogues = (bindparam(name, expanding=True, type_=String) for name in names)
    counts = or_(store.has_status(), c.registered_at > bindparam("day_ago"))
    return union(
        select(c.number).where(c.number.in_(numbers), counts),
        select(c.caller_number).where(c.caller_number.in_(callers), counts),
        select(c.call_uniqueid).where(c.call_uniqueid.in_(dialogues)),
        select(m.number).where(m.number.in_(numbers), m.at >= bindparam("since")),
    )


def _make_count(reason: LimitReason, *conditions: ColumnElement[bool]) -> Any:
    """Return the query that counts requests up to a limit, which is given by the name of the reason."""
    most = bindparam(f"most_{reason.value}", type_=Integer)
    rows = select(literal(1)).select_from(_REQUESTS).where(*conditions).limit(most)
    return select(func.count()).select_from(rows.subquery()).scalar_subquery().label(reason.value)


# Made once: to make a statement takes longer than to run it. The conditions are those of `store.count_for_limits`.
_FIND_KNOWN = _make_find_known()
_BY_CALLERS = and_(
    _REQUESTS.c.created_by == "",
    _REQUESTS.c.came_by != CameBy.WEBSITE.value,
    _REQUESTS.c.registered_at > bindparam("hour_ago"),
)
_COUNT = select(
    _make_count(LimitReason.WAITING, store.has_status([Status.WAITING])),
    _make_count(LimitReason.TOTAL_HOUR, _BY_CALLERS),
    _make_count(LimitReason.MODULE_HOUR, _REQUESTS.c.module_id == bindparam("module"), _BY_CALLERS),
)
_COUNTED = tuple(reason for reason in LimitReason if reason.is_general)
_FIND_ACTIVE = select(
    _REQUESTS.c.id, _REQUESTS.c.module_id, _REQUESTS.c.queue, _REQUESTS.c.target, _REQUESTS.c.number
).where(_REQUESTS.c.number.in_(bindparam("numbers", expanding=True)), store.has_status())
_INSERT = insert(_REQUESTS)
_INSERT_HISTORY = insert(_HISTORY)


@dataclass(frozen=True)
class Prospective:
    """What would become of a registration now: why it would be refused, and whether it has an open request already."""

    refusal: LimitReason | None = None
    is_open: bool = False


def foresee(database: Database, session: Session, given: Sequence[Registration], now: datetime) -> list[Prospective]:
    """Return what would become of each of these registrations by phone."""
    newcomers = Newcomers(database, session, given, now)
    return [
        Prospective(newcomers.why_refused(each))
        if newcomers.include(each)
        else Prospective(find_refusal(session, each, now), find_open(session, each) is not None)
        for each in given
    ]


def register_together(
    database: Database, registrations: Iterable[tuple[Registration, datetime]]
) -> list[int | Exception]:
    """Store requests by phone in one transaction. Return of each what `register` returns or raises.

    Newcomers come first, then the others in their order. If the database cannot store any of them now, nothing is
    stored and one of PASSING_FAILURES is raised.
    """
    given = list(registrations)
    try:
        return _store(database, given, together=True)
    except PASSING_FAILURES:
        raise
    except SQLAlchemyError as failure:  # for example another process has stored one of them in the same instant
        log.info("%d requests are stored one by one: %s", len(given), type(failure).__name__)
        return _store(database, given, together=False)


def _store(
    database: Database, given: Sequence[tuple[Registration, datetime]], *, together: bool
) -> list[int | Exception]:
    """Store requests, those of newcomers `together`."""
    with database.write(Urgency.REGISTRATION) as session:
        joined = Joined(database, session)
        stored: Sequence[int | LimitReason | None] = [None] * len(given)
        if together and given:
            now = min(now for _, now in given)
            stored = Newcomers(database, session, [each for each, _ in given], now).add(given)
        return [
            RegistrationRefused(found)
            if isinstance(found, LimitReason)
            else _register(joined, *each)
            if found is None
            else found
            for each, found in zip(given, stored, strict=True)
        ]


def _register(joined: Joined, registration: Registration, now: datetime) -> int | Exception:
    try:
        return register(joined, registration, now)
    except PASSING_FAILURES:
        raise
    except Exception as failure:  # it concerns this request only
        return failure


class Newcomers:
    """Those of `given` of whose numbers nothing is stored that matters. `given` are registrations by phone.

    A limit of the whole office counts for them, and blocked numbers. They can meet no limit of a number.
    """

    def __init__(self, database: Database, session: Session, given: Sequence[Registration], now: datetime) -> None:
        self._session, self._now = session, now
        configuration = load_configuration(database, session)
        self._modules, self._lists, self._settings = configuration.modules, configuration.lists, configuration.settings
        self._limits = registration_limits(self._settings)
        self._known = self._find_known(given)
        self._of_all: dict[LimitReason, int] = {}  # what limits count: of all modules, and of each
        self._of_module: dict[int, int] = {}

    def include(self, registration: Registration) -> bool:
        """Tell whether this one is a newcomer."""
        module = self._modules.get(registration.module_id)
        if module is None or module.preferred_for or registration.created_by or registration.website:
            return False
        names = _names(registration)
        return self._known.isdisjoint(names) and self._lists.find_standing(numbers_of(registration)) is None

    def why_refused(self, registration: Registration) -> LimitReason | None:
        """Return why a new caller may not leave a request, None if they may."""
        module_id = registration.module_id
        return find_reason(numbers_of(registration), self._lists, self._limits, self._count(module_id))

    def add(self, given: Sequence[tuple[Registration, datetime]]) -> list[int | LimitReason | None]:
        """Store the requests of those who are new, in this order.

        Return of each the id, or the limit that does not allow it, or None for all others. Of callers with the same
        number, only the first one is new. Raises IntegrityError if somebody else stores one of them meanwhile.
        """
        results: list[int | LimitReason | None] = [None] * len(given)
        added: list[tuple[int, Registration, datetime]] = []
        for place, (registration, now) in enumerate(given):
            if not self.include(registration):
                continue
            self._known |= _names(registration)
            reason = results[place] = self.why_refused(registration)
            if reason is None:
                added.append((place, registration, now))
                self._count_another(registration.module_id)
        for (place, *_), request_id in zip(added, self._insert([each[1:] for each in added]), strict=True):
            results[place] = request_id
        return results

    # -- what is read -----------------------------------------------------------------------------------------

    def _find_known(self, given: Sequence[Registration]) -> set[str]:
        """Return the numbers, and the ids of dialogues, of which something is stored that matters."""
        values = {
            "numbers": sorted({number for registration in given for number in numbers_of(registration)}),
            "callers": sorted({registration.caller_number[:40] for registration in given} - {""}),
            "dialogues": sorted({registration.uniqueid for registration in given if registration.uniqueid}),
            "day_ago": self._now - DAY,
            "since": self._now - timedelta(hours=missed_calls.missed_call_settings(self._settings).look_back),
        }
        return set(self._session.connection().execute(_FIND_KNOWN, values).scalars())

    def _count(self, module_id: int) -> dict[LimitReason, int]:
        """Return what the limits of the office count for a module, up to the limits."""
        if module_id not in self._of_module:
            values = {f"most_{reason.value}": getattr(self._limits, reason) for reason in _COUNTED}
            values |= {"module": module_id, "hour_ago": self._now - HOUR}
            counted = self._session.connection().execute(_COUNT, values).one()._mapping
            self._of_module[module_id] = counted[LimitReason.MODULE_HOUR.value]
            for reason in _COUNTED:
                self._of_all.setdefault(reason, counted[reason.value])
        return {**self._of_all, LimitReason.MODULE_HOUR: self._of_module[module_id]}

    def _count_another(self, module_id: int) -> None:
        self._of_module[module_id] += 1
        for reason in self._of_all:
            self._of_all[reason] += 1

    # -- what is stored ---------------------------------------------------------------------------------------

    def _insert(self, given: Sequence[tuple[Registration, datetime]]) -> Sequence[int]:
        """Store requests with their history, and return their ids."""
        if not given:
            return []
        rows = [self._row(registration, now) for registration, now in given]
        for row, ahead in zip(rows, self._count_ahead(rows), strict=True):
            row["ahead"] = ahead
        connection = self._session.connection()
        connection.execute(_INSERT, rows)
        # SQLite would need a statement for each to return the ids. Nobody else has an active request like these.
        active = connection.execute(_FIND_ACTIVE, {"numbers": [row["number"] for row in rows]}).all()
        found = {tuple(each[1:]): each.id for each in active}
        ids = [found[row["module_id"], row["queue"], row["target"], row["number"]] for row in rows]
        entries = [entry for row, request_id in zip(rows, ids, strict=True) for entry in _entries(row, request_id)]
        connection.execute(_INSERT_HISTORY, entries)
        if webhooks.is_wanted(self._session, WebhookEvent.REGISTERED):
            for request in self._session.scalars(select(CallRequest).where(CallRequest.id.in_(ids))):
                webhooks.tell_request(self._session, WebhookEvent.REGISTERED, request, request.registered_at)
        return ids

    def _row(self, registration: Registration, now: datetime) -> dict[str, Any]:
        module = self._modules[registration.module_id]
        queue, target = target_of(module, registration.extension)
        return {
            "module_id": module.id,
            "module_name": module.name,
            "queue": queue,
            "target": target,
            "number": registration.number,
            "number_source": registration.source.value,
            "caller_number": registration.caller_number[:40],
            "caller_name": registration.caller_name[:80],
            "call_uniqueid": registration.uniqueid,
            "status": Status.WAITING.value,
            "registered_at": now,
            "first_called_at": min(registration.first_called_at or now, now),
            "came_by": registration.came_by.value,
            "postponed_until": registration.call_at,
            "time_chosen": registration.call_at is not None,
            "version": 1,
        }

    def _count_ahead(self, rows: Sequence[dict[str, Any]]) -> list[int]:
        """Return how many requests and live callers come before each of these, which are new."""
        lines: dict[tuple[bool, str, int], _Line] = {}
        found = []
        for row in rows:
            queue, target = row["queue"], row["target"]
            key = _line_of(row)
            if key not in lines:
                moments = [other["first_called_at"] for other in rows if _line_of(other) == key]
                lines[key] = _Line(self._session, queue, target, row["module_id"], moments, self._now)
            is_in_turn = row["postponed_until"] is None or row["postponed_until"] <= self._now
            before = lines[key].add(row["first_called_at"], is_in_turn=is_in_turn)
            module = self._modules[row["module_id"]]
            callers = lines[key].callers
            if callers is not None:
                before = count_ahead(row["first_called_at"], 0, store.rules_of(module).place, callers, before)
            found.append(before)
        return found


def _line_of(row: dict[str, Any]) -> tuple[bool, str, int]:
    """Return what requests have in common that wait in one line."""
    return row["queue"], row["target"], 0 if row["target"] else row["module_id"]


class _Line:
    """The requests of a target, to which those that first called at `moments` are added."""

    def __init__(
        self, session: Session, queue: bool, target: str, module_id: int, moments: Sequence[datetime], now: datetime
    ) -> None:
        def read(moment: datetime) -> tuple[list[tuple[int, datetime]], bool]:
            return waiting.places_before(session, queue, target, module_id, priority=0, first_called_at=moment, now=now)

        self._read = read
        self.callers = pbx_state.waiting_callers(session, target) if queue else None
        count, are_all = waiting.count_before_new(
            session, queue, target, module_id, first_called_at=min(moments), now=now
        )
        self._least = 0 if are_all else count  # before each of them, if they are so many
        self._stored, self._are_all = self._read(max(moments)) if are_all else ([], False)
        self._added: list[datetime] = []

    def add(self, moment: datetime, *, is_in_turn: bool) -> int:
        """Add a request, and return how many come before it, MOST_BEFORE at most.

        `is_in_turn`: it does not wait for a time of its own, so it comes before others.
        """
        if self._least:
            found = self._least
        else:
            stored = self._stored if self._are_all else self._read(moment)[0]
            found = sum(bool(priority) or at <= moment for priority, at in stored)
        found += sum(at <= moment for at in self._added)
        self._added += [moment] if is_in_turn else []
        return min(found, waiting.MOST_BEFORE)


def _entries(row: dict[str, Any], request_id: int) -> Iterable[dict[str, Any]]:
    """Return the first entries of the history of a request."""
    entry = {
        "request_id": request_id,
        "at": row["registered_at"],
        "event": EventKind.REGISTERED.value,
        "old_status": "",
        "new_status": row["status"],
        "detail": row["number"],
        "version": row["version"],
    }
    yield entry
    if row["time_chosen"]:
        chosen = {"event": EventKind.TIME_CHOSEN.value, "detail": row["postponed_until"].isoformat()}
        yield {**entry, **chosen, "old_status": row["status"]}


def _names(registration: Registration) -> set[str]:
    """Return all by which something that is stored could belong to this registration."""
    return {*numbers_of(registration), registration.caller_number[:40], registration.uniqueid or ""} - {""}
