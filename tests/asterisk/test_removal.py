"""A module or a scenario is deleted while a caller is inside: the caller goes on as if it were there."""

from datetime import UTC, datetime

from app.domain.routing import Destination
from app.services.modules.save import delete_module
from app.services.pbx.scenarios import ExtensionInput, QueueInput, delete_scenario
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import MODULE, ONE_VERSION, Office


async def delete(office: Office, kind: type[ExtensionInput] | type[QueueInput] | None, code: str = "") -> None:
    """Delete a scenario, or module 1, and wait until Asterisk runs the dialplan without it."""
    database, now = office.bazang.database, datetime.now(UTC)
    if kind is None:
        delete_module(database, 1, now)
    else:
        delete_scenario(database, kind, code, now=now)
    await office.bazang.wait_for_dialplan()


@ONE_VERSION
async def test_caller_in_the_dialogue_of_a_deleted_module_goes_to_the_error_destination(
    open_office: OpenOffice,
) -> None:
    async with open_office(lambda bazang: bazang.module(error=Destination("extension", "102"))) as office:
        caller = await office.call_in("*5001")
        await office.wait_for_prompt(caller, "intro")
        await delete(office, None)
        await caller.press("1")
        taken = await office.phones["102"].next_call()
        await taken.answer()
        await office.check_audio_both_ways(caller, taken)
        assert office.bazang.requests() == []
        assert (len(office.phones["102"].invites), len(office.phones["101"].invites)) == (1, 0)


@ONE_VERSION
async def test_caller_of_a_deleted_scenario_goes_to_its_destination(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.scenario("101", ring=5, no_answer=MODULE)

    async with open_office(prepare) as office:
        caller = await office.trunk.call("101", caller="09121234567")
        missed = await office.phones["101"].next_call()
        await delete(office, ExtensionInput, "101")
        assert not missed.ended.is_set(), office.bazang.describe()
        await missed.wait_ended()  # after the ring time
        await office.wait_for_prompt(caller, "intro")
        assert len(office.phones["101"].invites) == 1


async def test_caller_who_waits_in_a_queue_of_a_deleted_scenario_goes_to_its_destination(
    open_office: OpenOffice,
) -> None:
    own = "[from-trunk](+)\ninclude => own\n[own]\nexten => 800,1,Dial(PJSIP/102)\n"
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})], extra_dialplan=own)

    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.queue("800", max_wait=5, failed=MODULE)

    async with open_office(prepare, setup) as office:
        caller = await office.call_in("800")
        missed = await office.phones["101"].next_call()
        await delete(office, QueueInput, "800")
        other = await office.trunk.call("800", caller="09120000002")
        taken = await office.phones["102"].next_call()  # a new call gets to the PBX's own queue
        await taken.answer()
        await other.wait_answered()
        assert not missed.ended.is_set(), office.bazang.describe()
        await missed.wait_ended()  # after the maximum wait
        await office.wait_for_prompt(caller, "intro")
        assert len(office.phones["101"].invites) == 1
