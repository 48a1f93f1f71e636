"""Outbound contexts as offices have them: they answer before they dial, they play messages, and their trunks fail."""

import asyncio
from collections.abc import Awaitable, Callable

from app.domain.policy import ReasonCode
from app.services import commands
from app.store.models import RouteTroubleRow
from app.store.settings import write_setting
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office

# The second port or trunk of a context dials 2 before the number, so that the two can be told apart.
OUTBOUND = """
[outbound](+)
; two ports and a message, which answers
exten => _0911X.,1,Dial(PJSIP/${EXTEN}@trunk,60)
 same => n,Dial(PJSIP/2${EXTEN}@trunk,60)
 same => n,Answer()
 same => n,Wait(5)
 same => n,Hangup()
; a prompt before the call
exten => _0912X.,1,Answer()
 same => n,Wait(0.3)
 same => n,Dial(PJSIP/${EXTEN}@trunk,60)
 same => n,Hangup()
; the same behind another Local channel
exten => _0913X.,1,Dial(Local/0912${EXTEN:4}@outbound/n,60)
 same => n,Hangup()
; no trunk
exten => _0914X.,1,Dial(PJSIP/${EXTEN}@nowhere,60)
 same => n,Hangup(${HANGUPCAUSE})
; nothing is dialled
exten => _0915X.,1,Congestion()
; a message without a call
exten => _0916X.,1,Answer()
 same => n,Wait(0.3)
 same => n,Hangup()
; the trunk in a subroutine, a busy tone, or a message that answers (as FreePBX does)
exten => _0917X.,1,Gosub(trunk,s,1(${EXTEN}))
 same => n,GotoIf($["${DIALSTATUS}" = "BUSY"]?busy)
 same => n,Answer()
 same => n,Wait(0.5)
 same => n,Congestion(8)
 same => n(busy),Busy(20)
; one trunk and no message
exten => _0919X.,1,Dial(PJSIP/${EXTEN}@trunk,60)
 same => n,Hangup(${HANGUPCAUSE})
[trunk]
exten => s,1,Dial(PJSIP/${ARG1}@trunk,60)
 same => n,Return()
"""

Fate = Callable[[Office, Call, str], Awaitable[None]]


def rejects(*statuses: int) -> Fate:
    """The first trunk answers with the first status, the second one with the second."""

    async def fate(office: Office, ring: Call, number: str) -> None:
        for prefix, status in zip(("", "2"), statuses, strict=False):
            (await office.next_customer_call(prefix + number)).reject(status)

    return fate


def leaves_while_it_plays(*statuses: int) -> Fate:
    """The agent hangs up during the message."""

    async def fate(office: Office, ring: Call, number: str) -> None:
        await rejects(*statuses)(office, ring, number)
        log = office.bazang.asterisk.log_file
        await office.bazang.until(lambda: f"[{number}@outbound:4]" in log.read_text(), PATIENCE, "the message plays")
        await ring.hang_up()

    return fate


async def nothing(office: Office, ring: Call, number: str) -> None:
    """Nobody is rung."""


async def answers(office: Office, ring: Call, number: str) -> None:
    customer = await office.next_customer_call(number)
    await customer.answer()
    await customer.acknowledged.wait()
    await customer.hang_up()


async def second_trunk_answers(office: Office, ring: Call, number: str) -> None:
    (await office.next_customer_call(number)).reject(503)
    await answers(office, ring, f"2{number}")


async def agent_hangs_up(office: Office, ring: Call, number: str) -> None:
    await office.next_customer_call(number)
    await ring.hang_up()


async def agent_ends_the_talk(office: Office, ring: Call, number: str) -> None:
    customer = await office.next_customer_call(number)
    await customer.answer()
    await customer.acknowledged.wait()
    await ring.hang_up()


FATES: list[tuple[str, Fate, str]] = [
    ("0911", rejects(486, 486), "customer_busy"),
    ("0911", leaves_while_it_plays(486, 486), "customer_busy"),
    ("0911", rejects(503, 486), "customer_busy"),
    ("0911", rejects(486, 503), "customer_busy"),
    ("0911", rejects(503, 503), "route_congested"),
    ("0911", leaves_while_it_plays(403, 403), "route_forbidden"),
    ("0911", second_trunk_answers, "connected"),
    ("0912", answers, "connected"),
    ("0912", agent_ends_the_talk, "connected"),
    ("0912", rejects(486), "customer_busy"),
    ("0912", rejects(403), "route_forbidden"),
    ("0912", agent_hangs_up, "customer_abandoned"),
    ("0913", answers, "connected"),
    ("0913", rejects(486), "customer_busy"),
    ("0914", nothing, "route_unavailable"),
    ("0915", nothing, "route_missing"),
    ("0916", nothing, "route_missing"),
    ("0917", rejects(486), "customer_busy"),
    ("0917", rejects(603), "customer_rejected"),
    ("0917", rejects(503), "route_congested"),
    ("0917", answers, "connected"),
    ("0918", nothing, "route_missing"),  # the context has no such number
    ("0919", rejects(480), "customer_no_answer"),
    ("0919", rejects(484), "customer_unreachable"),
    ("0919", rejects(603), "customer_rejected"),
    ("0919", rejects(608), "customer_rejected"),
    ("0919", rejects(488), "route_failed"),
    ("0919", rejects(500), "route_failed"),
]


def office_setup(count: int = 1) -> OfficeSetup:
    phones = {str(101 + number): f"secret{101 + number}" for number in range(count)}
    return OfficeSetup(phones=phones, outbound_patterns=(), extra_dialplan=OUTBOUND)


async def test_result_is_that_of_the_leg_that_really_dialled(open_office: OpenOffice) -> None:
    agents = tuple(str(101 + number) for number in range(len(FATES)))

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=agents, retries=5)

    async def befall(office: Office, extension: str, prefix: str, fate: Fate, outcome: str) -> None:
        number = f"{prefix}0000{extension}"
        request = office.add_request(number, target=extension)
        await office.send_command(commands.CALL_NOW, request=request)  # the failures of the others pause the route
        ring = await office.answer_agent(extension)
        await fate(office, ring, number.replace("0913", "0912"))
        attempt = await office.wait_for_attempt(request)
        assert attempt.outcome == outcome, f"{number}: {attempt.cause}\n{office.bazang.describe()}"
        row = office.get_request(request)
        assert row.customer_attempts == int(outcome.startswith("customer_"))
        assert (row.status == "done") == (outcome == "connected")
        assert row.agent_misses == 0

    async with open_office(prepare, office_setup(len(FATES)), phones=agents) as office:
        scenes = [befall(office, extension, *fate) for extension, fate in zip(agents, FATES, strict=True)]
        await asyncio.gather(*scenes)


async def test_trunk_that_says_nothing_is_no_customer_who_does_not_answer(open_office: OpenOffice) -> None:
    """A customer does not answer. Then the cable of the trunk is pulled."""

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102"), customer_ring=10)

    async with open_office(prepare, office_setup(2)) as office:
        outcomes = []
        for extension in ("101", "102"):
            request = office.add_request(f"0919{extension:0>7}", target=extension)
            await office.answer_agent(extension)
            attempt = await office.wait_for_attempt(request)
            outcomes.append((attempt.outcome, office.get_request(request).customer_attempts))
            office.trunk.plugged_in = False
        assert outcomes == [("customer_no_answer", 1), ("route_unavailable", 0)]


# -- the route ----------------------------------------------------------------------------------------------------


def trouble(office: Office) -> RouteTroubleRow | None:
    with office.bazang.database.read() as session:
        return session.get(RouteTroubleRow, "outbound")


async def test_route_that_fails_pauses_for_all_and_counts_against_nobody(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102", "103"), retries=0)

    async with open_office(prepare, office_setup(3), phones=("101", "102", "103")) as office:
        first = office.add_request("09110000101", target="101")
        await office.answer_agent("101")
        await office.next_customer_call("09110000101")
        # Dialled before the failure of the first: it fails together with it, and that counts once.
        second = office.add_request("09110000102", target="102")
        other_ring = await office.answer_agent("102")
        await office.next_customer_call("09110000102")
        third = office.add_request("09110000103", target="103")
        missed = await office.phones["103"].next_call()
        for number in ("09110000101", "209110000101", "09110000102", "209110000102"):
            call = next((call for call in office.calls_to(number)), None) or await office.next_customer_call(number)
            call.reject(503)
        for request in (first, second):
            attempt = await office.wait_for_attempt(request)
            assert attempt.outcome == "route_congested", office.bazang.describe()
            row = office.get_request(request)
            assert (row.status, row.customer_attempts, row.agent_misses) == ("waiting", 0, 0)
        await other_ring.wait_ended()
        await missed.hang_up()
        await office.wait_for_attempt(third)  # a miss of its agent: from now on it would be due again at once
        failed = trouble(office)
        assert failed is not None and (failed.failures, failed.outcome) == (1, "route_congested")
        assert "503" in failed.cause
        for request in (first, second, third):
            await office.wait_for_reason(request, ReasonCode.ROUTE_PAUSED)
        # A person need not wait, and their success lets all others go on.
        await office.send_command(commands.CALL_NOW, request=second)
        ring = await office.answer_agent("102")
        await office.connect_customer(ring, second, "09110000102")
        await office.phones["103"].next_call()
        assert trouble(office) is None
        assert len([call for call in office.phones["101"].calls.values() if call.incoming]) == 1


@ONE_VERSION
async def test_limit_of_calls_at_once_holds_requests_back(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102"))
        with bazang.database.write() as session:
            write_setting(session, "route_calls_limit", "1")

    async with open_office(prepare, office_setup(2), phones=("101", "102")) as office:
        first = office.add_request("09190000101", target="101")
        ring = await office.answer_agent("101")
        second = office.add_request("09190000102", target="102")
        await office.connect_customer(ring, first, "09190000101")
        await office.wait_for_reason(second, ReasonCode.ROUTE_CALLS_LIMIT)
        await office.hang_up_customer("09190000101")
        await office.connect_customer(await office.answer_agent("102"), second, "09190000102")


# -- the worker is away -------------------------------------------------------------------------------------------


async def test_worker_that_dies_after_an_early_answer_finds_the_right_result(open_office: OpenOffice) -> None:
    talks, busy = "09120000101", "09120000102"
    async with open_office(
        lambda b: b.module(targets=("101", "102")), office_setup(2), phones=("101", "102")
    ) as office:
        reached, missed = office.add_request(talks, target="101"), office.add_request(busy, target="102")
        rings = [await office.answer_agent("101"), await office.answer_agent("102")]
        customers = [await office.next_customer_call(talks), await office.next_customer_call(busy)]
        for request in (reached, missed):
            await office.wait_for_step(request, "customer_dialled")
        await office.bazang.kill_worker()
        await customers[0].answer()
        customers[1].reject(486)
        await rings[1].wait_ended()
        await customers[0].hang_up()
        await rings[0].wait_ended()
        await office.bazang.start_worker()
        assert (await office.wait_for_attempt(reached)).outcome == "connected", office.bazang.describe()
        assert (await office.wait_for_attempt(missed)).outcome == "customer_busy"
        assert (await office.wait_for_status(reached, "done")).reached_at is not None


async def test_worker_that_comes_back_after_an_early_answer_sees_the_customers(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), office_setup(), phones=("101",)) as office:
        request = office.add_request("09120000101")
        ring = await office.answer_agent("101")
        await office.next_customer_call("09120000101")
        await office.wait_for_step(request, "customer_dialled")
        await office.bazang.kill_worker()
        await office.bazang.start_worker()
        log = office.bazang.folder / "worker.log"
        assert log.exists()
        for call in office.calls_to("09120000101"):
            await call.answer()
        await office.wait_for_status(request, "connected")
        await ring.hang_up()
        await office.wait_for_status(request, "done")


# -- what the customer sees ---------------------------------------------------------------------------------------


async def test_complaint_10_customer_sees_the_number_of_the_office(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102"))
        bazang.module(name="Support", code="*5002", targets=("102",), caller_id="02188880002")
        with bazang.database.write() as session:
            write_setting(session, "caller_id", "02188880000")

    async with open_office(prepare, office_setup(2), phones=("101", "102")) as office:
        office.add_request("09190000101")
        office.add_request("09190000102", module=2, target="102")
        for extension, number, shown in (("101", "09190000101", "02188880000"), ("102", "09190000102", "02188880002")):
            await office.answer_agent(extension)
            customer = await office.next_customer_call(number)
            assert customer.invite is not None
            assert f"<sip:{shown}@" in customer.invite["from"]
            await customer.hang_up()
