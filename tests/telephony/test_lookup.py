"""Lookups in Asterisk, and that no value can break out of its AMI header."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from app.telephony import lookup
from app.telephony.ami import AmiRefused, AmiTimeout

HOSTILE = ["", "101)\r\nAction: Logoff", "101\x00", "${SHELL(id)}", "101,1)", "a b", "۱۰۱", "1" * 200]


class FakeAsterisk:
    """A fake AMI client. Getvar reads `values`. ShowDialPlan reads `contexts`: the (context, extension) of each row."""

    def __init__(self, values: Mapping[str, str] = {}, contexts: Mapping[str, Any] = {}) -> None:
        self.values, self.contexts = values, contexts
        self.sent: list[Any] = []

    async def send(self, action: str, headers: Any = ()) -> Any:
        self.sent.append(headers)
        return {"Value": self.values.get(headers["Variable"], "0")}

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        self.sent.append(headers)
        found = self.contexts.get(headers["Context"])
        if isinstance(found, Exception):
            raise found
        if not found:
            raise AmiRefused(f"Did not find context {headers['Context']}")
        return [{"Context": context, "Extension": extension} for context, extension in found]

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        raise AssertionError("a lookup must not ring")


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "question",
    [
        lambda ami, value: lookup.has_extension(ami, value, "internal"),
        lambda ami, value: lookup.has_extension(ami, "101", f"{value},"),
        lambda ami, value: lookup.has_location(ami, value),
        lambda ami, value: lookup.has_location(ami, f"{value},s,1"),
        lambda ami, value: lookup.find_context(ami, ["internal"], value),
        lambda ami, value: lookup.find_context(ami, [value], "101"),
        lambda ami, value: lookup.device_state(ami, value),
        lambda ami, value: lookup.withholds_number(ami, value),
    ],
)
async def test_malformed_values_are_not_sent(
    question: Callable[[FakeAsterisk, str], Awaitable[object]], value: str
) -> None:
    asterisk = FakeAsterisk({"DEVICE_STATE(PJSIP/101)": "INVALID", "DEVICE_STATE(SIP/101)": "INVALID"})
    with pytest.raises(lookup.InvalidLookup):
        await question(asterisk, value)
    assert not [sent for sent in asterisk.sent if value and any(value in header for header in sent.values())]


@pytest.mark.parametrize(
    ("presentation", "withheld"), [("prohib_passed_screen", True), ("allowed_not_screened", False), ("", False)]
)
async def test_caller_can_withhold_a_number_that_the_trunk_reports(presentation: str, withheld: bool) -> None:
    asterisk = FakeAsterisk({"CALLERID(num-pres)": presentation})
    assert await lookup.withholds_number(asterisk, "PJSIP/trunk-00000001") is withheld


@pytest.mark.parametrize("value", ["", "800)\r\nAction: Logoff", "800\x00", "${SHELL(id)}", "800,1)", " a", "1" * 200])
async def test_malformed_name_of_a_queue_is_not_sent(value: str) -> None:
    asterisk = FakeAsterisk({})
    with pytest.raises(lookup.InvalidLookup):
        await lookup.has_queue(asterisk, value)
    assert asterisk.sent == []


@pytest.mark.parametrize(
    ("states", "exists"),
    [
        ({"PJSIP": "NOT_INUSE"}, True),
        ({"PJSIP": "UNAVAILABLE"}, True),
        ({"PJSIP": "INVALID", "SIP": "INUSE"}, True),
        ({"PJSIP": "INVALID", "SIP": "UNKNOWN"}, False),
    ],
)
async def test_extension_exists_if_it_has_a_phone(states: dict[str, str], exists: bool) -> None:
    asterisk = FakeAsterisk({f"DEVICE_STATE({technology}/101)": state for technology, state in states.items()})
    assert await lookup.has_extension(asterisk, "101", "") is exists


async def test_extension_exists_if_the_dialplan_has_it() -> None:
    values = {"DEVICE_STATE(PJSIP/101)": "INVALID", "DEVICE_STATE(SIP/101)": "INVALID"}
    assert not await lookup.has_extension(FakeAsterisk(values), "101", "internal")
    values["DIALPLAN_EXISTS(internal,101,1)"] = "1"
    assert await lookup.has_extension(FakeAsterisk(values), "101", "internal")


@pytest.mark.parametrize(
    ("found", "where"),
    [
        ([("bazang-modules", "5050")], ""),
        ([("bazang-module-7", "s")], ""),
        ([("bazang-modules", "5050"), ("features", "5050")], "features"),
        ([("outbound", "_X."), ("features", "5050")], "features"),
        ([("outbound", "_X.")], "outbound"),
        ([("bazang-extensions", "5050")], "bazang-extensions"),
        ([("bazang-modules-not", "5050")], "bazang-modules-not"),
    ],
)
async def test_codes_of_our_modules_do_not_count(found: list[tuple[str, str]], where: str) -> None:
    assert (
        await lookup.find_context(FakeAsterisk(contexts={"internal": found}), ["nowhere", "internal"], "5050") == where
    )


@pytest.mark.parametrize("failure", [AmiRefused("Permission denied"), AmiTimeout("no answer")])
async def test_failed_lookup_raises(failure: Exception) -> None:
    with pytest.raises(type(failure)):
        await lookup.find_context(FakeAsterisk(contexts={"internal": failure}), ["internal"], "5050")
