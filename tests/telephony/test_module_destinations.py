"""Which extensions and queues of FreePBX lead to our modules, read from rows of ShowDialPlan."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.domain.routing import DestinationKind, Situation
from app.telephony.ami import AmiRefused, AmiTimeout
from app.telephony.module_destinations import DestinationReader

STEPS: dict[str, list[tuple[str, str, str]]] = {  # extension, application and arguments of each step of a context
    "ext-local": [
        ("101", "GotoIf", '$["${DIALSTATUS}" = "NOANSWER"]?bazang-modules,*5001,1'),
        ("101", "GotoIf", '$["${DIALSTATUS}" = "BUSY"]?customdests,dest-1,1'),
        ("101", "GotoIf", '$["${DIALSTATUS}" = "CHANUNAVAIL"]?ext-queues,800,1'),
        ("101", "GotoIf", '$["${IVR}" != ""]?bazang-modules,*5009,1'),
        ("102", "GotoIf", '$["${DIALSTATUS}" = "NOANSWER"]?customdests,dest-2,1'),
        ("102", "GotoIf", '$["${DIALSTATUS}" = "BUSY"]?customdests,dest-1,1:elsewhere'),
        ("102", "GotoIf", '$["${DIALSTATUS}" = "CHANUNAVAIL"]?busy'),
    ],
    "ext-queues": [
        ("800", "Queue", "800,tr,,,60"),
        ("800", "Goto", "bazang-modules,*5002,1"),
        ("801", "Goto", "ext-local,101,1"),
    ],
    "customdests": [
        ("dest-1", "NoOp", "Custom destination"),
        ("dest-1", "Goto", "bazang-modules,*5001,1"),
        ("dest-2", "Goto", "app-blackhole,hangup,1"),
    ],
}


class FakeAsterisk:
    def __init__(self, steps: Mapping[str, list[tuple[str, str, str]]], failure: Exception | None = None) -> None:
        self.steps, self.failure = steps, failure
        self.asked: list[tuple[str, str]] = []
        self.queues: dict[str, str] = {}  # the context of each queue in queues.conf

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        assert action == "ShowDialPlan"
        if self.failure is not None:
            raise self.failure
        context, extension = headers["Context"], headers.get("Extension", "")
        self.asked.append((context, extension))
        if context not in self.steps:
            raise AmiRefused(f"Did not find context {context}")
        rows = [
            {"Context": context, "Extension": exten, "Application": application, "AppData": data}
            for exten, application, data in self.steps[context]
            if extension in ("", exten)
        ]
        included = {"Context": "included", "Extension": "1", "Application": "Goto", "AppData": "bazang-modules,9,1"}
        return [*rows, included]

    async def send(self, action: str, headers: Any = ()) -> Any:
        assert (action, headers) == ("GetConfig", {"Filename": "queues.conf"})
        if self.failure is not None:
            raise self.failure
        answer = {"Category-000000": "general", "Line-000000-000000": "context=ivr-1"}
        for number, (queue, context) in enumerate(self.queues.items(), 1):
            answer |= {f"Category-{number:06}": queue, f"Line-{number:06}-000000": f"context={context}"}
        return answer

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        raise AssertionError("reading must not ring")


async def test_destinations_are_found_also_behind_custom_destinations() -> None:
    asterisk = FakeAsterisk(STEPS)
    assert await DestinationReader(asterisk).read() == {
        (DestinationKind.EXTENSION, "101", Situation.NO_ANSWER): "*5001",
        (DestinationKind.EXTENSION, "101", Situation.BUSY): "*5001",
        (DestinationKind.EXTENSION, "102", Situation.BUSY): "*5001",
        (DestinationKind.QUEUE, "800", "failed"): "*5002",
    }
    assert asterisk.asked.count(("customdests", "dest-1")) == 1


async def test_pbx_without_these_contexts_has_no_destinations() -> None:
    assert await DestinationReader(FakeAsterisk({})).read() == {}


async def test_what_may_not_be_read_is_not_known() -> None:
    assert await DestinationReader(FakeAsterisk({}, AmiRefused("Permission denied"))).read() is None
    with pytest.raises(AmiTimeout):
        await DestinationReader(FakeAsterisk({}, AmiTimeout("no answer"))).read()


async def test_module_to_which_a_key_leads_from_a_queue_is_found() -> None:
    steps = {
        **STEPS,
        "ivr-1": [("s", "Goto", "bazang-modules,*5009,1"), ("7", "Goto", "ext-local,101,1")],
        "ivr-2": [("1", "Set", "__NODEST="), ("1", "Goto", "customdests,dest-1,1")],
        "bazang-offer-3": [("4", "ExecIf", "..."), ("4", "Goto", "bazang-modules,*5003,1"), ("s", "NoOp", "")],
    }
    asterisk = FakeAsterisk(steps)
    asterisk.queues = {"800": "ivr-1", "801": "ivr-2", "فروش": "bazang-offer-3", "803": "", "804": "gone"}
    assert await DestinationReader(asterisk).read_offers() == {"801": "*5001", "فروش": "*5003"}
    assert await DestinationReader(FakeAsterisk(steps, AmiRefused("no"))).read_offers() is None
