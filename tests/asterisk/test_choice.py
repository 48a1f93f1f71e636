"""Which queue member is rung, with real phones: who has been idle longest, or who talked with the customer last."""

from datetime import UTC, datetime, timedelta

from app.domain.policy import ReasonCode
from app.domain.routing import Destination
from app.services.requests.fallback import fall_back
from app.store.models import LastTalk
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, OWN_E164, Office

WRAPUP = 2
SETUP = OfficeSetup(queues=[QueueSetup("800", {"101": 0, "102": 0}, wrapuptime=WRAPUP)])


def prepare(bazang: Bazang) -> None:
    bazang.module(target_kind="queue", targets=("800",), preferred_for=600)
    bazang.queue("800", wrapup=WRAPUP)


async def serve(office: Office, extension: str, request: int) -> float:
    """Talk as this agent with the customer of a request. Return when the talk ended, in monotonic seconds."""
    agent_call = await office.answer_agent(extension)
    customer = await office.connect_customer(agent_call, request)
    ended = await customer.hang_up()
    await office.wait_for_status(request, "done")
    return ended


def talked_last(office: Office) -> str:
    with office.bazang.database.read() as session:
        row = session.get(LastTalk, OWN_E164)
        return row.extension if row is not None else ""


@ONE_VERSION
async def test_longest_idle_member_is_rung_unless_another_is_preferred(open_office: OpenOffice) -> None:
    async with open_office(prepare, SETUP) as office:
        talk = await office.occupy("101", OWN)  # by hand, no call of the queue or of ours
        await office.bazang.until(lambda: talked_last(office) == "101", PATIENCE, "the talk is noted")
        await talk.end()
        await office.wait_until_idle("101")
        await serve(office, "102", office.add_request("09120000002", target=""))
        # The queue knows no call of either. 102 has just had one of ours.
        ended = await serve(office, "101", office.add_request("09120000003", target=""))

        busy = await office.occupy("102", "09120000004")
        second = office.add_request("09120000005", target="")
        agent_call = await office.phones["101"].next_call()
        assert agent_call.began_at - ended >= WRAPUP, "rung during the wrap-up time after our call"
        await office.answer_agent_call(agent_call)
        await (await office.connect_customer(agent_call, second)).hang_up()
        await office.wait_for_status(second, "done")
        await busy.end()

        busy = await office.occupy("101", "09120000006")
        request = office.add_request(OWN, target="")
        assert office.get_request(request).preferred == "101"
        assert (await office.wait_for_reason(request, ReasonCode.PREFERRED)).subject == "101"
        await office.bazang.until(
            lambda: office.get_request(request).held_for == "101", PATIENCE, "the dispatcher has seen that 102 is free"
        )
        await busy.end()
        await serve(office, "101", request)
        assert [row.agent for row in office.bazang.attempts()] == ["102", "101", "101", "101"]


@ONE_VERSION
async def test_fallback_is_rung_for_a_request_that_has_waited_too_long(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(fallback_after=60, fallback=Destination("queue", "800"))

    setup = OfficeSetup(queues=[QueueSetup("800", {"102": 0})])
    async with open_office(prepare, setup) as office:
        busy = await office.occupy("101")
        request = office.add_request()
        await office.wait_for_reason(request, ReasonCode.LINE_IN_CALL)
        assert office.bazang.attempts() == []
        assert fall_back(office.bazang.database, datetime.now(UTC) + timedelta(minutes=1)) == 1  # as housekeeping does
        await serve(office, "102", request)
        await busy.end()
