"""Callers say their name after they registered, and the agent hears it. Whatever they do then, the request stays."""

from pathlib import Path

from app.services.prompts.input import PromptInput
from app.services.requests import spoken_names
from app.worker.recording_inbox import RecordingInbox
from script.office.bazang import Bazang
from script.office.hearing import PromptListener
from script.office.patience import PATIENCE
from script.office.phone import Call
from script.office.sound import find, read_ulaw, ulaw
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, OWN, Office
from tests.asterisk.test_phone_calls import inbox, speech
from tests.audio.sounds import likeness, read_samples


def prepare(bazang: Bazang) -> None:
    short = {key: PromptInput("none") for key in ("before_success", "after_success")}
    bazang.module(next=NEXT, error=ERROR, min_wait=0, asks_name=True, prompts=short)


async def register(office: Office) -> Call:
    """Call, leave a request for the caller's own number, and wait until the name is being recorded."""
    call = await office.call_in("*5001")
    await office.wait_for_prompt(call, "intro")
    await wait_for_recording(office, call)
    return call


async def wait_for_recording(office: Office, call: Call) -> None:
    """Leave a request for the caller's own number, and wait until the name is being recorded."""
    await call.press("1")
    await office.bazang.request("waiting")
    await office.wait_for_prompt(call, "say_name")
    tone = read_ulaw(office.bazang.settings.prompts_path / "tone.wav")
    heard = lambda: find(bytes(call.rtp.received), tone).share > 0.8  # noqa: E731
    await office.bazang.until(heard, PATIENCE, "the tone is heard")
    await office.bazang.until(lambda: len(list(inbox(office).iterdir())) == 1, PATIENCE, "the recording has started")


async def say(office: Office, call: Call, seconds: float) -> None:
    call.rtp.speak(ulaw(speech(seconds)))
    await office.bazang.until(lambda: not call.rtp.is_speaking, PATIENCE, "the name is said")


async def find_name(office: Office) -> Path:
    """Wait until the name of the first request is stored, and return its file."""
    file = await office.bazang.until(lambda: spoken_names.find(office.bazang.database, 1), PATIENCE, "there is a name")
    return office.bazang.settings.prompts_path / file


async def hear_as_agent(office: Office, name: Path) -> None:
    """Answer as the agent, hear the name within the announcement, and press key 1. The customer is dialled then."""
    agent = await office.phones["101"].next_call()
    await agent.answer()
    await office.wait_for_prompt(agent, "agent_intro")
    assert await PromptListener(agent).hears(name, PATIENCE), office.bazang.describe()
    await office.wait_for_prompt(agent, "agent_keys")
    await agent.press("1")
    await office.next_customer_call(OWN)


async def test_agent_hears_the_name_that_the_caller_said(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=("101",)) as office:
        call = await register(office)
        await say(office, call, 1.5)
        await call.press("#")
        await office.bazang.until(lambda: call.rtp.keys_heard == "1", PATIENCE, "the next destination")
        name = await find_name(office)
        assert likeness(read_samples(name), speech(1.5)) > 0.8
        await office.bazang.until(lambda: not list(inbox(office).iterdir()), PATIENCE, "the inbox is empty")
        await office.bazang.kill_worker()
        await call.hang_up()
        await office.bazang.start_worker()
        await hear_as_agent(office, name)


@ONE_VERSION
async def test_caller_who_hangs_up_in_the_middle_keeps_the_request(open_office: OpenOffice) -> None:
    """The agent is called at once, and hears what was said until then."""
    async with open_office(prepare, ENDS, phones=("101",)) as office:
        call = await register(office)
        await say(office, call, 1.0)
        await call.hang_up()
        await hear_as_agent(office, await find_name(office))


@ONE_VERSION
async def test_request_survives_the_worker_while_the_name_is_said(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=("101",)) as office:
        call = await register(office)
        await office.bazang.kill_worker()
        await office.bazang.until(lambda: call.rtp.keys_heard == "1", PATIENCE, "the next destination, not the error's")
        await call.hang_up()
        await office.bazang.start_worker()
        await office.answer_agent("101")
        await office.next_customer_call(OWN)
        assert spoken_names.find(office.bazang.database, 1) == ""
        RecordingInbox(office.bazang.settings).remove_old(0)  # as the worker does after an hour
        assert not list(inbox(office).iterdir())
