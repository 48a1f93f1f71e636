"""The dialogue with a caller, and callers in it while the worker is stopped, killed or frozen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.audio.library import SoundLibrary
from app.audio.spoken_numbers import group_text
from app.services.prompts.input import PromptInput
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from script.office.sound import RATE, find, read_ulaw
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, OWN, OWN_E164, Office

MINUTE = "You can press one to be called at this number, or two to be called at another one. " * 12
HALF_A_MINUTE = "We write down your number, so that somebody can call you back as soon as possible. " * 5 + "Thank you."
LONGER_THAN_THE_WATCHDOG = "You can press one to be called at this number, or two to be called at another one. " * 3


def prepare(bazang: Bazang, **fields: Any) -> None:
    bazang.module(next=NEXT, error=ERROR, **fields)


async def wait_for_destination(office: Office, call: Call, key: str) -> None:
    """Wait until a call reaches a destination, and check that it is the one with this key."""
    await office.bazang.until(lambda: call.rtp.keys_heard, PATIENCE, "the caller reaches a destination")
    assert call.rtp.keys_heard == key, office.bazang.describe()


async def call_and_enter_number(office: Office) -> Call:
    """Call the module and choose to enter a number. Return the call when it asks for the number."""
    call = await office.call_in("*5001")
    await office.wait_for_prompt(call, "intro")
    await call.press("2")
    await office.wait_for_prompt(call, "enter_number")
    return call


async def test_own_number_is_registered_and_the_caller_goes_to_the_next_destination(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        await office.wait_for_prompt(call, "before_success")
        await office.wait_for_prompt(call, "after_success")
        await wait_for_destination(office, call, "1")
        assert [r.number for r in office.bazang.requests()] == [OWN_E164]


async def test_entered_number_is_read_out_and_confirmed(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        call = await call_and_enter_number(office)
        await call.press("09351112233#")
        await office.wait_for_prompt(call, "entered_number")
        await office.wait_for_text(call, group_text("0935", "en"))
        await office.wait_for_text(call, group_text("111", "en"))
        await office.wait_for_prompt(call, "check_number")
        await call.press("1")
        await wait_for_destination(office, call, "1")
        assert [r.number for r in office.bazang.requests()] == ["+989351112233"]
        assert office.bazang.requests()[0].caller_number == "09121234567"


@ONE_VERSION
async def test_persian_module_plays_persian_prompts(open_office: OpenOffice) -> None:
    async with open_office(lambda b: prepare(b, language="fa"), ENDS, phones=()) as office:
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro", "fa")
        await call.press("2")
        await office.wait_for_prompt(call, "enter_number", "fa")
        await call.press("09351112233#")
        await office.wait_for_prompt(call, "entered_number", "fa")
        await office.wait_for_text(call, group_text("0935", "fa"), "fa")
        await office.wait_for_prompt(call, "is", "fa")
        await office.wait_for_prompt(call, "check_number", "fa")
        await call.press("1")
        await office.wait_for_prompt(call, "after_success", "fa")


@ONE_VERSION
async def test_caller_goes_to_the_error_destination_after_three_invalid_numbers(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        call = await call_and_enter_number(office)
        await call.press("123#")
        await office.wait_for_prompt(call, "wrong_number")
        for _ in range(2):
            call.rtp.received.clear()
            await office.wait_for_prompt(call, "enter_number")
            await call.press("110#")
        await wait_for_destination(office, call, "9")
        assert office.bazang.requests() == []


@ONE_VERSION
async def test_caller_who_declines_goes_to_the_error_destination(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")
        await call.press("0")
        await wait_for_destination(office, call, "9")
        assert office.bazang.requests() == []


@ONE_VERSION
async def test_anonymous_caller_must_enter_a_number(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        call = await office.call_in("*5001", anonymous=True)
        await office.wait_for_prompt(call, "intro_other")
        await call.press("2")
        await office.wait_for_prompt(call, "enter_number")
        await call.press("09351112233#")
        await office.wait_for_prompt(call, "check_number")
        await call.press("1")
        await office.bazang.request("waiting")
        assert office.bazang.requests()[0].caller_number == ""


async def test_caller_who_hangs_up_after_the_confirmation_is_registered(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        await office.wait_for_prompt(call, "before_success")
        await call.hang_up()
        assert (await office.bazang.request("waiting")).number == OWN_E164


@ONE_VERSION
async def test_silent_module_registers_without_prompts(open_office: OpenOffice) -> None:
    async with open_office(lambda b: prepare(b, silent=True), ENDS, phones=()) as office:
        call = await office.call_in("*5001")
        await wait_for_destination(office, call, "1")
        assert [r.number for r in office.bazang.requests()] == [OWN_E164]


@ONE_VERSION
async def test_inactive_module_sends_callers_to_the_error_destination(open_office: OpenOffice) -> None:
    async with open_office(lambda b: prepare(b, active=False), ENDS, phones=()) as office:
        await wait_for_destination(office, await office.call_in("*5001"), "9")


@pytest.fixture
def injected_file() -> Iterator[Path]:
    """The path of a file that an injected command would create. It is short because names are cut at 80 characters."""
    path = Path("/tmp/bazang-owned")
    path.unlink(missing_ok=True)
    yield path
    assert not path.exists()


async def test_caller_name_with_dialplan_code_is_stored_as_text(open_office: OpenOffice, injected_file: Path) -> None:
    name = f"${{SHELL(touch {injected_file})}},Foo: bar&PJSIP/103"
    async with open_office(prepare, ENDS, phones=()) as office:
        call = await office.call_in("*5001", name=name)
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        request = await office.bazang.request("waiting")
        assert (request.caller_name, request.number) == (name, OWN_E164)


@ONE_VERSION
async def test_prompts_in_a_folder_with_an_unusual_name_are_played(open_office: OpenOffice, tmp_path: Path) -> None:
    folder = tmp_path / "صداهای دفتر + 'ما' 100%"
    async with open_office(prepare, ENDS, phones=("101",), PROMPTS_DIR=str(folder)) as office:
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        await office.wait_for_prompt(call, "after_success")
        await wait_for_destination(office, call, "1")
        await office.answer_agent("101")  # the agent hears the announcement as well


# -- without the worker -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "key"),
    [
        ("killed", ""),
        ("frozen", "2"),
        pytest.param("stopped", "", marks=ONE_VERSION),
        pytest.param("frozen", "", marks=ONE_VERSION),
    ],
)
async def test_caller_in_the_dialogue_goes_to_the_error_destination_without_the_worker(
    open_office: OpenOffice, failure: str, key: str
) -> None:
    """They need not hear the rest of a long prompt first, and no silence as long as that after a key."""
    prompts = {"intro": PromptInput(text=MINUTE)}
    async with open_office(lambda b: prepare(b, prompts=prompts), ENDS, phones=()) as office:
        call = await office.call_in("*5001")
        await office.wait_for_text(call, MINUTE)
        began = await end_worker(office, failure)
        await call.press(key)
        await wait_for_destination(office, call, "9")
        assert office.bazang.elapsed(began) < 30


@ONE_VERSION
@pytest.mark.parametrize("failure", ["frozen", "stopped", "killed"])
async def test_caller_who_is_registered_is_not_told_no_without_the_worker(
    open_office: OpenOffice, failure: str
) -> None:
    """The PBX knows that the request is stored while the prompt before the confirmation plays."""
    prompts = {"before_success": PromptInput(text=HALF_A_MINUTE)}
    async with open_office(lambda b: prepare(b, prompts=prompts), ENDS, phones=()) as office:
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        await office.wait_for_text(call, HALF_A_MINUTE)
        await wait_for_variable(office, "BAZANG_RESULT=next")
        await end_worker(office, failure)
        await wait_for_destination(office, call, "1")
        clip = SoundLibrary(office.bazang.settings.prompts_path).synthesize(HALF_A_MINUTE, "en")
        assert find(bytes(call.rtp.received), read_ulaw(clip.path)[-RATE // 2 :]).share < 0.8, "heard to its end"
        assert [r.number for r in office.bazang.requests()] == [OWN_E164]


async def wait_for_variable(office: Office, assignment: str) -> None:
    """Wait until a variable of the only channel has a value."""
    asterisk = office.bazang.asterisk
    channel = (await asterisk.cli("core show channels concise")).partition("!")[0]
    await asterisk.wait_for_output(f"core show channel {channel}", lambda shown: assignment in shown)


@pytest.mark.parametrize(
    "failure", ["frozen", pytest.param("stopped", marks=ONE_VERSION), pytest.param("killed", marks=ONE_VERSION)]
)
async def test_new_caller_goes_to_the_error_destination_without_the_worker(
    open_office: OpenOffice, failure: str
) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        await end_worker(office, failure)
        await wait_for_destination(office, await office.call_in("*5001"), "9")


@ONE_VERSION
async def test_long_prompt_is_heard_to_its_end_while_the_worker_is_there(open_office: OpenOffice) -> None:
    """Also by a caller who takes the place of another one in the dialogue, by an attended transfer."""

    def prepare_transfer(bazang: Bazang) -> None:
        prepare(bazang, prompts={"intro": PromptInput(text=LONGER_THAN_THE_WATCHDOG)})
        bazang.scenario("102")

    async with open_office(prepare_transfer, ENDS, phones=("102",)) as office:
        customer = await office.trunk.call("102", caller=OWN)
        talk = await office.phones["102"].next_call()
        await talk.answer()
        await customer.wait_answered()
        consultation = await office.phones["102"].call("*5001")
        await office.wait_for_text(consultation, LONGER_THAN_THE_WATCHDOG)
        await talk.transfer_to(consultation)
        await consultation.wait_ended()
        await talk.hang_up()
        await office.wait_for_text(customer, LONGER_THAN_THE_WATCHDOG)  # once more, since no key was pressed
        await customer.press("1")
        await office.bazang.request("waiting")


async def end_worker(office: Office, failure: str) -> float:
    """Stop, kill or freeze the worker. Return the time before it in monotonic seconds."""
    began = office.bazang.now()
    match failure:
        case "stopped":
            await office.bazang.stop_worker()
        case "killed":
            await office.bazang.kill_worker()
        case "frozen":
            office.bazang.freeze_worker()
    return began
