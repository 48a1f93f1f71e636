"""Attempts: each outcome at the agent's and the customer's phone, retries, and which lines may be rung."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from app.services import commands
from app.services.requests.access import Scope
from app.services.requests.actions import Reopen, ShownRequest
from app.services.requests.perform import perform
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone
from script.office.sip import SipMessage
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, Office, add_scenario, customer_of, phone_secrets

AGENT_PAUSE = 5  # seconds; the minimum of a module
RETRY_PAUSES = (10, 12)  # seconds; the minimum of a module is 10
BUSY_PAUSE = 11
TOLERANCE = 2.5  # seconds that a due call may be late on a busy machine

AgentAction = Callable[[Office, str], Awaitable[None]]


def make_extensions(count: int) -> tuple[str, ...]:
    """Return `count` extensions, starting at 101."""
    return tuple(str(101 + number) for number in range(count))


def max_simultaneous(calls: Iterable[Call]) -> int:
    """Return the maximum number of these calls that existed at the same time, ringing or answered."""
    times = [(call.began_at, call.ended_at or math.inf) for call in calls]
    return max((sum(began <= moment < ended for began, ended in times) for moment, _ in times), default=0)


def incoming_calls(phone: Phone) -> list[Call]:
    return [call for call in phone.calls.values() if call.incoming]


# -- the agent ----------------------------------------------------------------------------------------------------


async def refuse(office: Office, extension: str) -> None:
    await (await office.answer_agent(extension, keys="2")).wait_ended()


async def let_it_ring(office: Office, extension: str) -> None:
    await (await office.phones[extension].next_call()).wait_ended()


async def press_invalid_keys(office: Office, extension: str) -> None:
    agent_call = await office.answer_agent(extension, keys="5")  # the announcement plays three times in all
    agent_call.rtp.received.clear()
    await office.wait_for_prompt(agent_call, "agent_intro")
    await agent_call.press("#")
    await agent_call.wait_ended()


async def hang_up_during_announcement(office: Office, extension: str) -> None:
    agent_call = await office.phones[extension].next_call()
    await agent_call.answer()
    await office.wait_for_prompt(agent_call, "agent_intro")
    await agent_call.hang_up()


def reject(status: int) -> AgentAction:
    async def action(office: Office, extension: str) -> None:
        (await office.phones[extension].next_call()).reject(status)

    return action


# Action of the agent, outcome, beginning of the cause.
AGENT_MISSES: list[tuple[AgentAction, str, str]] = [
    (refuse, "agent_refused", "agent_refused"),
    (let_it_ring, "agent_no_answer", "agent NOANSWER"),
    (reject(603), "agent_rejected", "agent NOANSWER 21"),
    (reject(486), "agent_busy", "agent BUSY 17"),
    (reject(404), "agent_unreachable", "agent NOANSWER 1"),
    (hang_up_during_announcement, "agent_gone", "agent_gone"),
    (press_invalid_keys, "agent_silent", "agent_silent"),
]


@ONE_VERSION
async def test_complaint_14_phone_of_an_agent_who_refused_does_not_ring_at_once(open_office: OpenOffice) -> None:
    agents = make_extensions(len(AGENT_MISSES))

    def prepare(bazang: Bazang) -> None:
        # Without retries, the request would fail if a miss counted as a customer attempt.
        bazang.module(targets=agents, agent_ring=5, retries=0, agent_pause=AGENT_PAUSE)

    async def check(office: Office, extension: str, action: AgentAction, outcome: str, cause: str) -> None:
        request = office.add_request(customer_of(extension), target=extension)
        await action(office, extension)
        attempt = await office.wait_for_attempt(request, timeout=60)
        assert (attempt.outcome, attempt.dialled_at) == (outcome, None), office.bazang.describe()
        assert attempt.cause.startswith(cause)
        row = office.get_request(request)
        assert (row.status, row.agent_misses, row.customer_attempts) == ("waiting", 1, 0)
        ended = incoming_calls(office.phones[extension])[0].ended_at
        again = await office.phones[extension].next_call(AGENT_PAUSE + TOLERANCE)
        assert again.began_at - ended > AGENT_PAUSE - 0.2
        assert office.calls_to(customer_of(extension)) == []

    async with open_office(prepare, OfficeSetup(phones=phone_secrets(agents)), phones=agents) as office:
        cases = zip(agents, AGENT_MISSES, strict=True)
        await asyncio.gather(*(check(office, extension, *case) for extension, case in cases))


# -- the customer -------------------------------------------------------------------------------------------------

# Gets the agent's call and the customer's ringing call.
CustomerAction = Callable[[Call, Call], Awaitable[None]]


def customer_rejects(status: int) -> CustomerAction:
    async def action(agent: Call, customer: Call) -> None:
        customer.reject(status)

    return action


async def nobody_answers(agent: Call, customer: Call) -> None:
    await customer.wait_ended()
    assert 9 < customer.ended_at - customer.began_at < 12, "customer_ring is 10 s"


async def agent_hangs_up(agent: Call, customer: Call) -> None:
    await agent.hang_up()
    await customer.wait_ended(2)
    assert not customer.answered.is_set()


async def customer_answers_and_hangs_up(agent: Call, customer: Call) -> None:
    await customer.answer()
    await customer.hang_up()


# Action, status of the request, outcome, beginning of the cause.
CUSTOMER_CASES: list[tuple[CustomerAction, str, str, str]] = [
    (customer_rejects(486), "failed", "customer_busy", "customer BUSY 17"),
    (customer_rejects(603), "failed", "customer_rejected", "customer CHANUNAVAIL 21 603"),
    (customer_rejects(404), "failed", "customer_unreachable", "customer CHANUNAVAIL 1 404"),
    (nobody_answers, "failed", "customer_no_answer", "customer NOANSWER"),
    (agent_hangs_up, "failed", "customer_abandoned", "customer"),
    (customer_answers_and_hangs_up, "done", "connected", "customer ANSWER"),
]


async def test_each_result_at_the_customer_has_its_outcome(open_office: OpenOffice) -> None:
    agents = make_extensions(len(CUSTOMER_CASES))

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=agents, customer_ring=10, retries=0)

    async def check(
        office: Office, extension: str, action: CustomerAction, status: str, outcome: str, cause: str
    ) -> None:
        request = office.add_request(customer_of(extension), target=extension)
        agent_call = await office.answer_agent(extension)
        await action(agent_call, await office.next_customer_call(customer_of(extension)))
        attempt = await office.wait_for_attempt(request)
        assert attempt.outcome == outcome, office.bazang.describe()
        assert attempt.cause.startswith(cause)
        row = await office.wait_for_status(request, status)
        assert (row.agent_misses, row.customer_attempts) == (0, int(status == "failed"))
        await agent_call.wait_ended()
        assert len(office.calls_to(customer_of(extension))) == 1

    async with open_office(prepare, OfficeSetup(phones=phone_secrets(agents)), phones=agents) as office:
        cases = zip(agents, CUSTOMER_CASES, strict=True)
        await asyncio.gather(*(check(office, extension, *case) for extension, case in cases))


def pause_of(office: Office, request: int, ended: datetime | None) -> float:
    """Return the pause of a waiting request since the end of its last attempt, in seconds."""
    not_before = office.get_request(request).not_before
    assert not_before is not None and ended is not None
    return (not_before - ended).total_seconds()


@ONE_VERSION
async def test_complaint_12_pauses_grow_and_a_failed_request_is_reopened(open_office: OpenOffice) -> None:
    """A customer who is busy has a pause of their own. An agent who misses has growing ones, and uses up no retry."""

    def prepare(bazang: Bazang) -> None:
        bazang.module(retries=2, retry_pauses=RETRY_PAUSES, busy_pause=BUSY_PAUSE, agent_pause=AGENT_PAUSE)

    async with open_office(prepare, phones=("101",)) as office:
        request = office.add_request()
        for number, pause in enumerate((AGENT_PAUSE, 2 * AGENT_PAUSE), 1):
            await refuse(office, "101")
            missed = await office.wait_for_attempt(request, number)
            assert missed.ended_at is not None and missed.request_pause_until is not None
            assert (missed.request_pause_until - missed.ended_at).total_seconds() == pause
        row = office.get_request(request)
        assert (row.agent_misses, row.customer_attempts, row.not_before) == (2, 0, None)
        agent_call = await office.answer_agent("101", timeout=2 * PATIENCE)
        assert agent_call.began_at - incoming_calls(office.phones["101"])[-2].ended_at > 2 * AGENT_PAUSE - 0.3
        (await office.next_customer_call()).reject(486)
        busy = await office.wait_for_attempt(request, 3)
        row = office.get_request(request)
        assert (row.status, row.customer_attempts, row.last_outcome) == ("waiting", 1, "customer_busy")
        assert pause_of(office, request, busy.ended_at) == BUSY_PAUSE
        agent_call = await office.answer_agent("101", timeout=2 * PATIENCE)
        assert agent_call.began_at - office.calls_to(OWN)[0].ended_at > BUSY_PAUSE - 0.3
        (await office.next_customer_call()).reject(603)
        rejected = await office.wait_for_attempt(request, 4)
        assert pause_of(office, request, rejected.ended_at) == RETRY_PAUSES[1], "after the second call"
        await office.answer_agent("101", timeout=2 * PATIENCE)
        (await office.next_customer_call()).reject(404)
        row = await office.wait_for_status(request, "failed")
        assert (row.customer_attempts, row.agent_misses, row.last_outcome) == (3, 2, "customer_unreachable")
        (result,) = perform(
            office.bazang.database,
            Scope("sara", True),
            Reopen(),
            [ShownRequest(request, row.version)],
            datetime.now(UTC),
        )
        assert result.code == "done"
        agent_call = await office.answer_agent("101")
        (await office.next_customer_call()).reject(603)
        again = await office.wait_for_attempt(request, 6)
        row = office.get_request(request)
        assert (row.status, row.customer_attempts, row.agent_misses) == ("waiting", 1, 0)
        assert pause_of(office, request, again.ended_at) == RETRY_PAUSES[0], "the first one again"


# -- one call at a time -------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_requests_for_an_extension_and_for_its_queue_ring_one_at_a_time(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.module(name="Support", code="*5002", target_kind="queue", targets=("800",))

    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})])
    async with open_office(prepare, setup, phones=("101",)) as office:
        office.phones["101"].call_waiting = True  # a second call would ring
        busy_call = await office.occupy("101")
        first, second = office.add_request(), office.add_request(customer_of("2"), module=2, target="800")
        await busy_call.end()
        await office.connect_customer(await office.answer_agent("101"), first)
        assert office.get_request(second).status == "waiting"
        await office.hang_up_customer(OWN)
        await office.connect_customer(await office.answer_agent("101"), second)
        assert max_simultaneous(incoming_calls(office.phones["101"])) == 1
        assert [(r.agent_misses, r.customer_attempts) for r in office.bazang.requests()] == [(0, 0), (0, 0)]


def prepare_extension(bazang: Bazang) -> None:
    bazang.module()
    add_scenario(bazang)


async def test_attempt_gives_way_to_a_call_that_took_the_line_first(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension) as office:
        office.phones["101"].call_waiting = True
        busy_call = await office.occupy("101")
        request = office.add_request()
        # The worker sees a free line, but the lock delays its claim until another call has taken the line. If the
        # worker was waiting for the database before, it sees the other call in time and makes no attempt.
        with office.lock_database():
            await busy_call.end()
            await office.wait_until_idle("101")  # the worker gets this event at the same time
            caller = await office.trunk.call("101", caller="09120000009")
            other = await office.phones["101"].next_call()
            await other.answer()
        await office.bazang.until(lambda: office.line_state("101") == "in_call", PATIENCE, "101 is in a call")
        await office.bazang.until(
            lambda: all(attempt.outcome for attempt in office.bazang.attempts()), PATIENCE, "all attempts have ended"
        )
        row = await office.wait_for_status(request, "waiting")
        assert {attempt.outcome for attempt in office.bazang.attempts()} <= {"agent_taken"}, office.bazang.describe()
        assert (row.agent_misses, row.customer_attempts) == (0, 0)
        await caller.hang_up()
        await office.connect_customer(await office.answer_agent("101"), request)
        assert max_simultaneous(incoming_calls(office.phones["101"])) == 1


@ONE_VERSION
async def test_caller_goes_to_the_module_while_an_attempt_rings_the_extension(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension) as office:
        office.phones["101"].call_waiting = True
        request = office.add_request()
        agent_call = await office.phones["101"].next_call()
        caller = await office.call_in("101", caller="09120000009")
        await office.wait_for_prompt(caller, "intro")
        await office.answer_agent_call(agent_call)
        await office.connect_customer(agent_call, request)
        assert max_simultaneous(incoming_calls(office.phones["101"])) == 1


async def test_caller_and_attempt_never_ring_an_extension_at_the_same_time(open_office: OpenOffice) -> None:
    """This is a race, so it runs on eight lines. On each line the caller calls 10 ms later than on the one before."""
    agents = make_extensions(8)

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=agents)
        for extension in agents:
            add_scenario(bazang, extension)

    async def race(office: Office, extension: str, delay: float) -> None:
        phone = office.phones[extension]
        phone.call_waiting = True
        await busy_calls[extension].end()
        await asyncio.sleep(delay)
        caller = await office.trunk.call(extension, caller="09120000009")
        first = await phone.next_call()
        if first.remote != "09120000009":
            await caller.wait_answered()  # by the module
        await office.expect_no_call(extension, 0.5)
        await first.hang_up()
        assert max_simultaneous(incoming_calls(phone)) == 1

    async with open_office(prepare, OfficeSetup(phones=phone_secrets(agents)), phones=agents) as office:
        busy_calls = {extension: await office.occupy(extension) for extension in agents}
        for extension in agents:
            office.add_request(customer_of(extension), target=extension)
        await asyncio.gather(*(race(office, extension, 0.01 * number) for number, extension in enumerate(agents)))
        assert all(row.customer_attempts == 0 for row in office.bazang.requests())


@ONE_VERSION
async def test_phone_that_reports_ringing_late_is_not_rung_twice(
    open_office: OpenOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asterisk reports a phone as free until the phone reports that it rings, but the phone's channel exists before."""
    async with open_office(prepare_extension) as office:
        phone = office.phones["101"]
        phone.call_waiting = True
        respond = phone.respond

        def respond_without_ringing(message: SipMessage, status: int, *rest: Any, **more: Any) -> None:
            if status != 180:
                respond(message, status, *rest, **more)

        monkeypatch.setattr(phone, "respond", respond_without_ringing)
        caller = await office.trunk.call("101", caller="09120000009")
        other = await phone.next_call()
        await office.bazang.until(lambda: office.line_state("101") != "free", PATIENCE, "the channel takes the line")
        request = office.add_request()
        await office.wait_for_poll()
        assert office.bazang.attempts() == [], office.bazang.describe()
        monkeypatch.undo()
        other.reject()
        await caller.hang_up()
        await office.connect_customer(await office.answer_agent("101"), request)
        assert max_simultaneous(incoming_calls(phone)) == 1


@ONE_VERSION
async def test_complaint_01_customer_is_called_by_one_agent_at_a_time(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.module(name="Support", code="*5002", targets=("102",))

    async with open_office(prepare) as office:
        busy_call = await office.occupy("102", "09120000002")
        first, second = office.add_request(), office.add_request(module=2, target="102")
        agent_call = await office.answer_agent("101")
        await busy_call.end()
        await office.expect_no_call("102", 0.5)
        await office.connect_customer(agent_call, first)
        await office.expect_no_call("102", 0.5)
        assert office.get_request(second).status == "waiting"
        await office.hang_up_customer(OWN)
        await office.connect_customer(await office.answer_agent("102"), second)
        assert max_simultaneous(office.calls_to(OWN)) == 1


# -- actions ------------------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_module_without_automatic_calls_rings_on_call_now(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(automatic=False)) as office:
        for_any, for_102 = office.add_request(), office.add_request("09120000002")
        await asyncio.gather(office.expect_no_call("101", 1.5), office.expect_no_call("102", 1.5))
        assert (await office.send_command(commands.CALL_NOW, request=for_any)).ok
        assert (await office.send_command(commands.CALL_NOW, request=for_102, agent="102")).ok
        await asyncio.gather(
            office.connect_customer(await office.answer_agent("101"), for_any),
            office.connect_customer(await office.answer_agent("102"), for_102),
        )
        assert {(a.request_id, a.agent, a.manual) for a in office.bazang.attempts()} == {
            (for_any, "101", True),
            (for_102, "102", True),
        }
        refused = await office.send_command(commands.CANCEL, request=for_any)
        assert (refused.ok, refused.result) == (False, "is_connected"), "a connected request can't be cancelled"


@ONE_VERSION
async def test_cancel_and_mark_done_end_the_ringing(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(targets=("101", "102"))) as office:
        at_agent, at_customer = office.add_request(), office.add_request("09120000002", target="102")
        agent_call = await office.phones["101"].next_call()
        other = await office.answer_agent("102")
        customer = await office.next_customer_call("09120000002")
        assert (await office.send_command(commands.CANCEL, request=at_agent)).ok
        assert (await office.send_command(commands.MARK_DONE, request=at_customer, note="wrote to us")).ok
        for call in (agent_call, other, customer):
            await call.wait_ended(2)
        assert not agent_call.answered.is_set() and not customer.answered.is_set()
        for request, status in ((at_agent, "cancelled"), (at_customer, "done")):
            assert (await office.wait_for_attempt(request)).outcome == "withdrawn"
            row = office.get_request(request)
            assert (row.status, row.agent_misses, row.customer_attempts) == (status, 0, 0)
        assert office.get_request(at_customer).note == "wrote to us"


# -- minimum waiting time and rest --------------------------------------------------------------------------------


@ONE_VERSION
async def test_minimum_wait_counts_from_the_first_free_moment_and_rest_from_the_last(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(min_wait=5, rest=3), phones=("101",)) as office:
        busy_call = await office.occupy("101")
        office.add_request()
        first_free = await busy_call.end()
        await office.expect_no_call("101", 2.5)
        last_free = await (await office.occupy("101", "09120000002")).end()
        agent_call = await office.phones["101"].next_call()
        assert agent_call.began_at - first_free > 4.9
        assert 2.9 < agent_call.began_at - last_free < 3 + TOLERANCE - 1, (
            "the minimum waiting time does not start again"
        )


# -- other calls that reach the customer --------------------------------------------------------------------------


async def test_answered_call_in_either_direction_ends_the_request(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(min_wait=60)
        bazang.scenario("101", ring=5)
        bazang.min_talk(1)

    async with open_office(prepare, phones=("101",)) as office:
        caller_request, callee_request = office.add_request(), office.add_request("09120000002")
        # An unanswered call does not end the request.
        caller = await office.trunk.call("101", caller=OWN)
        agent_call = await office.phones["101"].next_call()
        await agent_call.wait_ended()
        assert office.get_request(caller_request).status == "waiting"
        caller = await office.trunk.call("101", caller=OWN)
        agent_call = await office.phones["101"].next_call()
        await agent_call.answer()
        await office.wait_for_status(caller_request, "done", 3)
        assert office.get_request(callee_request).status == "waiting"
        await agent_call.hang_up()
        await caller.wait_ended()
        await office.occupy("101", "09120000002")
        await office.wait_for_status(callee_request, "done", 3)
        assert [h.event for h in office.bazang.history()] == ["registered", "registered", "reached", "reached"]
        assert office.bazang.attempts() == []


async def test_call_answered_by_another_member_ends_the_ringing(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(target_kind="queue", targets=("800",))
        bazang.scenario("102")
        bazang.min_talk(1)

    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0, "102": 1})])
    async with open_office(prepare, setup) as office:
        request = office.add_request(target="800")
        agent_call = await office.phones["101"].next_call()
        caller = await office.trunk.call("102", caller=OWN)
        await (await office.phones["102"].next_call()).answer()
        await caller.wait_answered()
        await office.wait_for_status(request, "done", 3)
        await agent_call.wait_ended(2)
        assert not agent_call.answered.is_set()
        assert (await office.wait_for_attempt(request)).outcome == "withdrawn"
        assert office.calls_to(OWN) == []


# -- other phones and callers -------------------------------------------------------------------------------------


@ONE_VERSION
async def test_phone_with_do_not_disturb_is_not_rung(open_office: OpenOffice) -> None:
    setup = OfficeSetup(dnd=("101",))
    async with open_office(lambda b: b.module(caller_id="02188880000"), setup, phones=("101",)) as office:
        await office.bazang.asterisk.cli("devstate change Custom:DND101 INUSE")
        await office.bazang.until(lambda: office.line_state("101") == "dnd", PATIENCE, "101 is set to do not disturb")
        request = office.add_request()
        await office.expect_no_call("101", 2)
        assert office.bazang.attempts() == []
        await office.bazang.asterisk.cli("devstate change Custom:DND101 NOT_INUSE")
        customer = await office.connect_customer(await office.answer_agent("101"), request)
        assert customer.remote == "02188880000", "the customer sees the caller ID of the module"


async def test_phone_that_allows_one_call_is_rung_when_it_is_free(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension, OfficeSetup(busy_at_one=True), phones=("101",)) as office:
        busy_call = await office.occupy("101")
        await office.leave_request()
        request = (await office.bazang.request("waiting")).id
        await office.expect_no_call("101", 1)
        await busy_call.end()
        await office.connect_customer(await office.answer_agent("101"), request)
        await office.hang_up_customer(OWN)
        await office.wait_for_status(request, "done")


@ONE_VERSION
async def test_internal_caller_is_called_back_at_the_extension(open_office: OpenOffice) -> None:
    async with open_office(prepare_extension, phones=("101", "102", "103")) as office:
        busy_call = await office.occupy("101")
        by_code = await office.phones["102"].call("*5001")
        by_extension = await office.phones["103"].call("101")
        for call in (by_code, by_extension):
            await office.wait_for_prompt(call, "intro")
            await call.press("1")
            await office.wait_for_prompt(call, "after_success")
            await call.hang_up()
        assert {(r.number, r.target) for r in office.bazang.requests()} == {("102", ""), ("103", "101")}
        await busy_call.end()
        for _ in range(2):
            agent_call = await office.answer_agent("101")
            inside = await office.phones[agent_call.remote].next_call()
            await inside.answer()
            await office.bazang.until(
                lambda: "connected" in {r.status for r in office.bazang.requests()}, PATIENCE, "they are connected"
            )
            await inside.hang_up()
            await agent_call.wait_ended()
        await office.bazang.until(
            lambda: {r.status for r in office.bazang.requests()} == {"done"}, PATIENCE, "both requests are done"
        )
        assert [call.dialled for call in office.calls_to("")] == [busy_call.outside.dialled], "no customer was called"
