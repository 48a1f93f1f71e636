"""Failures of the worker, the PBX, the database and files: no attempt is lost and nobody is called twice."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from app.store.models import Attempt, WorkerState
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import MODULE, ONE_VERSION, OWN, Office, customer_of, phone_secrets

AGENT_PAUSE = 5  # seconds; the minimum of a module
RETRY_PAUSE = 10  # seconds; the minimum of a module
# Each agent has an attempt at a different step: the agent's phone rings, the announcement plays, the customer's phone
# rings, agent and customer are connected.
RINGING, ANNOUNCED, DIALLED, CONNECTED = AGENTS = ("101", "102", "103", "104")


@dataclass
class RunningAttempt:
    """The request, the agent's call and, if the customer is dialled, the customer's call of an attempt."""

    request: int
    agent: Call
    customer: Call | None = None


def prepare(bazang: Bazang) -> None:
    bazang.module(
        targets=AGENTS,
        agent_ring=60,
        customer_ring=60,
        retry_pauses=(RETRY_PAUSE,),
        busy_pause=0,
        agent_pause=AGENT_PAUSE,
        retries=1,
    )


def office_setup() -> OfficeSetup:
    return OfficeSetup(phones=phone_secrets(AGENTS))


async def start_attempts(office: Office) -> dict[str, RunningAttempt]:
    """Start an attempt for each agent and bring it to the agent's step. Return the attempts by extension."""

    async def start(extension: str) -> RunningAttempt:
        request = office.add_request(customer_of(extension), target=extension)
        agent_call = await office.phones[extension].next_call()
        attempt = RunningAttempt(request, agent_call)
        if extension == RINGING:
            await office.wait_for_step(request, "claimed")
            return attempt
        await agent_call.answer()
        await office.wait_for_prompt(agent_call, "agent_intro")
        await office.wait_for_step(request, "agent_answered")
        if extension == ANNOUNCED:
            return attempt
        await agent_call.press("1")
        attempt.customer = await office.next_customer_call(customer_of(extension))
        await office.wait_for_step(request, "customer_dialled")
        if extension == CONNECTED:
            await attempt.customer.answer()
            await office.wait_for_status(request, "connected")
        return attempt

    started = await asyncio.gather(*(start(extension) for extension in AGENTS))
    return dict(zip(AGENTS, started, strict=True))


def describe(attempt: Attempt) -> str:
    return f"{attempt.agent} {attempt.outcome} ({attempt.cause})"


def assert_called_once(office: Office) -> None:
    """Check that no agent and no customer got more than one call."""
    for extension in AGENTS:
        assert len(office.phones[extension].invites) == 1, office.bazang.describe()
        assert len(office.calls_to(customer_of(extension))) <= 1, office.bazang.describe()


# -- the worker ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["killed", pytest.param("frozen", marks=ONE_VERSION)])
async def test_attempts_continue_without_the_worker(open_office: OpenOffice, failure: str) -> None:
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        attempts = await start_attempts(office)
        await end_worker(office, failure)
        await attempts[ANNOUNCED].agent.press("1")
        attempts[ANNOUNCED].customer = await office.next_customer_call(customer_of(ANNOUNCED))
        await resume_worker(office, failure)
        await office.answer_agent_call(attempts[RINGING].agent)
        attempts[RINGING].customer = await office.next_customer_call(customer_of(RINGING))
        for extension in (RINGING, ANNOUNCED, DIALLED):
            customer = attempts[extension].customer
            assert customer is not None
            await customer.answer()
        for attempt in attempts.values():
            await office.wait_for_status(attempt.request, "connected")
            assert attempt.customer is not None
            await attempt.customer.press("7")
            await office.wait_for_key(attempt.agent, "7")
            await attempt.customer.hang_up()
            await office.wait_for_status(attempt.request, "done")
        assert_called_once(office)
        assert len(office.bazang.attempts()) == len(AGENTS)


@ONE_VERSION
@pytest.mark.parametrize("failure", ["killed", "frozen"])
async def test_complaint_06_restart_of_the_worker_loses_nothing(open_office: OpenOffice, failure: str) -> None:
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        attempts = await start_attempts(office)
        await end_worker(office, failure)
        attempts[RINGING].agent.reject(603)
        await attempts[ANNOUNCED].agent.press("2")
        dialled, connected = attempts[DIALLED].customer, attempts[CONNECTED].customer
        assert dialled is not None and connected is not None
        dialled.reject(486)
        await connected.hang_up()
        for attempt in attempts.values():
            await attempt.agent.wait_ended()
        await resume_worker(office, failure)
        await expect(office, attempts[RINGING], "agent_rejected", "waiting", misses=1)
        await expect(office, attempts[ANNOUNCED], "agent_refused", "waiting", misses=1)
        await expect(office, attempts[DIALLED], "customer_busy", "waiting", customers=1)
        await expect(office, attempts[CONNECTED], "connected", "done")
        assert_called_once(office)
        await office.phones[RINGING].next_call(AGENT_PAUSE + 3)  # of the next attempt


async def end_worker(office: Office, failure: str) -> None:
    if failure == "killed":
        await office.bazang.kill_worker()
    else:
        office.bazang.freeze_worker()


async def resume_worker(office: Office, failure: str) -> None:
    if failure == "killed":
        await office.bazang.start_worker()
    else:
        office.bazang.thaw_worker()


async def expect(
    office: Office, running: RunningAttempt, outcomes: str, status: str, *, misses: int = 0, customers: int = 0
) -> None:
    """Wait until an attempt has ended. Check its outcome, and the status and the counters of its request.

    `outcomes`: with "|" between them if several are right.
    """
    attempt = await office.wait_for_attempt(running.request)
    assert attempt.outcome in outcomes.split("|"), f"{describe(attempt)}\n{office.bazang.describe()}"
    row = office.get_request(running.request)
    # The next attempt of a waiting request may have started already.
    assert row.status in (status, "dialling" if status == "waiting" else status), office.bazang.describe()
    assert (row.agent_misses, row.customer_attempts) == (misses, customers), describe(attempt)


# -- the PBX ------------------------------------------------------------------------------------------------------


@ONE_VERSION
@pytest.mark.parametrize("failure", ["pbx", "machine"])
async def test_complaint_07_request_does_not_disappear_when_the_pbx_crashes(
    open_office: OpenOffice, failure: str
) -> None:
    """`machine`: the worker crashes too."""
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        attempts = await start_attempts(office)
        if failure == "machine":
            await office.bazang.kill_worker()
        await office.bazang.asterisk.kill()
        for running in attempts.values():  # the phones get no BYE; the people hang up
            for call in (running.agent, running.customer):
                if call is not None:
                    call.end(0)
        began = time.monotonic()
        await office.bazang.asterisk.start()
        for phone in office.phones.values():
            await phone.register()
        if failure == "machine":
            await office.bazang.start_worker()
        # Asterisk writes its database once a second, so the record of the last second can be lost.
        await expect(office, attempts[RINGING], "interrupted|not_started", "waiting")
        await expect(office, attempts[ANNOUNCED], "agent_gone", "waiting", misses=1)
        await expect(office, attempts[DIALLED], "unclear", "uncertain")
        await expect(office, attempts[CONNECTED], "connected", "done")
        for extension in (RINGING, ANNOUNCED):
            again = await office.phones[extension].next_call(AGENT_PAUSE + PATIENCE)
            assert again.began_at - began > AGENT_PAUSE - 0.5
        assert all(len(office.calls_to(customer_of(extension))) <= 1 for extension in AGENTS)


@ONE_VERSION
@pytest.mark.parametrize("failure", ["the worker is killed", "the reply is late"])
async def test_originate_without_a_reply_rings_once(open_office: OpenOffice, failure: str) -> None:
    """Asterisk is suspended when the worker sends Originate. It may still execute the action when it is resumed."""
    async with open_office(lambda b: b.module(agent_ring=60), phones=("101",)) as office:
        bazang = office.bazang
        bazang.asterisk.pause()
        request = office.add_request()
        await bazang.until(bazang.attempts, PATIENCE, "the request is claimed")
        if failure == "the worker is killed":
            await bazang.kill_worker()  # just after it sent Originate, or just before; the result is the same
        else:
            await bazang.until(
                lambda: "unknown whether it rings" in bazang.worker_log(), PATIENCE, "the reply is overdue"
            )
        bazang.asterisk.resume()
        if failure == "the worker is killed":
            await bazang.start_worker()
        agent_call = await office.phones["101"].next_call()
        first = bazang.attempts()[0].id
        # The call is of the first attempt or of the next. Later polls must not start another one.
        await office.expect_no_call("101", 4)
        await office.answer_agent_call(agent_call)
        customer = await office.connect_customer(agent_call, request)
        await customer.hang_up()
        await office.wait_for_status(request, "done")
        assert len(office.phones["101"].invites) == len(office.calls_to(OWN)) == 1
        attempts = {attempt.id: attempt.outcome for attempt in bazang.attempts()}
        # The worker may have been killed before it sent the order. Otherwise the first attempt is the one.
        sent_nothing = failure == "the worker is killed" and attempts[first] == "not_started"
        assert list(attempts.values()) == ["not_started"] * sent_nothing + ["connected"]


# -- the database -------------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_call_and_registration_survive_a_short_database_lock(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), phones=("101",)) as office:
        caller = await office.call_in("*5001", caller="09120000009")
        await office.wait_for_prompt(caller, "intro")
        request = office.add_request()
        agent_call = await office.phones["101"].next_call()
        with office.lock_database():
            began = time.monotonic()
            await caller.press("1")
            await office.answer_agent_call(agent_call)
            customer = await office.next_customer_call()
            await customer.answer()
            await office.press_until_heard(agent_call, customer, "5")
            await customer.hang_up()
            await agent_call.wait_ended()
            await asyncio.sleep(max(0.0, began + 3 - time.monotonic()))  # the lock must last 3 s
        await office.wait_for_status(request, "done", 5)
        attempt = await office.wait_for_attempt(request)
        times = (attempt.started_at, attempt.answered_at, attempt.dialled_at, attempt.connected_at, attempt.ended_at)
        assert None not in times and sorted(at for at in times if at) == list(times)
        assert attempt.ended_at is not None
        assert (attempt.ended_at - attempt.started_at).total_seconds() < 3
        await office.wait_for_prompt(caller, "after_success")
        assert [r.number for r in office.bazang.requests()] == ["+989121234567", "+989120000009"]


@ONE_VERSION
async def test_events_survive_a_database_lock_longer_than_the_write_timeout(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102"), min_wait=60)
        bazang.module(name="At once", code="*5002")
        bazang.min_talk(0)

    async with open_office(prepare) as office:
        reached = office.add_request("09120000002", target="102")
        request = office.add_request(module=2)
        agent_call = await office.answer_agent("101")
        customer = await office.connect_customer(agent_call, request)
        with office.lock_database():
            await customer.hang_up()
            await agent_call.wait_ended()
            busy_call = await office.occupy("102", "09120000002")
            await busy_call.end()
            failed = "a database write failed"  # after 5 s
            await office.bazang.until(lambda: failed in office.bazang.worker_log(), PATIENCE, "a write has failed")
        await office.wait_for_status(request, "done")
        await office.wait_for_status(reached, "done")


# -- rights and files ---------------------------------------------------------------------------------------------


@ONE_VERSION
async def test_wrong_ami_secret_is_reported_and_requests_wait(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), phones=("101",), work=False, AMI_SECRET="wrong") as office:
        bazang = office.bazang
        bazang.launch_worker()
        state = await bazang.until(lambda: state_with(bazang, ami_status="refused"), PATIENCE, "the refusal is shown")
        assert "refused the user name or the secret" in state.ami_detail
        request = office.add_request()
        await office.expect_no_call("101", 1)
        assert (office.get_request(request).status, bazang.attempts()) == ("waiting", [])
        await bazang.stop_worker()
        bazang.environment["BAZANG_AMI_SECRET"] = bazang.asterisk.ami_secret
        await bazang.start_worker()
        await office.connect_customer(await office.answer_agent("101"), request)


async def test_worker_without_the_reload_right_waits_for_a_manual_reload(open_office: OpenOffice) -> None:
    setup = OfficeSetup(ami_rights="read=call,user,agent\nwrite=originate,call,agent,reporting")
    async with open_office(lambda b: b.module(), setup, phones=("101",), work=False) as office:
        bazang = office.bazang
        bazang.launch_worker()
        state = await bazang.until(
            lambda: state_with(bazang, dialplan_detail="not_included"), PATIENCE, "the missing dialplan is reported"
        )
        assert (state.dialplan_running, state.obstacle) == ("", "no_dialplan")
        request = office.add_request()
        await office.expect_no_call("101", 1)
        assert bazang.attempts() == []
        await bazang.asterisk.reload()
        agent_call = await office.answer_agent("101")
        await bazang.wait_for_dialplan()
        assert state_with(bazang, dialplan_detail="", obstacle="")
        # After a change of the scenarios, the old dialplan stays active and the worker reports that a reload is needed.
        bazang.scenario("101", busy=MODULE)
        await bazang.until(
            lambda: state_with(bazang, dialplan_detail="reload_by_hand"), PATIENCE, "the needed reload is reported"
        )
        await office.connect_customer(agent_call, request)
        await office.hang_up_customer(OWN)
        await bazang.asterisk.reload()
        await bazang.wait_for_dialplan()
        assert state_with(bazang, dialplan_detail="")


@ONE_VERSION
async def test_worker_restores_a_changed_or_deleted_dialplan_file(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), phones=()) as office:
        bazang = office.bazang
        file = bazang.settings.dialplan_path
        original = file.read_text()
        for changed in ("[intruder]\nexten => s,1,NoOp()\n", f"{original}\n[intruder]\nexten => s,1,NoOp()\n"):
            bazang.freeze_worker()
            file.write_text(changed)
            await bazang.asterisk.reload()
            assert "[ Context 'intruder'" in await bazang.asterisk.cli("dialplan show intruder")
            bazang.thaw_worker()
            await bazang.until(lambda: file.read_text() == original, PATIENCE, "the file is restored")
            await bazang.wait_for_dialplan()
            await wait_until_removed(bazang, "intruder")
        file.unlink()
        await bazang.until(file.exists, PATIENCE, "the file exists again")
        assert file.read_text() == original
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")


async def wait_until_removed(bazang: Bazang, context: str) -> None:
    """Wait until Asterisk does not have a context any more."""
    await bazang.asterisk.wait_for_output(f"dialplan show {context}", lambda shown: "[ Context" not in shown, 5)


def state_with(bazang: Bazang, **values: str) -> WorkerState | None:
    """Return the stored state of the worker if it has all these values, else None."""
    state = bazang.worker_state()
    return state if state is not None and all(getattr(state, k) == v for k, v in values.items()) else None
