"""The report: what is filtered is what is shown, on every page and in the whole."""

from collections.abc import Collection
from dataclasses import fields
from typing import Any

import pytest
from sqlalchemy import delete, event

from app.domain.lifecycle import Cancelled, Status
from app.domain.routing import CameBy
from app.services import users
from app.services.report import query
from app.services.report.query import SORTS, Filter, ReportRow, RequestSource, Sort
from app.services.requests.access import Scope
from app.store import pbx_state
from app.store.database import Database
from app.store.models import CallRequest
from tests.services.scene import HOUR, MINUTE, SUPERVISOR
from tests.support.factories import NOW, apply_event, create_line, create_module, create_request


def create(database: Database, n: int, **kwargs: Any) -> CallRequest:
    values: dict[str, Any] = {"number": f"+9891200000{n:02}", "registered_at": NOW + n * MINUTE}
    return create_request(database, None, **(values | kwargs))


def found(database: Database, sort: Sort = query.NEWEST_FIRST, **kwargs: Any) -> list[int]:
    """Return what a filter finds, of the page and of the stream alike."""
    wanted = Filter(**kwargs)
    page = query.read_page(database, SUPERVISOR, wanted, sort, per_page=1000)
    assert [row.id for row in query.stream(database, SUPERVISOR, wanted, sort)] == [row.id for row in page.rows]
    assert page.total == len(page.rows)
    return [row.id for row in page.rows]


def test_a_row_tells_everything_that_the_report_shows(database: Database) -> None:
    module = create_module(database, name="Sales", targets=["101", "102"])
    row = create_request(
        database,
        module,
        caller_number="02188881234",
        caller_name="Sara",
        created_by="omid",
        status="done",
        done_by="101",
        done_at=NOW + HOUR,
        reached_at=NOW + MINUTE,
        customer_attempts=1,
        agent_misses=2,
        note="settled",
    )
    assert query.read_page(database, SUPERVISOR, Filter()).rows == [
        ReportRow(
            id=row.id,
            operator="101",
            queue=False,
            wanted=("101", "102"),
            module="Sales",
            caller_number="02188881234",
            caller_name="Sara",
            contact_name="",
            number="09121234567",
            created_by="omid",
            came_by=CameBy.UNKNOWN,
            website="",
            registered_at=NOW,
            reached_at=NOW + MINUTE,
            done_at=NOW + HOUR,
            status=Status.DONE,
            attempts=3,
            note="settled",
        )
    ]


def test_each_filter_finds_its_own(database: Database) -> None:
    module = create_module(database)
    a = create(database, 1, caller_number="09121111111", done_at=NOW + HOUR, done_by="101", status="done")
    b = create(database, 2, caller_number="02188881234", done_at=NOW + 2 * HOUR, done_by="sara", status="cancelled")
    c = create(database, 3, module_id=module.id, target="101")
    d = create(database, 4, queue=True, target="101", status="failed", done_at=NOW + 3 * HOUR)
    assert found(database) == [d.id, c.id, b.id, a.id]
    assert found(database, registered_from=NOW + 2 * MINUTE) == [d.id, c.id, b.id]
    assert found(database, registered_to=NOW + 2 * MINUTE) == [a.id]
    assert found(database, done_from=NOW + 2 * HOUR) == [d.id, b.id]
    assert found(database, done_to=NOW + 2 * HOUR) == [a.id]
    assert found(database, caller_number="8888") == [b.id]
    assert found(database, number="0912-0000 003") == [c.id]
    assert found(database, number="۰۹۱۲۰۰۰۰۰۰۳") == [c.id]
    assert found(database, number="+989120000004") == [d.id]
    assert found(database, operator="101") == [a.id]
    assert found(database, operator="sara") == [b.id]
    assert found(database, module_id=module.id) == [c.id]
    assert found(database, statuses=[Status.DONE, Status.FAILED]) == [d.id, a.id]
    assert found(database, target="101") == [c.id]
    assert found(database, target="101", queue=True) == [d.id]
    assert found(database, target="101", statuses=[Status.FAILED]) == []


def test_requests_are_found_by_where_they_came_from(database: Database) -> None:
    made_of = {
        "phone": {"came_by": "extension"},
        "panel": {"created_by": "sara", "came_by": "missed_call"},  # a user made it from a missed call
        "missed_call": {"came_by": "missed_call"},
        "website": {"came_by": "website", "website": "Shop"},
    }
    rows = {source: create(database, number, **values) for number, (source, values) in enumerate(made_of.items())}
    assert {source: found(database, source=source) for source in RequestSource} == {
        source: [row.id] for source, row in rows.items()
    }


@pytest.mark.parametrize("typed", ["%", "_", "\\", "' OR 2=2 --", "x"])
def test_what_is_typed_is_text_and_no_pattern(database: Database, typed: str) -> None:
    create(database, 1, caller_number="0912")
    assert found(database, caller_number=typed) == []
    assert found(database, number=typed) == []
    assert found(database, operator=typed) == []


def test_a_nul_is_nothing_to_look_for(database: Database) -> None:
    row = create(database, 1, caller_number="0912", done_by="101")
    assert found(database, caller_number="9\x0012", number="\x00", operator="\x00") == [row.id]


def test_an_operator_is_found_under_the_name_and_the_extensions(database: Database) -> None:
    users.create(database, "omid", "a long password", "operator", NOW, extensions=["101", "102"])
    rows = [create(database, n, done_by=by) for n, by in enumerate(("101", "102", "omid", "103", ""))]
    assert found(database, Sort(descending=False), operator="omid") == [row.id for row in rows[:3]]
    assert found(database, operator="102") == [rows[1].id]


@pytest.mark.parametrize("by", SORTS)
def test_it_is_sorted_by_every_column(database: Database, by: str) -> None:
    """What has no value stands at the end, whichever way it is sorted; what is alike, by the number."""
    first, second, third = {
        "registered": (NOW, NOW + HOUR, NOW + 2 * HOUR),
        "done": (NOW, NOW + HOUR, None),
        "status": ("cancelled", "done", "failed"),
        "number": ("+989120000001", "+989120000002", "+989120000003"),
    }.get(by, ("101", "102", "sara"))
    a, b, c, d = (create(database, 0, **{SORTS[by].key: value}).id for value in (second, first, third, first))
    assert found(database, Sort(by, descending=False)) == [b, d, a, c]
    assert found(database, Sort(by)) == ([a, d, b, c] if third is None else [c, a, d, b])


def test_a_column_that_is_not_there_sorts_by_the_date(database: Database) -> None:
    rows = [create(database, n) for n in range(3)]
    assert found(database, Sort("password_hash")) == [row.id for row in reversed(rows)]


def test_every_page_goes_on_where_the_one_before_ended(database: Database) -> None:
    rows = [create(database, n, registered_at=NOW + n // 3 * MINUTE) for n in range(25)]
    pages = [query.read_page(database, SUPERVISOR, Filter(), page=page, per_page=10) for page in (1, 2, 3)]
    assert [row.id for page in pages for row in page.rows] == [row.id for row in reversed(rows)]
    assert [(page.page, page.pages, page.total) for page in pages] == [(n, 3, 25) for n in (1, 2, 3)]


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (4, 3), (10**9, 3)])
def test_a_page_that_is_not_there_is_the_nearest_that_is(database: Database, asked: int, given: int) -> None:
    for n in range(5):
        create(database, n)
    assert query.read_page(database, SUPERVISOR, Filter(), page=asked, per_page=2).page == given


def test_where_there_is_nothing_there_is_an_empty_page(database: Database) -> None:
    page = query.read_page(database, SUPERVISOR, Filter())
    assert (page.rows, page.total, page.page, page.pages) == ([], 0, 1, 1)


def test_the_stream_is_what_was_found_at_its_beginning(database: Database) -> None:
    rows = [create(database, n) for n in range(5)]
    stream = query.stream(database, SUPERVISOR, Filter(), Sort(descending=False))
    first = next(stream)
    create(database, 9)
    assert [first.id, *(row.id for row in stream)] == [row.id for row in rows]


def test_a_long_stream_has_every_row_once(database: Database) -> None:
    count = 2 * query.BATCH + 7
    with database.write() as session:
        session.add_all(
            CallRequest(
                module_name="x",
                number="+989121234567",
                status="done",
                first_called_at=NOW,
                registered_at=NOW + n * MINUTE,
            )
            for n in range(count)
        )
    moments = [row.registered_at for row in query.stream(database, SUPERVISOR, Filter())]
    assert moments == [NOW + n * MINUTE for n in reversed(range(count))]


def test_the_filters_offer_what_there_is(database: Database) -> None:
    module = create_module(database, name="Sales")
    create_line(database, "101", name="Desk")
    create_line(database, "1020", name="Hall")
    users.create(database, "omid", "a long password", "operator", NOW, extensions=["102", "101"])
    choices = query.choices(database, Scope("sara", everything=True))
    assert choices.operators == (("101", "omid"), ("102", "omid"), ("1020", "Hall"), ("omid", ""))
    assert choices.modules == ((module.id, "Sales"),)


def test_an_empty_filter_asks_for_nothing() -> None:
    assert not any(getattr(Filter(), field.name) for field in fields(Filter))


def test_statuses_may_be_any_collection(database: Database) -> None:
    request = create_request(database, create_module(database))
    status = Status(request.status)
    cases: list[Collection[Status]] = [[status], {status}, ()]
    for statuses in cases:
        assert query.read_page(database, SUPERVISOR, Filter(statuses=statuses)).total == 1


LASTING: dict[str, Any] = {
    "registered_from": NOW,
    "registered_to": NOW,
    "caller_number": "1",
    "number": "1",
    "source": "phone",
}
PASSING: dict[str, Any] = {
    "done_from": NOW,
    "done_to": NOW,
    "operator": "101",
    "module_id": 1,
    "statuses": [Status.DONE],
    "target": "101",
}


def test_every_filter_is_known_to_last_or_to_pass() -> None:
    """A filter that nobody has thought of here would show the count of before a change."""
    assert LASTING.keys() | PASSING.keys() | {"queue"} == {field.name for field in fields(Filter)}
    assert all(Filter(**{name: value}).is_lasting for name, value in LASTING.items())
    assert not any(Filter(**{name: value}).is_lasting for name, value in PASSING.items())


def test_all_requests_are_counted_again_when_one_comes_or_goes(database: Database) -> None:
    rows = [create(database, n) for n in range(3)]
    counts: list[str] = []

    def note(*given: Any) -> None:
        if "count(" in given[2]:
            counts.append(given[2])

    def total(**wanted: Any) -> int:
        return query.read_page(database, SUPERVISOR, Filter(**wanted)).total

    event.listen(database.engine, "before_cursor_execute", note)
    assert (total(), total(statuses=[Status.WAITING])) == (3, 3) and len(counts) == 2
    apply_event(database, rows[0].id, Cancelled())
    assert (total(), total(statuses=[Status.WAITING])) == (3, 2) and len(counts) == 3, "only the second one again"
    create(database, 3)
    assert total() == 4
    with database.write() as session:
        pbx_state.writable_worker_state(session).deletions += 1
        session.execute(delete(CallRequest).where(CallRequest.id == rows[1].id))
    assert total() == 3
