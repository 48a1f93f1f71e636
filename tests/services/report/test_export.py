"""The report as a file: what is filtered is in it, to the last row, and nothing in it computes."""

import csv
import io
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from app.domain.lifecycle import Status
from app.domain.routing import CameBy
from app.services.report import export, query
from app.services.report.export import COLUMNS, TIME_COLUMNS, Wording, columns, write_csv, write_xlsx
from app.services.report.query import Filter, ReportRow
from app.store.database import Database
from tests.services.scene import SUPERVISOR, ZONE
from tests.support.factories import NOW, create_module, create_request

ENGLISH = Wording(
    titles={name: name.title() for name in COLUMNS},
    statuses={status: status.value.title() for status in Status},
    caller="by phone",
    missed_call="from a missed call",
    sheet="Call requests",
)
PERSIAN = replace(
    ENGLISH,
    titles={name: f"ستون {name}" for name in (*COLUMNS, *(f"{name}_jalali" for name in TIME_COLUMNS))},
    caller="با تلفن",
    sheet="درخواست‌های تماس",
    locale="fa",
)
HOSTILE = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠x", "|calc", "%0A",
    '=HYPERLINK("http://x","y")', "http://example.org", "{=1}", "'=1",
]  # fmt: skip

TEXTS = ("caller_name", "caller_number", "note", "operator", "created_by", "module")


def row(**kwargs: Any) -> ReportRow:
    values: dict[str, Any] = {
        "id": 7,
        "operator": "101",
        "queue": False,
        "wanted": ("101", "102"),
        "module": "Sales",
        "caller_number": "02188881234",
        "caller_name": "Sara",
        "contact_name": "Sara Ahmadi",
        "number": "09121234567",
        "created_by": "",
        "came_by": CameBy.UNKNOWN,
        "website": "",
        "registered_at": NOW,
        "reached_at": None,
        "done_at": NOW + timedelta(minutes=5),
        "status": Status.DONE,
        "attempts": 2,
        "note": "settled",
    }
    return ReportRow(**(values | kwargs))


def as_csv(*rows: ReportRow, wording: Wording = ENGLISH) -> list[list[str]]:
    content = b"".join(write_csv(rows, wording, ZONE))
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def as_sheet(folder: Path, *rows: ReportRow, wording: Wording = ENGLISH) -> Worksheet:
    path = folder / "report.xlsx"
    assert write_xlsx(path, rows, wording, ZONE) == len(rows)
    sheet = openpyxl.load_workbook(path).active
    assert isinstance(sheet, Worksheet)
    return sheet


def cell(sheet: Worksheet, name: str, wording: Wording = ENGLISH, line: int = 2) -> Any:
    return sheet.cell(line, columns(wording).index(name) + 1)


# CSV


def test_a_csv_file_has_the_titles_and_the_rows() -> None:
    titles, line = as_csv(row())
    assert titles == [name.title() for name in COLUMNS]
    assert dict(zip(COLUMNS, line, strict=True)) == {
        "id": "7",
        "operator": "101",
        "target": "101, 102",
        "module": "Sales",
        "caller_number": "'02188881234",
        "caller_name": "Sara",
        "number": "'09121234567",
        "created_by": "by phone",
        "registered_at": "2026-03-02 11:30",
        "done_at": "2026-03-02 11:35",
        "status": "Done",
        "attempts": "2",
        "note": "settled",
        "contact_name": "Sara Ahmadi",
    }


def test_to_a_persian_reader_a_moment_is_told_as_a_jalali_date_as_well() -> None:
    titles, line = as_csv(row(done_at=None), wording=PERSIAN)
    found = dict(zip(columns(PERSIAN), line, strict=True))
    assert titles == [f"ستون {name}" for name in columns(PERSIAN)]
    assert (found["registered_at"], found["registered_at_jalali"]) == ("2026-03-02 11:30", "1404/12/11 11:30")
    assert (found["done_at"], found["done_at_jalali"]) == ("", "")
    assert list(found)[8:12] == ["registered_at", "registered_at_jalali", "done_at", "done_at_jalali"]


def test_request_of_a_missed_call_was_created_by_nobody() -> None:
    creators = {"": "from a missed call", "omid": "omid"}
    for creator, shown in creators.items():
        (_, line) = as_csv(row(created_by=creator, came_by=CameBy.MISSED_CALL))
        assert line[COLUMNS.index("created_by")] == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_a_csv_file_is_a_formula(text: str) -> None:
    given_row = row(**dict.fromkeys(("contact_name", *TEXTS), text))
    _, line = as_csv(given_row)
    for name in ("contact_name", *TEXTS):
        found = line[COLUMNS.index(name)]
        assert not found.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "|", "%"))
        assert not found.startswith(("\t", "\r", "\n"))
        assert found in (text, f"'{text}")  # and nothing of it is lost


@settings(database=None, derandomize=True, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60))
def test_whatever_a_cell_says_it_is_read_back_and_begins_as_text(text: str) -> None:
    _, line = as_csv(row(note=text))
    found = line[COLUMNS.index("note")]
    assert found.removeprefix("'") == text.removeprefix("'")
    assert found.lstrip()[:1] not in set("=+-@\t\r")


@pytest.mark.parametrize(
    ("number", "shown"),
    [("101", "101"), ("0912", "'0912"), ("989121234567", "'989121234567"), ("0", "0"), ("", ""), ("+98912", "'+98912")],
)
def test_a_number_keeps_its_digits(number: str, shown: str) -> None:
    assert as_csv(row(number=number))[1][COLUMNS.index("number")] == shown


def test_a_long_csv_file_comes_in_parts() -> None:
    parts = list(write_csv((row(id=n) for n in range(5000)), ENGLISH, ZONE))
    assert len(parts) > 3
    assert max(map(len, parts)) < 2 * export.CHUNK
    assert b"".join(parts).count(b"\r\n") == 5001


# Excel


def test_an_excel_file_has_numbers_as_text_and_real_dates(tmp_path: Path) -> None:
    sheet = as_sheet(tmp_path, row())
    assert [found.value for found in sheet[1]] == [name.title() for name in COLUMNS]
    for name, value in (("number", "09121234567"), ("caller_number", "02188881234"), ("operator", "101")):
        assert (cell(sheet, name).value, cell(sheet, name).data_type) == (value, "s")
    registered = cell(sheet, "registered_at")
    assert (registered.value, registered.is_date) == (datetime(2026, 3, 2, 11, 30), True)
    assert (cell(sheet, "attempts").value, cell(sheet, "status").value) == (2, "Done")
    assert cell(sheet, "created_by").value == "by phone"


def test_an_excel_file_can_be_read_at_once(tmp_path: Path) -> None:
    sheet = as_sheet(tmp_path, row(), row(), row())
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:N4")
    assert sheet.title == "Call requests"
    assert not sheet.sheet_view.rightToLeft
    assert all(sheet.column_dimensions[letter].width > 8 for letter in "ABCDEFGHIJKLM")


def test_a_persian_excel_file_is_written_from_right_to_left(tmp_path: Path) -> None:
    sheet = as_sheet(tmp_path, row(), wording=PERSIAN)
    assert sheet.sheet_view.rightToLeft
    assert sheet.title == "درخواست‌های تماس"
    assert cell(sheet, "registered_at", PERSIAN).value == datetime(2026, 3, 2, 11, 30)
    jalali = cell(sheet, "registered_at_jalali", PERSIAN)
    assert (jalali.value, jalali.data_type) == ("1404/12/11 11:30", "s")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_an_excel_file_is_a_formula_or_a_link(tmp_path: Path, text: str) -> None:
    sheet = as_sheet(tmp_path, row(caller_name=text, note=text, module=text, created_by=text))
    for name in ("caller_name", "note", "module", "created_by"):
        found = cell(sheet, name)
        assert (found.data_type, found.hyperlink) == ("s", None)
        # A carriage return is read back as XML has it.
        assert str(found.value).replace("_x000D_", "\r").replace("\r", "\n").strip() == text.replace("\r", "\n").strip()


def test_what_excel_cannot_hold_does_not_break_the_file(tmp_path: Path) -> None:
    sheet = as_sheet(tmp_path, row(note="x" * 40_000, caller_name="a\x01b\x1fc"))
    assert len(cell(sheet, "note").value) == export.MAX_CELL_LENGTH
    assert cell(sheet, "caller_name").value


@pytest.mark.parametrize("name", ["a/b:c*d?[e]\\f", "'quoted'", "x" * 60, "", " "])
def test_a_sheet_has_a_name_that_excel_takes(tmp_path: Path, name: str) -> None:
    assert 1 <= len(as_sheet(tmp_path, row(), wording=replace(ENGLISH, sheet=name)).title) <= 31


def test_what_is_too_much_for_one_sheet_goes_on_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MAX_ROWS", 11)
    write_xlsx(tmp_path / "r.xlsx", (row(id=n) for n in range(25)), ENGLISH, ZONE)
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    assert book.sheetnames == ["Call requests", "Call requests 2", "Call requests 3"]
    ids = [line[0] for sheet in book for line in sheet.iter_rows(min_row=2, values_only=True)]
    assert ids == list(range(25))


def test_an_empty_report_is_a_file_as_well(tmp_path: Path) -> None:
    assert as_sheet(tmp_path).max_row == 1
    assert len(as_csv()) == 1


# The whole way


def test_the_file_has_exactly_what_is_filtered(database: Database, tmp_path: Path) -> None:
    module = create_module(database)
    for n in range(30):
        status = ("done", "failed")[n % 2]
        create_request(database, module, number=f"+9891200000{n:02}", status=status, registered_at=NOW + timedelta(n))
    wanted = Filter(statuses=[Status.DONE], registered_to=NOW + timedelta(20))
    expected = [found.number for found in query.read_page(database, SUPERVISOR, wanted).rows]
    assert len(expected) == 10
    sheet = as_sheet(tmp_path, *query.stream(database, SUPERVISOR, wanted))
    assert [cell(sheet, "number", line=n + 2).value for n in range(10)] == expected
    lines = as_csv(*query.stream(database, SUPERVISOR, wanted))[1:]
    assert [line[COLUMNS.index("number")].removeprefix("'") for line in lines] == expected


PEAK = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo
from tests.services.report.test_export import ENGLISH, row
from app.services.report.export import write_csv, write_xlsx
kind, count = sys.argv[1], int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = (row(id=n, note=f"note {n}") for n in range(count))
if kind == "csv":
    for part in write_csv(rows, ENGLISH, ZoneInfo("Asia/Tehran")):
        pass
else:
    write_xlsx(Path(sys.argv[3]), rows, ENGLISH, ZoneInfo("Asia/Tehran"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_twenty_thousand_rows_take_no_more_memory_than_a_thousand(tmp_path: Path, kind: str) -> None:
    """Peaks of processes of their own, in KiB: the rows alone would need 7 MB, what varies by chance is far less."""

    def peak(count: int) -> int:
        arguments = [sys.executable, "-c", PEAK, kind, str(count), str(tmp_path / f"{count}.xlsx")]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=100)
        return int(done.stdout)

    assert peak(20_000) - peak(1000) < 4096
    if kind == "xlsx":
        book = openpyxl.load_workbook(tmp_path / "20000.xlsx", read_only=True)
        assert sum(1 for _ in book.worksheets[0].iter_rows(values_only=True)) == 20_001
        book.close()


def test_a_moment_is_told_by_the_offices_clock() -> None:
    summer = datetime(2021, 7, 1, 20, 0, tzinfo=UTC)  # when Tehran had a summer time
    assert as_csv(row(registered_at=summer))[1][COLUMNS.index("registered_at")] == "2021-07-02 00:30"
