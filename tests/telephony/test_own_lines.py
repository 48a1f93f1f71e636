"""How callers of a plain Asterisk get to the scenarios of extensions and queues, and past them."""

from typing import Any

from app.domain.routing import Context, Destination, DestinationKind
from app.telephony.own_lines import WaysIn, find_ways_in
from tests.support.fake_dialplan import FakeDialplan, Step

PHONES = {"101": "PJSIP/101", "102": "PJSIP/reza", "103": "SIP/103", "104": ""}
QUEUES = ("800",)
PATTERN: Step = ("phones", "_10X", "Dial", "PJSIP/${EXTEN},20")
OWN: list[Step] = [
    ("ring", "200", "Dial", "PJSIP/reza,20"),
    PATTERN,
    ("support", "s", "Queue", "800,t,,,30"),
    ("ring", "201", "Dial", "PJSIP/101&PJSIP/reza,20"),  # a group has no scenario
    ("outbound", "_0X.", "Dial", "PJSIP/${EXTEN}@trunk,60"),
    ("sales", "s", "Queue", "801"),
    ("bazang-extension-101", "s", "Dial", "PJSIP/101,25"),
    ("phones", "205", "Dial", "${PHONE},20"),
]


class WholeDialplan(FakeDialplan):
    """`included`: (context, included context) of the whole dialplan."""

    def __init__(self, *args: Any, included: list[tuple[str, str]], **values: Any) -> None:
        super().__init__(*args, **values)
        self.included = included

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        rows = await super().collect(action, headers)
        more = [{"Context": context, "IncludeContext": name} for context, name in self.included]
        return rows if dict(headers) else rows + more


def make(steps: list[Step], *included: tuple[str, str]) -> WholeDialplan:
    found = {("", ""): steps, ("phones", "101"): [PATTERN]}
    return WholeDialplan(found, contexts=("phones",), included=[*included])


async def ways_in(dialplan: WholeDialplan, phones: dict[str, str], queues: tuple[str, ...]) -> WaysIn:
    return await find_ways_in(dialplan, await dialplan.collect("ShowDialPlan"), phones, queues)


async def test_lines_that_pass_a_scenario_are_found() -> None:
    ways = await ways_in(make(OWN), PHONES, QUEUES)
    found = [(line.target, line.step.context, line.step.extension) for line in ways.own_lines]
    extension = DestinationKind.EXTENSION
    assert found == [
        (Destination(extension, "102"), "ring", "200"),
        (Destination(extension, "101"), "phones", "_10X"),
        (Destination(DestinationKind.QUEUE, "800"), "support", "s"),
    ]


async def test_a_pattern_that_comes_after_another_line_rings_nobody() -> None:
    dialplan = make([PATTERN])
    dialplan.steps = {("", ""): [PATTERN], ("phones", "101"): [("phones", "101", "Goto", "bazang-extensions,101,1")]}
    assert (await ways_in(dialplan, PHONES, ())).own_lines == ()


async def test_contexts_to_which_nothing_leads() -> None:
    assert (await ways_in(make(OWN), PHONES, QUEUES)).unused == (Context.EXTENSIONS, Context.QUEUES)
    assert (await ways_in(make(OWN), {}, ())).unused == (), "nobody would have to come there"
    included = ("phones", "bazang-queues"), ("bazang-x", "bazang-extensions")
    assert (await ways_in(make(OWN, *included), PHONES, QUEUES)).unused == (Context.EXTENSIONS,)
    goto: Step = ("from-trunk", "0218888", "Goto", "bazang-extensions,101,1")
    assert (await ways_in(make([*OWN, goto], *included), PHONES, QUEUES)).unused == ()
