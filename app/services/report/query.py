"""Query stored requests for the report: filter, sort, and read them by page or as a stream."""

from array import array
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, asc, desc, func, select
from sqlalchemy.orm import Session

from app.domain import numbers
from app.domain.lifecycle import Status
from app.domain.routing import CameBy
from app.services.requests.access import Scope, Visibility, visibility_of
from app.store import pbx_state
from app.store import requests as store
from app.store.contacts import names_of
from app.store.database import Database
from app.store.models import CallRequest, ExtensionRow, Module, User
from app.store.search import has_digits, without_nul
from app.store.user_exchanges import extensions_here, sees_this
from app.store.version import requests_version

PER_PAGE = 25
BATCH = 500  # rows that an export keeps in memory

# sort key of the pages -> column
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


class RequestSource(StrEnum):
    """Where a request came from."""

    PHONE = "phone"
    PANEL = "panel"
    MISSED_CALL = "missed_call"
    WEBSITE = "website"


_MADE_UP = (CameBy.MISSED_CALL.value, CameBy.WEBSITE.value)
_SOURCES: dict[RequestSource, ColumnElement[bool]] = {
    RequestSource.PHONE: and_(CallRequest.created_by == "", CallRequest.came_by.not_in(_MADE_UP)),
    RequestSource.PANEL: CallRequest.created_by != "",
    RequestSource.MISSED_CALL: and_(CallRequest.created_by == "", CallRequest.came_by == CameBy.MISSED_CALL.value),
    RequestSource.WEBSITE: CallRequest.came_by == CameBy.WEBSITE.value,
}


@dataclass(frozen=True)
class Filter:
    """The filter of the report. Empty values do not filter.

    Each `…_to` is exclusive. `queue` tells whether `target` is a queue. Numbers match by any part of their digits.
    `operator` is the name of a user, or an extension. `source` is a RequestSource.
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
    source: str = ""

    @property
    def is_lasting(self) -> bool:
        """Whether a request that matches does so as long as it is stored."""
        by_end = self.done_from is not None or self.done_to is not None or self.operator or self.statuses
        return not (by_end or self.target or self.module_id is not None)


@dataclass(frozen=True)
class Sort:
    """The sort order. `by` is a key of SORTS. An unknown key sorts by the date of registration."""

    by: str = "registered"
    descending: bool = True


@dataclass(frozen=True)
class ReportRow:
    """A request in the report.

    `operator` is the extension or the user who completed it, or "". `number` is in national form, `caller_number` and
    `caller_name` are as the PBX reported them. `contact_name` is who has the number by the office's contacts, or "".
    """

    id: int
    operator: str
    queue: bool
    wanted: tuple[str, ...]
    module: str
    caller_number: str
    caller_name: str
    contact_name: str
    number: str
    created_by: str
    came_by: CameBy
    website: str
    registered_at: datetime
    reached_at: datetime | None
    done_at: datetime | None
    status: Status
    attempts: int
    note: str

    @property
    def shown_name(self) -> str:
        """Who calls, as `PendingRow.shown_name`."""
        return self.contact_name or self.caller_name


@dataclass(frozen=True)
class ReportPage:
    """One page of the report. If a page after the last one was requested, this is the last page."""

    rows: Sequence[ReportRow]
    total: int
    page: int
    pages: int


NEWEST_FIRST = Sort()
_ROWS = select(
    *(CallRequest.id, CallRequest.done_by, CallRequest.queue, CallRequest.target, CallRequest.module_name),
    *(CallRequest.caller_number, CallRequest.caller_name, CallRequest.number, CallRequest.created_by),
    *(CallRequest.came_by, CallRequest.website, CallRequest.registered_at, CallRequest.reached_at),
    *(CallRequest.done_at, CallRequest.status, CallRequest.customer_attempts, CallRequest.agent_misses),
    *(CallRequest.note, Module.targets.label("module_targets")),
).outerjoin(Module, Module.id == CallRequest.module_id)


def read_page(
    database: Database,
    scope: Scope,
    wanted: Filter,
    sort: Sort = NEWEST_FIRST,
    *,
    page: int = 1,
    per_page: int = PER_PAGE,
) -> ReportPage:
    """Return one page of the visible requests that match the filter."""
    with database.read() as session:
        visibility = visibility_of(session, scope)
        matches = conditions(session, visibility, wanted)
        version = requests_version(session)
        if version is not None and visibility.everything and wanted.is_lasting:
            version = 0, *version[1:]  # the history changes nothing in this count
        count_key = key("total", session, visibility, wanted)
        total = database.cache.get(count_key, version, lambda: _count(session, matches))
        pages = max(1, -(-total // per_page))
        page = min(max(page, 1), pages)
        # Ids alone come from an index, so read them first, then the rows of this page.
        ids = session.scalars(_ids(matches, sort).limit(per_page).offset((page - 1) * per_page)).all()
        return ReportPage(_rows(session, ids), total, page, pages)


def stream(database: Database, scope: Scope, wanted: Filter, sort: Sort = NEWEST_FIRST) -> Iterator[ReportRow]:
    """Yield all visible requests that match the filter at the start.

    Only their ids stay in memory. No transaction stays open between two batches.
    """
    with database.read() as session:
        matches = conditions(session, visibility_of(session, scope), wanted)
        ids = iter(array("q", session.scalars(_ids(matches, sort).execution_options(yield_per=BATCH))))
    while batch := list(islice(ids, BATCH)):
        with database.read() as session:
            yield from _rows(session, batch)


def conditions(session: Session, visibility: Visibility, wanted: Filter) -> list[ColumnElement[bool]]:
    """Return the SQL conditions for the visible requests that match the filter."""
    times = (wanted.registered_from, wanted.registered_to, wanted.done_from, wanted.done_to)
    use_index = all(time is None for time in times)
    found: list[ColumnElement[bool]] = [] if visibility.everything else [visibility.condition(use_index=use_index)]
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
        found.append(CallRequest.done_by.in_(_operator_names(session, operator)))
    if wanted.module_id is not None:
        found.append(CallRequest.module_id == wanted.module_id)
    if wanted.statuses:
        found.append(store.has_status(map(Status, wanted.statuses)))
    if wanted.source:
        found.append(_SOURCES[RequestSource(wanted.source)])
    if wanted.target:
        found += [CallRequest.queue.is_(wanted.queue), CallRequest.target == wanted.target]
    return found


def key(kind: str, session: Session, visibility: Visibility, wanted: Filter) -> tuple[Hashable, ...]:
    """Return the cache key of a count: everything it depends on besides the requests."""
    operator = without_nul(wanted.operator)
    names = tuple(_operator_names(session, operator)) if operator else ()
    return kind, visibility, replace(wanted, statuses=tuple(sorted(wanted.statuses))), names


def _count(session: Session, found: Sequence[ColumnElement[bool]]) -> int:
    return session.scalar(select(func.count(CallRequest.id)).where(*found)) or 0


def _operator_names(session: Session, operator: str) -> list[str]:
    """Return the names of an operator in the requests: the user name and the user's extensions."""
    extensions = session.scalar(select(extensions_here(session)).select_from(User).where(User.name == operator))
    return [operator, *(extensions or ())]


def _ids(found: Sequence[ColumnElement[bool]], sort: Sort) -> Select[int]:
    column: Any = SORTS.get(sort.by, CallRequest.registered_at)
    direction = desc if sort.descending else asc
    order = direction(column).nulls_last() if column is CallRequest.done_at else direction(column)
    return select(CallRequest.id).where(*found).order_by(order, direction(CallRequest.id))


def _rows(session: Session, ids: Sequence[int]) -> list[ReportRow]:
    """Return the requests of these ids in their order, without those deleted meanwhile."""
    # Columns, not objects: a page would spend more time on making these than on reading.
    rows = {row.id: row for row in session.execute(_ROWS.where(CallRequest.id.in_(ids)))}
    region = pbx_state.office_region(session)
    names = names_of(session, [row.number for row in rows.values()])
    return [_row(rows[id_], names, region) for id_ in ids if id_ in rows]


def _row(row: Any, names: Mapping[str, str], region: str) -> ReportRow:
    any_of = () if row.queue else tuple(row.module_targets or ())
    return ReportRow(
        id=row.id,
        operator=row.done_by,
        queue=row.queue,
        wanted=(row.target,) if row.target else any_of,
        module=row.module_name,
        caller_number=row.caller_number,
        caller_name=row.caller_name,
        contact_name=names.get(row.number, ""),
        number=numbers.national(row.number, region),
        created_by=row.created_by,
        came_by=CameBy(row.came_by),
        website=row.website,
        registered_at=row.registered_at,
        reached_at=row.reached_at,
        done_at=row.done_at,
        status=Status(row.status),
        attempts=row.customer_attempts + row.agent_misses,
        note=row.note,
    )


@dataclass(frozen=True)
class Choices:
    """The choices of the filter fields.

    `operators` are extensions or user names, with display names. `targets` are (is a queue, number or name, name of the
    extension). `visibility` and `module_targets` complete what a list of requests depends on besides the requests.
    """

    operators: tuple[tuple[str, str], ...]
    modules: tuple[tuple[int, str], ...]
    targets: tuple[tuple[bool, str, str], ...]
    visibility: Visibility
    module_targets: tuple[tuple[int, tuple[str, ...]], ...]


def choices(database: Database, scope: Scope) -> Choices:
    """Return the choices of the filter fields within the scope."""
    with database.read() as session:
        visibility = visibility_of(session, scope)
        lines = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
        colleagues = select(User.name, extensions_here(session)).where(sees_this(session))
        users = [(name, own or []) for name, own in session.execute(colleagues.order_by(User.name))]
        columns = Module.id, Module.name, Module.target_kind, Module.targets
        modules = session.execute(select(*columns).order_by(Module.name, Module.id)).all()
    of_users = {extension: name for name, extensions in users for extension in extensions}
    wanted = {target for module in modules if module.target_kind != "queue" for target in module.targets}
    extensions = sorted(lines.keys() | of_users.keys() | wanted, key=lambda extension: (len(extension), extension))
    named = [(extension, of_users.get(extension) or lines.get(extension, "")) for extension in extensions]
    named = [(extension, name) for extension, name in named if visibility.may_ring(extension)]
    queues = sorted({target for module in modules if module.target_kind == "queue" for target in module.targets})
    return Choices(
        operators=(*named, *((name, "") for name, _ in users if scope.everything or name == scope.name)),
        modules=tuple((module.id, module.name) for module in modules if _covers_module(visibility, module)),
        targets=(
            *((True, queue, "") for queue in queues if visibility.everything or queue in visibility.queues),
            *((False, extension, name) for extension, name in named),
        ),
        visibility=visibility,
        module_targets=tuple((module.id, tuple(module.targets)) for module in modules),
    )


def _covers_module(visibility: Visibility, module: Any) -> bool:
    """Tell whether requests of this module may be visible."""
    queue = module.target_kind == "queue"
    return any(visibility.covers_target(module.id, queue, target) for target in module.targets)
