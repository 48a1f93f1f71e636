"""The corpus of numbers: hostile ones, which must never be called, and ordinary ones, which must be accepted."""

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from app.domain.number_policy import Rule

EXTENSIONS = ("701", "702")  # of every office
_FOLDER = Path(__file__).parent
Entry = TypeVar("Entry", "Hostile", "Ordinary")


@dataclass(frozen=True)
class Place:
    """An office: its country, and its area code or ""."""

    region: str
    area_code: str


@dataclass(frozen=True)
class Hostile:
    """A number or text that must not be called. `rule` refuses it, `what` says what it is."""

    place: Place
    rule: Rule
    text: str
    what: str

    @property
    def can_be_typed(self) -> bool:
        return can_be_typed(self.text)

    @property
    def stratum(self) -> Hashable:
        """What it has in common with others: the rule, what it is, and whether it is written as digits."""
        return self.rule, self.what, self.can_be_typed


@dataclass(frozen=True)
class Ordinary:
    """A number that must be accepted. `kind` is a NumberKind, `number` the normalized form."""

    place: Place
    kind: str
    number: str
    text: str

    @property
    def can_be_typed(self) -> bool:
        return can_be_typed(self.text)

    @property
    def stratum(self) -> Hashable:
        """What it has in common with others: the kind, and the signs beside its digits."""
        return self.kind, frozenset(sign for sign in self.text if not sign.isalnum())


def can_be_typed(text: str) -> bool:
    """Tell whether a caller can type it on a telephone."""
    return text.isascii() and text.isdigit() and len(text) <= 20


@cache
def hostile() -> tuple[Hostile, ...]:
    return tuple(
        Hostile(Place(region, area), Rule(rule), json.loads(text), what)
        for region, area, rule, text, what in _rows("hostile_numbers.tsv")
    )


@cache
def ordinary() -> tuple[Ordinary, ...]:
    return tuple(
        Ordinary(Place(region, area), kind, number, json.loads(text))
        for region, area, kind, number, text in _rows("ordinary_numbers.tsv")
    )


def sample(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return one entry of each stratum, for ways that are slow. The whole corpus is for the functions that decide."""
    return tuple({entry.stratum: entry for entry in reversed(entries)}.values())[::-1]


def by_place(entries: tuple[Entry, ...], part: int = 0, parts: int = 1) -> dict[Place, list[Entry]]:
    """Return one of `parts` parts of the corpus, by the offices. The parts are about equally long."""
    groups: dict[Place, list[Entry]] = {}
    for entry in entries[part * len(entries) // parts : (part + 1) * len(entries) // parts]:
        groups.setdefault(entry.place, []).append(entry)
    return groups


def _rows(name: str) -> Iterator[list[str]]:
    for line in (_FOLDER / name).read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            region, area, *others = line.split("\t")
            yield [region, area.strip("-"), *others]
