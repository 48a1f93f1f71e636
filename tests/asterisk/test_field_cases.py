"""Cases from public reports about phones, trunks and queues. docs/field-cases.md names the sources."""

import asyncio

import pytest

from app.domain.policy import ReasonCode
from app.domain.routing import Destination
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.sound import RATE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, OWN_E164, Office, add_scenario, phone_secrets
from tests.asterisk.test_devices import AT_ONCE, office_setup, polled, support, waits_because

LOUD = b"\x10"  # a sample (µ-law)
LONG_NAME = "Ali " + "very-long-name " * 60


def sales(bazang: Bazang) -> None:
    bazang.module()
    add_scenario(bazang, ring=5)


async def talk(office: Office, request: int) -> None:
    """Let the next agent take a request, connect the customer, and hang up."""
    ring = await office.answer_agent("101", timeout=AT_ONCE)
    customer = await office.connect_customer(ring, request)
    await customer.hang_up()
    await office.wait_for_status(request, "done")


# -- phones -----------------------------------------------------------------------------------------------------------


async def test_agent_presses_a_key_by_sip_info(open_office: OpenOffice) -> None:
    setup = OfficeSetup(phone_options="dtmf_mode=info")
    async with open_office(sales, setup) as office:
        request = office.add_request()
        ring = await office.phones["101"].next_call(AT_ONCE)
        await ring.answer()
        await office.wait_for_prompt(ring, "agent_intro")
        await ring.press_by_info("1")
        await office.connect_customer(ring, request)


@ONE_VERSION
async def test_caller_inside_presses_a_key_by_sip_info(open_office: OpenOffice) -> None:
    """The phone offers sound events as well, and the endpoint takes both."""
    setup = OfficeSetup(phone_options="dtmf_mode=auto_info")
    async with open_office(sales, setup) as office:
        caller = await office.phones["102"].call("*5001")
        await office.wait_for_prompt(caller, "intro")
        await caller.press_by_info("1")
        await office.bazang.until(office.bazang.requests, PATIENCE, "the request is stored")
        await caller.hang_up()
        assert [row.number for row in office.bazang.requests()] == ["102"]


@ONE_VERSION
async def test_complaint_13_registered_phone_in_a_call_is_not_free(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        phone = office.phones["101"]
        phone.call_waiting = True
        busy = await office.occupy("101")
        await phone.move()
        request = office.add_request()
        await waits_because(office, request, ReasonCode.LINE_IN_CALL)
        await busy.end()
        await talk(office, request)


async def test_colleague_picks_up_the_call_to_the_agent(open_office: OpenOffice) -> None:
    """The colleague hears the announcement and talks with the customer."""
    setup = OfficeSetup(extra_dialplan="[from-phones](+)\nexten => *7,1,PickupChan(PJSIP/101,p)\n")
    async with open_office(sales, setup) as office:
        request = office.add_request()
        await office.phones["101"].next_call(AT_ONCE)
        colleague = await office.phones["102"].call("*7")
        await colleague.wait_answered()
        await office.wait_for_prompt(colleague, "agent_intro")
        await colleague.press("1")
        customer = await office.connect_customer(colleague, request)
        for _ in range(3):
            await polled(office)
        assert office.get_request(request).status == "connected"
        await office.check_audio_both_ways(colleague, customer)
        await customer.hang_up()
        await office.wait_for_status(request, "done")
        (attempt,) = office.bazang.attempts()
        assert attempt.outcome == "connected"


@ONE_VERSION
async def test_extensions_that_begin_with_zero(open_office: OpenOffice) -> None:
    """They look like outside numbers, and a pattern of the outbound context matches them."""
    setup = OfficeSetup(phones={"0101": "secret", "0102": "secret"})
    async with open_office(lambda b: b.module(targets=("0101",)), setup, phones=("0101", "0102")) as office:
        caller = await office.phones["0102"].call("*5001")
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        await office.bazang.until(office.bazang.requests, PATIENCE, "the request is stored")
        await caller.hang_up()
        (request,) = office.bazang.requests()
        assert (request.number, request.target) == ("0102", "")
        await office.answer_agent("0101")
        inside = await office.phones["0102"].next_call()
        await inside.answer()
        await office.wait_for_status(request.id, "connected")
        assert office.calls_to("") == []


# -- the trunk and the caller -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [True, False])
async def test_sound_before_the_answer_is_no_answer(open_office: OpenOffice, answers: bool) -> None:
    async with open_office(sales) as office:
        request = office.add_request()
        ring = await office.answer_agent("101", timeout=AT_ONCE)
        customer = await office.next_customer_call(OWN)
        customer.send_early_media()
        customer.rtp.speak(LOUD * RATE)
        await office.bazang.until(lambda: LOUD in ring.rtp.received, PATIENCE, "the agent hears it")
        await office.wait_for_step(request, "customer_dialled")
        if answers:
            await customer.answer()
            await office.wait_for_status(request, "connected")
        else:
            customer.reject(486)
            assert (await office.wait_for_attempt(request)).outcome == "customer_busy"


async def test_forms_in_which_trunks_report_the_number_of_the_caller(open_office: OpenOffice) -> None:
    """The own number is only offered if there is one."""
    usable = ("+989121234567", "00989121234567", "989121234567", "9121234567", "0912-123-4567")
    unusable = ("anonymous", "Unknown", "unavailable", "restricted", "%3Cunknown%3E", "0", "+", "s")
    async with open_office(sales, phones=()) as office:
        for caller in (*unusable, *usable):
            call = await office.call_in("*5001", caller=caller, name=caller)
            await office.wait_for_prompt(call, "intro" if caller in usable else "intro_other")
            await call.hang_up()
        await office.leave_request("*5001", caller=usable[-1])
        assert [row.number for row in office.bazang.requests()] == [OWN_E164]


async def test_very_long_name_of_a_caller(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        caller = await office.call_in("*5001", name=LONG_NAME)
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        await office.bazang.until(office.bazang.requests, PATIENCE, "the request is stored")
        await caller.hang_up()
        await talk(office, 1)


@ONE_VERSION
async def test_caller_who_hangs_up_while_the_intro_plays_makes_no_request(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        caller = await office.call_in("*5001")
        await office.wait_for_prompt(caller, "intro")
        await caller.hang_up()
        await office.bazang.until(lambda: "(hung_up)" in office.bazang.worker_log(), PATIENCE, "the dialogue has ended")
        assert office.bazang.requests() == []
        await talk(office, office.add_request())


# -- queues -----------------------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_member_who_logs_in_while_a_request_waits_is_rung(open_office: OpenOffice) -> None:
    async with open_office(support, OfficeSetup(queues=[QueueSetup("800", {})])) as office:
        request = office.add_request(target="800")
        await waits_because(office, request, ReasonCode.NO_MEMBERS)
        await office.bazang.asterisk.cli("queue add member PJSIP/101 to 800 penalty 0 as Sara")
        await talk(office, request)


async def test_all_members_offline_leads_to_the_module_at_once(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        support(bazang)
        bazang.queue("800", max_wait=60, failed=Destination("module", "*5001"))

    queue = QueueSetup("800", {"101": 0}, joinempty="strict", extra="musicclass=nowhere")
    async with open_office(prepare, OfficeSetup(queues=[queue]), phones=()) as office:
        began = office.bazang.now()
        caller = await office.trunk.call("800", caller=OWN)
        await office.wait_for_prompt(caller, "intro", timeout=PATIENCE)
        assert office.bazang.elapsed(began) < 30, "they need not wait for the maximum of a minute"
        await caller.press("1")
        await office.bazang.until(office.bazang.requests, PATIENCE, "the request is stored")


async def test_queue_whose_members_all_leave_leads_to_the_module(open_office: OpenOffice) -> None:
    """Its class of music does not exist either."""

    def prepare(bazang: Bazang) -> None:
        support(bazang)
        bazang.queue("800", max_wait=600, failed=Destination("module", "*5001"))

    queue = QueueSetup("800", {}, timeout=2, leavewhenempty="yes", extra="musicclass=nowhere")
    async with open_office(prepare, OfficeSetup(queues=[queue]), phones=("101",)) as office:
        await office.bazang.asterisk.cli("queue add member PJSIP/101 to 800")
        caller = await office.trunk.call("800", caller=OWN)
        await office.phones["101"].next_call()
        await office.bazang.asterisk.cli("queue remove member PJSIP/101 from 800")
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        await office.bazang.until(office.bazang.requests, PATIENCE, "the request is stored")


async def test_customer_is_passed_to_a_queue_after_a_consultation(open_office: OpenOffice) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"102": 0})])

    def prepare(bazang: Bazang) -> None:
        sales(bazang)
        bazang.queue("800", max_wait=60)

    async with open_office(prepare, setup) as office:
        request = office.add_request()
        ring = await office.answer_agent("101", timeout=AT_ONCE)
        customer = await office.connect_customer(ring, request)
        consultation = await office.phones["101"].call("800")
        served = await office.phones["102"].next_call()
        await consultation.wait_answered()
        await ring.transfer_to(consultation)
        await consultation.wait_ended()
        await ring.hang_up()
        await office.wait_for_status(request, "done")
        await served.answer()
        await office.check_audio_both_ways(served, customer)
        second = office.add_request("09125556677")
        await talk(office, second)  # 101 is free
        assert not customer.ended.is_set()


# -- the PBX ----------------------------------------------------------------------------------------------------------


async def test_states_are_found_out_without_events(open_office: OpenOffice) -> None:
    """The AMI user has filters, made for another program."""
    dropped = ("Newchannel", "Newstate", "Hangup", "DeviceStateChange", "ExtensionStatus", "QueueMemberStatus")
    filters = "".join(f"\neventfilter=!Event: {name}" for name in dropped)
    setup = OfficeSetup(ami_rights=OfficeSetup().ami_rights + filters)
    async with open_office(sales, setup) as office:
        office.phones["101"].call_waiting = True
        busy = await office.occupy("101")
        await office.bazang.until(lambda: office.line_state("101") == "in_call", PATIENCE, "101 talks")
        request = office.add_request()
        await waits_because(office, request, ReasonCode.LINE_IN_CALL)
        await busy.end()
        ring = await office.answer_agent("101")
        customer = await office.connect_customer(ring, request)
        await customer.hang_up()
        await office.wait_for_status(request, "done")


async def test_reload_of_everything_in_the_middle_of_a_call(open_office: OpenOffice) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"102": 0})])
    async with open_office(sales, setup) as office:
        request, second = office.add_request(), office.add_request("09125556677")
        ring = await office.answer_agent("101", timeout=AT_ONCE)
        customer = await office.next_customer_call(OWN)
        await office.bazang.asterisk.cli("core reload")
        await customer.answer()
        await office.wait_for_status(request, "connected")
        await office.bazang.asterisk.cli("core reload")
        await office.check_audio_both_ways(ring, customer)
        await polled(office)
        assert office.get_request(second).status == "waiting"
        await customer.hang_up()
        await office.wait_for_status(request, "done")
        await talk(office, second)


# -- several at once --------------------------------------------------------------------------------------------------


async def test_two_phones_of_a_line_answer_at_the_same_time(open_office: OpenOffice) -> None:
    """One of them gets the call, the other one is hung up."""
    setup = office_setup("101,PJSIP/101&PJSIP/web101", phones=("101", "web101"))
    async with open_office(lambda b: b.module(), setup, phones=("101", "web101")) as office:
        request = office.add_request()
        rings = [await phone.next_call(AT_ONCE) for phone in office.phones.values()]
        await asyncio.gather(*(ring.answer() for ring in rings))
        await office.bazang.until(lambda: sum(ring.ended.is_set() for ring in rings) == 1, PATIENCE, "one is hung up")
        (ring,) = (ring for ring in rings if not ring.ended.is_set())
        await office.wait_for_prompt(ring, "agent_intro")
        await ring.press("1")
        customer = await office.connect_customer(ring, request)
        await customer.hang_up()
        await ring.wait_ended(1.0)
        await office.wait_for_status(request, "done")
        assert [attempt.outcome for attempt in office.bazang.attempts()] == ["connected"]


@ONE_VERSION
async def test_caller_whom_a_colleague_picks_up_makes_no_request(open_office: OpenOffice) -> None:
    setup = OfficeSetup(extra_dialplan="[from-phones](+)\nexten => *7,1,PickupChan(PJSIP/101,p)\n")
    async with open_office(sales, setup) as office:
        caller = await office.trunk.call("101", caller=OWN)
        missed = await office.phones["101"].next_call()
        colleague = await office.phones["102"].call("*7")
        await caller.wait_answered()
        await missed.wait_ended()
        await office.check_audio_both_ways(caller, colleague)
        await colleague.hang_up()
        await caller.wait_ended()
        assert "BAZANG_MODULE" not in office.bazang.asterisk.log_file.read_text()
        assert office.bazang.requests() == []


@ONE_VERSION
async def test_complaint_03_no_more_calls_than_free_agents(open_office: OpenOffice) -> None:
    agents = tuple(f"20{number}" for number in range(5))
    setup = OfficeSetup(phones=phone_secrets(agents), queues=[QueueSetup("800", dict.fromkeys(agents, 0))])
    async with open_office(support, setup, phones=agents) as office:
        busy = [await office.occupy(agent, f"091200000{agent}") for agent in agents]
        free = ("free", "")
        await office.bazang.until(
            lambda: not any(office.line_state(agent) in free for agent in agents), PATIENCE, "all talk"
        )
        requests = [office.add_request(f"09121000{number:03}", target="800") for number in range(20)]
        await asyncio.gather(*(call.end() for call in busy))
        rings = [await office.phones[agent].next_call() for agent in agents]
        customers = [await office.answer_agent_call(ring) and await office.next_customer_call() for ring in rings]
        await polled(office)
        assert len(office.bazang.attempts()) == 5
        assert len({customer.dialled for customer in customers}) == 5
        assert sum(office.get_request(request).status == "waiting" for request in requests) == 15
        assert [len(phone.invites) for phone in office.phones.values()] == [1] * 5


async def test_channels_that_are_hung_up_at_the_moment_of_the_answer(open_office: OpenOffice) -> None:
    async with open_office(sales) as office:
        request = office.add_request()
        ring = await office.answer_agent("101", timeout=AT_ONCE)
        customer = await office.next_customer_call(OWN)
        await customer.answer()
        await office.bazang.asterisk.cli("channel request hangup all")
        await ring.wait_ended()
        await customer.wait_ended()
        attempt = await office.wait_for_attempt(request)
        # The PBX hangs its channels up one after the other, so either side may be gone before it has seen the answer.
        of_customer = ("customer_abandoned", "customer_gone", "customer_no_answer", "customer_unknown")
        assert attempt.outcome in ("connected", *of_customer)
        assert office.get_request(request).status in ("done", "waiting")
        await talk(office, office.add_request("09125556677"))
