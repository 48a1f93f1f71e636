"""What the doctor's checks return."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """The result of one check. `text` says what was found and what it means, `fix` what to do about it."""

    level: Level
    text: str
    fix: str = ""


def ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def warning(text: str, fix: str) -> Finding:
    return Finding(Level.WARNING, text, fix)


def fault(text: str, fix: str) -> Finding:
    return Finding(Level.FAULT, text, fix)
