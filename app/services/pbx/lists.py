"""The lists of extensions and queues: what the PBX reports of them and what is set here, one row each."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.numbers import ascii_digits
from app.domain.policy import LineState
from app.domain.routing import Destination, DestinationKind
from app.services.pbx.directory import ModuleName, load_modules_by_target
from app.services.pbx.scenarios import ExtensionInput, QueueInput
from app.store.models import ExtensionRow, ExtensionScenario, QueueMemberRow, QueueRow, QueueScenario


@dataclass(frozen=True)
class ListedExtension:
    """`line`: the PBX's report of it, None without one. `modules`: those whose target it is."""

    number: str
    line: ExtensionRow | None
    scenario: ExtensionInput | None
    modules: list[ModuleName]

    @property
    def state(self) -> LineState:
        return _state(self.line)

    def matches(self, search: str) -> bool:
        name = self.line.name if self.line is not None else ""
        return search.lower() in name.lower() or ascii_digits(search) in self.number


@dataclass(frozen=True)
class QueueMember:
    """A member of a queue and the report of its line, None without one."""

    row: QueueMemberRow
    line: ExtensionRow | None

    @property
    def name(self) -> str:
        return (self.line.name if self.line is not None else "") or self.row.name

    @property
    def state(self) -> LineState:
        return _state(self.line)


@dataclass(frozen=True)
class ListedQueue:
    """`reported`: the PBX's report of it, None without one. `modules`: those whose target it is."""

    name: str
    reported: QueueRow | None
    scenario: QueueInput | None
    members: list[QueueMember]
    modules: list[ModuleName]

    def matches(self, search: str) -> bool:
        names = [self.name, *(m.name for m in self.members), *(m.row.extension for m in self.members)]
        return any(ascii_digits(search).lower() in name.lower() for name in names)


def _state(line: ExtensionRow | None) -> LineState:
    return LineState(line.state) if line is not None else LineState.UNKNOWN


def list_extensions(session: Session) -> list[ListedExtension]:
    """Return the extensions that the PBX reports or that have a scenario, shortest numbers first."""
    lines = {row.extension: row for row in session.scalars(select(ExtensionRow))}
    scenarios = {row.extension: ExtensionInput.from_row(row) for row in session.scalars(select(ExtensionScenario))}
    modules = load_modules_by_target(session)
    return [
        ListedExtension(number, lines.get(number), scenarios.get(number), modules.get(_extension(number), []))
        for number in sorted({*lines, *scenarios}, key=lambda number: (len(number), number))
    ]


def find_extension(session: Session, number: str) -> ListedExtension:
    """Return one extension as in the list, also if neither the PBX nor a scenario knows it."""
    line = session.get(ExtensionRow, number)
    scenario = session.get(ExtensionScenario, number)
    modules = load_modules_by_target(session).get(_extension(number), [])
    return ListedExtension(number, line, ExtensionInput.from_row(scenario) if scenario else None, modules)


def _extension(number: str) -> Destination:
    return Destination(DestinationKind.EXTENSION, number)


def list_queues(session: Session) -> list[ListedQueue]:
    """Return the queues that the PBX reports or that have a scenario, ordered by name."""
    reported = {row.name: row for row in session.scalars(select(QueueRow))}
    scenarios = {row.queue: QueueInput.from_row(row) for row in session.scalars(select(QueueScenario))}
    lines = {row.extension: row for row in session.scalars(select(ExtensionRow))}
    members = _members_by_queue(session.scalars(select(QueueMemberRow)), lines)
    modules = load_modules_by_target(session)
    return [
        ListedQueue(
            name,
            reported.get(name),
            scenarios.get(name),
            members.get(name, []),
            modules.get(Destination(DestinationKind.QUEUE, name), []),
        )
        for name in sorted({*reported, *scenarios})
    ]


def find_queue(session: Session, name: str) -> ListedQueue:
    """Return one queue as in the list, also if neither the PBX nor a scenario knows it."""
    return next((row for row in list_queues(session) if row.name == name), ListedQueue(name, None, None, [], []))


def _members_by_queue(rows: Iterable[QueueMemberRow], lines: dict[str, ExtensionRow]) -> dict[str, list[QueueMember]]:
    """Return the members of each queue, lowest penalty first, then shortest numbers."""
    members: dict[str, list[QueueMember]] = {}
    for row in sorted(rows, key=lambda row: (row.penalty, len(row.extension), row.extension)):
        members.setdefault(row.queue, []).append(QueueMember(row, lines.get(row.extension)))
    return members
