"""Destinations, and the patterns of codes and names."""

import re
from dataclasses import replace

import pytest

from app.domain.routing import (
    CONTEXT_PATTERN,
    CUSTOM_PATTERN,
    EXTENSION_PATTERN,
    HANG_UP,
    LOCATION_PATTERN,
    NO_DESTINATION,
    QUEUE_PATTERN,
    Destination,
    DestinationKind,
    ExtensionPlan,
    ModulePlan,
    OfferPlan,
    dials_number,
    is_module_context,
    module_context,
)


@pytest.mark.parametrize(
    ("pattern", "valid", "invalid"),
    [
        (EXTENSION_PATTERN, ["101", "*50#", "1" * 20], ["", "10a", "101\n", "۱۰۱", "1" * 21, "${X}"]),
        (QUEUE_PATTERN, ["800", "sales-1_a.b", "x" * 80], ["", " a", "a ", "a,b", "a;b", "a\n", "a\tb", "x" * 81]),
        (QUEUE_PATTERN, ["sales team", "صف", "پشتیبانی\u200cفنی ۲", "Verkäufe"], ["a|b", "${X}", "a&b", "«صف»", "a/b"]),
        (CUSTOM_PATTERN, ["ivr-main,s,1", "x,_X.,9999", f"{'x' * 40},s,1"], ["s,1", "a,b,c", f"{'x' * 41},s,1"]),
        (CUSTOM_PATTERN, ["a,*#+-.1,1"], ["a,b,1,1", "a,b,1\n", "a,b,1)\nexten => x", "a,${SHELL(id)},1", "a,b,10000"]),
        (LOCATION_PATTERN, [f"{'x' * 80},s,1"], [f"{'x' * 81},s,1"]),
        (CONTEXT_PATTERN, ["from-internal"], ["[x]"]),
    ],
)
def test_patterns(pattern: re.Pattern[str], valid: list[str], invalid: list[str]) -> None:
    assert [text for text in valid if not pattern.fullmatch(text)] == []
    assert [text for text in invalid if pattern.fullmatch(text)] == []


@pytest.mark.parametrize(
    ("destination", "is_well_formed", "ends_call"),
    [
        (Destination("extension", "101"), True, False),
        (Destination("module", "x"), False, False),
        (Destination("queue", ""), False, False),
        (Destination("voicemail", "101"), False, False),
        (Destination("hangup", ""), False, True),
        (Destination(), False, True),
    ],
)
def test_destinations(destination: Destination, is_well_formed: bool, ends_call: bool) -> None:
    assert (destination.is_well_formed, destination.ends_call) == (is_well_formed, ends_call)


def test_destination_with_a_plain_text_kind_equals_one_with_an_enum_kind() -> None:
    assert {Destination("queue", "800")} == {Destination(DestinationKind.QUEUE, "800")}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("bazang-modules", True),
        (module_context(7), True),
        ("bazang-modules-not", False),
        ("bazang-module-x", False),
        ("bazang-extensions", False),
    ],
)
def test_module_contexts(context: str, expected: bool) -> None:
    assert is_module_context(context) is expected


def test_contexts_of_plans() -> None:
    module = ModulePlan(7, "*5001", next=HANG_UP, error=NO_DESTINATION)
    assert module.context == "bazang-module-7" and is_module_context(module.context)
    assert module.hours_context == "bazang-hours-7" and not is_module_context(module.hours_context)
    plan = ExtensionPlan("101", "PJSIP/101", "hints", False, 20, NO_DESTINATION, NO_DESTINATION, NO_DESTINATION)
    assert plan.context == "bazang-extension-101" and not is_module_context(plan.context)
    assert replace(plan, has_scenario=False).context == "bazang-plain-extension-101"
    offer = OfferPlan(7, "*5001", "800", "4")
    assert (offer.context, offer.first_context) == ("bazang-offer-7", "bazang-first-offer-7")
    assert not is_module_context(offer.context)


@pytest.mark.parametrize(
    ("location", "dials"),
    [
        ("outbound,09121234567,1", True),
        ("ivr-1,09121234567,1", True),  # any context may include one that dials
        ("ivr-1,00447911123456,2", True),
        ("ivr-1,+98,1", True),
        ("ivr-1,*72447911123456,1", True),  # forwards a telephone abroad
        ("outbound,110,1", True),
        ("from-internal,911,1", True),
        ("from-internal-xfer,118,1", True),
        ("outrt-1,9110,1", True),
        ("bazang-out,110,1", True),
        ("outbound,1.5,1", False),
        ("outbound,101,1", False),
        ("from-internal,800,1", False),
        ("from-internal,*97,1", False),
        ("outbound,s,1", False),
        ("ivr-1,1,1", False),
        ("ext-group,600,1", False),
        ("app-announcement-1,s,1", False),
        ("FMPR-1,FMPR-09121234567,1", False),
    ],
)
def test_locations_that_dial_a_number_of_their_own(location: str, dials: bool) -> None:
    assert dials_number(location, {"outbound"}, {"101", "800"}) is dials
