"""The report: whom it shows, how it is searched, and what comes of addresses that make no sense."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import openpyxl
import pytest
from flask import Flask, render_template

from app import demo_data
from app.config import Settings
from app.domain.lifecycle import Cancelled
from app.services import users
from app.services.report import query as report
from app.services.requests.access import Scope
from app.store.database import Database
from app.store.models import CallRequest, Module, QueueMemberRow, User
from app.store.settings import write_setting
from app.web.report import views as report_page
from tests.support.factories import apply_event, create_line, create_module, create_request, store
from tests.web.pages import Page, Visitor, child, rows, text

LIST, CHARTS, CSV, XLSX = "/report", "/report/charts", "/report.csv", "/report.xlsx"
DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def sales(database: Database) -> Module:
    return create_module(database, name="Sales", code="*5001", targets=["101", "102"])


def register(database: Database, module: Module, **values: Any) -> CallRequest:
    """Store a request for 101 of this moment."""
    moments: dict[str, Any] = {"first_called_at": now(), "registered_at": now(), "target": "101"}
    return create_request(database, module, **(moments | values))


def ask(visitor: Visitor, path: str, expected: int = 200, /, **query: Any) -> Page:
    """Get a page of the report for this search."""
    return visitor.get(f"{path}?{urlencode(query, doseq=True)}" if query else path, expected)


def numbers(page: Page) -> list[str]:
    """Return the numbers of the requests that are shown, in their order."""
    return [text(cell) for cell in page.all("td", data_label="Request")]


def total(page: Page) -> str:
    return text(page.one(id="total"))


def header(page: Page, name: str) -> Any:
    return next(cell for cell in page.all("th") if text(cell) == name)


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_every_column_is_filled(admin: Visitor, database: Database, sales: Module) -> None:
    create_line(database, "101", name="Sara")
    at = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
    values = {"caller_number": "09351112233", "caller_name": "Mina", "created_by": "omid", "done_by": "101"}
    register(database, sales, status="done", registered_at=at, done_at=at + timedelta(minutes=9), **values)
    page = ask(admin, LIST, registered_from="2026-11-24", registered_to="2026-11-24")
    zone_shift = admin.app.extensions["bazang"]["settings"].timezone
    assert zone_shift in ("Asia/Tehran", None, ""), "the moments below are those of Tehran"
    assert rows(page) == [
        "1 101 omid 101 09351112233 Mina 09121234567 omid 2026-11-24 10:00 2026-11-24 10:09 done",
    ]


def test_a_request_by_phone_for_anybody(admin: Visitor, database: Database, sales: Module) -> None:
    register(database, sales, target="")
    (row,) = rows(ask(admin, LIST))
    assert "101, 102" in row and "by phone" in row and "waiting" in row


def test_an_empty_period_says_so(admin: Visitor, database: Database, sales: Module) -> None:
    register(database, sales)
    for path in (LIST, CHARTS):
        page = ask(admin, path, registered_from="2001-01-01", registered_to="2001-01-31")
        assert "No requests were registered in this period" in page.main
        (link,) = [link for link in page.all("a") if text(link) == "Search all dates"]
        assert "No requests were registered" not in admin.get(link.get("href", "")).main


def test_it_begins_with_the_last_30_days(admin: Visitor, database: Database, sales: Module) -> None:
    register(database, sales, number="+989120000001", registered_at=now() - 29 * DAY)
    register(database, sales, number="+989120000002", registered_at=now() - 31 * DAY)
    page = ask(admin, LIST)
    assert numbers(page) == ["1"]
    assert text(page.one("a", class_="chosen")) == "30 days"
    assert numbers(ask(admin, LIST, period="all")) == ["1", "2"]


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_a_period_shows_its_days_and_stays(app: Flask, database: Database, locale: str) -> None:
    users.set_locale(database, 1, locale)
    visitor = Visitor(app, 1, locale=locale)
    for period in ("today", "week", "month", "last_month", "7", "30", "all"):
        page = ask(visitor, LIST, period=period)
        first, last = (page.one("input", name=f"registered_{end}").get("value", "") for end in ("from", "to"))
        assert bool(first) == bool(last) == (period != "all"), period
        chosen = parse_qs(urlsplit(page.one("a", class_="chosen").get("href", "")).query)
        assert chosen == {"period": [period]}


# -- searching --------------------------------------------------------------------------------------------------------


@pytest.fixture
def various(database: Database, sales: Module) -> Module:
    """Three requests that differ in everything. Returns the second's module."""
    support = create_module(database, name="Support", code="*5002", target_kind="queue", targets=["800"])
    noon = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)  # noon in Tehran
    register(database, sales, registered_at=noon, number="+989120000001", caller_number="02188881111")
    register(
        database, support, queue=True, target="800", registered_at=noon + DAY, number="+989120000002", status="done",
        done_at=noon + 2 * DAY, done_by="102",
    )  # fmt: skip
    register(
        database, sales, target="102", registered_at=noon + 2 * DAY, number="+989120000003", status="cancelled",
        done_at=noon + 3 * DAY, done_by="sara",
    )  # fmt: skip
    return support


SEARCHES: list[tuple[dict[str, Any], list[str]]] = [
    ({"period": "all"}, ["3", "2", "1"]),
    ({"registered_from": "2026-03-03"}, ["3", "2"]),
    ({"registered_to": "2026-03-03"}, ["2", "1"]),
    ({"registered_from": "1404/12/12", "registered_to": "۱۴۰۴/۱۲/۱۲"}, ["2"]),
    ({"done_from": "2026-03-05"}, ["3"]),
    ({"done_to": "2026-03-04"}, ["2"]),
    ({"number": "۰۹۱۲۰۰۰۰۰۰۲"}, ["2"]),
    ({"caller": "8888"}, ["1"]),
    ({"operator": "102"}, ["2"]),
    ({"operator": "sara"}, ["3"]),
    ({"status": "done"}, ["2"]),
    ({"status": ["done", "cancelled"]}, ["3", "2"]),
    ({"module": "2"}, ["2"]),
    ({"target": "queue:800"}, ["2"]),
    ({"target": "extension:102"}, ["3"]),
    ({"target": "extension:102", "status": "done"}, []),
    ({"number": "%"}, []),
    ({"period": "all", "sort": "registered"}, ["1", "2", "3"]),
    ({"period": "all", "sort": "number"}, ["1", "2", "3"]),
    ({"period": "all", "sort": "-done"}, ["3", "2", "1"]),
    ({"period": "all", "sort": "status"}, ["3", "2", "1"]),
]


def test_what_is_looked_for_is_found(admin: Visitor, database: Database, various: Module) -> None:
    create_line(database, "102")
    for query, found in SEARCHES:
        assert numbers(ask(admin, LIST, **query)) == found, query
        lines = list(csv.reader(io.StringIO(file(admin, CSV, **query).decode("utf-8-sig"))))
        assert [line[0] for line in lines[1:]] == found, "a file has exactly what is shown"


def test_files_name_the_time_zone_of_their_times(admin: Visitor, various: Module) -> None:
    titles = next(csv.reader(io.StringIO(file(admin, CSV, period="all").decode("utf-8-sig"))))
    assert [title for title in titles if title.startswith("Date ")] == [
        "Date registered (Asia/Tehran)",
        "Date done (Asia/Tehran)",
    ]


def test_a_sent_form_becomes_an_address_to_keep(admin: Visitor, various: Module) -> None:
    empty = {"registered_to": "", "number": "", "caller": "", "done_from": "", "done_to": "", "operator": ""}
    page = ask(admin, LIST, 302, period="30", registered_from="۱۴۰۴/۱۲/۱۲", **empty)
    assert page.response.headers["Location"] == "/report?registered_from=2026-03-03"
    assert numbers(admin.follow(page)) == ["3", "2"]
    cleared = ask(admin, LIST, 302, period="30", registered_from="", **empty)
    assert cleared.response.headers["Location"] == "/report?period=all"


def test_a_period_stays_while_its_days_are_not_touched(admin: Visitor) -> None:
    page = ask(admin, LIST, period="month")
    days = {name: page.one("input", name=name).get("value") for name in ("registered_from", "registered_to")}
    sent = ask(admin, LIST, 302, period="month", number="0912", caller="", **days)
    assert sent.response.headers["Location"] == "/report?period=month&number=0912"


def test_it_is_sorted_by_its_heads(admin: Visitor, various: Module) -> None:
    page = ask(admin, LIST, period="all", status=["done", "cancelled"])
    assert header(page, "Date registered").get("aria-sort") == "descending"
    link = header(page, "Received number").find("a").get("href")
    page = admin.get(link)
    assert numbers(page) == ["2", "3"]
    assert header(page, "Received number").get("aria-sort") == "ascending"
    page = admin.get(header(page, "Received number").find("a").get("href"))
    assert numbers(page) == ["3", "2"]


def test_it_has_pages(admin: Visitor, database: Database, sales: Module) -> None:
    for number in range(60):
        register(database, sales, number=f"+9891200001{number:02}")
    page = ask(admin, LIST, number="0912")
    assert total(page) == "60 requests" and len(numbers(page)) == 25
    (link,) = page.all("a", rel="next")
    page = admin.get(link.get("href", ""))
    assert page.one(id="page").get("value") == "2" and len(numbers(page)) == 25
    last = ask(admin, LIST, number="0912", page="99")
    assert numbers(last) == [str(n) for n in range(10, 0, -1)]
    assert not last.all("a", rel="next") and "of 3" in last.main
    (fields,) = [form for form in last.all("form") if form.find("input[@name='page']") is not None]
    assert child(fields, "input[@name='number']").get("value") == "0912"


# -- as last time -----------------------------------------------------------------------------------------------------


def last_time(page: Page) -> list[str]:
    return [link.get("href", "") for link in page.all("a", class_="last-time")]


def test_what_was_looked_for_last_is_offered_again(admin: Visitor, operator: Visitor, various: Module) -> None:
    assert last_time(ask(admin, LIST)) == []
    ask(admin, LIST, status="done", registered_from="2026-03-01")
    (again,) = last_time(ask(admin, LIST))
    assert numbers(admin.get(again)) == ["2"]
    operator.client.set_cookie("report", "1:status=done", path="/report")
    assert last_time(ask(operator, LIST)) == [], "another's search is nobody's business"


def test_a_kept_search_that_makes_no_sense_is_not_offered(admin: Visitor) -> None:
    for kept in ("", "1:", "1:status=nothing", "1:%00", "x" * 4000, "1:registered_from=\u06f1", "1:&&="):
        admin.client.set_cookie("report", kept, path="/report")
        assert [link for link in last_time(ask(admin, LIST)) if "nothing" in link or "x" * 99 in link] == [], kept


# -- addresses that make no sense -------------------------------------------------------------------------------------


NONSENSE = [
    ("registered_from", "yesterday", "Enter year-month-day, such as 2026-11-24."),
    ("registered_to", "2026-02-30", "Enter year-month-day, such as 2026-11-24."),
    ("done_from", "9" * 300, "Enter year-month-day, such as 2026-11-24."),
    ("done_to", "<script>", "Enter year-month-day, such as 2026-11-24."),
    ("operator", "nobody", "Choose an item from the list."),
    ("target", "queue:' OR 1=1 --", "Choose an item from the list."),
    ("module", "99999999999999999999", "Choose an item from the list."),
    ("status", "finished", "Choose an item from the list."),
    ("number", "9" * 81, "This is too long. Shorten it."),
    ("caller", "x" * 5000, "This is too long. Shorten it."),
]


@pytest.mark.parametrize("path", [LIST, CHARTS])
def test_nonsense_is_said_beside_its_field_and_kept(admin: Visitor, various: Module, path: str) -> None:
    for field, value, said in NONSENSE:
        page = ask(admin, path, 422, **{field: value, "caller" if field != "caller" else "number": "0912"})
        assert said in page.main, field
        if field in ("registered_from", "registered_to", "done_from", "done_to", "number", "caller"):
            assert page.error(field) == said
            assert page.one("input", name=field).get("value") == value
        assert not page.all("table") and not page.all("canvas")


def test_file_for_nonsense_leads_to_the_page_that_says_it(admin: Visitor, various: Module) -> None:
    for field, value, said in NONSENSE:
        there, other = (ask(admin, path, 302, **{field: value}).response.headers["Location"] for path in (CSV, XLSX))
        assert there == other
        assert said in admin.get(there, 422).main, field


def test_days_in_the_wrong_order(admin: Visitor) -> None:
    page = ask(admin, LIST, 422, registered_from="2026-03-05", registered_to="2026-03-04")
    assert page.error("registered_to") == "This is before the first day."


@pytest.mark.parametrize("path", [LIST, CHARTS])
def test_an_address_that_makes_no_sense_shows_the_usual(
    admin: Visitor, database: Database, sales: Module, path: str
) -> None:
    register(database, sales)
    queries: list[dict[str, Any]] = [
        {"page": "0"}, {"page": "-1"}, {"page": "x"}, {"page": "9" * 40}, {"page": "2147483647"}, {"page": ["1", "2"]},
        {"sort": "password_hash"}, {"sort": "--id"}, {"sort": "-"}, {"sort": "registered; DROP TABLE users"},
        {"period": "always"}, {"period": ["week", "month"]}, {"nothing": "x"},
    ]  # fmt: skip
    for query in queries:
        assert ask(admin, path, **query).all("table"), query


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_centuries_do_no_harm(app: Flask, database: Database, sales: Module, locale: str) -> None:
    register(database, sales)
    users.set_locale(database, 1, locale)
    visitor = Visitor(app, 1, locale=locale)
    for first, last in (("1900-01-01", "2199-12-31"), ("1200/01/01", "1599/12/29"), ("2199-12-31", "2199-12-31")):
        for path in (LIST, CHARTS):
            ask(visitor, path, registered_from=first, registered_to=last)


@pytest.mark.parametrize("path", [LIST, CHARTS, CSV, XLSX])
def test_a_nul_is_refused(admin: Visitor, path: str) -> None:
    admin.get(path + "?number=%00", 400)


# -- whose requests ---------------------------------------------------------------------------------------------------


def test_an_operator_sees_their_own(app: Flask, operator: Visitor, database: Database, various: Module) -> None:
    with database.write() as session:
        session.get_one(User, 2).extensions = ["102"]
    everything: dict[str, Any] = {"period": "all"}
    assert numbers(ask(operator, LIST, **everything)) == ["3"]
    store(database, QueueMemberRow(queue="800", extension="102"))
    assert numbers(ask(operator, LIST, **everything)) == ["3", "2"], "and those of their queues"
    lines = file(operator, CSV, **everything).decode("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["3", "2"]
    assert "2" in text(ask(operator, CHARTS, **everything).all("dd")[0])
    page = ask(operator, LIST)
    offered = [option.get("value") for option in page.one("select", name="target").iter("option")]
    assert offered == ["", "queue:800", "extension:102"]
    ask(operator, LIST, 422, target="extension:101")


def test_an_operator_without_extensions_sees_nothing(operator: Visitor, database: Database, various: Module) -> None:
    with database.write() as session:
        session.get_one(User, 2).extensions = []
    assert "No requests match." in ask(operator, LIST, period="all").main
    assert file(operator, CSV, period="all").decode("utf-8-sig").count("\n") == 1


# -- files ------------------------------------------------------------------------------------------------------------


def file(visitor: Visitor, path: str, **query: Any) -> bytes:
    response = ask(visitor, path, **query).response
    assert response.headers["Content-Disposition"].startswith("attachment")
    return response.get_data()


def workbook(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data), read_only=True)


def test_the_excel_file_has_what_is_filtered(admin: Visitor, various: Module) -> None:
    page = ask(admin, XLSX, registered_from="2026-03-03", registered_to="2026-03-31")
    assert "bazang_2026-03-03_2026-03-31.xlsx" in page.response.headers["Content-Disposition"]
    data = page.response.get_data()
    assert int(page.response.headers["Content-Length"]) == len(data)
    head, *lines = workbook(data).active.iter_rows(values_only=True)
    assert head[:3] == ("Request", "Operator", "Extension or queue")
    assert [(line[0], line[6]) for line in lines] == [(3, "09120000003"), (2, "09120000002")]
    assert lines[0][8] == datetime(2026, 3, 4, 12, 0), "a real date, by the office's clock"


def test_the_persian_files(app: Flask, database: Database, various: Module) -> None:
    users.set_locale(database, 1, "fa")
    visitor = Visitor(app, 1, locale="fa")
    page = ask(visitor, XLSX, registered_from="1404/12/01", registered_to="1404/12/29")
    assert "bazang_1404-12-01_1404-12-29.xlsx" in page.response.headers["Content-Disposition"]
    sheet = openpyxl.load_workbook(io.BytesIO(page.response.get_data())).active
    assert sheet.sheet_view.rightToLeft
    assert "1404/12/13 12:00" in [cell.value for cell in sheet[2]]


def test_no_file_stays_behind(admin: Visitor, various: Module, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(tmp_path.iterdir())
    assert workbook(file(admin, XLSX, period="all")).active is not None
    assert sorted(tmp_path.iterdir()) == before


# -- charts -----------------------------------------------------------------------------------------------------------


def table(page: Page, id: str) -> list[str]:
    return [text(row) for row in child(page.one(id=f"{id}-table"), "tbody")]


def test_each_chart_has_its_table(admin: Visitor, various: Module) -> None:
    page = ask(admin, CHARTS, registered_from="2026-03-01", registered_to="2026-03-05")
    tables = [canvas.get("data-table", "") for canvas in page.all("canvas")]
    assert tables == [f"{id}-table" for id in ("days", "waits", "operators", "targets", "hours", "weekdays")]
    for id in tables:
        page.one("table", id=id)


def test_days_without_requests_are_shown_as_zero(admin: Visitor, various: Module) -> None:
    page = ask(admin, CHARTS, registered_from="2026-03-01", registered_to="2026-03-05")
    assert table(page, "days") == [
        "2026-03-01 0 0 0 0 0 0",
        "2026-03-02 1 0 0 0 0 1",
        "2026-03-03 1 1 0 0 0 0",
        "2026-03-04 1 0 0 0 1 0",
        "2026-03-05 0 0 0 0 0 0",
    ]
    assert table(page, "weekdays")[:3] == ["Monday 1", "Tuesday 1", "Wednesday 1"]
    assert table(page, "hours")[12] == "12:00 3"


def test_waits_are_told(admin: Visitor, database: Database, sales: Module) -> None:
    began = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
    for number, minutes in enumerate((2, 4, 90)):
        reached = began + timedelta(minutes=minutes)
        values = {"number": f"+98912000000{number}", "reached_at": reached, "done_at": reached, "done_by": "101"}
        register(database, sales, registered_at=began, status="done", **values)
    page = ask(admin, CHARTS, registered_from="2026-03-02", registered_to="2026-03-02")
    assert table(page, "waits") == ["2026-03-02 3 04:00 1:30:00"]
    assert table(page, "operators") == ["101 omid 3 0 0 0 0 04:00 1:30:00"]


def test_what_nobody_could_read_by_days_is_told_by_months(admin: Visitor, various: Module) -> None:
    page = ask(admin, CHARTS, registered_from="2026-01-01", registered_to="2026-12-31")
    told = table(page, "days")
    assert told[0].startswith("2026-01 0") and told[2].startswith("2026-03 3")


def test_a_change_is_counted_at_once(admin: Visitor, database: Database, sales: Module) -> None:
    register(database, sales)
    assert total(ask(admin, LIST, status="waiting")) == "1 request"
    assert table(ask(admin, CHARTS, period="today"), "days")[0].endswith("1 0 0 0 0 1")
    apply_event(database, 1, Cancelled(), "sara", now())
    assert "No requests match." in ask(admin, LIST, status="waiting").main
    assert table(ask(admin, CHARTS, period="today"), "days")[0].endswith("1 0 0 0 1 0")


# -- very many --------------------------------------------------------------------------------------------------------


@pytest.fixture
def very_many(database: Database, settings: Settings) -> Iterator[int]:
    count = 20_000  # script/bench pages does the same with all its 100,000
    demo_data.fill(database, settings, count, now())
    yield count


@pytest.mark.slow
@pytest.mark.long
def test_the_excel_file_of_very_many_opens_and_has_every_row(
    admin: Visitor, database: Database, very_many: int
) -> None:
    expected = [row.id for row in report.stream(database, Scope("sara", everything=True), report.Filter())]
    data = file(admin, XLSX, period="all")
    found = [line[0] for line in workbook(data).active.iter_rows(min_row=2, max_col=1, values_only=True)]
    assert len(found) == very_many and found == expected


# -- what was built before --------------------------------------------------------------------------------------------


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The templates that were rendered, in their order."""
    names: list[str] = []

    def rendered(template: str, **values: Any) -> str:
        names.append(template.removeprefix("report/"))
        return render_template(template, **values)

    monkeypatch.setattr(report_page, "render_template", rendered)
    return names


def test_what_has_not_changed_is_not_built_again(
    admin: Visitor, supervisor: Visitor, database: Database, various: Module, built: list[str]
) -> None:
    first = rows(ask(admin, LIST, period="all"))
    assert built == ["_search.html", "_list.html", "index.html"]
    built.clear()
    assert rows(ask(admin, LIST, period="all")) == rows(ask(supervisor, LIST, period="all")) == first
    assert built == ["index.html", "_search.html", "_list.html", "index.html"], "each user has lists of their own"
    built.clear()
    with database.write() as session:
        session.get_one(User, 1).theme = "dark"
    assert rows(ask(admin, LIST, period="all")) == first and built == ["index.html"]
    built.clear()
    ask(admin, LIST, period="all", page=2)
    assert built == ["_list.html", "index.html"], "the search is the same on every page"


def test_what_has_changed_is_built_again(admin: Visitor, database: Database, sales: Module) -> None:
    register(database, sales, target="", done_by="101", registered_at=datetime(2026, 11, 24, 6, 30, tzinfo=UTC))

    def shown() -> str:
        (row,) = rows(ask(admin, LIST, period="all"))
        return row

    assert "101, 102" in shown() and "2026-11-24 10:00" in shown() and "waiting" in shown()
    apply_event(database, 1, Cancelled())
    assert "cancelled" in shown()
    with database.write() as session:
        session.get_one(Module, sales.id).targets = ["101", "103"]
    assert "101, 103" in shown(), "whom the module is for"
    create_line(database, "103", name="Front desk")
    assert "Front desk" in ask(admin, LIST, period="all").source, "what can be chosen"
    with database.write() as session:
        write_setting(session, "timezone", "Europe/Berlin")
    assert "2026-11-24 07:30" in shown()
    users.set_locale(database, 1, "fa")
    admin.locale = "fa"
    assert "۱۴۰۵/۰۹/۰۳" in ask(admin, LIST, period="all").source


def test_a_new_day_shows_its_own_requests(
    admin: Visitor, database: Database, sales: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(database, sales)
    assert numbers(ask(admin, LIST, period="today")) == ["1"]
    monkeypatch.setattr(report_page, "utcnow", lambda: now() + DAY)
    assert numbers(ask(admin, LIST, period="today")) == []


def test_only_the_row_that_has_changed_is_rendered_again(
    app: Flask, admin: Visitor, database: Database, sales: Module
) -> None:
    requests = [register(database, sales, number=f"+9891200000{n:02}") for n in range(3)]
    rendered: list[int] = []
    kept = app.extensions["bazang_rows"]

    def note(key: Any, version: Any, build: Any) -> Any:
        def render() -> Any:
            rendered.append(key[0][1].id)
            return build()

        return kept.get(key, version, render)

    app.extensions["bazang_rows"] = SimpleNamespace(get=note)
    before = rows(ask(admin, LIST))
    assert sorted(rendered) == [request.id for request in requests]
    rendered.clear()
    apply_event(database, requests[1].id, Cancelled(), now=now())
    changed = rows(ask(admin, LIST))
    assert rendered == [requests[1].id]
    assert [row for row in changed if row in before] == [before[0], before[2]]
    assert "cancelled" in changed[1]
    users.set_locale(database, 1, "fa")
    admin.locale = "fa"
    assert "لغوشده" in text(ask(admin, LIST).one("tbody"))
