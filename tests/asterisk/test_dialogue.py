"""What a caller can do with the module, by phone; and that our service's death never keeps a caller."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.routing import Destination
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import OWN_E164, Scene

SILENT_SERVICE = 5.5  # seconds: what a silent service may cost a caller, and the way there
PROMPT = 4  # seconds: "Please enter your number …"

# Where callers go next, and where they go when the scenario cannot happen: each says so by a key.
ENDS = OfficeSetup(
    extra_dialplan="""
[ends]
exten => next,1,Answer()
 same => n,SendDTMF(1)
 same => n,Wait(10)
exten => error,1,Answer()
 same => n,SendDTMF(9)
 same => n,Wait(10)
"""
)


def offer(bazang: Bazang, **fields: object) -> None:
    next, error = Destination("custom", "ends,next,1"), Destination("custom", "ends,error,1")
    bazang.module(next=next, error=error, **fields)


async def arrives(scene: Scene, call: Call, key: str, timeout: float = PATIENCE) -> None:
    """Wait until the caller hears the key by which a destination tells who it is."""
    await scene.bazang.until(lambda: call.rtp.keys_heard, timeout, "the caller arrives somewhere")
    assert call.rtp.keys_heard == key, scene.bazang.describe()


async def test_own_number_is_registered_and_the_caller_goes_on(stage: Stage) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        for prompt in ("intro",):
            await scene.hears(call, prompt)
        await call.press("1")
        for prompt in ("before_success", "after_success"):
            await scene.hears(call, prompt)
        await arrives(scene, call, "1")
        assert [r.number for r in scene.bazang.requests()] == [OWN_E164]


async def test_another_number_is_read_out_and_confirmed(stage: Stage) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        await scene.hears(call, "intro")
        await call.press("2")
        await scene.hears(call, "enter_number")
        await call.press("09351112233#")
        await scene.hears(call, "entered_number")
        await scene.hears_text(call, "9")
        await scene.hears(call, "check_number")
        await call.press("1")
        await arrives(scene, call, "1")
        assert [r.number for r in scene.bazang.requests()] == ["+989351112233"]
        assert scene.bazang.requests()[0].caller_number == "09121234567"


async def test_persian_module_speaks_persian(stage: Stage) -> None:
    async with stage(lambda b: offer(b, language="fa"), ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        await scene.hears(call, "intro", "fa")
        await call.press("2")
        await scene.hears(call, "enter_number", "fa")
        await call.press("09351112233#")
        await scene.hears(call, "entered_number", "fa")
        await scene.hears_text(call, "0", "fa")
        await scene.hears(call, "is", "fa")
        await scene.hears(call, "check_number", "fa")
        await call.press("1")
        await scene.hears(call, "after_success", "fa")


async def test_three_wrong_numbers_lead_to_the_error_destination(stage: Stage) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        await scene.hears(call, "intro")
        await call.press("2")
        await scene.hears(call, "enter_number")
        await call.press("123#")
        await scene.hears(call, "wrong_number")
        for _ in range(2):
            call.rtp.received.clear()
            await scene.hears(call, "enter_number")
            await call.press("110#")
        await arrives(scene, call, "9")
        assert scene.bazang.requests() == []


async def test_declining_leads_to_the_error_destination(stage: Stage) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        await scene.hears(call, "intro")
        await call.press("0")
        await arrives(scene, call, "9")
        assert scene.bazang.requests() == []


async def test_anonymous_caller_is_not_offered_an_own_number(stage: Stage) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001", anonymous=True)
        await scene.hears(call, "intro_other")
        await call.press("2")
        await scene.hears(call, "enter_number")
        await call.press("09351112233#")
        await scene.hears(call, "check_number")
        await call.press("1")
        await scene.bazang.request("waiting")
        assert scene.bazang.requests()[0].caller_number == ""


async def test_hang_up_after_the_confirmation_counts_as_registered(stage: Stage) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        await scene.hears(call, "intro")
        await call.press("1")
        await scene.hears(call, "before_success")
        await call.hang_up()
        assert (await scene.bazang.request("waiting")).number == OWN_E164


async def test_silent_module_registers_without_a_word(stage: Stage) -> None:
    async with stage(lambda b: offer(b, silent=True), ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        await arrives(scene, call, "1", 5)
        assert [r.number for r in scene.bazang.requests()] == [OWN_E164]


async def test_inactive_module_sends_everybody_to_the_error_destination(stage: Stage) -> None:
    async with stage(lambda b: offer(b, active=False), ENDS, phones=()) as scene:
        await arrives(scene, await scene.knock("*5001"), "9", 5)


@pytest.fixture
def trace() -> Iterator[Path]:
    """A file that must not come to be. A name is cut after 80 characters, so it lies in no long folder."""
    path = Path("/tmp/bazang-owned")
    path.unlink(missing_ok=True)
    yield path
    assert not path.exists()


async def test_hostile_name_changes_nothing(stage: Stage, trace: Path) -> None:
    name = f"${{SHELL(touch {trace})}},Foo: bar&PJSIP/103"
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001", name=name)
        await scene.hears(call, "intro")
        await call.press("1")
        request = await scene.bazang.request("waiting")
        assert (request.caller_name, request.number) == (name, OWN_E164)


# -- the service is not there -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["stopped", "killed", "hung"])
async def test_caller_in_the_midst_of_the_dialogue_goes_on_without_us(stage: Stage, fate: str) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        call = await scene.knock("*5001")
        await scene.hears(call, "intro")
        await call.press("2")
        await scene.hears(call, "enter_number")
        began = await end(scene, fate)
        await arrives(scene, call, "9", 25)
        # The prompt that plays when a service hangs is played to its end.
        assert scene.bazang.elapsed(began) < SILENT_SERVICE + (PROMPT if fate == "hung" else 0)


@pytest.mark.parametrize("fate", ["stopped", "killed", "hung"])
async def test_caller_who_comes_when_the_service_is_gone_loses_five_seconds_at_the_most(
    stage: Stage, fate: str
) -> None:
    async with stage(offer, ENDS, phones=()) as scene:
        await end(scene, fate)
        began = scene.bazang.now()
        await arrives(scene, await scene.knock("*5001"), "9")
        assert scene.bazang.elapsed(began) < SILENT_SERVICE


async def end(scene: Scene, fate: str) -> float:
    """Stop, kill or freeze the worker; return the moment before."""
    began = scene.bazang.now()
    match fate:
        case "stopped":
            await scene.bazang.stop_worker()
        case "killed":
            await scene.bazang.kill_worker()
        case "hung":
            scene.bazang.freeze_worker()
    return began
