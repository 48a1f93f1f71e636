"""The lists of numbers that are blocked, not limited, or served first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.limits import ListKind, NumberRange
from app.domain.numbers import NotANumber, NumberPlan
from app.domain.routing import EXTENSION_PATTERN
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.services.requests.actions import MAX_LIST_NOTE_LENGTH
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import ListedNumber
from app.store.pbx_state import office_region

SHORTEST_PREFIX = 2  # digits after the country code
_RANGE_SIGN = re.compile(r"\s+-\s+|[–—]|\s+تا\s+|\s+to\s+|(?<=\d{5})-(?=\+?\d{5})")


class NotARange(ValueError):
    """The text is no number or range of numbers."""


@dataclass(frozen=True)
class ListedView:
    """An entry of a list. `text` is the number or range as people write it. `agent`: the fixed agent, "" for none."""

    id: int
    kind: ListKind
    text: str
    agent: str
    note: str
    created_by: str
    created_at: datetime


def canonical(raw: str, plan: NumberPlan) -> str:
    """Return a number as it is stored, also one that is in no numbering plan, "" if it is none."""
    try:
        return numbers.normalize(raw, plan)
    except NotANumber:
        pass
    try:
        parsed = phonenumbers.parse(numbers.ascii_digits(raw), plan.region)
    except NumberParseException:
        return ""
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def parse_range(text: str, plan: NumberPlan) -> NumberRange:
    """Read "09121234567", "0912*" or "02188880000 - 02188889999". Raises NotARange."""
    text = numbers.ascii_digits(text).strip()
    if text.endswith("*"):
        return NumberRange(parse_prefix(text[:-1], plan), "")
    parts = [canonical(part, plan) for part in _RANGE_SIGN.split(text, maxsplit=1)]
    if not all(parts) or len(parts[0]) != len(parts[-1]) or parts[0] > parts[-1]:
        raise NotARange(text)
    return NumberRange(parts[0], parts[-1])


def parse_prefix(text: str, plan: NumberPlan) -> str:
    """Return the beginning of numbers as it is stored: "+98912" for "0912". Raises NotARange."""
    digits = re.sub(r"[\s().-]", "", numbers.ascii_digits(text))
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    if not re.fullmatch(r"\+?[0-9]{1,20}", digits):
        raise NotARange(text)
    if digits.startswith("+"):
        if len(digits) <= SHORTEST_PREFIX:
            raise NotARange(text)
        return digits
    country = f"+{phonenumbers.country_code_for_region(plan.region)}"
    digits = digits.removeprefix(phonenumbers.ndd_prefix_for_region(plan.region, True) or "")
    if len(digits) < SHORTEST_PREFIX:
        raise NotARange(text)
    return country + digits


def write_range(entry: NumberRange, region: str) -> str:
    """Return a range as people of this country write it; `parse_range` reads it."""
    if not entry.last:
        return f"{entry.first}*"
    first, last = numbers.national(entry.first, region), numbers.national(entry.last, region)
    return first if first == last else f"{first} – {last}"


def load_entries(database: Database) -> list[ListedView]:
    """Return the entries of all lists, the newest first."""
    with database.read() as session:
        rows: Sequence[ListedNumber] = session.scalars(select(ListedNumber).order_by(ListedNumber.id.desc())).all()
        region = office_region(session)
    return [
        ListedView(
            row.id,
            ListKind(row.kind),
            write_range(NumberRange(row.first, row.last), region),
            row.agent,
            row.note,
            row.created_by,
            row.created_at,
        )
        for row in rows
    ]


def add_entry(
    database: Database,
    settings: Settings,
    kind: str,
    text: str,
    note: str,
    *,
    agent: str = "",
    actor: str,
    now: datetime,
) -> None:
    """Add a number or range to a list. `agent`: the fixed agent, for the list with priority only. Raises Invalid."""
    note = note.strip()
    errors = check_line("note", note, MAX_LIST_NOTE_LENGTH)
    if kind not in set(ListKind):
        errors["kind"] = ErrorCode.CHOICE
    if agent and kind != ListKind.PRIORITY:
        errors["agent"] = ErrorCode.ONLY_PRIORITY
    elif agent and not EXTENSION_PATTERN.fullmatch(agent):
        errors["agent"] = ErrorCode.CODE
    try:
        with database.write() as session:
            plan = store_settings.number_plan(session, settings)
            try:
                entry = parse_range(text, plan)
            except NotARange:
                errors["number"] = ErrorCode.NUMBER if text.strip() else ErrorCode.REQUIRED
            if errors:
                raise Invalid(errors)
            session.add(
                ListedNumber(
                    kind=kind,
                    first=entry.first,
                    last=entry.last,
                    agent=agent,
                    note=note,
                    created_by=actor,
                    created_at=now,
                )
            )
            session.flush()
            changed = {"list": ["", kind], "fixed_agent": ["", agent], "note": ["", note]}
            audit.record(session, actor, AuditAction.NUMBER_LISTED, write_range(entry, plan.region), changed, now)
    except IntegrityError:
        raise Invalid({"number": ErrorCode.TAKEN}) from None


def block_number(session: Session, number: str, note: str, *, actor: str, now: datetime) -> None:
    """Put a normalized number on the block list, also if it was on the other one."""
    row = session.scalar(select(ListedNumber).where(ListedNumber.first == number, ListedNumber.last == number))
    if row is not None and row.kind == ListKind.BLOCK:
        return
    old = row.kind if row is not None else ""
    if row is None:
        row = ListedNumber(first=number, last=number)
        session.add(row)
    row.kind, row.agent, row.note, row.created_by, row.created_at = ListKind.BLOCK.value, "", note, actor, now
    changed = {"list": [old, row.kind], "note": ["", note]}
    audit.record(
        session, actor, AuditAction.NUMBER_LISTED, numbers.national(number, office_region(session)), changed, now
    )


def remove_entry(database: Database, entry_id: int, *, actor: str, now: datetime) -> str:
    """Remove an entry and return its number or range. Raises NotFound."""
    with database.write() as session:
        row = session.get(ListedNumber, entry_id)
        if row is None:
            raise NotFound(f"listed number {entry_id}")
        text = write_range(NumberRange(row.first, row.last), office_region(session))
        changed = {"list": [row.kind, ""], "fixed_agent": [row.agent, ""], "note": [row.note, ""]}
        session.delete(row)
        audit.record(session, actor, AuditAction.NUMBER_UNLISTED, text, changed, now)
    return text
