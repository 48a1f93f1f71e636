"""Find the waiting requests whose turn it is, however many wait.

Each query reads a few rows by an index of waiting requests. A request that waits for its own time has left the index of
those whose turn can be (`held_until`) and comes back when the time has come.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    JSON,
    Boolean,
    ColumnElement,
    Row,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import GenericFunction

from app.store.models import CallRequest, Module

FIRST_PAGE, LARGEST_PAGE = 8, 512
_TABLE: Table = CallRequest.__table__  # type: ignore[assignment]


class _EachText(GenericFunction[Any]):
    """The elements of a JSON array, as a table with the column `value`."""

    name = "each_text"
    inherit_cache = True


@compiles(_EachText, "sqlite")
def _each_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_each{compiler.process(element.clause_expr, **kw)}"


@compiles(_EachText, "postgresql")
def _each_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    (array,) = element.clauses
    return f"json_array_elements_text({compiler.process(cast(array, JSON), **kw)})"


def _each(parameter: str) -> Any:
    return func.each_text(bindparam(parameter, type_=Text)).table_valued("value").alias(parameter)


@dataclass(frozen=True)
class Targets:
    """Extensions, queues, and modules any of whose extensions may serve a request.

    `preferred` are agents for whom requests of any target wait, `fallbacks` modules whose fallback may serve requests.
    """

    extensions: Collection[str] = ()
    queues: Collection[str] = ()
    modules: Collection[int] = ()
    preferred: Collection[str] = ()
    fallbacks: Collection[int] = ()

    def __bool__(self) -> bool:
        return bool(self.extensions or self.queues or self.modules or self.preferred or self.fallbacks)

    def covers(self, other: "Targets") -> bool:
        """Tell whether all extensions, queues, modules and fallbacks of the other ones are among these."""
        return (
            set(self.extensions).issuperset(other.extensions)
            and set(self.queues).issuperset(other.queues)
            and set(self.modules).issuperset(other.modules)
            and set(self.fallbacks).issuperset(other.fallbacks)
        )

    def parameters(self) -> dict[str, str]:
        return {
            "extensions": json.dumps(sorted(self.extensions)),
            "queues": json.dumps(sorted(self.queues)),
            "modules": json.dumps(sorted(self.modules)),
            "preferred": json.dumps(sorted(self.preferred)),
            "fallbacks": json.dumps(sorted(self.fallbacks)),
        }


class LaneKind(Enum):
    """Whom the requests of a lane have in common: their target, their preferred agent, or their fallback."""

    TARGET = 1
    PREFERRED = 2
    FALLBACK = 3


class LaneKey(NamedTuple):
    """What the requests of a lane have in common. Without meaning for a kind: all but the module and what it says."""

    kind: LaneKind
    queue: bool
    target: str
    module_id: int
    held_for: str | None

    @classmethod
    def of(cls, kind: LaneKind, row: Row[Any]) -> "LaneKey":
        """Return the lane of this kind in which a request is."""
        return cls(kind, row.queue, row.target, row.module_id, row.held_for)

    def is_of(self, targets: Targets) -> bool:
        """Tell whether `heads` finds the lane for these targets."""
        match self.kind:
            case LaneKind.PREFERRED:
                return self.held_for in targets.preferred
            case LaneKind.FALLBACK:
                return self.module_id in targets.fallbacks
        if self.queue or self.target:
            return self.target in (targets.queues if self.queue else targets.extensions)
        return self.module_id in targets.modules


class Held(NamedTuple):
    """Until when a request of this version is left out, and the preferred agent for whom it waits, if it does."""

    version: int
    until: datetime
    agent: str | None


@dataclass(frozen=True)
class Glance:
    """Where somebody may have to be looked at.

    `targets` have requests whose turn it can be. Those of `never_free` must learn that their extension is free. `due`
    are targets, as (queue, target), whose requests have waited for their own time, `due_fallbacks` the same of modules
    whose fallback may serve them. `call_now`: somebody wants a call at
    once. `next_due` is when the next own time ends.
    """

    targets: Targets = field(default_factory=Targets)
    never_free: Targets = field(default_factory=Targets)
    due: Collection[tuple[bool, str]] = ()
    due_fallbacks: Collection[int] = ()
    call_now: bool = False
    next_due: datetime | None = None

    @property
    def finds_nobody(self) -> bool:
        return not (self.call_now or self.due or self.due_fallbacks or self.targets or self.never_free)

    @property
    def releases(self) -> bool:
        """Whether requests may be changed before the first ones are read."""
        return bool(self.call_now or self.due or self.due_fallbacks)


# The conditions are literals, as in the indexes: otherwise SQLite does not use a partial index.
def _waits(table: Any) -> Any:
    return table.c.status == literal_column("'waiting'")


def _is_in_turn(table: Any) -> ColumnElement[bool]:
    return and_(_waits(table), table.c.held_until.is_(None))


def _is_held(table: Any) -> ColumnElement[bool]:
    return and_(_waits(table), table.c.held_until.is_not(None))


def _is_held_for(table: Any, agent: Any, module_id: Any = None) -> ColumnElement[bool]:
    of_module = [table.c.module_id == module_id] if module_id is not None else []
    return and_(_is_held(table), table.c.held_for.is_not(None), table.c.held_for == agent, *of_module)


def _fell_back(table: Any, module_id: Any) -> ColumnElement[bool]:
    return and_(text(f"{table.name}.fell_back"), table.c.module_id == module_id)


def _was_never_free(table: Any) -> ColumnElement[bool]:
    return and_(_waits(table), table.c.free_at.is_(None))


def _is_called_now(table: Any) -> ColumnElement[bool]:
    return and_(_waits(table), text(f"{table.name}.call_now"))


def _of(table: Any, queue: Any, target: Any, module_id: Any = None) -> ColumnElement[bool]:
    of_module = [table.c.module_id == module_id] if module_id is not None else []
    return and_(table.c.queue == queue, table.c.target == target, *of_module)


def _any(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Tell whether there is a row. With EXISTS, PostgreSQL may read all waiting requests first to look into a hash."""
    return select(literal(1)).where(condition).limit(1).scalar_subquery().is_not(None)


# Made once: to make a statement takes longer than to run it.
_R = _TABLE.alias("r")


def _make_glance() -> Any:
    r = _R
    extension, queue, module = _each("extensions"), _each("queues"), _each("modules")
    module_id = cast(module.c.value, Module.id.type)
    fallback = _each("fallbacks")
    fallback_id = cast(fallback.c.value, Module.id.type)

    def held(is_queue: Any, target: Any) -> Any:
        return select(func.min(r.c.held_until)).where(_is_held(r), _of(r, is_queue, target)).scalar_subquery()

    def ready(*lane: Any) -> Any:
        return _any(and_(_is_in_turn(r), _of(r, *lane)))

    def never_free(*lane: Any) -> Any:
        return _any(and_(_was_never_free(r), _of(r, *lane)))

    no_moment = cast(null(), CallRequest.held_until.type)
    return union_all(
        select(
            literal_column("'extension'").label("kind"),
            extension.c.value.label("name"),
            ready(false(), extension.c.value).label("waits"),
            never_free(false(), extension.c.value).label("never_free"),
            held(false(), extension.c.value).label("held"),
        ),
        select(
            literal_column("'queue'"), queue.c.value, ready(true(), queue.c.value), false(), held(true(), queue.c.value)
        ),
        select(
            literal_column("'module'"),
            cast(module.c.value, Text),
            ready(false(), literal_column("''"), module_id),
            never_free(false(), literal_column("''"), module_id),
            no_moment,
        ),
        select(
            literal_column("'any'"), literal_column("''"), false(), false(), held(false(), literal_column("''"))
        ).where(bindparam("any", type_=Boolean)),
        select(
            literal_column("'fallback'"),
            cast(fallback.c.value, Text),
            _any(and_(_is_in_turn(r), _fell_back(r, fallback_id))),
            false(),
            select(func.min(r.c.held_until)).where(_is_held(r), _fell_back(r, fallback_id)).scalar_subquery(),
        ),
        select(
            literal_column("'preferred'"),
            extension.c.value,
            _any(_is_held_for(r, extension.c.value)),
            false(),
            no_moment,
        ),
        select(literal_column("'now'"), literal_column("''"), _any(_is_called_now(r)), false(), no_moment),
    )


_GLANCE = _make_glance()


@dataclass(frozen=True)
class Look:
    """What the database says of targets, whatever the time is."""

    served: Targets
    rows: Sequence[Any]

    def of(self, served: Targets) -> "Look":
        """Return the part that concerns these targets, which must have been looked at."""
        wanted: dict[str, Collection[object]] = {
            "extension": served.extensions,
            "preferred": served.extensions,
            "queue": served.queues,
            "module": {str(number) for number in served.modules},
            "fallback": {str(number) for number in served.fallbacks},
            "any": [""] if served.extensions else [],
            "now": [""],
        }
        return Look(served, [row for row in self.rows if row.name in wanted[row.kind]])

    def judge(self, now: datetime) -> Glance:
        """Return whom somebody may have to look at now."""
        kinds = ("extension", "queue", "module", "fallback", "preferred", "any", "now")
        found: dict[str, list[str]] = {kind: [] for kind in kinds}
        unfree: dict[str, list[str]] = {"extension": [], "module": []}
        due, due_fallbacks, ends = [], [], []
        for kind, name, waits, was_never_free, held in self.rows:
            is_due = held is not None and held <= now
            if waits or is_due:
                found[kind].append(name)
            if was_never_free:
                unfree[kind].append(name)
            if is_due and kind == "fallback":
                due_fallbacks.append(int(name))
            elif is_due:
                due.append((kind == "queue", name))
            elif held is not None:
                ends.append(held)
        modules, fallbacks = ([int(name) for name in found[kind]] for kind in ("module", "fallback"))
        targets = Targets(found["extension"], found["queue"], modules, found["preferred"], fallbacks)
        never_free = Targets(unfree["extension"], (), [int(name) for name in unfree["module"]])
        return Glance(targets, never_free, due, due_fallbacks, bool(found["now"]), min(ends, default=None))


def look(session: Session, served: Targets) -> Look:
    """Look whether there is anybody whom these extensions, queues and modules may serve. This is cheap."""
    values = served.parameters() | {"any": bool(served.extensions)}
    return Look(served, session.connection().execute(_GLANCE, values).all())


_SET_HELD = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("key"))
    .values(held_until=bindparam("until"), held_for=bindparam("agent"))
)
_SET_FREE = update(_TABLE).where(_TABLE.c.id == bindparam("key")).values(free_at=bindparam("at"))


def release(session: Session, glance: Glance, served: Targets, now: datetime) -> Glance:
    """Let the due requests come to their turn again. Return the glance with their targets and the next own time."""
    r = _R
    ends = [glance.next_due]
    due = [_of(r, queue, target) for queue, target in glance.due]
    due += [_fell_back(r, module_id) for module_id in glance.due_fallbacks]
    for of_lane in due:
        query = select(r.c.id).where(_is_held(r), of_lane, r.c.held_until <= now)
        ids = session.scalars(query.with_for_update(skip_locked=True)).all()
        if ids:
            session.connection().execute(_SET_HELD, [{"key": key, "until": None, "agent": None} for key in ids])
        ends.append(session.scalar(select(func.min(r.c.held_until)).where(_is_held(r), of_lane, r.c.held_until > now)))
    next_due = min((end for end in ends if end is not None), default=None)
    if (False, "") not in glance.due:
        return replace(glance, next_due=next_due)
    targets = replace(glance.targets, modules=served.modules)
    return replace(glance, targets=targets, next_due=next_due)


def hold(session: Session, held: Mapping[int, Held]) -> None:
    """Leave requests out because of their own waiting times. A request that has changed since stays."""
    if not held:
        return
    r = _R
    query = select(r.c.id, r.c.version).where(r.c.id.in_(held)).with_for_update(skip_locked=True)
    same = [row.id for row in session.execute(query) if row.version == held[row.id].version]
    if same:
        moments = [{"key": key, "until": held[key].until, "agent": held[key].agent} for key in same]
        session.connection().execute(_SET_HELD, moments)


def release_all(session: Session, module_id: int | None = None) -> None:
    """Let the dispatcher look again at all waiting requests, or at those of a module: their times may differ now."""
    held = update(_TABLE).where(_TABLE.c.held_until.is_not(None)).values(held_until=None)
    session.connection().execute(held if module_id is None else held.where(_TABLE.c.module_id == module_id))


def never_free(session: Session, targets: Targets) -> Sequence[Row[Any]]:
    """Return the requests of these extensions and modules whose extensions were never free: id, when registered, …"""
    r = _R
    columns = (r.c.id, r.c.registered_at, r.c.target, r.c.module_id)
    lanes = []
    if targets.extensions:
        lanes.append(and_(r.c.queue == false(), r.c.target.in_(sorted(targets.extensions))))
    if targets.modules:
        lanes.append(and_(_of(r, false(), literal_column("''")), r.c.module_id.in_(sorted(targets.modules))))
    found: list[Any] = []
    for lane in lanes:
        query = select(*columns).where(_was_never_free(r), lane)
        found += session.execute(query.with_for_update(skip_locked=True)).all()
    return found


def set_free(session: Session, moments: Mapping[int, datetime]) -> None:
    """Store when the extensions of these requests were first free."""
    if moments:
        session.connection().execute(_SET_FREE, [{"key": key, "at": at} for key, at in moments.items()])


_CALLED_NOW = select(_R).where(_is_called_now(_R)).order_by(_R.c.call_now_at)


def called_now(session: Session) -> Sequence[Row[Any]]:
    """Return the waiting requests that somebody wants to be called at once."""
    return session.execute(_CALLED_NOW).all()


def _make_lanes() -> CTE:
    """Select the lanes in which somebody waits, each by one jump in the index."""
    r = _R
    extension, queue, module = _each("extensions"), _each("queues"), _each("modules")
    any_module = cast(null(), Module.id.type).label("module_id")
    targets = union_all(
        select(false().label("queue"), extension.c.value.label("target"), any_module),
        select(true(), queue.c.value, any_module),
        select(false(), literal_column("''"), cast(module.c.value, Module.id.type)),
    ).cte("targets")

    def next_module(at: Any, after: Any) -> Any:
        found = and_(_is_in_turn(r), _of(r, at.c.queue, at.c.target), r.c.module_id > after)
        return select(func.min(r.c.module_id)).where(found).scalar_subquery()

    first = func.coalesce(targets.c.module_id, next_module(targets, literal_column("0"))).label("module_id")
    lanes = select(targets.c.queue, targets.c.target, first).cte("lanes", recursive=True)
    following = select(lanes.c.queue, lanes.c.target, next_module(lanes, lanes.c.module_id)).where(
        lanes.c.module_id.is_not(None), lanes.c.target != literal_column("''")
    )
    return lanes.union_all(following)


def _make_preferred_lanes() -> CTE:
    """Select the lanes of those who wait for a preferred agent, each by one jump in the index."""
    r, agent = _R, _each("preferred")

    def next_module(name: Any, after: Any) -> Any:
        found = and_(_is_held_for(r, name), r.c.module_id > after)
        return select(func.min(r.c.module_id)).where(found).scalar_subquery()

    first = next_module(agent.c.value, literal_column("0")).label("module_id")
    lanes = select(agent.c.value.label("held_for"), first).cte("lanes", recursive=True)
    following = select(lanes.c.held_for, next_module(lanes.c.held_for, lanes.c.module_id))
    return lanes.union_all(following.where(lanes.c.module_id.is_not(None)))


def _is_inside(table: Any) -> Any:
    return ~table.c.number.startswith("+")


def _failures(table: Any) -> ColumnElement[int]:
    return case((_is_inside(table), 0), else_=table.c.route_failures)


def _order(table: Any, *, by_failures: bool) -> list[Any]:
    order = [table.c.priority.desc(), table.c.first_called_at, table.c.id]
    return [_failures(table), *order] if by_failures else order


def _make_fallback_lanes() -> CTE:
    module = _each("fallbacks")
    return select(cast(module.c.value, Module.id.type).label("module_id")).cte("lanes")


_LANES = {
    LaneKind.TARGET: _make_lanes,
    LaneKind.PREFERRED: _make_preferred_lanes,
    LaneKind.FALLBACK: _make_fallback_lanes,
}


def _in_lane(kind: LaneKind, table: Any, lane: Any) -> ColumnElement[bool]:
    """Return the condition for the requests of a lane. `lane` has what they have in common."""
    match kind:
        case LaneKind.PREFERRED:
            return _is_held_for(table, lane.held_for, lane.module_id)
        case LaneKind.FALLBACK:
            return and_(_is_in_turn(table), _fell_back(table, lane.module_id))
    return and_(_is_in_turn(table), _of(table, lane.queue, lane.target, lane.module_id))


def _make_heads(kind: LaneKind, *, inside: bool, by_failures: bool) -> Select[Any]:
    lanes, first = _LANES[kind](), _TABLE.alias("first")
    of_lane = _in_lane(kind, first, lanes.c)
    head = (
        select(first.c.id)
        .where(of_lane)
        .where(first.c.call_now == false(), *([_is_inside(first)] if inside else []))
        .order_by(*_order(first, by_failures=by_failures))
        .limit(1)
        .scalar_subquery()
    )
    return select(head).select_from(lanes).where(lanes.c.module_id.is_not(None))


_HEADS = {
    (kind, inside, by_failures): _make_heads(kind, inside=inside, by_failures=by_failures)
    for kind in LaneKind
    for inside in (False, True)
    for by_failures in (False, True)
}


_BY_ID = select(_R).where(_R.c.id.in_(bindparam("ids", expanding=True)))


Heads = Sequence[tuple[LaneKey, Row[Any]]]


def heads(session: Session, targets: Targets, *, inside: bool, by_failures: bool) -> Heads:
    """Return each lane of these targets with its first request. A request can be in two lanes.

    `inside`: leave out customers outside. `by_failures`: customers outside take turns by the failures of their route.
    """
    # Two queries: joined to the first one, PostgreSQL reads the whole table.
    kinds = [LaneKind.TARGET]
    kinds += [LaneKind.PREFERRED] if targets.preferred else []
    kinds += [LaneKind.FALLBACK] if targets.fallbacks else []
    queries = [(kind, _HEADS[kind, inside, by_failures]) for kind in kinds]
    found = [(kind, id_) for kind, query in queries for id_ in session.scalars(query, targets.parameters())]
    ids = {id_ for _, id_ in found if id_ is not None}
    rows = {row.id: row for row in session.execute(_BY_ID, {"ids": sorted(ids)})} if ids else {}
    return [(LaneKey.of(kind, rows[id_]), rows[id_]) for kind, id_ in found if id_ in rows]


def page(
    session: Session, lane: LaneKey, after: Row[Any], size: int, *, inside: bool, by_failures: bool
) -> Sequence[Row[Any]]:
    """Return the next `size` requests of a lane behind `after`; the rest as `heads`."""
    r = _R
    behind: ColumnElement[bool] = r.c.id > after.id
    behind = or_(
        r.c.first_called_at > after.first_called_at, and_(r.c.first_called_at == after.first_called_at, behind)
    )
    behind = or_(r.c.priority < after.priority, and_(r.c.priority == after.priority, behind))
    if by_failures:
        failures = after.route_failures if after.number.startswith("+") else 0
        behind = or_(_failures(r) > failures, and_(_failures(r) == failures, behind))
    query = (
        select(r)
        .where(_in_lane(lane.kind, r, lane), r.c.call_now == false(), behind, *([_is_inside(r)] if inside else []))
        .order_by(*_order(r, by_failures=by_failures))
        .limit(size)
    )
    return session.execute(query).all()


MOST_BEFORE = 100  # how far requests are counted


def count_before(
    session: Session,
    queue: bool,
    target: str,
    module_id: int,
    *,
    priority: int,
    first_called_at: datetime,
    now: datetime,
    request_id: int | None = None,
) -> int:
    """Return how many requests of a target come before one, MOST_BEFORE at most.

    Those that still wait for their own time do not count. Requests for any extension have those of their module before
    them. `request_id` is that of a stored request, None for a new one.
    """
    before, _ = places_before(
        session,
        queue,
        target,
        module_id,
        priority=priority,
        first_called_at=first_called_at,
        now=now,
        request_id=request_id,
    )
    return min(len(before), MOST_BEFORE)


def places_before(
    session: Session,
    queue: bool,
    target: str,
    module_id: int,
    *,
    priority: int,
    first_called_at: datetime,
    now: datetime,
    request_id: int | None = None,
) -> tuple[list[tuple[int, datetime]], bool]:
    """Return priority and first call of the requests that `count_before` counts, and whether these are all."""
    r = _R
    sooner: ColumnElement[bool] = r.c.first_called_at <= first_called_at
    if request_id is not None:
        sooner = and_(sooner, or_(r.c.first_called_at < first_called_at, r.c.id < request_id))
    is_before = or_(r.c.priority > priority, and_(r.c.priority == priority, sooner))
    of_target = _of(r, queue, target, None if target else module_id)
    columns = (r.c.priority, r.c.first_called_at, r.c.postponed_until, r.c.not_before)
    before: list[tuple[int, datetime]] = []
    are_all = True
    for part in (_is_in_turn(r), and_(_is_held(r), r.c.held_until <= now)):
        rows = session.execute(select(*columns).where(part, of_target, is_before).limit(MOST_BEFORE)).all()
        are_all = are_all and len(rows) < MOST_BEFORE
        before += [
            (row.priority, row.first_called_at)
            for row in rows
            if max(row.postponed_until or now, row.not_before or now) <= now
        ]
    return before, are_all


def _make_count_before_new() -> dict[bool, Any]:
    """Return the queries of `count_before_new`, by whether the requests are for a target, else for any of a module."""
    r = _R
    now, module = bindparam("now", type_=r.c.held_until.type), bindparam("module", type_=r.c.module_id.type)
    queue, target = bindparam("queue", type_=r.c.queue.type), bindparam("target", type_=r.c.target.type)
    first = bindparam("first_called_at", type_=r.c.first_called_at.type)
    is_before = or_(r.c.priority > 0, and_(r.c.priority == 0, r.c.first_called_at <= first))
    queries = {}
    for has_target in (True, False):
        counts = []
        for part in (_is_in_turn(r), and_(_is_held(r), r.c.held_until <= now)):
            rows = select(r.c.postponed_until, r.c.not_before)
            of_target = _of(r, queue, target, None if has_target else module)
            found = rows.where(part, of_target, is_before).limit(MOST_BEFORE).subquery()
            may_go = and_(*(or_(c.is_(None), c <= now) for c in (found.c.postponed_until, found.c.not_before)))
            counts += [select(func.count()).select_from(found).scalar_subquery()]
            counts += [select(func.count()).select_from(found).where(may_go).scalar_subquery()]
        queries[has_target] = select(*counts)
    return queries


_COUNT_BEFORE_NEW = _make_count_before_new()


def count_before_new(
    session: Session, queue: bool, target: str, module_id: int, *, first_called_at: datetime, now: datetime
) -> tuple[int, bool]:
    """Return what `count_before` returns for a new request without priority, and whether these are all."""
    values = {
        "queue": queue,
        "target": target,
        "module": module_id,
        "first_called_at": first_called_at,
        "now": now,
    }
    in_turn, may_go, held, held_may_go = session.connection().execute(_COUNT_BEFORE_NEW[bool(target)], values).one()
    return min(may_go + held_may_go, MOST_BEFORE), max(in_turn, held) < MOST_BEFORE
