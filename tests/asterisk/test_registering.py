"""How a request is registered: by whom, for whom, how often in one call, and never by a call of our own."""

from typing import Any

from app.domain.routing import Destination
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, OWN_E164, Office

MODULE = Destination("module", "*5001")
# The number of a customer leads back to the office, as a wrong route or a forwarding of the provider does.
LOOP = """
[loop]
exten => _X.,1,Goto({target})
"""


def sales(bazang: Bazang, **fields: Any) -> None:
    bazang.module(**{"targets": ("101", "102"), **fields})
    for extension in ("101", "102"):
        bazang.scenario(extension, ring=5, busy=MODULE, no_answer=MODULE, unavailable=MODULE)


async def press_one(office: Office, call: Call, count: int) -> None:
    """Choose one's own number when the intro plays; return when `count` requests are stored."""
    await office.wait_for_prompt(call, "intro")
    await call.press("1")
    await office.bazang.until(lambda: len(office.bazang.requests()) >= count, PATIENCE, "the request is stored")


# -- our own calls ----------------------------------------------------------------------------------------------------


async def comes_back(open_office: OpenOffice, target: str) -> None:
    """Call a customer whose number leads to `target` in our own dialplan."""
    setup = OfficeSetup(extra_dialplan=LOOP.format(target=target))
    async with open_office(lambda bazang: sales(bazang, silent=True), setup, OUTBOUND_CONTEXT="loop") as office:
        request = office.add_request()
        await office.answer_agent("101")
        attempt = await office.wait_for_attempt(request)
        assert (attempt.outcome, office.get_request(request).customer_attempts) == ("customer_busy", 1)
        assert len(office.bazang.requests()) == 1
        assert not [entry for entry in office.bazang.history() if entry.event == "registered_again"]
        assert office.phones["102"].invites == []


@ONE_VERSION
async def test_own_call_that_comes_back_to_a_module_registers_nothing(open_office: OpenOffice) -> None:
    await comes_back(open_office, "bazang-modules,*5001,1")


async def test_own_call_that_comes_back_to_an_extension_rings_nobody(open_office: OpenOffice) -> None:
    await comes_back(open_office, "bazang-extensions,102,1")


async def test_customer_of_our_call_can_be_transferred(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        office.add_request()
        ring = await office.answer_agent("101")
        customer = await office.connect_customer(ring)
        await ring.transfer("102")
        other = await office.phones["102"].next_call()
        await other.answer()
        await office.check_audio_both_ways(other, customer)


@ONE_VERSION
async def test_unanswered_call_of_an_extension_makes_no_request(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        outgoing = await office.phones["101"].call(OWN)
        customer = await office.next_customer_call(OWN)
        customer.reject(480)
        await outgoing.wait_ended()
        await office.wait_until_idle("101")
        assert office.bazang.requests() == []


# -- the caller -------------------------------------------------------------------------------------------------------


async def test_caller_whom_102_transfers_to_the_module_is_registered(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        customer = await office.trunk.call("102", caller=OWN)
        talk = await office.phones["102"].next_call()
        await talk.answer()
        await customer.wait_answered()
        consultation = await office.phones["102"].call("*5001")
        await office.wait_for_prompt(consultation, "intro")
        await talk.transfer_to(consultation)
        await consultation.wait_ended()  # the customer hears the rest of the intro
        await talk.hang_up()
        await customer.press("1")
        await office.bazang.until(office.bazang.requests, PATIENCE, "the request is stored")
        (request,) = office.bazang.requests()
        assert (request.number, request.caller_number) == (OWN_E164, OWN)


async def test_caller_whom_102_transfers_blindly_is_registered(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        customer = await office.trunk.call("102", caller=OWN)
        talk = await office.phones["102"].next_call()
        await talk.answer()
        await customer.wait_answered()
        await talk.transfer("*5001")
        await press_one(office, customer, 1)
        (request,) = office.bazang.requests()
        assert (request.number, request.caller_number) == (OWN_E164, OWN)


@ONE_VERSION
async def test_extension_is_not_called_back_to_itself(open_office: OpenOffice) -> None:
    """The intro does not offer the own number, and 1 asks for another one."""
    async with open_office(lambda bazang: sales(bazang, targets=("101",)), phones=("101",)) as office:
        call = await office.phones["101"].call("*5001")
        await office.wait_for_prompt(call, "intro_other")
        await call.press("1")
        await office.wait_for_prompt(call, "enter_number")
        await call.hang_up()
        assert office.bazang.requests() == []


# -- one call, several requests ---------------------------------------------------------------------------------------


async def test_phone_that_shows_the_number_of_the_office_is_called_back_inside(open_office: OpenOffice) -> None:
    """The PBX gives this caller ID to its phones, so that customers see it."""
    setup = OfficeSetup(phone_options="callerid=Office <02188881234>")
    async with open_office(sales, setup) as office:
        talk = await office.occupy("101")
        await press_one(office, await office.phones["102"].call("101"), 1)
        (request,) = office.bazang.requests()
        assert (request.number, request.caller_number) == ("102", "102")
        await talk.end()


@ONE_VERSION
async def test_one_call_registers_for_two_extensions(open_office: OpenOffice) -> None:
    """101 is busy, the next destination is 102, who is busy as well."""
    async with open_office(lambda bazang: sales(bazang, next=Destination("extension", "102"))) as office:
        talks = [await office.occupy("101"), await office.occupy("102", "09120000002")]
        caller = await office.call_in("101")
        await press_one(office, caller, 1)
        await office.wait_for_prompt(caller, "after_success")
        caller.rtp.received.clear()
        await press_one(office, caller, 2)
        await caller.hang_up()
        assert [(row.target, row.number) for row in office.bazang.requests()] == [("101", OWN_E164), ("102", OWN_E164)]
        for talk in talks:
            await talk.end()


@ONE_VERSION
async def test_request_names_the_extension_whose_phone_is_off(open_office: OpenOffice) -> None:
    async with open_office(sales, phones=("101",)) as office:
        await press_one(office, await office.call_in("102"), 1)
        assert (await office.bazang.request("waiting")).target == "102"


@ONE_VERSION
async def test_request_that_cannot_be_stored_is_not_confirmed(open_office: OpenOffice) -> None:
    async with open_office(lambda bazang: sales(bazang, error=Destination("extension", "102"))) as office:
        talk = await office.occupy("101")
        caller = await office.call_in("101")
        await office.wait_for_prompt(caller, "intro")
        with office.lock_database():
            await caller.press("1")
            await office.phones["102"].next_call()  # the error destination
        assert office.bazang.requests() == []
        await talk.end()


# -- during our own attempt -------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_caller_who_registers_while_we_ring_them_is_called_again(open_office: OpenOffice) -> None:
    """Their phone is busy, since they are calling us. That costs no attempt."""
    async with open_office(lambda bazang: sales(bazang, retries=0)) as office:
        request = office.add_request()
        ring = await office.answer_agent("101")
        customer = await office.next_customer_call(OWN)
        caller = await office.call_in("101")  # 101 is busy with the attempt
        await office.wait_for_prompt(caller, "has_open")
        await caller.press("1")
        await office.bazang.until(lambda: office.get_request(request).again, PATIENCE, "registered again")
        customer.reject(486)
        await office.wait_for_attempt(request)
        await caller.hang_up()
        row = office.get_request(request)
        assert (row.customer_attempts, row.agent_misses) == (0, 0)
        await ring.wait_ended()
        await office.connect_customer(await office.answer_agent("101"), request)


@ONE_VERSION
async def test_caller_who_registers_while_we_talk_is_called_again(open_office: OpenOffice) -> None:
    """A company has several people behind one number: a second one registers while the first one talks."""
    async with open_office(sales) as office:
        request = office.add_request()
        ring = await office.answer_agent("101")
        first = await office.connect_customer(ring, request)
        caller = await office.call_in("101")
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        await office.bazang.until(lambda: office.get_request(request).again, PATIENCE, "registered again")
        await caller.hang_up()
        await first.hang_up()
        await office.wait_for_attempt(request)
        second = await office.connect_customer(await office.answer_agent("101"), request)
        await second.hang_up()
        await office.wait_for_status(request, "done")


# -- internal customers -----------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_internal_customer_whose_phone_is_gone_is_not_dialled_outside(open_office: OpenOffice) -> None:
    """Extension 110 is the police for the outbound context."""
    setup = OfficeSetup(outbound_patterns=("_X.",))
    async with open_office(sales, setup) as office:
        await office.phones["102"].register(expires=0)
        await office.bazang.until(lambda: office.line_state("102") == "offline", PATIENCE, "the phone of 102 is gone")
        gone, back = office.add_request("110"), office.add_request("102")
        other = office.add_request()
        await office.connect_customer(
            await office.answer_agent("101"), other
        )  # proves that the others have been considered
        await office.hang_up_customer(OWN)
        await office.wait_for_status(other, "done")
        assert {call.dialled for call in office.calls_to("")} == {OWN}
        assert [office.get_request(request).customer_attempts for request in (gone, back)] == [0, 0]
        await office.phones["102"].register()
        await office.answer_agent("101")
        inside = await office.phones["102"].next_call()
        await inside.answer()
        await office.wait_for_status(back, "connected")


# -- a caller who calls again -----------------------------------------------------------------------------------------


@ONE_VERSION
async def test_caller_who_calls_again_withdraws_their_request(open_office: OpenOffice) -> None:
    """Its phone stops ringing."""
    async with open_office(lambda bazang: sales(bazang, targets=("101",))) as office:
        request = office.add_request(target="")
        ring = await office.phones["101"].next_call()
        again = await office.call_in("*5001")
        await office.wait_for_prompt(again, "has_open")
        await again.press("9")
        await office.wait_for_status(request, "cancelled")
        await ring.wait_ended()
        await office.wait_for_prompt(again, "withdrawn")
        await again.wait_ended()
        assert office.calls_to(OWN) == []


@ONE_VERSION
async def test_caller_who_calls_again_names_another_number(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        sales(bazang, automatic=False)

    async with open_office(prepare) as office:
        request = office.add_request(target="")
        again = await office.call_in("*5001")
        await office.wait_for_prompt(again, "has_open")
        await again.press("2")
        await office.wait_for_prompt(again, "enter_number")
        await again.press("09125556677#")
        await office.wait_for_prompt(again, "check_number")
        await again.press("1")
        await office.wait_for_status(request, "cancelled")
        assert [(row.number, row.status) for row in office.bazang.requests()] == [
            (OWN_E164, "cancelled"),
            ("+989125556677", "waiting"),
        ]
        await again.hang_up()
