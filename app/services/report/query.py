"""The report: any of the stored requests, filtered, sorted, a page at a time or all of them one after the other."""

from array import array
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, asc, desc, func, select
from sqlalchemy.orm import Session

from app.domain import numbers
from app.domain.lifecycle import Status
from app.services.requests.access import Scope, Visibility, visibility_of
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, ExtensionRow, Module, User
from app.store.search import has_digits, without_nul
from app.store.version import requests_version

PER_PAGE = 25
AT_ONCE = 500  # rows that an export holds in memory

# what the pages call a column -> the column by which it is sorted
SORTS = {
    "registered": CallRequest.registered_at,
    "done": CallRequest.done_at,
    "status": CallRequest.status,
    "number": CallRequest.number,
    "caller": CallRequest.caller_number,
    "operator": CallRequest.done_by,
    "target": CallRequest.target,
    "created_by": CallRequest.created_by,
    "module": CallRequest.module_name,
}


@dataclass(frozen=True)
class Filter:
    """What to show; an empty value asks for nothing. A `…_to` is not included; `target` goes with `queue`.

    Numbers are found by a part of them, however it is written. `operator`: a user's name, or an extension.
    """

    registered_from: datetime | None = None
    registered_to: datetime | None = None
    done_from: datetime | None = None
    done_to: datetime | None = None
    caller_number: str = ""
    number: str = ""
    operator: str = ""
    module_id: int | None = None
    statuses: Collection[Status] = ()
    queue: bool = False
    target: str = ""


@dataclass(frozen=True)
class Sort:
    """`by`: a key of SORTS; what is not known there is sorted by the date of registration."""

    by: str = "registered"
    descending: bool = True


@dataclass(frozen=True)
class ReportRow:
    """A request as the report shows it. `operator`: the extension or the user's name of whoever did it, or "".

    `number` is as people of the country write it, `caller_number` as the exchange gave it.
    """

    id: int
    operator: str
    queue: bool
    wanted: tuple[str, ...]
    module: str
    caller_number: str
    caller_name: str
    number: str
    created_by: str
    registered_at: datetime
    reached_at: datetime | None
    done_at: datetime | None
    status: Status
    attempts: int
    note: str


@dataclass(frozen=True)
class ReportPage:
    """`page` is the page that is shown, which is the last one where a later one was asked for."""

    rows: Sequence[ReportRow]
    total: int
    page: int
    pages: int


NEWEST_FIRST = Sort()


def read_page(
    database: Database,
    scope: Scope,
    wanted: Filter,
    sort: Sort = NEWEST_FIRST,
    *,
    page: int = 1,
    per_page: int = PER_PAGE,
) -> ReportPage:
    """Return a page of what may be seen and is asked for."""
    with database.read() as session:
        seen = visibility_of(session, scope)
        found = conditions(session, seen, wanted)
        count_key = key("total", session, seen, wanted)
        total = database.cache.get(count_key, requests_version(session), lambda: _count(session, found))
        pages = max(1, -(-total // per_page))
        page = min(max(page, 1), pages)
        # First the numbers alone, which an index tells; only then the rows of this one page.
        ids = session.scalars(_numbers(found, sort).limit(per_page).offset((page - 1) * per_page)).all()
        return ReportPage(_rows(session, ids), total, page, pages)


def stream(database: Database, scope: Scope, wanted: Filter, sort: Sort = NEWEST_FIRST) -> Iterator[ReportRow]:
    """Yield everything that may be seen and is asked for, as it was found at the beginning.

    Of all of it no more than its numbers is held in memory, and no transaction stays open between two parts.
    """
    with database.read() as session:
        found = conditions(session, visibility_of(session, scope), wanted)
        ids = iter(array("q", session.scalars(_numbers(found, sort).execution_options(yield_per=AT_ONCE))))
    while part := list(islice(ids, AT_ONCE)):
        with database.read() as session:
            yield from _rows(session, part)


def conditions(session: Session, seen: Visibility, wanted: Filter) -> list[ColumnElement[bool]]:
    """Return what holds for exactly the requests that may be seen and are asked for."""
    moments = (wanted.registered_from, wanted.registered_to, wanted.done_from, wanted.done_to)
    use_index = all(moment is None for moment in moments)
    found: list[ColumnElement[bool]] = [] if seen.everything else [seen.condition(use_index=use_index)]
    for column, since, until in (
        (CallRequest.registered_at, wanted.registered_from, wanted.registered_to),
        (CallRequest.done_at, wanted.done_from, wanted.done_to),
    ):
        found += [column >= since] if since is not None else []
        found += [column < until] if until is not None else []
    if wanted.caller_number:
        found.append(has_digits(CallRequest.caller_number, wanted.caller_number))
    if wanted.number:
        found.append(has_digits(CallRequest.number, wanted.number))
    operator = without_nul(wanted.operator)
    if operator:
        found.append(CallRequest.done_by.in_(_names_of(session, operator)))
    if wanted.module_id is not None:
        found.append(CallRequest.module_id == wanted.module_id)
    if wanted.statuses:
        found.append(store.has_status(map(Status, wanted.statuses)))
    if wanted.target:
        found += [CallRequest.queue.is_(wanted.queue), CallRequest.target == wanted.target]
    return found


def key(kind: str, session: Session, seen: Visibility, wanted: Filter) -> tuple[Hashable, ...]:
    """Return what a count of this kind depends on, the requests apart."""
    operator = without_nul(wanted.operator)
    names = tuple(_names_of(session, operator)) if operator else ()
    return kind, seen, replace(wanted, statuses=tuple(sorted(wanted.statuses))), names


def _count(session: Session, found: Sequence[ColumnElement[bool]]) -> int:
    return session.scalar(select(func.count(CallRequest.id)).where(*found)) or 0


def _names_of(session: Session, operator: str) -> list[str]:
    """Return under which names a person appears: their own, and their extensions."""
    extensions = session.scalar(select(User.extensions).where(User.name == operator))
    return [operator, *(extensions or ())]


def _numbers(found: Sequence[ColumnElement[bool]], sort: Sort) -> Select[int]:
    column: Any = SORTS.get(sort.by, CallRequest.registered_at)
    way = desc if sort.descending else asc
    order = way(column).nulls_last() if column is CallRequest.done_at else way(column)
    return select(CallRequest.id).where(*found).order_by(order, way(CallRequest.id))


def _rows(session: Session, ids: Sequence[int]) -> list[ReportRow]:
    """Return the requests of these numbers, in their order; one that was deleted meanwhile is left out."""
    query = select(CallRequest).where(CallRequest.id.in_(ids))
    rows = {row.id: (row, module) for row, module in store.with_modules(session, session.scalars(query).all())}
    return [_row(*rows[number]) for number in ids if number in rows]


def _row(row: CallRequest, module: Module | None) -> ReportRow:
    any_of = () if row.queue or module is None else tuple(module.targets)
    return ReportRow(
        id=row.id,
        operator=row.done_by,
        queue=row.queue,
        wanted=(row.target,) if row.target else any_of,
        module=row.module_name,
        caller_number=row.caller_number,
        caller_name=row.caller_name,
        number=numbers.national(row.number),
        created_by=row.created_by,
        registered_at=row.registered_at,
        reached_at=row.reached_at,
        done_at=row.done_at,
        status=Status(row.status),
        attempts=row.customer_attempts + row.agent_misses,
        note=row.note,
    )


@dataclass(frozen=True)
class Choices:
    """What the filters offer: operators with their names (an extension's, or a user's), modules, and targets.

    `targets`: whether it is a queue, its number or name, and the name of an extension. `seen` and `wanted` (whom each
    module is for) are what a list of requests depends on besides the requests.
    """

    operators: tuple[tuple[str, str], ...]
    modules: tuple[tuple[int, str], ...]
    targets: tuple[tuple[bool, str, str], ...]
    seen: Visibility
    wanted: tuple[tuple[int, tuple[str, ...]], ...]


def choices(database: Database, scope: Scope) -> Choices:
    """Return what there is to filter by, as far as the scope goes."""
    with database.read() as session:
        seen = visibility_of(session, scope)
        lines = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
        users = session.execute(select(User.name, User.extensions).order_by(User.name)).all()
        modules = session.scalars(select(Module).order_by(Module.name, Module.id)).all()
    of_users = {extension: name for name, extensions in users for extension in extensions}
    wanted = {target for module in modules if module.target_kind != "queue" for target in module.targets}
    extensions = sorted(lines.keys() | of_users.keys() | wanted, key=lambda extension: (len(extension), extension))
    named = [(extension, of_users.get(extension) or lines.get(extension, "")) for extension in extensions]
    named = [(extension, name) for extension, name in named if seen.may_ring(extension)]
    queues = sorted({target for module in modules if module.target_kind == "queue" for target in module.targets})
    return Choices(
        operators=(*named, *((name, "") for name, _ in users if scope.everything or name == scope.name)),
        modules=tuple((module.id, module.name) for module in modules if _concerns(seen, module)),
        targets=(
            *((True, queue, "") for queue in queues if seen.everything or queue in seen.queues),
            *((False, extension, name) for extension, name in named),
        ),
        seen=seen,
        wanted=tuple((module.id, tuple(module.targets)) for module in modules),
    )


def _concerns(seen: Visibility, module: Module) -> bool:
    """Tell whether requests of this module may be seen."""
    queue = module.target_kind == "queue"
    return any(seen.covers_target(module.id, queue, target) for target in module.targets)
