"""Read a file of contacts, which anybody may have made: its size, its rows and the time are limited."""

import codecs
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.audio.child_process import run_child
from app.audio.clip import SoundError
from app.domain import contacts
from app.domain.contacts import ContactData, Fault, Reason, Row
from app.domain.numbers import NotANumber, NumberPlan
from app.domain.text import displayable, search_key
from app.services.errors import ErrorCode, Invalid

log = logging.getLogger(__name__)
LARGEST = 10_000_000  # bytes
SECONDS = 30.0
LIMITS = {"rows": contacts.MOST + 1, "columns": 100, "cell": 1000, "cards": 20_000}
LOOKED_AT = 50  # rows by which columns without titles are recognised
_CHILD = Path(__file__).with_name("contact_child.py")
_VCARD = re.compile(r"\s*BEGIN:VCARD", re.IGNORECASE)
# What a text of Windows-1256 may have besides ASCII, if it is Arabic or Persian: their letters, signs and joiners. A
# text of another encoding has other letters when it is read as this one.
_ARABIC = re.compile(r"[\u0600-\u06ff\u200c-\u200f\u00a0\u00ab\u00bb\u2013\u2014\u2018\u2019\u201c\u201d\u2026]")


class Column(StrEnum):
    """What a column of a file is. The values are stored."""

    IGNORED = ""
    NAME = "name"
    FAMILY_NAME = "family_name"  # follows the name
    ORGANISATION = "organisation"
    NUMBER = "number"  # one, or several with semicolons between
    NOTE = "note"


_TITLES = {
    Column.NAME: "name fullname displayname contact contactname givenname firstname نام نامکامل نامونامخانوادگی مخاطب",
    Column.FAMILY_NAME: "lastname familyname surname نامخانوادگی فامیلی فامیل",
    Column.ORGANISATION: "organisation organization organizationname organization1name company companyname "
    "شرکت سازمان نامشرکت نامسازمان موسسه",
    Column.NOTE: "note notes comment comments description یادداشت توضیح توضیحات شرح",
}
_BY_TITLE = {search_key(title): column for column, titles in _TITLES.items() for title in titles.split()}
_GIVEN_NAME = frozenset({"givenname", "firstname"})
_NUMBER_TITLE = re.compile("phone|mobile|tel|number|cell|شماره|تلفن|موبایل|همراه|تماس")
_NO_NUMBER_TITLE = re.compile("type|label|fax|email|نوع|برچسب|نمابر|فکس|ایمیل")


@dataclass(frozen=True)
class Table:
    """The cells of a file. `columns` says what each column is, `has_titles` whether the first row has titles.

    `unreadable` counts the cards that were left out.
    """

    rows: tuple[tuple[str, ...], ...]
    columns: tuple[Column, ...]
    has_titles: bool
    unreadable: int = 0


def read_table(content: bytes, plan: NumberPlan) -> Table:
    """Return the cells of a CSV or vCard file. Raises Invalid for the field `file`."""
    if len(content) > LARGEST:
        raise Invalid({"file": ErrorCode.CONTACTS_SIZE})
    text = _decode(content).replace("\0", "")
    kind = "vcard" if _VCARD.match(text) else "csv"
    try:
        reply = run_child(str(_CHILD), {"content": text, "kind": kind, "limits": LIMITS}, timeout=SECONDS, file_bytes=0)
    except SoundError as error:
        # Too slow, or it needed too much memory: no list of contacts does.
        code = ErrorCode.BUSY if error.code == "busy" else ErrorCode.CONTACTS_SIZE
        raise Invalid({"file": code}) from None
    if "fault" in reply:
        log.info("a file of contacts was refused: %s", reply)
        raise Invalid({"file": ErrorCode(reply["fault"])})
    rows = tuple(tuple(displayable_lines(cell) for cell in row) for row in reply["rows"])
    if not rows:
        raise Invalid({"file": ErrorCode.NO_CONTACTS})
    if kind == "vcard":
        columns = (Column.NAME, Column.ORGANISATION, Column.NUMBER, Column.NOTE)
        return Table(rows, columns, has_titles=False, unreadable=int(reply["unreadable"]))
    return _recognise(rows, plan)


def displayable_lines(cell: str) -> str:
    """Return the displayable characters of a cell, whose lines stay lines."""
    return "\n".join(filter(None, (displayable(line, LIMITS["cell"]) for line in cell.splitlines())))


def _decode(content: bytes) -> str:
    """Return the text of a file. Raises Invalid."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "cp1256"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "cp1256" or all(char.isascii() or _ARABIC.match(char) for char in text):
            return text
    raise Invalid({"file": ErrorCode.ENCODING})


def _recognise(rows: tuple[tuple[str, ...], ...], plan: NumberPlan) -> Table:
    """Say what the columns are: by their titles, or by what is in them if there are none."""
    by_title = _columns_of(rows[0])
    if Column.NUMBER in by_title and not any(_is_number(cell, plan) for cell in rows[0]):
        return Table(rows, by_title, has_titles=True)
    found = [Column.IGNORED] * len(rows[0])
    for place in range(len(found)):
        cells = [row[place] for row in rows[:LOOKED_AT] if row[place]]
        if cells and 2 * sum(_is_number(cell, plan) for cell in cells) > len(cells):
            found[place] = Column.NUMBER
        elif cells and Column.NAME not in found:
            found[place] = Column.NAME
    return Table(rows, tuple(found), has_titles=False)


def _columns_of(titles: Sequence[str]) -> tuple[Column, ...]:
    keys = [re.sub(r"[^\w]|_", "", search_key(title)) for title in titles]
    columns = [_column_of(key) for key in keys]
    pairs = list(zip(keys, columns, strict=True))
    if _GIVEN_NAME & set(keys) and any(column is Column.NAME and key not in _GIVEN_NAME for key, column in pairs):
        # Some programs write the whole name, and its parts as well.
        columns = [
            Column.IGNORED if key in _GIVEN_NAME or column is Column.FAMILY_NAME else column for key, column in pairs
        ]
    return tuple(columns)


def _column_of(key: str) -> Column:
    """Return what a column with this title is. `key`: the letters and digits of the title, as searches compare them."""
    if key in _BY_TITLE:
        return _BY_TITLE[key]
    return Column.NUMBER if _NUMBER_TITLE.search(key) and not _NO_NUMBER_TITLE.search(key) else Column.IGNORED


def _is_number(cell: str, plan: NumberPlan) -> bool:
    parts = contacts.split_numbers(_unprotected(cell))
    try:
        return bool([contacts.read_number(part, plan) for part in parts])
    except NotANumber:
        return False


# -- rows -------------------------------------------------------------------------------------------------------------

_PROTECTED = re.compile(r"'(?=[=+\-@＝＋－＠|%0-9])")


def _unprotected(cell: str) -> str:
    """Return a cell without the apostrophe by which an export keeps spreadsheets from reading a formula in it."""
    return _PROTECTED.sub("", cell, count=1) if cell.startswith("'") else cell


def to_rows(table: Table, plan: NumberPlan) -> list[Row]:
    """Return the contacts of a file, one for each row, with what could not be used of each."""
    first = 1 if table.has_titles else 0
    return [_to_row(place, cells, table.columns, plan) for place, cells in enumerate(table.rows[first:], 1 + first)]


def _to_row(place: int, cells: Sequence[str], columns: Sequence[Column], plan: NumberPlan) -> Row:
    def texts(column: Column) -> list[str]:
        return [_unprotected(cell) for cell, of in zip(cells, columns, strict=True) if of is column and cell]

    faults: list[Fault] = []

    def line(text: str, longest: int) -> str:
        if len(text) > longest:
            faults.append(Fault(Reason.SHORTENED, text[:40]))
        return text[:longest].strip()

    organisation = line(" ".join(" ".join(texts(Column.ORGANISATION)).split()), contacts.LONGEST_ORGANISATION)
    name = " ".join(" ".join([*texts(Column.NAME), *texts(Column.FAMILY_NAME)]).split())
    name = line(name, contacts.LONGEST_NAME) or organisation
    note = line("\n".join(texts(Column.NOTE)), contacts.LONGEST_NOTE)
    found, others = contacts.read_numbers(texts(Column.NUMBER), plan)
    faults += [Fault(Reason.BAD_NUMBER, text[:40]) for text in others]
    return Row(place, ContactData(name, organisation, found, note), tuple(faults))
