"""Callers who wait in a queue, and requests for it: each in its place in line."""

from typing import Any

from app.domain.place_in_line import Place
from app.domain.policy import ReasonCode
from app.store.models import QueueRow
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, Office
from tests.asterisk.test_devices import waits_because

OTHER = "09125556677"


def one_member(retry: int) -> OfficeSetup:
    """An office whose queue has one member. It looks for a free one every `retry` seconds while a caller waits."""
    return OfficeSetup(queues=[QueueSetup("800", {"101": 0}, extra=f"retry={retry}")])


def support(bazang: Bazang, **fields: Any) -> None:
    bazang.module(target_kind="queue", targets=("800",), **fields)
    bazang.queue("800", max_wait=600)


async def wait_in_queue(office: Office, caller: str) -> Call:
    """Let an outside caller wait in the queue. Return the call when the worker knows of it."""
    call = await office.trunk.call("800", caller=caller)
    await office.bazang.until(lambda: waiting(office) == 1, PATIENCE, "the caller waits in the queue")
    return call


def waiting(office: Office) -> int:
    with office.bazang.database.read() as session:
        row = session.get(QueueRow, "800")
        return row.live_callers if row is not None else 0


async def test_complaint_04_busy_queue_releases_a_request_in_its_turn(open_office: OpenOffice) -> None:
    async with open_office(support, one_member(retry=600)) as office:
        talk = await office.occupy("101")
        request = office.add_request(target="800")
        caller = await wait_in_queue(office, OTHER)
        await talk.end()
        ring = await office.answer_agent("101")
        customer = await office.connect_customer(ring, request)
        assert not caller.ended.is_set() and waiting(office) == 1
        await customer.hang_up()
        await caller.hang_up()


@ONE_VERSION
async def test_complaint_02_later_request_does_not_starve_a_caller(open_office: OpenOffice) -> None:
    async with open_office(support, one_member(retry=1)) as office:
        talk = await office.occupy("101")
        caller = await wait_in_queue(office, OTHER)
        request = office.add_request(target="800")
        await talk.end()
        served = await office.phones["101"].next_call()
        await waits_because(office, request, ReasonCode.LIVE_CALLERS)
        await served.answer()
        await office.check_audio_both_ways(served, caller)
        assert office.bazang.attempts() == []
        await served.hang_up()
        await office.connect_customer(await office.answer_agent("101"), request)


@ONE_VERSION
async def test_request_gets_the_member_that_callers_leave(open_office: OpenOffice) -> None:
    """Callers come first as long as anyone waits, but here two members are free for one caller."""

    def prepare(bazang: Bazang) -> None:
        support(bazang, place=Place.CALLERS_FIRST.value, callers_lead=0)

    queue = QueueSetup("800", {"101": 0, "102": 0, "103": 1}, strategy="rrmemory", extra="retry=1")
    phones = ("101", "102", "103")
    setup = OfficeSetup(phones=dict.fromkeys(phones, "secret"), queues=[queue])
    async with open_office(prepare, setup, phones=phones) as office:
        await wait_in_queue(office, OTHER)
        request = office.add_request(OWN, target="800")
        await office.bazang.until(lambda: len(office.bazang.attempts()) == 1, PATIENCE, "a member is rung")
        (attempt,) = office.bazang.attempts()
        await office.connect_customer(await office.answer_agent(attempt.agent), request)


@ONE_VERSION
async def test_request_waits_for_its_share(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        support(bazang, place=Place.SHARE.value, callers_share=1)

    async with open_office(prepare, one_member(retry=1)) as office:
        talk = await office.occupy("101")
        await wait_in_queue(office, OTHER)
        request = office.add_request(target="800")
        await office.trunk.call("800", caller="09125556688")
        await office.bazang.until(lambda: waiting(office) == 2, PATIENCE, "two callers wait")
        await waits_because(office, request, ReasonCode.LIVE_CALLERS)
        await talk.end()
        await (await office.phones["101"].next_call()).answer()
        await waits_because(office, request, ReasonCode.LINE_IN_CALL)
        assert waiting(office) == 1, "this caller comes after the request"
