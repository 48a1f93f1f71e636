"""The waiting requests of a target, read from the database a few at a time, in their turn."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from app.domain import lifecycle, numbers, policy
from app.domain.agent_order import AgentOrder
from app.domain.lifecycle import Request, Status
from app.domain.policy import Facts
from app.services.requests.expiry import expire_rows, last_closing
from app.services.requests.staged import Reads
from app.store import requests as store
from app.store import waiting
from app.store.models import CallRequest, Module
from app.store.waiting import LaneKey, LaneKind, Targets

# What a request waits for by itself. Until then nothing else needs to be known of it.
_OWN_TIMES = frozenset(
    {
        policy.ReasonCode.POSTPONED,
        policy.ReasonCode.CHOSEN_TIME,
        policy.ReasonCode.OPENING,
        policy.ReasonCode.RETRY,
        policy.ReasonCode.MIN_WAIT,
        policy.ReasonCode.PREFERRED,  # or until this agent is free: they are found by `held_for`
    }
)


class Lanes:
    """The requests that are looked at in a transaction. `passed_over` are ids that are left out.

    `freed` are the times at which their extensions were first free, for those that do not have theirs yet. `rows` are
    those that were read, by id, and `modules` their modules.
    """

    def __init__(self, reads: Reads, freed: Mapping[int, datetime], passed_over: Collection[int] = ()) -> None:
        self.session, self.now, self._reads = reads.session, reads.now, reads
        self._hours, self._all_modules, self._freed = reads.hours, reads.configuration.modules, freed
        self.rows: dict[int, Row[Any]] = {}
        self.modules: dict[int, Module] = {}
        self._passed_over = passed_over
        self._expired: list[int] = []
        self._closings: dict[int, datetime | None] = {}  # by module

    def open(self, targets: Targets, *, call_now: bool, inside: bool, by_failures: bool) -> list[policy.Lane]:
        """Return a lane for each module of these targets; see `heads`. `call_now`: and for each request called now."""
        called_now = self._called_now() if call_now else []
        heads = self._reads.heads(targets, inside=inside, by_failures=by_failures)
        rows = [*called_now, *(row for _, row in heads)]
        ids = {row.module_id for row in rows} & self._all_modules.keys()
        self.modules |= {module_id: self._all_modules[module_id] for module_id in ids}
        lanes: list[policy.Lane] = [policy.SortedLane(filter(None, [self.to_request(row)])) for row in called_now]
        return lanes + [_StoredLane(self, key, row, _Choice(inside, by_failures)) for key, row in heads]

    def last_rings(self) -> dict[str, datetime]:
        """Return when the extensions were last rung that take turns."""
        in_turn = (set(module.targets) for module in self.modules.values() if module.agent_order == AgentOrder.IN_TURN)
        return store.last_rings(self.session, set().union(*in_turn))

    def _called_now(self) -> Sequence[Row[Any]]:
        """Return the requests that are called now. Those that wanted it for too long come to their turn instead."""
        rows = waiting.called_now(self.session)
        over = [row.id for row in rows if self._is_over(store.to_domain(row, None), None)]
        self._pass_time(over)
        return [row for row in rows if row.id not in over]

    def to_request(self, row: Row[Any]) -> Request | None:
        """Return a row as the policy sees it, None if it is passed over, has expired, or does not wait any more."""
        if row.id in self._passed_over or row.status != Status.WAITING.value:  # the head of a lane is read twice
            return None
        request = store.to_domain(row, self.modules.get(row.module_id))
        if request.free_at is None and row.id in self._freed:
            request = replace(request, free_at=self._freed[row.id])
        if self._is_over(request, self.modules.get(row.module_id)):
            self._expired.append(row.id)
            return None
        self.rows[row.id] = row
        return request

    def _is_over(self, request: Request, module: Module | None) -> bool:
        if module is not None and module.id not in self._closings:
            self._closings[module.id] = last_closing(module, self._hours, self.now)
        passed = lifecycle.TimePassed(self._closings[module.id] if module is not None else None)
        return lifecycle.transition(request, passed, self.now).changed

    def _pass_time(self, ids: Sequence[int]) -> None:
        if ids:
            query = select(CallRequest).where(CallRequest.id.in_(ids), CallRequest.status == Status.WAITING.value)
            rows = self.session.scalars(query.with_for_update(skip_locked=True)).all()
            expire_rows(self.session, store.with_modules(self.session, rows), self._hours, self.now)
            self.session.flush()

    def close(self, plan: policy.Plan) -> None:
        """Expire the requests whose time was over, and hold those that wait for their own time."""
        self._pass_time(self._expired)
        held: dict[int, waiting.Held] = {}
        for number, reason in plan.reasons.items():
            row = self.rows[number]
            if reason.code in _OWN_TIMES and reason.until is not None and not row.call_now:
                agent = reason.subject if reason.code is policy.ReasonCode.PREFERRED else None
                if (row.held_until, row.held_for) != (reason.until, agent):
                    held[number] = waiting.Held(row.version, reason.until, agent)
        waiting.hold(self.session, held)


@dataclass(frozen=True)
class _Choice:
    inside: bool
    by_failures: bool


class _StoredLane:
    """A lane in the database, from its first request on."""

    def __init__(self, lanes: Lanes, key: LaneKey, head: Row[Any], choice: _Choice) -> None:
        self._lanes, self._key = lanes, key
        self.agent = (key.held_for or "") if key.kind is LaneKind.PREFERRED else ""
        self._inside, self._by_failures = choice.inside, choice.by_failures
        self._read: deque[Row[Any]] = deque([head])
        self._last, self._size, self._is_at_end = head, waiting.FIRST_PAGE, False

    def next(self, *, inside: bool = False) -> Request | None:
        """Return the next request; see `policy.Lane`."""
        if inside and not self._inside:
            self._inside = True
            self._read = deque(row for row in self._read if numbers.is_internal(row.number))
        while self._read or self._read_on():
            request = self._lanes.to_request(self._read.popleft())
            if request is not None:
                return request
        return None

    def _read_on(self) -> bool:
        """Read the next requests. Return whether there are any."""
        if self._is_at_end:
            return False
        rows = waiting.page(
            self._lanes.session,
            self._key,
            self._last,
            self._size,
            inside=self._inside,
            by_failures=self._by_failures,
        )
        self._is_at_end = len(rows) < self._size
        self._size = min(self._size * 4, waiting.LARGEST_PAGE)
        if rows:
            self._last = rows[-1]
            self._read.extend(rows)
        return bool(rows)


def find_free(reads: Reads, targets: Targets, facts: Facts) -> dict[int, datetime]:
    """Return the first time at which the extensions of requests were free: the minimum waiting time is counted from it.

    `targets` have requests whose extensions were never free until now.
    """
    if not targets:
        return {}
    modules, moments = reads.configuration.modules, {}
    for row in reads.never_free(targets):
        extensions = () if row.target else tuple(modules[row.module_id].targets)
        request = Request(row.id, "", row.registered_at, target=row.target, extensions=extensions)
        freed_at = policy.freed_at(request, facts)
        if freed_at is not None:
            moments[row.id] = freed_at
    return moments
