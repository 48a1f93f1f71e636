"""Scenarios of extensions and queues: how callers get to the module, and whom it rings for them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import PROMPT_KEYS
from app.services import commands, transfer
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import MODULE, ONE_VERSION, OWN_E164, Office, add_scenario
from tests.asterisk.test_voices import wait_for_clip


def prepare_extension(bazang: Bazang) -> None:
    bazang.module()
    add_scenario(bazang, ring=5)


async def connect_next_attempt(office: Office, extension: str) -> Call:
    """Answer the next attempt as agent and customer. Return the customer's call when they are connected."""
    return await office.connect_customer(await office.answer_agent(extension))


async def pause_member(office: Office, extension: str) -> None:
    await office.bazang.asterisk.cli(f"queue pause member PJSIP/{extension} queue 800")


async def unpause_member(office: Office, extension: str) -> None:
    await office.bazang.asterisk.cli(f"queue unpause member PJSIP/{extension} queue 800")


async def test_busy_extension_is_rung_when_it_hangs_up(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension) as office:
        busy_call = await office.occupy("101")
        await office.leave_request()
        request = await office.bazang.request("waiting")
        assert (request.number, request.target, request.caller_number) == (OWN_E164, "101", "09121234567")
        freed = await busy_call.end()
        agent_call = await office.answer_agent("101")
        assert agent_call.remote == "09121234567", "the agent's phone shows the customer's number"
        assert 0 < agent_call.began_at - freed < 2
        customer = await office.connect_customer(agent_call)
        assert customer.dialled == "09121234567"
        await customer.hang_up()
        await agent_call.wait_ended()
        assert (await office.bazang.request("done")).customer_attempts == 0


async def test_caller_of_an_unanswered_extension_goes_to_the_module(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension) as office:
        caller = await office.trunk.call("101", caller="09121234567")
        missed = await office.phones["101"].next_call()
        await missed.wait_ended()  # after the ring time
        await caller.wait_answered()
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        await connect_next_attempt(office, "101")


@ONE_VERSION
async def test_scenario_that_is_saved_while_the_phone_rings_does_not_disturb_the_call(open_office: OpenOffice) -> None:
    """Asterisk reloads the dialplan, and the call continues at the number of its next step."""

    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.scenario("101", ring=8, no_answer=MODULE)

    async with open_office(prepare) as office:
        caller = await office.trunk.call("101", caller="09121234567")
        missed = await office.phones["101"].next_call()
        office.bazang.scenario("101", ring=8, no_answer=MODULE, busy=MODULE, unavailable=MODULE)
        assert (await office.send_command(commands.WRITE_DIALPLAN)).ok
        await office.bazang.wait_for_dialplan()
        assert not missed.ended.is_set(), office.bazang.describe()
        await missed.wait_ended()  # after the ring time
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        assert len(office.phones["101"].invites) == 1
        await connect_next_attempt(office, "101")


async def test_pbx_without_app_queue_serves_extensions(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension, OfficeSetup(without_modules=("app_queue",))) as office:
        await office.bazang.until(lambda: office.line_state("101") == "free", PATIENCE, "the line is known")
        assert "QueueStatus" not in await office.bazang.asterisk.cli("manager show commands")
        request = office.add_request()
        await office.connect_customer(await office.answer_agent("101"), request)


async def test_unregistered_extension_is_rung_when_it_registers(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension) as office:
        await office.phones["101"].register(expires=0)
        await office.leave_request()
        await office.expect_no_call("101", 1.5)
        await office.phones["101"].register()
        await connect_next_attempt(office, "101")


async def test_caller_of_a_free_extension_does_not_reach_the_module(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension) as office:
        caller = await office.trunk.call("101", caller="09121234567")
        agent_call = await office.phones["101"].next_call()
        await agent_call.answer()
        await caller.wait_answered()
        await caller.hang_up()
        await agent_call.wait_ended()
        assert office.bazang.requests() == []


def queue_setup(**queue: Any) -> OfficeSetup:
    members = {"101": 0, "102": 0}
    return OfficeSetup(queues=[QueueSetup("800", members, **queue)])


def prepare_queue(bazang: Bazang, **fields: Any) -> None:
    bazang.module(target_kind="queue", targets=("800",), **fields)
    bazang.queue("800", max_wait=5, failed=MODULE)


async def test_request_from_a_queue_rings_the_member_that_is_free(open_office: OpenOffice) -> None:
    async with open_office(prepare_queue, queue_setup()) as office:
        first, second = await office.occupy("101"), await office.occupy("102", "09120000002")
        await office.leave_request("800")
        request = await office.bazang.request("waiting")
        assert (request.queue, request.target) == (True, "800")
        await second.end()
        customer = await connect_next_attempt(office, "102")
        await customer.hang_up()
        await office.bazang.request("done")
        await first.end()
        await office.expect_no_call("101", 1)


async def test_caller_of_a_queue_without_agents_goes_to_the_module(open_office: OpenOffice) -> None:
    async with open_office(prepare_queue, queue_setup(joinempty="unavailable,invalid,unknown"), phones=()) as office:
        await office.leave_request("800")
        await office.bazang.request("waiting")


async def test_paused_member_is_not_rung_until_the_pause_ends(open_office: OpenOffice) -> None:
    async with open_office(prepare_queue, queue_setup()) as office:
        await pause_member(office, "101")
        busy_call = await office.occupy("102")
        await office.leave_request("800")
        await office.expect_no_call("101", 2)
        await unpause_member(office, "101")
        await connect_next_attempt(office, "101")
        await busy_call.end()


@ONE_VERSION
async def test_member_with_the_lowest_penalty_is_rung_first_and_the_next_after_a_miss(open_office: OpenOffice) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 5, "102": 0})])

    def prepare(bazang: Bazang) -> None:
        prepare_queue(bazang, agent_ring=5)

    async with open_office(prepare, setup) as office:
        for phone in office.phones.values():
            await phone.register(expires=0)
        await office.leave_request("800")
        await pause_member(office, "102")
        await pause_member(office, "101")
        for phone in office.phones.values():
            await phone.register()
        await office.expect_no_call("101", 0.5)
        await unpause_member(office, "102")
        missed = await office.phones["102"].next_call(5)
        await unpause_member(office, "101")
        await missed.wait_ended()
        await connect_next_attempt(office, "101")
        request = office.bazang.requests()[0]
        assert (request.agent_misses, request.customer_attempts) == (1, 0)


async def test_member_is_rung_after_the_wrap_up_time(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(target_kind="queue", targets=("800",))
        bazang.queue("800", max_wait=5, wrapup=3, failed=MODULE)

    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0}, wrapuptime=3)])
    async with open_office(prepare, setup, phones=("101",)) as office:
        caller = await office.trunk.call("800", caller="09120000009")
        served = await office.phones["101"].next_call()
        await served.answer()
        await caller.wait_answered()
        await office.leave_request("800")
        ended = await served.hang_up()
        agent_call = await office.phones["101"].next_call()
        assert agent_call.began_at - ended >= 3, "rung during the wrap-up time"


@pytest.mark.slow
@ONE_VERSION
async def test_callers_go_on_as_before_until_imported_modules_can_speak(open_office: OpenOffice) -> None:
    """A poll comes before the sounds are made. It must not lead callers to a module that says nothing yet."""
    texts = [f"This is module {module}. {'We will call you back soon. ' * 3}" for module in range(3)]
    modules = [
        {
            **{"name": f"New {place}", "code": f"*510{place}", "target_kind": "extension", "targets": ["101"]},
            **{"next": {"kind": "hangup"}, "error": {"kind": "extension", "code": "102"}, "language": "en"},
            "prompts": {key: {"text": f"{text} This is text {key}."} for key in PROMPT_KEYS[:6]},
        }
        for place, text in enumerate(texts)
    ]
    scenario = {"extension": "101", "ring": 5, "busy": {"kind": "module", "code": modules[-1]["code"]}}
    content = {"bazang": 1, "modules": modules, "extensions": [scenario]}

    def is_written() -> bool:
        return str(modules[-1]["code"]) in settings.dialplan_path.read_text()

    async with open_office(prepare_extension, phones=("101", "102")) as office:
        settings, database = office.bazang.settings, office.bazang.database
        library = SoundLibrary(settings.prompts_path, settings.voices_path)
        busy = await office.occupy("101")
        transfer.import_settings(database, settings, library, content, datetime.now(UTC))
        await office.wait_for_poll()
        assert not is_written(), "the sounds are made faster than a poll comes"
        await office.leave_request()
        await office.bazang.until(is_written, PATIENCE, "the sounds are made")
        await office.bazang.wait_for_dialplan()
        caller = await office.call_in("101", caller="09121234568")
        intro = library.synthesize(f"{texts[-1]} This is text intro.", "en")
        await wait_for_clip(office, caller, intro)
        await busy.end()
        assert not office.phones["102"].invites, "nobody has come to the error destination"
