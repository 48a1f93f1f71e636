"""The report in a browser: search by day, sort, change the page, export, charts."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from flask import Flask
from persiantools.jdatetime import JalaliDate
from playwright.sync_api import Locator, Page, expect

from app.services import users
from app.store.database import Database
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import LATIN, Person, pick_date, session_cookie
from tests.support.factories import create_module, create_request

OFFICE = timedelta(hours=3.5)  # Tehran
COUNT = 60  # requests: one on each day at noon, the last one today


@pytest.fixture(params=["fa", "en"])
def locale(request: pytest.FixtureRequest, database: Database) -> str:
    users.set_locale(database, 1, request.param)
    return str(request.param)


@pytest.fixture
def noon() -> datetime:
    """Noon of today in the time zone of the office."""
    today = (datetime.now(UTC) + OFFICE).date()
    return datetime(today.year, today.month, today.day, 12, tzinfo=UTC) - OFFICE


@pytest.fixture
def supervisor(open_browser: OpenBrowser) -> Person:
    return open_browser(accept_downloads=True)


@pytest.fixture
def page(app: Flask, database: Database, supervisor: Person, locale: str, noon: datetime) -> Page:
    """The report of an office with one request on each day."""
    module = create_module(database, targets=["101"])
    for number in range(1, COUNT + 1):
        at = noon - timedelta(days=COUNT - number)
        done = {
            "status": "done",
            "done_at": at + timedelta(minutes=number),
            "reached_at": at + timedelta(minutes=number),
        }
        create_request(
            database, module, number=f"+98912000{number:04}", target="101", first_called_at=at, registered_at=at,
            done_by="101", **(done if number % 2 else {"status": "failed", "done_at": at}),
        )  # fmt: skip
    page = supervisor.open_session(session_cookie(app, 1, locale))
    page.goto("/report")
    return page


def numbers(page: Page) -> list[int]:
    """Return the numbers of the shown requests."""
    cells = page.locator("table.report tbody td:first-child").all_inner_texts()
    return [int(cell.translate(LATIN)) for cell in cells]


def format_day(day: datetime, locale: str) -> str:
    """Return a day as the page shows it, but with Latin digits."""
    here = (day + OFFICE).date()
    return str(JalaliDate(here).strftime("%Y/%m/%d")) if locale == "fa" else here.isoformat()


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#{name}")


def value(page: Page, name: str) -> str:
    return field(page, name).input_value()


def test_report_finds_the_days_that_were_picked_in_the_calendar(page: Page, locale: str, noon: datetime) -> None:
    first, last = noon - timedelta(days=40), noon - timedelta(days=38)
    for name, day in (("registered_from", first), ("registered_to", last)):
        field(page, name).fill("")
        pick_date(page, name, (day + OFFICE).date(), locale)
        shown = value(page, name)
        assert shown.translate(LATIN) == format_day(day, locale)
        assert (shown != shown.translate(LATIN)) == (locale == "fa")
        expect(field(page, name)).to_be_focused()
    expect(page.locator("#total")).to_contain_text("۳" if locale == "fa" else "3")
    assert numbers(page) == [COUNT - 38, COUNT - 39, COUNT - 40]
    assert "registered_from=" in page.url and "=&" not in page.url
    assert value(page, "registered_from").translate(LATIN) == format_day(first, locale), (
        "the fields keep the searched days"
    )


def test_calendar_works_with_the_keyboard(page: Page, locale: str) -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    name = "registered_from"
    field(page, "registered_to").fill("")
    field(page, name).fill("۱۴۰۵-۹-۳" if locale == "fa" else "2026/11/24")
    page.keyboard.press("ArrowDown")
    day = page.locator(".calendar [data-day]:focus")
    expect(day).to_have_attribute("aria-pressed", "true")
    next_day = "ArrowLeft" if locale == "fa" else "ArrowRight"
    for key, days in ((next_day, 1), ("ArrowDown", 8), ("ArrowUp", 1)):
        page.keyboard.press(key)
        moved = int((start + timedelta(days=days)).timestamp() * 1000)
        expect(page.locator(".calendar [data-day]:focus")).to_have_attribute("data-day", str(moved))
    page.keyboard.press("PageDown")
    page.keyboard.press("Enter")
    assert value(page, name).translate(LATIN) == ("1405/10/04" if locale == "fa" else "2026-12-25")
    expect(field(page, name)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("PageUp")
    page.keyboard.press("Escape")
    expect(page.locator(".calendar")).to_have_count(0)
    assert value(page, name).translate(LATIN) == ("1405/10/04" if locale == "fa" else "2026-12-25")


@pytest.mark.parametrize("typed", ["1403/12/30", "1404/01/01", "1408/12/30", "1399/12/30", "2024-02-29", "1300/01/01"])
def test_calendar_opens_at_the_typed_day(app: Flask, database: Database, open_browser: OpenBrowser, typed: str) -> None:
    """The days are in leap years of both calendars, on a Persian page."""
    users.set_locale(database, 1, "fa")
    page = open_browser().open_session(session_cookie(app, 1, "fa"))
    page.goto("/report")
    field(page, "registered_to").fill("")
    field(page, "registered_from").fill(typed)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    day = typed if "/" in typed else "1402/12/10"
    assert value(page, "registered_from").translate(LATIN) == day


def test_report_is_sorted_and_has_pages(page: Page, locale: str) -> None:
    page.locator(".preset").last.click()
    expect(page.locator("#total")).to_contain_text("۶۰" if locale == "fa" else "60")
    assert numbers(page)[0] == COUNT
    page.locator("th[aria-sort] a").click()
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "ascending")
    assert numbers(page) == list(range(1, 26))
    page.locator("a[rel=next]").click()
    page.wait_for_url(re.compile("page=2"))
    assert numbers(page) == list(range(26, 51))
    field(page, "page").fill("۳" if locale == "fa" else "3")
    field(page, "page").press("Enter")
    page.wait_for_url(re.compile("page="))
    expect(page.locator("a[rel=next]")).to_have_count(0)
    assert numbers(page) == list(range(51, 61))
    page.go_back()
    page.wait_for_url(re.compile("page=2"))
    assert numbers(page) == list(range(26, 51))


def test_exported_files_contain_the_shown_requests(page: Page, locale: str, tmp_path: Path) -> None:
    page.locator(".advanced summary").click()
    page.locator(".ticks label").nth(3).click()
    expect(page).to_have_url(re.compile("status=done"))
    expect(page.locator(".ticks input").nth(3)).to_be_focused()
    shown = numbers(page)
    assert shown and all(number % 2 for number in shown)
    excel_link, csv_link = page.locator(".page-actions a").all()

    def download(link: Locator) -> Path:
        with page.expect_download() as started:
            link.click()
        path = tmp_path / started.value.suggested_filename
        started.value.save_as(path)
        return path

    path = download(excel_link)
    year = "1405" if locale == "fa" else "2026"
    assert path.name.startswith(f"bazang_{year}"[: 10 if locale == "fa" else 9]) and path.suffix == ".xlsx"
    sheet: Any = openpyxl.load_workbook(path).active
    assert bool(sheet.sheet_view.rightToLeft) == (locale == "fa")
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == shown
    lines = list(csv.reader(io.StringIO(download(csv_link).read_text(encoding="utf-8-sig"))))
    assert [int(line[0]) for line in lines[1:]] == shown


def count_colours(canvas: Locator) -> int:
    """Return the number of different colours in a chart."""
    count: int = canvas.evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    return count


def test_each_chart_is_drawn_and_has_a_table(page: Page, locale: str) -> None:
    page.locator(".tab").nth(1).click()
    page.wait_for_url(re.compile("/report/charts"))
    charts = page.locator("canvas[data-drawn]")
    expect(charts).to_have_count(6)
    for canvas in charts.all():
        assert count_colours(canvas) > 10, canvas.get_attribute("data-table")
    figure = page.locator("#days")
    figure.locator("summary").click()
    lines = figure.locator("tbody tr")
    expect(lines).to_have_count(30)
    last = "۱ ۰ ۱ ۰ ۰ ۰" if locale == "fa" else "1 0 1 0 0 0"
    assert last in " ".join(lines.last.inner_text().split())
    expect(page.locator(".figures dd").first).to_have_text("۳۰" if locale == "fa" else "30")


def test_charts_follow_the_colour_theme_of_the_page(page: Page) -> None:
    page.goto("/report/charts")
    canvas = page.locator("#days canvas[data-drawn]")

    def read_image() -> str:
        data: str = canvas.evaluate("(canvas) => canvas.toDataURL()")
        return data

    light = read_image()
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.wait_for_function("(light) => document.querySelector('#days canvas').toDataURL() !== light", arg=light)


def test_invalid_day_stays_in_its_field_with_an_error(supervisor: Person, page: Page, locale: str) -> None:
    field(page, "registered_from").fill("24.11.2026")
    page.keyboard.press("Tab")
    expect(page.locator("#registered_from-error")).to_contain_text("۱۴۰۵/۰۹/۰۳" if locale == "fa" else "2026-11-24")
    assert value(page, "registered_from") == "24.11.2026"
    supervisor.ignore_errors("422")


def test_report_works_without_javascript(
    app: Flask, database: Database, page: Page, open_browser: OpenBrowser, locale: str
) -> None:
    plain = open_browser(java_script_enabled=False).open_session(session_cookie(app, 1, locale))
    plain.goto("/report")
    assert not plain.locator("[data-picks]").first.is_visible()
    plain.locator("#number").fill("۰۹۱۲۰۰۰۰۰۵۵")
    plain.locator(".report-search .btn-primary").click()
    assert numbers(plain) == [55]
    plain.locator(".tab").nth(1).click()
    assert not plain.locator("canvas").first.is_visible()
    plain.locator("#days summary").click()
    assert plain.locator("#days-table").is_visible()
