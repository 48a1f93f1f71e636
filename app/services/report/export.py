"""Export the report as Excel or CSV, row by row and without formulas.

Cells may hold text from callers. In the Excel file every cell has an explicit type, so none is a formula. CSV has no
types. There, a cell gets a leading apostrophe if a spreadsheet could read it as a formula or drop its leading zeros.
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
from app.domain.routing import CameBy
from app.services.report.query import ReportRow

COLUMNS = (
    "id", "operator", "target", "module", "caller_number", "caller_name", "number", "created_by", "registered_at",
    "done_at", "status", "attempts", "note", "contact_name",
)  # fmt: skip
TIME_COLUMNS = ("registered_at", "done_at")
WIDTHS = {"id": 9, "attempts": 9, "status": 12, "note": 40, "module": 18, "target": 18}
WIDTHS |= {"caller_name": 22, "contact_name": 22}
WIDTH = 17  # characters
MAX_ROWS = 1_048_576  # per sheet, with its header
MAX_CELL_LENGTH = 32_767  # characters
DATE_FORMAT = "yyyy-mm-dd hh:mm"
CHUNK = 64 * 1024  # characters of CSV

Cell = str | int | datetime | None
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠|%]|[\t\r\n\x00]")
_LOSES_DIGITS = re.compile(r"\s*(0[0-9]+|[0-9]{12,})\s*")


@dataclass(frozen=True)
class Wording:
    """The texts of the file in the reader's language.

    `titles` has a title for each of COLUMNS, in Persian also for "registered_at_jalali" and "done_at_jalali". `caller`
    is shown as the creator of requests made by phone, `missed_call` of those that the worker made from a missed call,
    and `website`, before the name of the form, of those from a website.
    `sheet` is the name of the sheet.
    """

    titles: Mapping[str, str]
    statuses: Mapping[Status, str]
    caller: str = ""
    missed_call: str = ""
    website: str = ""
    sheet: str = ""
    locale: Literal["fa", "en"] = "en"


def columns(wording: Wording) -> list[str]:
    """Return the columns of a file. In Persian, each time is followed by its Jalali date."""
    if wording.locale != "fa":
        return list(COLUMNS)
    return [name for column in COLUMNS for name in (column, f"{column}_jalali")[: 1 + (column in TIME_COLUMNS)]]


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
            "contact_name": row.contact_name,
            "created_by": _creator(row, wording),
            "registered_at": registered,
            "done_at": done,
            "status": wording.statuses[row.status],
            "attempts": row.attempts,
            "note": row.note,
        }
        if wording.locale == "fa":
            values |= {"registered_at_jalali": _jalali(registered), "done_at_jalali": _jalali(done)}
        yield [values[name] for name in names]


def _creator(row: ReportRow, wording: Wording) -> str:
    if row.came_by is CameBy.WEBSITE:
        return f"{wording.website} {row.website}"
    return row.created_by or (wording.missed_call if row.came_by is CameBy.MISSED_CALL else wording.caller)


def _local(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """Return the local time without a time zone, as spreadsheets store it."""
    return None if moment is None else moment.astimezone(zone).replace(tzinfo=None, microsecond=0)


def _jalali(local: datetime | None) -> str:
    return "" if local is None else JalaliDateTime.to_jalali(local).strftime("%Y/%m/%d %H:%M")


# CSV


def write_csv(rows: Iterable[ReportRow], wording: Wording, zone: ZoneInfo) -> Iterator[bytes]:
    """Yield a CSV file in UTF-8 with a byte order mark, which Excel needs."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow([safe_cell(wording.titles[name]) for name in columns(wording)])
    for cells in _cells(rows, wording, zone):
        writer.writerow([_plain(cell) for cell in cells])
        if buffer.tell() >= CHUNK:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _plain(cell: Cell) -> str:
    if isinstance(cell, str):
        return safe_cell(cell)
    return "" if cell is None else cell.strftime("%Y-%m-%d %H:%M") if isinstance(cell, datetime) else str(cell)


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet reads as a formula or as a number with dropped digits."""
    text = text.replace("\x00", "")
    return f"'{text}" if _FORMULA.match(text) or _LOSES_DIGITS.fullmatch(text) else text


# Excel


def write_xlsx(path: Path, rows: Iterable[ReportRow], wording: Wording, zone: ZoneInfo) -> int:
    """Write an Excel file and return its number of rows. Memory use does not grow with the rows."""
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
        sheet = self._add_sheet()
        for cells in lines:
            if on_sheet == MAX_ROWS - 1:
                self._finish_sheet(sheet, on_sheet)
                sheet, on_sheet = self._add_sheet(), 0
            on_sheet += 1
            written += 1
            for column, cell in enumerate(cells):
                self._write_cell(sheet, on_sheet, column, cell)
        self._finish_sheet(sheet, on_sheet)
        return written

    def _add_sheet(self) -> Worksheet:
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

    def _finish_sheet(self, sheet: Worksheet, rows: int) -> None:
        sheet.autofilter(0, 0, rows, len(self._names) - 1)

    def _write_cell(self, sheet: Worksheet, row: int, column: int, cell: Cell) -> None:
        """Write a cell with its type, so that the library does not guess."""
        if isinstance(cell, str):
            if cell:
                sheet.write_string(row, column, cell[:MAX_CELL_LENGTH], self._text)
        elif isinstance(cell, datetime):
            sheet.write_datetime(row, column, cell, self._date)
        elif cell is not None:
            sheet.write_number(row, column, cell)


def _sheet_name(wanted: str) -> str:
    """Return a name that Excel accepts for a sheet, with room for a number."""
    return re.sub(r"[\[\]:*?/\\]", " ", wanted).strip("' ")[:26]
