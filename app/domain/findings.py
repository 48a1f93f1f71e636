"""What the doctor's checks return: findings in words that can be translated.

The words are kept apart from their values: the command says them in English, and the panel in the user's language.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Union


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
class Line:
    """What to type or to paste."""

    text: str


# A str is a name, an address or what another program said; none of them is translated. A tuple is a list.
Value = Union[str, int, datetime, tuple[str | Line, ...], Line, "Said"]


@dataclass(frozen=True)
class Sentence:
    """English words with a place such as %(file)s for each value. The words are the key of their translation."""

    words: str
    values: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True)
class Said:
    """Sentences, one after the other. As a `str` they are English, and lines stand between backticks."""

    sentences: tuple[Sentence, ...] = ()

    def __add__(self, more: "Said") -> "Said":
        return Said(self.sentences + more.sentences)

    def __str__(self) -> str:
        return " ".join(
            sentence.words % {name: _in_english(value) for name, value in sentence.values}
            for sentence in self.sentences
        )

    def lines(self) -> Iterator[str]:
        """Yield what to type or to paste."""
        for sentence in self.sentences:
            for _, value in sentence.values:
                if isinstance(value, Said):
                    yield from value.lines()
                for each in value if isinstance(value, tuple) else (value,):
                    if isinstance(each, Line):
                        yield each.text


def say(words: str, /, **values: Value) -> Said:
    """Return a sentence. `words` must be a literal: script/messages finds it in the source."""
    return Said((Sentence(words, tuple(values.items())),))


def _in_english(value: Value) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, tuple):
        return ", ".join(map(_in_english, value))
    return f"`{value.text}`" if isinstance(value, Line) else str(value)


@dataclass(frozen=True)
class Finding:
    """The result of one check. `said` tells what was found and what it means, `advice` what to do about it.

    `code` names the finding, whatever it says: programs may go by it.
    """

    level: Level
    code: str
    said: Said
    advice: Said = Said()
    part: Part = Part.DATABASE

    @property
    def text(self) -> str:
        return str(self.said)

    @property
    def fix(self) -> str:
        return str(self.advice)

    @property
    def lines(self) -> tuple[str, ...]:
        """What to type or to paste."""
        return tuple(self.advice.lines())


def ok(code: str, said: Said) -> Finding:
    return Finding(Level.OK, code, said)


def warning(code: str, said: Said, advice: Said) -> Finding:
    return Finding(Level.WARNING, code, said, advice)


def fault(code: str, said: Said, advice: Said) -> Finding:
    return Finding(Level.FAULT, code, said, advice)


# -- as JSON ----------------------------------------------------------------------------------------------------------


def to_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as values of JSON: in English, and as `from_json` reads it."""
    return {
        "level": finding.level.value,
        "code": finding.code,
        "part": finding.part.value,
        "text": finding.text,
        "fix": finding.fix,
        "lines": list(finding.lines),
        "said": _said_to_json(finding.said),
        "advice": _said_to_json(finding.advice),
    }


def from_json(values: Mapping[str, Any]) -> Finding:
    """Return the finding of `to_json`."""
    said, advice = (_said_from_json(values[name]) for name in ("said", "advice"))
    return Finding(Level(values["level"]), values["code"], said, advice, Part(values["part"]))


def _said_to_json(said: Said) -> list[Any]:
    return [
        {"words": sentence.words, "values": {name: _value_to_json(value) for name, value in sentence.values}}
        for sentence in said.sentences
    ]


def _value_to_json(value: Value) -> Any:
    match value:
        case Line(text):
            return {"line": text}
        case Said():
            return {"said": _said_to_json(value)}
        case datetime():
            return {"moment": value.isoformat()}
        case tuple():
            return [_value_to_json(each) for each in value]
    return value


def _said_from_json(sentences: list[Any]) -> Said:
    return Said(
        tuple(
            Sentence(each["words"], tuple((name, _value_from_json(value)) for name, value in each["values"].items()))
            for each in sentences
        )
    )


def _value_from_json(value: Any) -> Value:
    match value:
        case {"line": str(text)}:
            return Line(text)
        case {"said": list(sentences)}:
            return _said_from_json(sentences)
        case {"moment": str(moment)}:
            return datetime.fromisoformat(moment)
        case list(several):
            each = map(_value_from_json, several)
            return tuple(one for one in each if isinstance(one, (str, Line)))
        case str() | int():
            return value
    raise ValueError(f"no value of a finding: {value!r}")
