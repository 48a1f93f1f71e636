"""The report as a file for a spreadsheet: exactly what is filtered, a row at a time, and nothing in it that computes.

What a cell says may come from a stranger's telephone. In the Excel file every cell is written as what it is, so that
none is a formula. CSV has no such thing as a type: there a cell that a spreadsheet could take for a formula, or for a
number whose zeros it would drop, begins with an apostrophe.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import xlsxwriter
from persiantools.jdatetime import JalaliDateTime
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from app.domain.lifecycle import Status
from app.services.report.query import ReportRow

COLUMNS = (
    "id", "operator", "target", "module", "caller_number", "caller_name", "number", "created_by", "registered_at",
    "done_at", "status", "attempts", "note",
)  # fmt: skip
MOMENTS = ("registered_at", "done_at")
WIDTHS = {"id": 9, "attempts": 9, "status": 12, "note": 40, "caller_name": 22, "module": 18, "target": 18}
WIDTH = 17  # characters
MOST_ROWS = 1_048_576  # of a sheet, its header included
LONGEST_CELL = 32_767  # characters
DATE_FORMAT = "yyyy-mm-dd hh:mm"
AT_ONCE = 64 * 1024  # characters of CSV

Cell = str | int | datetime | None
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠|%]|[\t\r\n\x00]")
_LOSES_DIGITS = re.compile(r"\s*(0[0-9]+|[0-9]{12,})\s*")


@dataclass(frozen=True)
class Wording:
    """What the file says, in the reader's language.

    `titles`: of each of COLUMNS; for Persian also of "registered_at_jalali" and "done_at_jalali". `caller` stands for
    whoever registered by phone, `sheet` is the sheet's name.
    """

    titles: Mapping[str, str]
    statuses: Mapping[Status, str]
    caller: str = ""
    sheet: str = ""
    locale: Literal["fa", "en"] = "en"


def columns(wording: Wording) -> list[str]:
    """Return the columns of a file: to a Persian reader each moment is told twice, the second time as a Jalali date."""
    if wording.locale != "fa":
        return list(COLUMNS)
    return [name for column in COLUMNS for name in (column, f"{column}_jalali")[: 1 + (column in MOMENTS)]]


def _cells(rows: Iterable[ReportRow], wording: Wording, zone: ZoneInfo) -> Iterator[list[Cell]]:
    names = columns(wording)
    for row in rows:
        registered, done = (_local(moment, zone) for moment in (row.registered_at, row.done_at))
        values: dict[str, Cell] = {
            "id": row.id,
            "operator": row.operator,
            "target": ", ".join(row.wanted),
            "module": row.module,
            "caller_number": row.caller_number,
            "caller_name": row.caller_name,
            "number": row.number,
            "created_by": row.created_by or wording.caller,
            "registered_at": registered,
            "done_at": done,
            "status": wording.statuses[row.status],
            "attempts": row.attempts,
            "note": row.note,
        }
        if wording.locale == "fa":
            values |= {"registered_at_jalali": _jalali(registered), "done_at_jalali": _jalali(done)}
        yield [values[name] for name in names]


def _local(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """Return a moment by the office's clock, without a zone, as spreadsheets know dates."""
    return None if moment is None else moment.astimezone(zone).replace(tzinfo=None, microsecond=0)


def _jalali(local: datetime | None) -> str:
    return "" if local is None else JalaliDateTime.to_jalali(local).strftime("%Y/%m/%d %H:%M")


# CSV


def write_csv(rows: Iterable[ReportRow], wording: Wording, zone: ZoneInfo) -> Iterator[bytes]:
    """Yield a CSV file in UTF-8, with the mark by which Excel knows that."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow([_safe(wording.titles[name]) for name in columns(wording)])
    for cells in _cells(rows, wording, zone):
        writer.writerow([_plain(cell) for cell in cells])
        if buffer.tell() >= AT_ONCE:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _plain(cell: Cell) -> str:
    if isinstance(cell, str):
        return _safe(cell)
    return "" if cell is None else cell.strftime("%Y-%m-%d %H:%M") if isinstance(cell, datetime) else str(cell)


def _safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, nor for a number of which it would drop digits."""
    text = text.replace("\x00", "")
    return f"'{text}" if _FORMULA.match(text) or _LOSES_DIGITS.fullmatch(text) else text


# Excel


def write_xlsx(path: Path, rows: Iterable[ReportRow], wording: Wording, zone: ZoneInfo) -> int:
    """Write an Excel file; return how many rows it has. What it holds in memory does not grow with them."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "tmpdir": str(path.parent),
    }
    with xlsxwriter.Workbook(str(path), options) as workbook:
        return _Workbook(workbook, wording).write(_cells(rows, wording, zone))


class _Workbook:
    def __init__(self, workbook: Any, wording: Wording) -> None:
        self._workbook, self._wording = workbook, wording
        self._names = columns(wording)
        self._header: Format = workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._text: Format = workbook.add_format({"num_format": "@"})
        self._date: Format = workbook.add_format({"num_format": DATE_FORMAT})
        self._sheets = 0

    def write(self, lines: Iterator[Sequence[Cell]]) -> int:
        written = on_sheet = 0
        sheet = self._begin()
        for cells in lines:
            if on_sheet == MOST_ROWS - 1:
                self._end(sheet, on_sheet)
                sheet, on_sheet = self._begin(), 0
            on_sheet += 1
            written += 1
            for column, cell in enumerate(cells):
                self._write_cell(sheet, on_sheet, column, cell)
        self._end(sheet, on_sheet)
        return written

    def _begin(self) -> Worksheet:
        self._sheets += 1
        name = _sheet_name(self._wording.sheet)
        sheet: Worksheet = self._workbook.add_worksheet(f"{name} {self._sheets}" if self._sheets > 1 else name or None)
        if self._wording.locale == "fa":
            sheet.right_to_left()
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(self._names):
            sheet.set_column(column, column, WIDTHS.get(name, WIDTH))
        for column, name in enumerate(self._names):
            sheet.write_string(0, column, self._wording.titles[name], self._header)
        return sheet

    def _end(self, sheet: Worksheet, rows: int) -> None:
        sheet.autofilter(0, 0, rows, len(self._names) - 1)

    def _write_cell(self, sheet: Worksheet, row: int, column: int, cell: Cell) -> None:
        """Write a cell as what it is: nothing is left for the library to guess."""
        if isinstance(cell, str):
            if cell:
                sheet.write_string(row, column, cell[:LONGEST_CELL], self._text)
        elif isinstance(cell, datetime):
            sheet.write_datetime(row, column, cell, self._date)
        elif cell is not None:
            sheet.write_number(row, column, cell)


def _sheet_name(wanted: str) -> str:
    """Return what of a name Excel takes for a sheet, with room for a number behind it."""
    return re.sub(r"[\[\]:*?/\\]", " ", wanted).strip("' ")[:26]
