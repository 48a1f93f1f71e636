"""What becomes of an attempt: every way in which the agent and the customer can take it or not, and who may be rung."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from app.domain.routing import Destination
from app.services import commands
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone
from script.office.sip import SipMessage
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import OWN, Scene

MODULE = Destination("module", "*5001")
AGENT_PAUSE = 5  # seconds, the least a module may have; as the next
RETRY_PAUSE = 10
SOON = 2.5  # seconds within which what is due has begun, on a machine that has much to do

Act = Callable[[Scene, str], Awaitable[None]]


def crowd(count: int) -> tuple[str, ...]:
    """Return the extensions of a larger office, from 101."""
    return tuple(str(101 + number) for number in range(count))


def crowded(count: int) -> OfficeSetup:
    return OfficeSetup(phones={extension: f"secret{extension}" for extension in crowd(count)})


def customer_of(extension: str) -> str:
    """Return the number of a customer of one's own, so that many attempts can be told apart."""
    return f"0912{extension:0>7}"


def most_at_once(calls: Iterable[Call]) -> int:
    """Return how many of these calls there were at the same moment, ringing or answered."""
    ends = [(call.began_at, call.ended_at or math.inf) for call in calls]
    return max((sum(began <= moment < ended for began, ended in ends) for moment, _ in ends), default=0)


def rung(phone: Phone) -> list[Call]:
    return [call for call in phone.calls.values() if call.incoming]


# -- the agent ----------------------------------------------------------------------------------------------------


async def press_later(scene: Scene, extension: str) -> None:
    await (await scene.take(extension, keys="2")).wait_ended()


async def let_it_ring(scene: Scene, extension: str) -> None:
    await (await scene.phones[extension].next_call()).wait_ended()


async def press_nothing(scene: Scene, extension: str) -> None:
    ring = await scene.take(extension, keys="5")  # which says nothing either; asked for three times in all
    ring.rtp.received.clear()
    await scene.hears(ring, "agent_intro")
    await ring.press("#")
    await ring.wait_ended()


async def hang_up_at_once(scene: Scene, extension: str) -> None:
    ring = await scene.phones[extension].next_call()
    await ring.answer()
    await scene.hears(ring, "agent_intro")
    await ring.hang_up()


def reject(status: int) -> Act:
    async def act(scene: Scene, extension: str) -> None:
        (await scene.phones[extension].next_call()).reject(status)

    return act


MISSES: list[tuple[Act, str, str]] = [
    (press_later, "agent_refused", "agent_refused"),
    (let_it_ring, "agent_no_answer", "agent NOANSWER"),
    (reject(603), "agent_rejected", "agent NOANSWER 21"),
    (reject(486), "agent_busy", "agent BUSY 17"),
    (reject(404), "agent_unreachable", "agent NOANSWER 1"),
    (hang_up_at_once, "agent_gone", "agent_gone"),
    (press_nothing, "agent_silent", "agent_silent"),
]


async def test_agent_misses_are_told_apart_and_rung_again_after_the_pause(stage: Stage) -> None:
    agents = crowd(len(MISSES))

    def prepare(bazang: Bazang) -> None:
        # Without retries: were a miss counted against the customer, the request would have failed.
        bazang.module(targets=agents, agent_ring=5, retries=0, agent_pause=AGENT_PAUSE)

    async def miss(scene: Scene, extension: str, act: Act, outcome: str, cause: str) -> None:
        request = scene.wish(customer_of(extension), target=extension)
        await act(scene, extension)
        attempt = await scene.tried(request, timeout=60)
        assert (attempt.outcome, attempt.dialled_at) == (outcome, None), scene.bazang.describe()
        assert attempt.cause.startswith(cause)
        row = scene.wished(request)
        assert (row.status, row.agent_misses, row.customer_attempts) == ("waiting", 1, 0)
        ended = rung(scene.phones[extension])[0].ended_at
        again = await scene.phones[extension].next_call(AGENT_PAUSE + SOON)
        assert again.began_at - ended > AGENT_PAUSE - 0.2
        assert scene.calls_to(customer_of(extension)) == []

    async with stage(prepare, crowded(len(MISSES)), phones=agents) as scene:
        scenes = [miss(scene, extension, *what) for extension, what in zip(agents, MISSES, strict=True)]
        await asyncio.gather(*scenes)


# -- the customer -------------------------------------------------------------------------------------------------

Fate = Callable[[Scene, Call, Call], Awaitable[None]]  # what befalls the agent's and the customer's ringing call


def customer_rejects(status: int) -> Fate:
    async def befall(scene: Scene, agent: Call, customer: Call) -> None:
        customer.reject(status)

    return befall


async def nobody_answers(scene: Scene, agent: Call, customer: Call) -> None:
    await customer.wait_ended()
    assert 9 < customer.ended_at - customer.began_at < 12, "customer_ring is 10 s"


async def agent_hangs_up(scene: Scene, agent: Call, customer: Call) -> None:
    await agent.hang_up()
    await customer.wait_ended(2)  # their phone does not go on ringing for nobody
    assert not customer.answered.is_set()


async def customer_hangs_up_at_once(scene: Scene, agent: Call, customer: Call) -> None:
    await customer.answer()
    await customer.hang_up()


FATES: list[tuple[Fate, str, str, str]] = [
    (customer_rejects(486), "failed", "customer_busy", "customer BUSY 17"),
    (customer_rejects(603), "failed", "customer_rejected", "customer NOANSWER 21"),
    (customer_rejects(404), "failed", "customer_unreachable", "customer NOANSWER 1"),
    (customer_rejects(503), "failed", "customer_unreachable", "customer CONGESTION 34"),
    (nobody_answers, "failed", "customer_no_answer", "customer NOANSWER"),
    (agent_hangs_up, "failed", "customer_abandoned", "customer"),
    (customer_hangs_up_at_once, "done", "connected", "customer ANSWER"),
]


async def test_customer_outcomes_are_told_apart(stage: Stage) -> None:
    agents = crowd(len(FATES))

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=agents, customer_ring=10, retries=0)

    async def befall(scene: Scene, extension: str, fate: Fate, status: str, outcome: str, cause: str) -> None:
        request = scene.wish(customer_of(extension), target=extension)
        ring = await scene.take(extension)
        await fate(scene, ring, await scene.customer(customer_of(extension)))
        attempt = await scene.tried(request)
        assert attempt.outcome == outcome, scene.bazang.describe()
        assert attempt.cause.startswith(cause)
        row = await scene.becomes(request, status)
        assert (row.agent_misses, row.customer_attempts) == (0, int(status == "failed"))
        await ring.wait_ended()
        assert len(scene.calls_to(customer_of(extension))) == 1

    async with stage(prepare, crowded(len(FATES)), phones=agents) as scene:
        scenes = [befall(scene, extension, *fate) for extension, fate in zip(agents, FATES, strict=True)]
        await asyncio.gather(*scenes)


async def test_customer_is_tried_again_after_the_pause_until_the_retries_are_used_up(stage: Stage) -> None:
    async with stage(lambda b: b.module(retries=1, retry_pause=RETRY_PAUSE), phones=("101",)) as scene:
        request = scene.wish()
        await scene.take("101")
        (await scene.customer()).reject(486)
        first = await scene.tried(request)
        row = scene.wished(request)
        assert (row.status, row.customer_attempts, row.last_outcome) == ("waiting", 1, "customer_busy")
        assert row.not_before is not None and first.ended_at is not None
        assert (row.not_before - first.ended_at).total_seconds() == RETRY_PAUSE
        ring = await scene.take("101")
        assert RETRY_PAUSE - 0.3 < ring.began_at - scene.calls_to(OWN)[0].ended_at < RETRY_PAUSE + SOON
        (await scene.customer()).reject(603)
        row = await scene.becomes(request, "failed")
        assert (row.customer_attempts, row.agent_misses, row.last_outcome) == (2, 0, "customer_rejected")


# -- one call at a time -------------------------------------------------------------------------------------------


async def test_requests_of_an_extension_and_of_its_queue_ring_one_after_the_other(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.module(name="Support", code="*5002", target_kind="queue", targets=("800",))

    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})])
    async with stage(prepare, setup, phones=("101",)) as scene:
        scene.phones["101"].call_waiting = True  # a second call would ring
        talk = await scene.occupy("101")
        first, second = scene.wish(), scene.wish(customer_of("2"), module=2, target="800")
        await talk.end()
        await scene.talk_to(await scene.take("101"), first)
        assert scene.wished(second).status == "waiting"
        await scene.hang_up(OWN)
        await scene.talk_to(await scene.take("101"), second)
        assert most_at_once(rung(scene.phones["101"])) == 1
        assert [(r.agent_misses, r.customer_attempts) for r in scene.bazang.requests()] == [(0, 0), (0, 0)]


def reception(bazang: Bazang) -> None:
    bazang.module()
    bazang.scenario("101", busy=MODULE, no_answer=MODULE, unavailable=MODULE)


async def test_line_that_is_taken_between_look_and_ring_is_left_to_the_other_call(stage: Stage) -> None:
    async with stage(reception) as scene:
        scene.phones["101"].call_waiting = True
        talk = await scene.occupy("101")
        request = scene.wish()
        # The worker sees the line free, and can claim the request only when another call has taken the line. (Unless it
        # waits for the database already, for a look of before; then it finds out in time.)
        with scene.locked_database():
            await talk.end()
            await scene.is_idle("101")  # which the worker is told in the same moment
            caller = await scene.trunk.call("101", caller="09120000009")
            other = await scene.phones["101"].next_call()
            await other.answer()
        await scene.bazang.until(lambda: scene.line("101") == "in_call", PATIENCE, "the worker has caught up")
        await scene.bazang.until(
            lambda: all(attempt.outcome for attempt in scene.bazang.attempts()), PATIENCE, "it is over"
        )
        row = await scene.becomes(request, "waiting")
        assert {attempt.outcome for attempt in scene.bazang.attempts()} <= {"agent_taken"}, scene.bazang.describe()
        assert (row.agent_misses, row.customer_attempts) == (0, 0)
        await caller.hang_up()
        await scene.talk_to(await scene.take("101"), request)
        assert most_at_once(rung(scene.phones["101"])) == 1


async def test_caller_who_comes_while_we_ring_goes_to_the_module(stage: Stage) -> None:
    async with stage(reception) as scene:
        scene.phones["101"].call_waiting = True
        request = scene.wish()
        ring = await scene.phones["101"].next_call()
        caller = await scene.knock("101", caller="09120000009")
        await scene.hears(caller, "intro")
        await ring.answer()
        await scene.hears(ring, "agent_intro")
        await ring.press("1")
        await scene.talk_to(ring, request)
        assert most_at_once(rung(scene.phones["101"])) == 1


async def test_caller_and_call_back_in_the_same_instant_never_ring_together(stage: Stage) -> None:
    """A race, so it is run several times: with each line the caller comes a little later."""
    agents = crowd(8)

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=agents)
        for extension in agents:
            bazang.scenario(extension, busy=MODULE, no_answer=MODULE, unavailable=MODULE)

    async def race(scene: Scene, extension: str, delay: float) -> None:
        phone = scene.phones[extension]
        phone.call_waiting = True
        await talks[extension].end()
        await asyncio.sleep(delay)
        caller = await scene.trunk.call(extension, caller="09120000009")
        first = await phone.next_call()
        if first.remote != "09120000009":
            await caller.wait_answered()  # by the module
        await scene.no_call(extension, 0.5)
        await first.hang_up()
        assert most_at_once(rung(phone)) == 1

    async with stage(prepare, crowded(8), phones=agents) as scene:
        talks = {extension: await scene.occupy(extension) for extension in agents}
        for extension in agents:
            scene.wish(customer_of(extension), target=extension)
        await asyncio.gather(*(race(scene, extension, 0.01 * number) for number, extension in enumerate(agents)))
        assert all(row.customer_attempts == 0 for row in scene.bazang.requests())


async def test_phone_that_is_slow_to_ring_is_not_rung_twice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a phone says that it rings Asterisk calls it free, though a call is on its way to it."""
    async with stage(reception) as scene:
        phone = scene.phones["101"]
        phone.call_waiting = True
        respond = phone.respond

        def respond_late(message: SipMessage, status: int, *rest: Any, **more: Any) -> None:
            if status != 180:
                respond(message, status, *rest, **more)

        monkeypatch.setattr(phone, "respond", respond_late)
        caller = await scene.trunk.call("101", caller="09120000009")
        other = await phone.next_call()
        request = scene.wish()
        attempt = await scene.tried(request)
        assert attempt.outcome == "agent_taken", scene.bazang.describe()
        monkeypatch.undo()
        other.reject()
        await caller.hang_up()
        await scene.talk_to(await scene.take("101"), request)
        assert most_at_once(rung(phone)) == 1


async def test_two_modules_never_dial_one_number_at_once(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.module(name="Support", code="*5002", targets=("102",))

    async with stage(prepare) as scene:
        talk = await scene.occupy("102", "09120000002")
        first, second = scene.wish(), scene.wish(module=2, target="102")
        ring = await scene.take("101")
        await talk.end()
        await scene.no_call("102", 0.5)
        await scene.talk_to(ring, first)
        await scene.no_call("102", 0.5)
        assert scene.wished(second).status == "waiting"
        await scene.hang_up(OWN)
        await scene.talk_to(await scene.take("102"), second)
        assert most_at_once(scene.calls_to(OWN)) == 1


# -- what people ask for ------------------------------------------------------------------------------------------


async def test_module_by_hand_rings_when_somebody_asks(stage: Stage) -> None:
    async with stage(lambda b: b.module(automatic=False)) as scene:
        by_hand, by_me = scene.wish(), scene.wish("09120000002")
        await asyncio.gather(scene.no_call("101", 1.5), scene.no_call("102", 1.5))
        assert (await scene.command(commands.CALL_NOW, request=by_hand)).ok
        assert (await scene.command(commands.CALL_NOW, request=by_me, agent="102")).ok
        await asyncio.gather(
            scene.talk_to(await scene.take("101"), by_hand),
            scene.talk_to(await scene.take("102"), by_me),
        )
        assert {(a.request_id, a.agent, a.manual) for a in scene.bazang.attempts()} == {
            (by_hand, "101", True),
            (by_me, "102", True),
        }
        refused = await scene.command(commands.CANCEL, request=by_hand)
        assert (refused.ok, refused.result) == (False, "is_connected"), "nobody cuts off a talk"


async def test_cancelling_and_marking_done_end_the_ringing_at_once(stage: Stage) -> None:
    async with stage(lambda b: b.module(targets=("101", "102"))) as scene:
        agents, customers = scene.wish(), scene.wish("09120000002", target="102")
        ring = await scene.phones["101"].next_call()
        other = await scene.take("102")
        customer = await scene.customer("09120000002")
        assert (await scene.command(commands.CANCEL, request=agents)).ok
        assert (await scene.command(commands.MARK_DONE, request=customers, note="wrote to us")).ok
        for call in (ring, other, customer):
            await call.wait_ended(2)
        assert not ring.answered.is_set() and not customer.answered.is_set()
        for request, status in ((agents, "cancelled"), (customers, "done")):
            assert (await scene.tried(request)).outcome == "withdrawn"
            row = scene.wished(request)
            assert (row.status, row.agent_misses, row.customer_attempts) == (status, 0, 0)
        assert scene.wished(customers).note == "wrote to us"


# -- waiting times ------------------------------------------------------------------------------------------------


async def test_waiting_time_counts_from_the_first_free_moment_and_rest_from_the_last(stage: Stage) -> None:
    async with stage(lambda b: b.module(min_wait=5, rest=3), phones=("101",)) as scene:
        talk = await scene.occupy("101")
        scene.wish()
        first_free = await talk.end()
        await scene.no_call("101", 2.5)
        last_free = await (await scene.occupy("101", "09120000002")).end()
        ring = await scene.phones["101"].next_call()
        assert ring.began_at - first_free > 4.9
        assert 2.9 < ring.began_at - last_free < 3 + SOON - 1, "the waiting time is not counted anew"


# -- reached otherwise --------------------------------------------------------------------------------------------


async def test_talk_in_either_direction_closes_the_request(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(min_wait=60)
        bazang.scenario("101", ring=5)

    async with stage(prepare, phones=("101",)) as scene:
        calls_in, is_called = scene.wish(), scene.wish("09120000002")
        # A call that nobody answers reaches nobody.
        caller = await scene.trunk.call("101", caller=OWN)
        ring = await scene.phones["101"].next_call()
        await ring.wait_ended()
        assert scene.wished(calls_in).status == "waiting"
        caller = await scene.trunk.call("101", caller=OWN)
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await scene.becomes(calls_in, "done", 3)
        assert scene.wished(is_called).status == "waiting"
        await ring.hang_up()
        await caller.wait_ended()
        await scene.occupy("101", "09120000002")
        await scene.becomes(is_called, "done", 3)
        assert [h.event for h in scene.bazang.history()] == ["registered", "registered", "reached", "reached"]
        assert scene.bazang.attempts() == []


async def test_reaching_another_member_ends_the_ringing(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(target_kind="queue", targets=("800",))
        bazang.scenario("102")

    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0, "102": 1})])
    async with stage(prepare, setup) as scene:
        request = scene.wish(target="800")
        ring = await scene.phones["101"].next_call()
        caller = await scene.trunk.call("102", caller=OWN)
        await (await scene.phones["102"].next_call()).answer()
        await caller.wait_answered()
        await scene.becomes(request, "done", 3)
        await ring.wait_ended(2)
        assert not ring.answered.is_set()
        assert (await scene.tried(request)).outcome == "withdrawn"
        assert scene.calls_to(OWN) == []


# -- kinds of phones and callers ----------------------------------------------------------------------------------


async def test_phone_that_wants_not_to_be_disturbed_stays_silent(stage: Stage) -> None:
    async with stage(lambda b: b.module(caller_id="02188880000"), OfficeSetup(dnd=("101",)), phones=("101",)) as scene:
        await scene.bazang.asterisk.cli("devstate change Custom:DND101 INUSE")
        await scene.bazang.until(lambda: scene.line("101") == "dnd", PATIENCE, "the line is known to want no calls")
        request = scene.wish()
        await scene.no_call("101", 2)
        assert scene.bazang.attempts() == []
        await scene.bazang.asterisk.cli("devstate change Custom:DND101 NOT_INUSE")
        customer = await scene.talk_to(await scene.take("101"), request)
        assert customer.remote == "02188880000", "the customer sees the office's number"


async def test_phones_that_are_busy_with_one_call_work(stage: Stage) -> None:
    async with stage(reception, OfficeSetup(busy_at_one=True), phones=("101",)) as scene:
        talk = await scene.occupy("101")
        await scene.register()
        request = (await scene.bazang.request("waiting")).id
        await scene.no_call("101", 1)
        await talk.end()
        await scene.talk_to(await scene.take("101"), request)
        await scene.hang_up(OWN)
        await scene.becomes(request, "done")


async def test_caller_from_inside_is_called_back_inside(stage: Stage) -> None:
    async with stage(reception, phones=("101", "102", "103")) as scene:
        talk = await scene.occupy("101")
        by_code = await scene.phones["102"].call("*5001")
        by_extension = await scene.phones["103"].call("101")
        for call in (by_code, by_extension):
            await scene.hears(call, "intro")
            await call.press("1")
            await scene.hears(call, "after_success")
            await call.hang_up()
        assert {(r.number, r.target) for r in scene.bazang.requests()} == {("102", ""), ("103", "101")}
        await talk.end()
        for _ in range(2):
            ring = await scene.take("101")
            inside = await scene.phones[ring.remote].next_call()
            await inside.answer()
            await scene.bazang.until(
                lambda: "connected" in {r.status for r in scene.bazang.requests()}, PATIENCE, "they are connected"
            )
            await inside.hang_up()
            await ring.wait_ended()
        await scene.bazang.until(
            lambda: {r.status for r in scene.bazang.requests()} == {"done"}, PATIENCE, "both are done"
        )
        assert [call.dialled for call in scene.calls_to("")] == [talk.outside.dialled], "nothing went outside"
