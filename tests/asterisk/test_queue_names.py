"""Queues with names that are no extensions: spaces, letters of other languages."""

from app.domain.routing import Destination
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import OWN, Office

NAME = "پشتیبانی\u200cفنی ۲ sales"


async def test_queue_with_a_name_of_several_words(open_office: OpenOffice) -> None:
    """A caller of 101 gets into the queue, waits too long, leaves a request, and a member calls back."""

    def prepare(bazang: Bazang) -> None:
        bazang.module(target_kind="queue", targets=(NAME,))
        bazang.queue(NAME, max_wait=5, failed=Destination("module", "*5001"))
        bazang.scenario("101", unavailable=Destination("queue", NAME))

    setup = OfficeSetup(queues=[QueueSetup(NAME, {"102": 0}, timeout=5)])
    async with open_office(prepare, setup, phones=("102",)) as office:
        await leave_request_in_queue(office)
        request = await office.bazang.request("waiting")
        assert (request.queue, request.target) == (True, NAME)
        await office.connect_customer(await office.answer_agent("102"))


async def leave_request_in_queue(office: Office) -> None:
    caller = await office.trunk.call("101", caller=OWN)
    ring = await office.phones["102"].next_call()
    await ring.wait_ended()  # the queue's maximum wait
    await office.wait_for_prompt(caller, "intro")
    while not office.phones["102"].incoming.empty():  # the queue may have rung 102 twice
        office.phones["102"].incoming.get_nowait()
    await caller.press("1")
    await office.bazang.until(office.bazang.requests, PATIENCE, "the request is stored")
    await caller.hang_up()
