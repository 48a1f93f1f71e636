"""The lists of extensions and queues: what the PBX reports of them and what is set here, one row each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.policy import LineState
from app.domain.routing import EXTENSION_PATTERN, QUEUE_PATTERN, Destination, DestinationKind
from app.domain.text import search_key
from app.services.pbx.config_snippets import hint_line
from app.services.pbx.directory import ModuleName, load_modules_by_target
from app.services.pbx.module_destinations import load_destinations
from app.services.pbx.queue_names import Clash, find_clashes
from app.services.pbx.scenarios import ExtensionInput, QueueInput
from app.store.models import ExtensionRow, ExtensionScenario, QueueMemberRow, QueueRow, QueueScenario


@dataclass(frozen=True)
class ListedExtension:
    """`line`: the PBX's report of it, None without one. `modules`: those whose target it is.

    `module_codes`: on FreePBX, the code of the module to which its callers go in a situation; None if it is not known.
    """

    number: str
    line: ExtensionRow | None
    scenario: ExtensionInput | None
    modules: list[ModuleName]
    module_codes: Mapping[str, str] | None = None

    @property
    def state(self) -> LineState:
        return _state(self.line)

    def matches(self, search: str) -> bool:
        name = self.line.name if self.line is not None else ""
        return search_key(search) in search_key(name) or search_key(search) in self.number


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

    @property
    def missing_hint(self) -> str:
        """The line that the PBX needs to report this member's state, "" if it does or no line is known."""
        if self.state is not LineState.UNKNOWN:
            return ""
        return hint_line(self.row.extension, self.line.devices if self.line is not None else "")


@dataclass(frozen=True)
class ListedQueue:
    """`reported`: the PBX's report of it, None without one. The rest is as in `ListedExtension`.

    `clash`: the PBX takes its name for that of another queue.
    """

    name: str
    reported: QueueRow | None
    scenario: QueueInput | None
    members: list[QueueMember]
    modules: list[ModuleName]
    clash: Clash | None = None
    module_codes: Mapping[str, str] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether its name can be a target or a destination."""
        return QUEUE_PATTERN.fullmatch(self.name) is not None

    def matches(self, search: str) -> bool:
        names = [self.name, *(m.name for m in self.members), *(m.row.extension for m in self.members)]
        return any(search_key(search) in search_key(name) for name in names)


def _state(line: ExtensionRow | None) -> LineState:
    return LineState(line.state) if line is not None else LineState.UNKNOWN


def list_extensions(session: Session) -> list[ListedExtension]:
    """Return the extensions that the PBX reports or that have a scenario, shortest numbers first."""
    rows = session.scalars(select(ExtensionRow))
    lines = {row.extension: row for row in rows if EXTENSION_PATTERN.fullmatch(row.extension)}
    scenarios = {row.extension: ExtensionInput.from_row(row) for row in session.scalars(select(ExtensionScenario))}
    modules = load_modules_by_target(session)
    codes = load_destinations(session, DestinationKind.EXTENSION)
    return [
        ListedExtension(
            number,
            lines.get(number),
            scenarios.get(number),
            modules.get(_extension(number), []),
            codes.get(number, {}) if codes is not None else None,
        )
        for number in sorted({*lines, *scenarios}, key=lambda number: (len(number), number))
    ]


def find_extension(session: Session, number: str) -> ListedExtension:
    """Return one extension as in the list, also if neither the PBX nor a scenario knows it."""
    line = session.get(ExtensionRow, number)
    scenario = session.get(ExtensionScenario, number)
    modules = load_modules_by_target(session).get(_extension(number), [])
    codes = load_destinations(session, DestinationKind.EXTENSION)
    return ListedExtension(
        number,
        line,
        ExtensionInput.from_row(scenario) if scenario else None,
        modules,
        codes.get(number, {}) if codes is not None else None,
    )


def _extension(number: str) -> Destination:
    return Destination(DestinationKind.EXTENSION, number)


def list_queues(session: Session) -> list[ListedQueue]:
    """Return the queues that the PBX reports or that have a scenario, ordered by name."""
    reported = {row.name: row for row in session.scalars(select(QueueRow))}
    scenarios = {row.queue: QueueInput.from_row(row) for row in session.scalars(select(QueueScenario))}
    lines = {row.extension: row for row in session.scalars(select(ExtensionRow))}
    members = _members_by_queue(session.scalars(select(QueueMemberRow)), lines)
    modules = load_modules_by_target(session)
    clashes = {clash.queue: clash for clash in find_clashes(session)}
    codes = load_destinations(session, DestinationKind.QUEUE)
    return [
        ListedQueue(
            name,
            reported.get(name),
            scenarios.get(name),
            members.get(name, []),
            modules.get(Destination(DestinationKind.QUEUE, name), []),
            clashes.get(name),
            codes.get(name, {}) if codes is not None else None,
        )
        for name in sorted({*reported, *scenarios, *clashes})
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
