"""Which phones an extension or a queue member has, and whether they are free: judged over all of them."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from app.domain.policy import ReasonCode
from app.domain.routing import Destination
from app.store.models import ExtensionRow, QueueMemberRow
from script.office.asterisk import AsteriskOffice, OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone
from script.office.ports import free_port
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office
from tests.support.ami_proxy import ami_proxy

MODULE = Destination("module", "*5001")
AT_ONCE = 4.0  # seconds; an agent whose phone did not ring would be left alone for longer


def office_setup(*hints: str, phones: tuple[str, ...] = ("101", "102"), **setup: Any) -> OfficeSetup:
    """Return an office with these hints ("101,PJSIP/101") in the context of the hints."""
    lines = [f"exten => {number},hint,{devices}\n" for number, devices in (hint.split(",", 1) for hint in hints)]
    return OfficeSetup(
        phones={name: f"secret{name}" for name in phones},
        own_hints=False,
        extra_dialplan="[office-hints](+)\n" + "".join(lines),
        **setup,
    )


async def polled(office: Office) -> None:
    """Wait until the worker has read the whole state of the PBX once more and has dispatched after that."""
    for _ in range(2):
        await office.wait_for_poll()


async def waits_because(office: Office, request: int, code: ReasonCode) -> None:
    """Wait until a request waits for this reason, and then for another poll and dispatch."""
    count = len(office.bazang.attempts())
    await office.wait_for_reason(request, code)
    await polled(office)
    assert office.reason(request) is code
    assert len(office.bazang.attempts()) == count


@ONE_VERSION
async def test_phone_with_a_similar_name_is_another_phone(open_office: OpenOffice) -> None:
    setup = office_setup("101,PJSIP/sales", "102,PJSIP/sales-2", phones=("sales", "sales-2"))
    async with open_office(lambda b: b.module(targets=("101", "102")), setup, phones=("sales", "sales-2")) as office:
        await office.occupy("sales-2")
        await office.bazang.until(lambda: office.line_state("102") == "in_call", PATIENCE, "102 talks")
        request = office.add_request()
        ring = await office.phones["sales"].next_call(AT_ONCE)
        await office.connect_customer(await office.answer_agent_call(ring), request)
        assert len(office.bazang.attempts()) == 1


async def test_second_phone_rings_while_the_first_is_off(open_office: OpenOffice) -> None:
    setup = office_setup("101,PJSIP/101&PJSIP/web101", phones=("101", "web101"))
    async with open_office(lambda b: b.module(), setup, phones=("web101",)) as office:
        request = office.add_request()
        ring = await office.phones["web101"].next_call(AT_ONCE)
        await office.connect_customer(await office.answer_agent_call(ring), request)


async def test_pattern_hint_gives_each_extension_its_phones(open_office: OpenOffice) -> None:
    names = ("101", "web101", "102")
    setup = office_setup("_1XX,PJSIP/${EXTEN}&PJSIP/web${EXTEN}", phones=names)
    async with open_office(lambda b: b.module(), setup, phones=names) as office:
        for phone in office.phones.values():
            phone.call_waiting = True
        talk = await office.occupy("web101")
        request = office.add_request()
        await waits_because(office, request, ReasonCode.LINE_IN_CALL)
        await talk.end()
        rings = await asyncio.gather(*(office.phones[name].next_call(AT_ONCE) for name in ("101", "web101")))
        await office.connect_customer(await office.answer_agent_call(rings[0]), request)
        await rings[1].wait_ended()


@ONE_VERSION
async def test_extension_of_a_new_module_gets_its_phones_from_the_pattern(open_office: OpenOffice) -> None:
    """Our own hint must not take the place of the pattern before the PBX has been asked."""
    setup = office_setup("_1XX,PJSIP/${EXTEN}&PJSIP/web${EXTEN}", phones=("101", "102", "web102"))
    async with open_office(lambda b: b.module(), setup, phones=("101", "102", "web102")) as office:
        office.bazang.module(name="Later", code="*5002", targets=("102",))

        def known() -> tuple[str, str]:
            with office.bazang.database.read() as session:
                row = session.get(ExtensionRow, "102")
                return (row.devices, row.context) if row is not None else ("", "")

        phones = ("PJSIP/102&PJSIP/web102", "office-hints")
        await office.bazang.until(lambda: known() == phones, PATIENCE, "the phones of 102 are known")
        await office.bazang.wait_for_dialplan()
        await polled(office)
        assert known() == phones


async def test_caller_whose_extension_a_pattern_describes_is_called_back_inside(open_office: OpenOffice) -> None:
    setup = office_setup("_1XX,PJSIP/${EXTEN}")
    async with open_office(reception, setup) as office:
        talk = await office.occupy("101")
        caller = await office.phones["102"].call("101")
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        await office.wait_for_prompt(caller, "after_success")
        await caller.hang_up()
        assert [row.number for row in office.bazang.requests()] == ["102"]
        await talk.end()
        await office.answer_agent("101")
        await (await office.phones["102"].next_call()).answer()
        await office.bazang.request("connected")


async def test_extension_of_a_pattern_stays_after_a_reload_of_the_dialplan(open_office: OpenOffice) -> None:
    """Asterisk forgets its hint then, until it is asked for again."""
    setup = office_setup("_1XX,PJSIP/${EXTEN}", phones=("101", "102", "103"))
    async with open_office(reception, setup, phones=("101", "102", "103")) as office:
        talk = await office.occupy("101")
        caller = await office.phones["103"].call("101")  # nothing names 103, so only its call makes it known
        await office.wait_for_prompt(caller, "intro")
        await office.bazang.asterisk.cli("dialplan reload")
        await polled(office)
        with office.bazang.database.read() as session:
            assert {row.extension for row in session.query(ExtensionRow)} == {"101", "102", "103"}
        await caller.hang_up()
        caller = await office.phones["103"].call("101")
        await office.wait_for_prompt(caller, "intro")
        await caller.hang_up()
        await talk.end()


@ONE_VERSION
async def test_hint_of_the_configured_context_is_the_phone(open_office: OpenOffice) -> None:
    dialplan = (
        "[firm-a]\nexten => 101,hint,PJSIP/a101\n[firm-b]\nexten => 101,hint,PJSIP/b101\n[calls-b]\ninclude => firm-b\n"
    )
    setup = OfficeSetup(phones=dict.fromkeys(("a101", "b101"), "secret"), own_hints=False, extra_dialplan=dialplan)
    async with open_office(lambda b: b.module(), setup, phones=("a101", "b101"), EXTENSION_CONTEXT="calls-b") as office:
        await office.occupy("a101")
        request = office.add_request()
        ring = await office.phones["b101"].next_call(AT_ONCE)
        await office.connect_customer(await office.answer_agent_call(ring), request)


async def test_feature_codes_and_parking_are_no_extensions(open_office: OpenOffice) -> None:
    hints = ("*76101,Custom:FOLLOWME101", "*21101,Custom:CF101", "*740101,Custom:TC101", "*80101,PJSIP/101")
    setup = office_setup("101,PJSIP/101&Custom:DND101", *hints, "701,park:701@parkedcalls", "800,Queue:800_avail")
    async with open_office(lambda b: b.module(), setup, phones=("101",)) as office:
        await office.bazang.until(lambda: office.line_state("101") == "free", PATIENCE, "101 is free")
        with office.bazang.database.read() as session:
            assert [row.extension for row in session.query(ExtensionRow)] == ["101"]


async def test_phone_that_is_off_is_off_behind_a_custom_device(open_office: OpenOffice) -> None:
    setup = office_setup("101,PJSIP/101&Custom:DND101")
    async with open_office(lambda b: b.module(), setup, phones=()) as office:
        request = office.add_request()
        await waits_because(office, request, ReasonCode.LINE_OFFLINE)
        await office.bazang.asterisk.phone("101")
        await office.bazang.until(lambda: office.bazang.attempts(), PATIENCE, "it is rung")


IAX = """[general]
bindport={port}
bindaddr=127.0.0.1
requirecalltoken=no
autokill=yes
[201]
type=friend
host=127.0.0.1
port={other}
context=phones
disallow=all
allow=ulaw
"""


def iax_office(port: int, other: int, setup: OfficeSetup) -> OfficeSetup:
    setup.extra_modules, setup.extra_files = ("chan_iax2",), {"iax.conf": IAX.format(port=port, other=other)}
    return setup


async def test_technology_that_does_not_report_its_states_rings_by_its_hint(
    open_office: OpenOffice, asterisk_version: int, tmp_path: Path
) -> None:
    """The IAX2 phone is a second Asterisk with a SIP phone."""
    ports = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    behind = OfficeSetup(
        phones={"desk": "secret"},
        extra_dialplan="[phones]\nexten => s,1,Dial(PJSIP/desk,30)\n",
        include_in_callers=False,
    )
    second = AsteriskOffice(asterisk_version, tmp_path / "iax", iax_office(ports[1], ports[0], behind))
    setup = iax_office(*ports, office_setup("201,IAX2/201"))
    async with second, open_office(lambda b: b.module(targets=("201",)), setup, phones=()) as office:
        desk = await second.phone("desk")
        desk.call_waiting = True
        assert "State:Idle" in await office.bazang.asterisk.cli("core show hint 201")
        request = office.add_request(target="201")
        await office.connect_customer(await office.answer_agent_call(await desk.next_call(AT_ONCE)), request)
        await office.bazang.until(lambda: office.line_state("201") == "in_call", PATIENCE, "it is known to talk")
        later = office.add_request("09120000002", target="201")
        await waits_because(office, later, ReasonCode.AGENT_IN_FLIGHT)
        await office.hang_up_customer("09121234567")
        await office.connect_customer(await office.answer_agent_call(await desk.next_call(AT_ONCE)), later)


SIP = """[general]
udpbindaddr=127.0.0.1:{port}
[101]
type=friend
secret=secret101
host=dynamic
context=from-phones
callcounter=no
disallow=all
allow=ulaw
"""


@pytest.mark.asterisk(16)  # later ones have no chan_sip
async def test_chan_sip_without_call_counters_rings_when_it_is_free(open_office: OpenOffice) -> None:
    port = free_port(socket.SOCK_DGRAM)
    setup = office_setup("101,SIP/101", phones=("102",), extra_modules=("chan_sip",))
    setup.extra_files = {"sip.conf": SIP.format(port=port)}
    async with open_office(lambda b: b.module(), setup, phones=()) as office:
        phone = office.phones["101"] = await Phone("101", ("127.0.0.1", port), secret="secret101").start()
        try:
            phone.call_waiting = True
            talk = await office.occupy("101")
            request = office.add_request()
            await waits_because(office, request, ReasonCode.LINE_IN_CALL)
            await talk.end()
            await office.connect_customer(await office.answer_agent("101", timeout=AT_ONCE), request)
        finally:
            await phone.close()


# -- members of queues --------------------------------------------------------------------------------------------


def support(bazang: Bazang) -> None:
    bazang.module(target_kind="queue", targets=("800",))


async def test_members_without_hints_are_rung_by_their_phones(open_office: OpenOffice) -> None:
    setup = office_setup(phones=("201", "202"), queues=[QueueSetup("800", {"201": 0, "202": 1})])
    async with open_office(support, setup, phones=("201", "202")) as office:
        await office.occupy("201")
        await office.bazang.until(lambda: office.line_state("201") == "in_call", PATIENCE, "201 talks")
        request = office.add_request(target="800")
        ring = await office.phones["202"].next_call(AT_ONCE)
        await office.connect_customer(await office.answer_agent_call(ring), request)
        assert [attempt.agent for attempt in office.bazang.attempts()] == ["202"]


@pytest.mark.parametrize("hints", [(), ("sara,PJSIP/sara&Custom:DNDsara",)], ids=["no hints", "named hints"])
async def test_members_and_hints_have_names(open_office: OpenOffice, hints: tuple[str, ...]) -> None:
    setup = office_setup(*hints, phones=("sara",), queues=[QueueSetup("800", {"sara": 0})])
    async with open_office(support, setup, phones=("sara",)) as office:
        talk = await office.occupy("sara")
        request = office.add_request(target="800")
        await waits_because(office, request, ReasonCode.LINE_IN_CALL)
        await talk.end()
        ring = await office.phones["sara"].next_call(AT_ONCE)
        await office.connect_customer(await office.answer_agent_call(ring), request)
        assert [attempt.agent for attempt in office.bazang.attempts()] == ["sara"]


async def test_local_members_are_rung_by_the_phone_of_their_state(open_office: OpenOffice) -> None:
    queue = QueueSetup("800", {"201": 0}, interface="Local/{number}@agents/n")
    setup = office_setup(phones=("201",), queues=[queue])
    setup.extra_dialplan += "[agents]\nexten => _X.,1,Dial(PJSIP/${EXTEN},10)\n"
    async with open_office(support, setup, phones=("201",)) as office:
        request = office.add_request(target="800")
        await office.connect_customer(
            await office.answer_agent_call(await office.phones["201"].next_call(AT_ONCE)), request
        )


@ONE_VERSION
async def test_member_whose_state_nobody_knows_is_a_reason(open_office: OpenOffice) -> None:
    queue = QueueSetup("800", {"201": 0}, interface="Local/{number}@agents/n", state_interface="Agent:{number}")
    setup = office_setup(phones=("201",), queues=[queue])
    async with open_office(support, setup, phones=("201",)) as office:
        request = office.add_request(target="800")
        await waits_because(office, request, ReasonCode.LINE_UNKNOWN)
        with office.bazang.database.read() as session:
            assert [row.extension for row in session.query(QueueMemberRow)] == ["201"]


@ONE_VERSION
async def test_paused_member_who_is_wanted_as_an_extension_waits(open_office: OpenOffice) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})])
    async with open_office(lambda b: b.module(), setup, phones=("101",)) as office:
        await office.bazang.asterisk.cli("queue pause member PJSIP/101 queue 800")
        request = office.add_request()
        await waits_because(office, request, ReasonCode.MEMBER_PAUSED)
        await office.bazang.asterisk.cli("queue unpause member PJSIP/101 queue 800")
        await office.connect_customer(await office.answer_agent("101", timeout=AT_ONCE), request)


@ONE_VERSION
async def test_wrapping_up_member_who_is_wanted_as_an_extension_waits(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.queue("800", wrapup=3)

    async with open_office(prepare, OfficeSetup(queues=[QueueSetup("800", {"101": 0})]), phones=("101",)) as office:
        caller = await office.trunk.call("800", caller="09120000009")
        served = await office.phones["101"].next_call()
        await served.answer()
        await caller.wait_answered()
        request = office.add_request()
        ended = await served.hang_up()
        await office.wait_for_reason(request, ReasonCode.WRAPUP)
        ring = await office.answer_agent("101")
        assert 2.5 < ring.began_at - ended < 3 + AT_ONCE
        await office.connect_customer(ring, request)


@ONE_VERSION
async def test_member_who_asks_the_own_queue_is_called_by_another(open_office: OpenOffice) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0, "102": 1})])
    async with open_office(support, setup) as office:
        await office.bazang.asterisk.cli("queue pause member PJSIP/102 queue 800")
        await office.bazang.until(lambda: office.line_state("101") == "free", PATIENCE, "101 is free")
        request = office.add_request("101", target="800")
        await waits_because(office, request, ReasonCode.MEMBER_PAUSED)  # of the other; 101 is no choice
        await office.bazang.asterisk.cli("queue unpause member PJSIP/102 queue 800")
        await office.answer_agent("102")
        await (await office.phones["101"].next_call()).answer()
        await office.wait_for_status(request, "connected")


@ONE_VERSION
async def test_only_member_is_not_rung_for_themselves(open_office: OpenOffice) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})])
    async with open_office(support, setup, phones=("101",)) as office:
        request = office.add_request("101", target="800")
        await waits_because(office, request, ReasonCode.AGENT_IS_CUSTOMER)


# -- events and states --------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_line_rings_within_a_poll_without_any_event_of_states(open_office: OpenOffice) -> None:
    rights = "read=user,agent\nwrite=originate,call,agent,reporting,config"
    async with open_office(lambda b: b.module(), OfficeSetup(ami_rights=rights), phones=("101",)) as office:
        talk = await office.occupy("101")
        await office.bazang.until(lambda: office.line_state("101") == "in_call", PATIENCE, "a poll has seen it")
        request = office.add_request()
        ended = await talk.end()
        ring = await office.answer_agent("101")
        assert ring.began_at - ended < 1 + AT_ONCE, "the poll is once a second"
        await office.connect_customer(ring, request)


@ONE_VERSION
async def test_held_call_beside_one_that_ends_keeps_the_line(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), phones=("101",)) as office:
        office.phones["101"].call_waiting = True
        first = await office.occupy("101", "09120000002")
        await first.inside.hold()
        second = await office.occupy("101", "09120000003")
        request = office.add_request()
        await second.end()
        await waits_because(office, request, ReasonCode.LINE_IN_CALL)
        await first.end()
        await office.connect_customer(await office.answer_agent("101", timeout=AT_ONCE), request)


# -- the agent's own leg ------------------------------------------------------------------------------------------


def reception(bazang: Bazang) -> None:
    bazang.module()
    bazang.scenario("101", busy=MODULE, no_answer=MODULE, unavailable=MODULE)
    bazang.scenario("102")


# An office whose phones park calls at 700.
PARKING = OfficeSetup(
    extra_modules=("res_parking",),
    extra_files={"res_parking.conf": "[default]\nparkext=700\nparkpos=701-720\ncontext=parkedcalls\n"},
    extra_dialplan="[from-phones](+)\ninclude => parkedcalls\n",
)


async def transfer(office: Office, ring: Call, how: str) -> Call | None:
    """Transfer the customer of a call to 102, or park them; return the call of 102."""
    if how == "parked":
        await ring.transfer("700")
        await office.bazang.asterisk.wait_for_output("parking show default", lambda shown: "bazang-agent" in shown)
        await ring.hang_up()
        return None
    if how == "blind":
        await ring.transfer("102")
        colleague = await office.phones["102"].next_call()
        await colleague.answer()
        await ring.hang_up()
        return colleague
    consultation = await office.phones["101"].call("102")
    colleague = await office.phones["102"].next_call()
    await colleague.answer()
    await consultation.wait_answered()
    await ring.transfer_to(consultation)
    for call in (ring, consultation):
        await call.wait_ended()
    return colleague


@pytest.mark.parametrize("how", ["blind", "attended", "parked"])
async def test_agent_who_has_transferred_the_customer_is_free(open_office: OpenOffice, how: str) -> None:
    async with open_office(reception, PARKING) as office:
        request, later = office.add_request(), office.add_request("09120000002")
        ring = await office.answer_agent("101")
        customer = await office.connect_customer(ring, request, "09121234567")
        colleague = await transfer(office, ring, how)
        await office.wait_for_status(request, "done")
        again = await office.answer_agent("101")  # the phone may say once more that it is busy with the transfer
        await office.connect_customer(again, later)
        await office.hang_up_customer("09120000002")
        await office.wait_until_idle("101")
        caller = await office.trunk.call("101", caller="09120000009")
        await (await office.phones["101"].next_call(AT_ONCE)).answer()
        await caller.wait_answered()
        assert not customer.ended.is_set(), "the customer is still there"
        assert colleague is None or not colleague.ended.is_set(), "the transferred talk goes on"


async def test_transfer_that_was_not_heard_of_is_found_out(open_office: OpenOffice) -> None:
    setup = OfficeSetup(ami_port=free_port())
    async with ami_proxy(setup.ami_port) as proxy, open_office(reception, setup, AMI_PORT=str(proxy.port)) as office:
        request = office.add_request()
        ring = await office.answer_agent("101")
        customer = await office.connect_customer(ring, request)
        proxy.cut()
        colleague = await transfer(office, ring, "blind")
        proxy.restore()
        await office.wait_for_status(request, "done")
        assert colleague is not None and not customer.ended.is_set() and not colleague.ended.is_set()
        later = office.add_request("09120000002")
        await office.connect_customer(await office.answer_agent("101"), later)


async def test_phone_that_forwards_is_not_followed(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module()) as office:
        request = office.add_request()
        (await office.phones["101"].next_call()).redirect("09120000005")
        attempt = await office.wait_for_attempt(request)
        assert attempt.outcome == "agent_busy", office.bazang.describe()
        assert office.get_request(request).agent_misses == 1
        assert office.calls_to("") == []


async def test_inside_customer_who_forwards_is_not_followed(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module()) as office:
        request = office.add_request("102")
        await office.answer_agent("101")
        (await office.phones["102"].next_call()).redirect("09120000005")
        attempt = await office.wait_for_attempt(request)
        assert attempt.outcome == "customer_busy", office.bazang.describe()
        assert office.calls_to("") == []
