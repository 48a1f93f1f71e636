"""Whether Asterisk can dial a customer's number: what is asked, and what the answers mean."""

from typing import Any

import pytest

from app.domain.outbound import Outbound, OutboundResult
from app.telephony.ami import AmiRefused
from app.telephony.lookup import InvalidLookup
from app.telephony.outbound import find_way_out
from tests.support.fake_dialplan import FakeDialplan, Step

NUMBER, INTERNAL, ALL = "09123456789", "from-internal", "outbound-allroutes"
CONTEXTS = (INTERNAL, ALL, "outrt-1", "outrt-2")
REFUSED: Step = ("bad-number", "_X.", "Congestion", "20")
FREE: Step = ("outrt-1", "_09X.", "Macro", "dialout-trunk,1,${EXTEN},,on")
ASKING: Step = ("outrt-2", "_09X.", "Macro", "dialout-trunk,1,${EXTEN},1234,on")
FOO: Step = (ALL, "foo", "NoOp", "bar")


async def way(dialplan: FakeDialplan, *agents: str) -> Outbound:
    return await find_way_out(dialplan, INTERNAL, NUMBER, agents)


async def test_no_context_no_route_and_a_route() -> None:
    assert await way(FakeDialplan()) == Outbound(OutboundResult.NO_CONTEXT)
    nothing = FakeDialplan(contexts=CONTEXTS, values={f"DIALPLAN_EXISTS({INTERNAL},{NUMBER},1)": "0"})
    assert await way(nothing) == Outbound(OutboundResult.NO_ROUTE)
    refused = FakeDialplan({(INTERNAL, NUMBER): [REFUSED]}, contexts=CONTEXTS)
    assert await way(refused) == Outbound(OutboundResult.NO_ROUTE, "bad-number")
    found = FakeDialplan({(INTERNAL, NUMBER): [FREE, REFUSED]}, contexts=CONTEXTS)
    assert await way(found) == Outbound(OutboundResult.DIALLED, "outrt-1")


async def test_a_switch_leads_on_without_any_step() -> None:
    switch = FakeDialplan(contexts=CONTEXTS, values={f"DIALPLAN_EXISTS({INTERNAL},{NUMBER},1)": "1"})
    assert await way(switch) == Outbound(OutboundResult.DIALLED, INTERNAL)


async def test_a_route_that_counts_at_some_hours_is_one() -> None:
    """Asterisk does not list the steps behind such an include."""
    steps = {(INTERNAL, NUMBER): [REFUSED], (INTERNAL, "foo"): [FOO], ("outrt-1", NUMBER): [FREE]}
    hours = "08:00-16:00,mon-fri,*,*"
    includes = {INTERNAL: [ALL, "bad-number"], ALL: [f"outrt-2,{hours}", f"outrt-1,{hours}"]}
    assert (await way(FakeDialplan(steps, contexts=CONTEXTS, includes=includes))).context == "outrt-1"
    # the routes are not included in this context
    alone = {key: value for key, value in steps.items() if key[1] != "foo"}
    assert not (await way(FakeDialplan(alone, contexts=CONTEXTS, includes=includes))).can_dial
    own = {INTERNAL: [f"outrt-1,{hours}"]}
    assert (await way(FakeDialplan(alone, contexts=CONTEXTS, includes=own))).can_dial


@pytest.mark.parametrize(
    ("pinless", "result"),
    [
        ({}, OutboundResult.PASSWORD),
        ({"AMPUSER/101/pinless": "NOPASSWD"}, OutboundResult.PASSWORD),
        ({"AMPUSER/101/pinless": "NOPASSWD", "AMPUSER/102/pinless": '"NOPASSWD"'}, OutboundResult.DIALLED),
    ],
)
async def test_a_password_counts_unless_all_agents_need_none(pinless: dict[str, str], result: OutboundResult) -> None:
    dialplan = FakeDialplan({(INTERNAL, NUMBER): [ASKING]}, contexts=CONTEXTS, database=pinless)
    assert (await way(dialplan, "101", "102")).result is result
    assert (await way(dialplan)).result is OutboundResult.PASSWORD, "nobody is known"
    assert (await way(dialplan, "101", "sara")).result is OutboundResult.PASSWORD


@pytest.mark.parametrize("value", ["", "9\r\nAction: Logoff", "${SHELL(id)}", "1,2", "a b"])
async def test_malformed_values_are_not_sent(value: str) -> None:
    dialplan = FakeDialplan(contexts=CONTEXTS)
    for question in ((value, NUMBER), (INTERNAL, value)):
        with pytest.raises(InvalidLookup):
            await find_way_out(dialplan, *question)
    assert dialplan.asked == []


async def test_what_may_not_be_asked_is_not_judged() -> None:
    class Forbidden(FakeDialplan):
        async def collect(self, action: str, headers: Any = ()) -> list[Any]:
            raise AmiRefused("Permission denied")

    with pytest.raises(AmiRefused):
        await way(Forbidden())
