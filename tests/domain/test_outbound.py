"""Whether a customer's number can be dialled, judged from the steps that it matches."""

import pytest

from app.domain.outbound import Outbound, OutboundResult, Step, judge

BAD_NUMBER = [Step("bad-number", "_X.", "ResetCDR", ""), Step("bad-number", "_X.", "Congestion", "20")]
CALLER_ID = "user-callerid,LIMIT,EXTERNAL"


def route(*steps: tuple[str, str]) -> list[Step]:
    """Return a route and what comes behind it."""
    return [*(Step("outrt-2", "_09XXXXXXXXX", *step) for step in steps), *BAD_NUMBER]


def test_no_step_and_the_refusal_are_no_route() -> None:
    assert judge([]) == Outbound(OutboundResult.NO_ROUTE)
    assert judge(BAD_NUMBER) == Outbound(OutboundResult.NO_ROUTE, "bad-number")
    own = [Step("limited_bad-number", "_X.", "Goto", "app-blackhole,hangup,1")]  # of the module Custom Contexts
    assert judge(own).result is OutboundResult.NO_ROUTE
    assert not judge(BAD_NUMBER).can_dial


@pytest.mark.parametrize(
    ("step", "result"),
    [
        (("Gosub", "macro-dialout-trunk,s,1(1,${EXTEN},1234,on)"), OutboundResult.PASSWORD),  # FreePBX 17
        (("Gosub", "macro-dialout-trunk,s,1(1,0${EXTEN:1},,on)"), OutboundResult.DIALLED),
        (("Gosub", "macro-dialout-trunk,s,1(1,${EXTEN})"), OutboundResult.DIALLED),
        (("Macro", "dialout-trunk,1,${EXTEN},1234,on"), OutboundResult.PASSWORD),  # FreePBX 16, Issabel
        (("Macro", "dialout-trunk,1,${EXTEN},,on"), OutboundResult.DIALLED),
        (("Macro", "dialout-enum,2,${EXTEN},1234,"), OutboundResult.PASSWORD),
        (("Macro", "dialout-dundi,3,${EXTEN},1234,"), OutboundResult.PASSWORD),
        (("Gosub", "macro-pinsets,s,1(1,0)"), OutboundResult.PASSWORD),
        (("Macro", "pinsets,1,0"), OutboundResult.PASSWORD),
        (("Authenticate", "1234"), OutboundResult.PASSWORD),  # a plain Asterisk
        (("VMAuthenticate", "@default"), OutboundResult.PASSWORD),
        (("Gosub", "sub-record-check,s,1(out,${EXTEN},dontcare)"), OutboundResult.DIALLED),
        (("Macro", "outisbusy"), OutboundResult.DIALLED),
        (("Dial", "PJSIP/${EXTEN}@trunk,60"), OutboundResult.DIALLED),
    ],
)
def test_a_password_is_seen_where_the_generators_put_it(step: tuple[str, str], result: OutboundResult) -> None:
    found = judge(route(("Macro", CALLER_ID), step))
    assert (found.result, found.context) == (result, "outrt-2")
    assert found.can_dial == (result is OutboundResult.DIALLED)


def test_only_the_first_place_counts() -> None:
    """A better pattern in the same context, and a route before another one."""
    free, asking = ("Macro", "dialout-trunk,1,${EXTEN},,on"), ("Macro", "dialout-trunk,1,${EXTEN},1234,on")
    for context, extension in (("outrt-2", "_0X."), ("outrt-3", "_09XXXXXXXXX")):
        behind = Step(context, extension, *asking)
        assert judge([*route(free)[:1], behind]).can_dial
        assert not judge([behind, *route(free)]).can_dial


@pytest.mark.parametrize(
    "step",
    [("Set", "_ROUTENAME=Mobile phones"), ("NoOp", "Calling Out Route: ${SET(OUTBOUND_ROUTE_NAME=Mobile phones)}")],
)
def test_route_has_its_name(step: tuple[str, str]) -> None:
    assert judge(route(("Macro", CALLER_ID), step)).route == "Mobile phones"
    assert judge(route(("Macro", CALLER_ID))).route == ""
