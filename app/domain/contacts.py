"""Contacts of the office: how their numbers are read, and what an import would change."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain import numbers
from app.domain.numbers import NotANumber, NumberPlan
from app.domain.text import search_key

LONGEST_NAME = LONGEST_ORGANISATION = 120
LONGEST_NOTE = 500
MOST_NUMBERS = 20  # of a contact
MOST = 50_000  # contacts
_BETWEEN_NUMBERS = re.compile(r":::|[;؛,،|\n\r]+")
# What follows a number for the extension behind it. The number is called and calls without it.
_EXTENSION = re.compile(
    r"\s*(?:;\s*ext\s*=|ext\.?|extension|x|#|داخلی|داخلي)\s*[:.]?\s*[0-9۰-۹٠-٩]{1,6}\s*$", re.IGNORECASE
)
_EXTENSION_OF_URL = re.compile(r";\s*ext\s*=\s*([0-9]{1,6})", re.IGNORECASE)


@dataclass(frozen=True)
class ContactData:
    """What a contact consists of. `numbers` are normalized."""

    name: str
    organisation: str = ""
    numbers: tuple[str, ...] = ()
    note: str = ""


def search_text(name: str, organisation: str) -> str:
    """Return what the search for a contact looks in. Its beginning sorts contacts by their names."""
    return f"{search_key(name)} {search_key(organisation)}".strip()


def split_numbers(text: str) -> list[str]:
    """Return the numbers of a text that has several of them. The extension in a tel: URL stays with its number."""
    text = _EXTENSION_OF_URL.sub(r" ext \1", text)
    return [part.strip() for part in _BETWEEN_NUMBERS.split(text) if part.strip()]


def read_number(text: str, plan: NumberPlan) -> str:
    """Return a number as callers' numbers are stored, without the extension behind it. Raises NotANumber."""
    return numbers.normalize(_EXTENSION.sub("", _EXTENSION_OF_URL.sub("", text)), plan)


def read_numbers(texts: Iterable[str], plan: NumberPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the numbers of some texts, each once, and the parts that are none."""
    found: dict[str, None] = {}
    others: dict[str, None] = {}
    for part in (part for text in texts for part in split_numbers(text)):
        try:
            found[read_number(part, plan)] = None
        except NotANumber:
            others[part] = None
    return tuple(found), tuple(others)


# -- what an import would change --------------------------------------------------------------------------------------


class Action(StrEnum):
    """What becomes of a row of an import."""

    ADDED = "added"
    CHANGED = "changed"
    JOINED = "joined"  # with a contact that an earlier row adds
    UNCHANGED = "unchanged"
    LEFT_OUT = "left_out"


class Reason(StrEnum):
    """Why a row or a part of it is left out."""

    NO_NAME = "no_name"
    NO_NUMBER = "no_number"
    BAD_NUMBER = "bad_number"
    TAKEN = "taken"  # the number belongs to another contact
    TOO_MANY_NUMBERS = "too_many_numbers"
    SHORTENED = "shortened"  # a text was too long
    FULL = "full"  # there are MOST contacts


@dataclass(frozen=True)
class Fault:
    """Something that is left out. `text`: what it is about, as the file has it, or a normalized number."""

    reason: Reason
    text: str = ""


@dataclass(frozen=True)
class Row:
    """A row of an import. `place`: its line or card in the file, from 1."""

    place: int
    data: ContactData
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Planned:
    """What becomes of a row. `contact_id`: the contact that exists already, None if it is new.

    `key` is the same for all rows of one contact.
    """

    row: Row
    action: Action
    data: ContactData
    faults: tuple[Fault, ...] = ()
    contact_id: int | None = None
    key: int = 0


def plan_import(rows: Sequence[Row], existing: Mapping[int, ContactData]) -> list[Planned]:
    """Return what becomes of each row.

    A row is about a contact that has one of its numbers and its name, or its name and its organisation. A row with
    another name and the number of one contact renames it, unless another row has that contact's own name. A number is
    never taken from another contact. Numbers of a contact that the file does not name stay.
    """
    return _Plan(rows, existing).make()


class _Plan:
    def __init__(self, rows: Sequence[Row], existing: Mapping[int, ContactData]) -> None:
        self._rows, self._existing = rows, existing
        self._now: dict[int, ContactData] = dict(existing)  # new contacts have keys below zero
        self._owner = {number: key for key, data in existing.items() for number in data.numbers}
        self._named = {_identity(data): key for key, data in existing.items() if data.organisation}
        self._claimed: set[int] = set()  # contacts that a row has the name of, or that a row has renamed

    def make(self) -> list[Planned]:
        for row in self._rows:
            same = self._find_same(row.data)
            if same is not None:
                self._claimed.add(same)
        return [self._plan(row) for row in self._rows]

    def _owners(self, data: ContactData) -> list[int]:
        return list(dict.fromkeys(self._owner[number] for number in data.numbers if number in self._owner))

    def _find_same(self, data: ContactData) -> int | None:
        name = search_key(data.name)
        same = (key for key in self._owners(data) if search_key(self._now[key].name) == name)
        return next(same, self._named.get(_identity(data)) if data.organisation else None)

    def _find_renamed(self, data: ContactData) -> int | None:
        owners = self._owners(data)
        return owners[0] if len(owners) == 1 and owners[0] >= 0 and owners[0] not in self._claimed else None

    def _plan(self, row: Row) -> Planned:
        given = row.data
        if not given.name or not given.numbers:
            reason = Reason.NO_NUMBER if given.name else Reason.NO_NAME
            return Planned(row, Action.LEFT_OUT, given, (*row.faults, Fault(reason)))
        key = self._find_same(given)
        if key is None:
            key = self._find_renamed(given)
        faults = list(row.faults)
        before = self._now[key] if key is not None else ContactData("")
        own = [number for number in given.numbers if self._owner.get(number, key) == key]
        faults += [Fault(Reason.TAKEN, number) for number in given.numbers if number not in own]
        if key is None and not own:
            return Planned(row, Action.LEFT_OUT, given, tuple(faults))
        if key is None and len(self._now) >= MOST:
            return Planned(row, Action.LEFT_OUT, given, (*faults, Fault(Reason.FULL)))
        together = tuple(dict.fromkeys((*before.numbers, *own)))
        faults += [Fault(Reason.TOO_MANY_NUMBERS, number) for number in together[MOST_NUMBERS:]]
        data = ContactData(
            given.name,
            given.organisation or before.organisation,
            together[:MOST_NUMBERS],
            given.note or before.note,
        )
        return self._note(row, key, before, data, tuple(faults))

    def _note(
        self, row: Row, key: int | None, before: ContactData, data: ContactData, faults: tuple[Fault, ...]
    ) -> Planned:
        if key is None:
            key, action = -1 - len(self._now), Action.ADDED
        elif key < 0:
            action = Action.JOINED
        else:
            same = replace(data, numbers=()) == replace(before, numbers=()) and set(data.numbers) == set(before.numbers)
            action = Action.UNCHANGED if same else Action.CHANGED
        self._now[key] = data
        self._claimed.add(key)
        self._owner |= dict.fromkeys(data.numbers, key)
        if data.organisation:
            self._named.setdefault(_identity(data), key)
        return Planned(row, action, data, faults, key if key >= 0 else None, key)


def _identity(data: ContactData) -> tuple[str, str]:
    return search_key(data.name), search_key(data.organisation)
