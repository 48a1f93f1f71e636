"""Whatever dies, freezes or refuses at whatever moment of an attempt: nothing is lost, and nobody is dialled twice."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from app.domain.routing import Destination
from app.store.models import Attempt, WorkerState
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import OWN, Scene

AGENT_PAUSE = 5  # seconds, the least a module may have; as the next
RETRY_PAUSE = 10
RINGING, ASKED, DIALLED, TALKING = AGENTS = ("101", "102", "103", "104")  # each agent is at another moment
OFFICE = {extension: f"secret{extension}" for extension in AGENTS}
MODULE = Destination("module", "*5001")


@dataclass
class Moment:
    """An attempt at some moment: the agent's call and, where they are dialled, the customer's."""

    request: int
    agent: Call
    customer: Call | None = None


def number_of(extension: str) -> str:
    return f"0912{extension:0>7}"


def office(bazang: Bazang) -> None:
    bazang.module(
        targets=AGENTS, agent_ring=60, customer_ring=60, retry_pause=RETRY_PAUSE, agent_pause=AGENT_PAUSE, retries=1
    )


async def reach_all_moments(scene: Scene) -> dict[str, Moment]:
    """Bring an attempt to each of its moments: the agent is rung, is asked, the customer is rung, the two talk."""

    async def reach(extension: str) -> Moment:
        request = scene.wish(number_of(extension), target=extension)
        ring = await scene.phones[extension].next_call()
        moment = Moment(request, ring)
        if extension == RINGING:
            await scene.steps(request, "claimed")
            return moment
        await ring.answer()
        await scene.hears(ring, "agent_intro")
        await scene.steps(request, "agent_answered")
        if extension == ASKED:
            return moment
        await ring.press("1")
        moment.customer = await scene.customer(number_of(extension))
        await scene.steps(request, "customer_dialled")
        if extension == TALKING:
            await moment.customer.answer()
            await scene.becomes(request, "connected")
        return moment

    reached = await asyncio.gather(*(reach(extension) for extension in AGENTS))
    return dict(zip(AGENTS, reached, strict=True))


def told(attempt: Attempt) -> str:
    return f"{attempt.agent} {attempt.outcome} ({attempt.cause})"


def assert_dialled_once(scene: Scene) -> None:
    """Nobody's phone has got more than one call in all."""
    for extension in AGENTS:
        assert len(scene.phones[extension].invites) == 1, scene.bazang.describe()
        assert len(scene.calls_to(number_of(extension))) <= 1, scene.bazang.describe()


# -- our own service ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["killed", "frozen"])
async def test_attempts_go_on_while_the_worker_is_away(stage: Stage, fate: str) -> None:
    async with stage(office, OfficeSetup(phones=OFFICE), phones=AGENTS) as scene:
        moments = await reach_all_moments(scene)
        await take_away(scene, fate)
        await moments[ASKED].agent.press("1")
        moments[ASKED].customer = await scene.customer(number_of(ASKED))
        await bring_back(scene, fate)
        await moments[RINGING].agent.answer()
        await scene.hears(moments[RINGING].agent, "agent_intro")
        await moments[RINGING].agent.press("1")
        moments[RINGING].customer = await scene.customer(number_of(RINGING))
        for extension in (RINGING, ASKED, DIALLED):
            customer = moments[extension].customer
            assert customer is not None
            await customer.answer()
        for extension, moment in moments.items():
            await scene.becomes(moment.request, "connected")
            assert moment.customer is not None
            await moment.customer.press("7")
            await scene.bazang.until(
                lambda m=moment: m.agent.rtp.keys_heard == "7", PATIENCE, f"{extension} hears them"
            )
            await moment.customer.hang_up()
            await scene.becomes(moment.request, "done")
        assert_dialled_once(scene)
        assert len(scene.bazang.attempts()) == len(AGENTS)


@pytest.mark.parametrize("fate", ["killed", "frozen"])
async def test_what_ended_while_the_worker_was_away_is_found_out(stage: Stage, fate: str) -> None:
    async with stage(office, OfficeSetup(phones=OFFICE), phones=AGENTS) as scene:
        moments = await reach_all_moments(scene)
        await take_away(scene, fate)
        moments[RINGING].agent.reject(603)
        await moments[ASKED].agent.press("2")
        customer, partner = moments[DIALLED].customer, moments[TALKING].customer
        assert customer is not None and partner is not None
        customer.reject(486)
        await partner.hang_up()
        for moment in moments.values():
            await moment.agent.wait_ended()
        await bring_back(scene, fate)
        # Of a phone that only rang there is no record: to us it never did, and it counts for nothing.
        ringing = ("not_started", 0) if fate == "killed" else ("agent_rejected", 1)
        await expect(scene, moments[RINGING], ringing[0], "waiting", misses=ringing[1])
        await expect(scene, moments[ASKED], "agent_refused", "waiting", misses=1)
        await expect(scene, moments[DIALLED], "customer_busy", "waiting", customers=1)
        await expect(scene, moments[TALKING], "connected", "done")
        assert_dialled_once(scene)
        await scene.phones[RINGING].next_call(AGENT_PAUSE + 3)  # in an attempt of its own


async def take_away(scene: Scene, fate: str) -> None:
    if fate == "killed":
        await scene.bazang.kill_worker()
    else:
        scene.bazang.freeze_worker()


async def bring_back(scene: Scene, fate: str) -> None:
    if fate == "killed":
        await scene.bazang.start_worker()
    else:
        scene.bazang.thaw_worker()


async def expect(
    scene: Scene, moment: Moment, outcome: str, status: str, *, misses: int = 0, customers: int = 0
) -> None:
    attempt = await scene.tried(moment.request)
    assert attempt.outcome == outcome, f"{told(attempt)}\n{scene.bazang.describe()}"
    row = scene.wished(moment.request)
    assert row.status in (status, "dialling" if status == "waiting" else status), scene.bazang.describe()
    assert (row.agent_misses, row.customer_attempts) == (misses, customers), told(attempt)


# -- the exchange -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["exchange", "machine"])
async def test_exchange_that_dies_takes_its_calls_and_no_request(stage: Stage, fate: str) -> None:
    """`machine`: the worker dies with it."""
    async with stage(office, OfficeSetup(phones=OFFICE), phones=AGENTS) as scene:
        moments = await reach_all_moments(scene)
        if fate == "machine":
            await scene.bazang.kill_worker()
        await scene.bazang.asterisk.kill()
        for moment in moments.values():  # nobody tells the phones; their people hang up
            for call in (moment.agent, moment.customer):
                if call is not None:
                    call.end(0)
        began = time.monotonic()
        await scene.bazang.asterisk.start()
        for phone in scene.phones.values():
            await phone.register()
        if fate == "machine":
            await scene.bazang.start_worker()
        await expect(scene, moments[RINGING], "not_started", "waiting")
        await expect(scene, moments[ASKED], "agent_gone", "waiting", misses=1)
        await expect(scene, moments[DIALLED], "customer_unknown", "waiting", customers=1)
        await expect(scene, moments[TALKING], "connected", "done")
        for extension in (RINGING, ASKED):
            again = await scene.phones[extension].next_call(AGENT_PAUSE + 5)
            assert again.began_at - began > AGENT_PAUSE - 0.5
        assert all(len(scene.calls_to(number_of(extension))) <= 1 for extension in AGENTS)
        row = scene.wished(moments[DIALLED].request)
        attempt = await scene.tried(row.id)
        assert row.not_before is not None and attempt.ended_at is not None
        assert (row.not_before - attempt.ended_at).total_seconds() == RETRY_PAUSE


@pytest.mark.parametrize("fate", ["the worker dies", "the reply is late"])
async def test_order_to_dial_that_nobody_heard_of_rings_once(stage: Stage, fate: str) -> None:
    """The exchange hangs when the order is given; when it goes on it may still do what it was told."""
    async with stage(lambda b: b.module(agent_ring=60), phones=("101",)) as scene:
        bazang = scene.bazang
        bazang.asterisk.pause()
        request = scene.wish()
        await bazang.until(bazang.attempts, PATIENCE, "the request is claimed")
        if fate == "the worker dies":
            await bazang.kill_worker()  # the order follows the claim at once; should it not be out, nothing changes
        else:
            await bazang.until(
                lambda: "nobody knows yet whether it rings" in bazang.worker_log(), PATIENCE, "no reply came"
            )
        bazang.asterisk.resume()
        if fate == "the worker dies":
            await bazang.start_worker()
        ring = await scene.phones["101"].next_call()
        first = bazang.attempts()[0].id
        # Whether it was the first order or the next, polls that look for the truth change nothing any more.
        await scene.no_call("101", 4)
        await ring.answer()
        await scene.hears(ring, "agent_intro")
        await ring.press("1")
        customer = await scene.talk_to(ring, request)
        await customer.hang_up()
        await scene.becomes(request, "done")
        assert len(scene.phones["101"].invites) == len(scene.calls_to(OWN)) == 1
        attempts = {attempt.id: attempt.outcome for attempt in bazang.attempts()}
        assert attempts.pop(first) in ("connected", "not_started")
        assert set(attempts.values()) <= {"connected"}


# -- the database -------------------------------------------------------------------------------------------------


async def test_locked_database_loses_neither_a_call_nor_a_registration(stage: Stage) -> None:
    async with stage(lambda b: b.module(), phones=("101",)) as scene:
        caller = await scene.knock("*5001", caller="09120000009")
        await scene.hears(caller, "intro")
        request = scene.wish()
        ring = await scene.phones["101"].next_call()
        with scene.locked_database():
            began = time.monotonic()
            await caller.press("1")
            await ring.answer()
            await scene.hears(ring, "agent_intro")
            await ring.press("1")
            customer = await scene.customer()
            await customer.answer()
            await ring.rtp.press("5")
            await scene.bazang.until(lambda: customer.rtp.keys_heard == "5", PATIENCE, "they hear each other")
            await customer.hang_up()
            await ring.wait_ended()
            await asyncio.sleep(max(0.0, began + 3 - time.monotonic()))  # the lock is what is tested
        await scene.becomes(request, "done", 5)
        attempt = await scene.tried(request)
        moments = (attempt.started_at, attempt.answered_at, attempt.dialled_at, attempt.connected_at, attempt.ended_at)
        assert None not in moments and sorted(m for m in moments if m) == list(moments)
        assert (attempt.ended_at - attempt.started_at).total_seconds() < 3  # type: ignore[operator]
        await scene.hears(caller, "after_success")
        assert [r.number for r in scene.bazang.requests()] == ["+989121234567", "+989120000009"]


async def test_database_that_is_locked_longer_than_anybody_waits_loses_no_news(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102"), min_wait=60)
        bazang.module(name="At once", code="*5002")

    async with stage(prepare) as scene:
        reached = scene.wish("09120000002", target="102")
        request = scene.wish(module=2)
        ring = await scene.take("101")
        customer = await scene.talk_to(ring, request)
        with scene.locked_database():
            await customer.hang_up()
            await ring.wait_ended()
            talk = await scene.occupy("102", "09120000002")
            await talk.end()
            given_up = "a database write failed"  # a writer waits 5 s
            await scene.bazang.until(lambda: given_up in scene.bazang.worker_log(), PATIENCE, "a writer has given up")
        await scene.becomes(request, "done")
        await scene.becomes(reached, "done")


# -- rights and files ---------------------------------------------------------------------------------------------


async def test_refused_ami_user_is_shown_and_requests_wait(stage: Stage) -> None:
    async with stage(lambda b: b.module(), phones=("101",), work=False, AMI_SECRET="wrong") as scene:
        bazang = scene.bazang
        bazang.launch_worker()
        state = await bazang.until(lambda: shown(bazang, ami_status="refused"), PATIENCE, "the refusal is shown")
        assert "refused the user name or the secret" in state.ami_detail
        request = scene.wish()
        await scene.no_call("101", 1)
        assert (scene.wished(request).status, bazang.attempts()) == ("waiting", [])
        await bazang.stop_worker()
        bazang.environment["BAZANG_AMI_SECRET"] = bazang.asterisk.ami_secret
        await bazang.start_worker()
        await scene.talk_to(await scene.take("101"), request)


async def test_exchange_that_may_not_be_reloaded_is_waited_for(stage: Stage) -> None:
    setup = OfficeSetup(ami_rights="read=call,user,agent\nwrite=originate,call,agent,reporting")
    async with stage(lambda b: b.module(), setup, phones=("101",), work=False) as scene:
        bazang = scene.bazang
        bazang.launch_worker()
        state = await bazang.until(
            lambda: shown(bazang, dialplan_detail="not_included"), PATIENCE, "what is missing is told"
        )
        assert (state.dialplan_running, state.obstacle) == ("", "no_dialplan")
        request = scene.wish()
        await scene.no_call("101", 1)
        assert bazang.attempts() == []
        await bazang.asterisk.reload()
        ring = await scene.take("101")
        await bazang.wait_for_dialplan()
        assert shown(bazang, dialplan_detail="", obstacle="")
        # A change of the scenarios: the old dialplan serves on, and it is told that a reload is due.
        bazang.scenario("101", busy=MODULE)
        await bazang.until(lambda: shown(bazang, dialplan_detail="reload_by_hand"), PATIENCE, "a reload is asked for")
        await scene.talk_to(ring, request)
        await scene.hang_up(OWN)
        await bazang.asterisk.reload()
        await bazang.wait_for_dialplan()
        assert shown(bazang, dialplan_detail="")


async def test_dialplan_file_that_somebody_changed_is_put_right(stage: Stage) -> None:
    async with stage(lambda b: b.module(), phones=()) as scene:
        bazang = scene.bazang
        file = bazang.settings.dialplan_path
        ours = file.read_text()
        for theirs in ("[intruder]\nexten => s,1,NoOp()\n", f"{ours}\n[intruder]\nexten => s,1,NoOp()\n"):
            bazang.freeze_worker()
            file.write_text(theirs)
            await bazang.asterisk.reload()
            assert "[ Context 'intruder'" in await bazang.asterisk.cli("dialplan show intruder")
            bazang.thaw_worker()
            await bazang.until(lambda: file.read_text() == ours, PATIENCE, "the file is ours again")
            await bazang.wait_for_dialplan()
            await gone(bazang, "intruder")
        file.unlink()
        await bazang.until(file.exists, PATIENCE, "the file is back")
        assert file.read_text() == ours
        call = await scene.knock("*5001")
        await scene.hears(call, "intro")


async def gone(bazang: Bazang, context: str) -> None:
    """Return when Asterisk has forgotten a context."""
    async with asyncio.timeout(5):
        while "[ Context" in await bazang.asterisk.cli(f"dialplan show {context}"):
            pass


def shown(bazang: Bazang, **values: str) -> WorkerState | None:
    """Return what the worker says of itself if it says all this, else None."""
    state = bazang.worker_state()
    return state if state is not None and all(getattr(state, k) == v for k, v in values.items()) else None
