"""Whether an office can dial out: where the PBX leads a customer's number, and what stops the call there.

FreePBX and Issabel take any number in `bad-number`, which only says that it cannot be dialled. Their routes have a
password as the third argument of the subroutine that dials through a trunk, and a PIN set in a subroutine before it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile


class OutboundResult(StrEnum):
    """What becomes of a customer's number in the outbound context."""

    DIALLED = "dialled"
    NO_CONTEXT = "no_context"
    NO_ROUTE = "no_route"
    PASSWORD = "password"  # noqa: S105 - somebody must enter one, and no customer or agent will


@dataclass(frozen=True)
class Step:
    """A step of the PBX's dialplan."""

    context: str
    extension: str
    application: str
    data: str

    @property
    def refuses(self) -> bool:
        """Whether it belongs to a context that takes numbers only to say that they cannot be dialled."""
        return _REFUSING.fullmatch(self.context) is not None


@dataclass(frozen=True)
class Outbound:
    """`context`: where the number leads, "" if nowhere. `route`: the name of the route there, "" if unknown."""

    result: OutboundResult
    context: str = ""
    route: str = ""

    @property
    def can_dial(self) -> bool:
        return self.result is OutboundResult.DIALLED


# Also those that the module Custom Contexts makes for its own contexts.
_REFUSING = re.compile(r"bad-number|.+_bad-number")
_ROUTE_NAME = re.compile(r"ROUTE_?NAME=([^)}]+)")
_SUBROUTINE = re.compile(r"macro-([a-z-]+),s,1\((.*)\)")  # as FreePBX 17 calls it
_DIALS = frozenset({"dialout-trunk", "dialout-enum", "dialout-dundi"})
_PASSWORD = 2  # its place among their arguments
_ASKING = frozenset({"authenticate", "vmauthenticate"})  # applications of Asterisk itself


def judge(steps: Sequence[Step]) -> Outbound:
    """Judge the steps that a number matches, in the order in which the PBX looks for it. There may be none.

    Only those of the first place count: the others are what the PBX would find without it.
    """
    if not steps:
        return Outbound(OutboundResult.NO_ROUTE)
    first = steps[0]
    there = [*takewhile(lambda step: (step.context, step.extension) == (first.context, first.extension), steps)]
    if first.refuses:
        return Outbound(OutboundResult.NO_ROUTE, first.context)
    result = OutboundResult.PASSWORD if any(map(_asks_password, there)) else OutboundResult.DIALLED
    return Outbound(result, first.context, _route_name(there))


def _route_name(steps: Iterable[Step]) -> str:
    return next((found[1] for found in (_ROUTE_NAME.search(step.data) for step in steps) if found is not None), "")


def _asks_password(step: Step) -> bool:
    application = step.application.lower()
    if application in _ASKING:
        return True
    if application == "macro":
        name, _, arguments = step.data.partition(",")
    elif application == "gosub" and (found := _SUBROUTINE.fullmatch(step.data)) is not None:
        name, arguments = found.groups()
    else:
        return False
    values = arguments.split(",")
    return name == "pinsets" or (name in _DIALS and len(values) > _PASSWORD and values[_PASSWORD].strip() != "")
