"""Find the lines by which a plain Asterisk rings extensions and fills queues past the scenarios that are set here."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.outbound import Step
from app.domain.routing import Context, Destination, DestinationKind
from app.telephony.devices import parse_hint
from app.telephony.dialer import Ami
from app.telephony.outbound import matching_steps

_OURS = "bazang-"
_ENTRANCES = {DestinationKind.EXTENSION: Context.EXTENSIONS, DestinationKind.QUEUE: Context.QUEUES}


@dataclass(frozen=True)
class OwnLine:
    """A step of the PBX's own dialplan by which callers get to an extension or a queue, but never to its scenario."""

    target: Destination
    step: Step


@dataclass(frozen=True)
class WaysIn:
    """`unused`: those of our contexts that have scenarios and to which nothing of the PBX leads."""

    unused: tuple[Context, ...]
    own_lines: tuple[OwnLine, ...]


async def find_ways_in(
    ami: Ami, dialplan: Iterable[Mapping[str, Any]], phones: Mapping[str, str], queues: Collection[str]
) -> WaysIn:
    """Find out how callers get to the extensions and queues that have a scenario. Raises AmiError.

    `dialplan`: the rows of ShowDialPlan. `phones`: the devices of these extensions ("PJSIP/101&PJSIP/201"), "" if they
    are not known.
    """
    rows = [row for row in dialplan if not str(row.get("Context", "")).startswith(_OURS)]
    included = {str(row.get("IncludeContext", "")) for row in rows}
    steps = [
        Step(*(str(row.get(name, "")) for name in ("Context", "Extension", "Application", "AppData"))) for row in rows
    ]
    entrances = [_ENTRANCES[kind] for kind, given in _kinds(phones, queues) if given]
    unused = (one for one in entrances if one not in included and not any(one in step.data for step in steps))
    devices = {device: number for number, text in phones.items() for device in parse_hint(text).devices}
    lines: list[OwnLine] = []
    for step in steps:
        target = step.data.partition(",")[0]
        if step.application == "Queue" and target in queues:
            lines.append(OwnLine(Destination(DestinationKind.QUEUE, target), step))
        elif step.application == "Dial" and target in devices:
            lines.append(OwnLine(Destination(DestinationKind.EXTENSION, devices[target]), step))
        elif step.application == "Dial" and target.endswith("/${EXTEN}"):
            technology = target.partition("/")[0]
            numbers = [number for number in phones if devices.get(f"{technology}/{number}") == number]
            lines += [
                OwnLine(Destination(DestinationKind.EXTENSION, n), step) for n in await _dialled(ami, step, numbers)
            ]
    return WaysIn(tuple(unused), tuple(lines))


def _kinds(phones: Collection[str], queues: Collection[str]) -> Iterable[tuple[DestinationKind, Collection[str]]]:
    return (DestinationKind.EXTENSION, phones), (DestinationKind.QUEUE, queues)


async def _dialled(ami: Ami, pattern: Step, numbers: Iterable[str]) -> list[str]:
    """Return those of the numbers that the step of a pattern rings."""
    found = []
    for number in numbers:
        steps = await matching_steps(ami, pattern.context, number) or []
        first = steps[0] if steps else None
        if first is not None and (first.context, first.extension) == (pattern.context, pattern.extension):
            found.append(number)
    return found
