"""What the doctor's checks return."""

import re
from dataclasses import dataclass
from enum import StrEnum

_LINE = re.compile("`([^`]+)`")


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Part(StrEnum):
    """The part of the installation that a finding is about, in the order in which they are checked."""

    DATABASE = "database"
    FILES = "files"
    SOUNDS = "sounds"
    LOGINS = "logins"
    MESSAGES = "messages"
    PBX = "pbx"
    WORKER = "worker"


@dataclass(frozen=True)
class Finding:
    """The result of one check. `text` says what was found and what it means, `fix` what to do about it.

    In `fix`, what to type or to paste stands between backticks.
    """

    level: Level
    text: str
    fix: str = ""
    part: Part = Part.DATABASE

    @property
    def lines(self) -> tuple[str, ...]:
        """What to type or to paste."""
        return tuple(_LINE.findall(self.fix))


def ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def warning(text: str, fix: str) -> Finding:
    return Finding(Level.WARNING, text, fix)


def fault(text: str, fix: str) -> Finding:
    return Finding(Level.FAULT, text, fix)
