"""What an attempt ended with: who has talked long enough, and what is found out when nobody watched."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest

from app.services.settings.office import LONGEST_MIN_TALK
from app.store.models import Attempt
from app.worker.standstills import standstill_file
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office, customer_of, phone_secrets

SHORTEST = 4  # seconds
LONGER = SHORTEST + 1.5
RETRY_PAUSE = 600  # seconds
AGENTS = ("101", "102", "103", "104", "105", "106")
COLLEAGUE = "107"
# The customers of these agents are rung first.
FIRST = ("103", "104")


def prepare(bazang: Bazang) -> None:
    bazang.min_talk(SHORTEST)
    fields: dict[str, Any] = {"agent_ring": 20, "customer_ring": 60, "agent_pause": 600, "retries": 1}
    fields |= {"retry_pauses": (RETRY_PAUSE,), "busy_pause": 0}
    bazang.module(targets=tuple(agent for agent in AGENTS if agent not in FIRST), **fields)
    bazang.module(name="First", code="*5002", targets=FIRST, customer_first=True, office_name="Sepehr", **fields)


def office_setup() -> OfficeSetup:
    return OfficeSetup(phones=phone_secrets((*AGENTS, COLLEAGUE)))


def add_request(office: Office, extension: str) -> int:
    return office.add_request(customer_of(extension), target=extension, module=2 if extension in FIRST else 1)


@dataclass
class Talk:
    """The calls of an attempt whose agent and customer are connected."""

    extension: str
    request: int
    agent: Call
    customer: Call


async def connect(office: Office, extension: str) -> Talk:
    """Let agent and customer talk. Whether the worker has noticed it is unknown."""
    request = add_request(office, extension)
    if extension in FIRST:
        customer = await office.next_customer_call(customer_of(extension))
        await customer.answer()
        agent = await office.answer_agent(extension, timeout=2 * PATIENCE)
    else:
        agent = await office.answer_agent(extension)
        customer = await office.next_customer_call(customer_of(extension))
        await customer.answer()
    await customer.press("7")
    while (
        "7" not in agent.rtp.keys_heard
    ):  # a customer who is rung first is not heard before the agent has taken the call
        assert not agent.ended.is_set(), office.bazang.describe()
        await asyncio.sleep(0.1)
        await customer.press("7")
    return Talk(extension, request, agent, customer)


async def expect(
    office: Office, request: int, outcome: str, status: str, *, customers: int = 0, misses: int = 0
) -> Attempt:
    """Wait until the attempt of a request has ended. Check its outcome and what became of the request."""
    attempt = await office.wait_for_attempt(request, timeout=2 * PATIENCE)
    assert attempt.outcome == outcome, f"{attempt.agent} {attempt.cause}\n{office.bazang.describe()}"
    row = await office.wait_for_status(request, status)
    assert (row.customer_attempts, row.agent_misses) == (customers, misses), office.bazang.describe()
    if outcome == "talk_too_short":
        assert row.not_before is not None and attempt.ended_at is not None and row.reached_at is None
        assert (row.not_before - attempt.ended_at).total_seconds() == RETRY_PAUSE
    return attempt


def assert_customers_were_called_once(office: Office) -> None:
    assert all(len(office.calls_to(customer_of(extension))) <= 1 for extension in AGENTS), office.bazang.describe()


# -- with the worker ----------------------------------------------------------------------------------------------


async def customer_hangs_up(office: Office, talk: Talk) -> None:
    await talk.customer.hang_up()


async def agent_hangs_up(office: Office, talk: Talk) -> None:
    await talk.agent.hang_up()


async def talk_on(office: Office, talk: Talk) -> None:
    await asyncio.sleep(LONGER)  # the duration is what is tested
    await talk.customer.hang_up()


async def transfer_and_go_on(office: Office, talk: Talk) -> None:
    """The agent transfers the customer at once. The attempt ends when the customer has been connected long enough."""
    await talk.agent.transfer(COLLEAGUE)
    colleague = await office.phones[COLLEAGUE].next_call()
    await colleague.answer()
    await talk.agent.wait_ended()
    await office.wait_for_status(talk.request, "done")
    assert not talk.customer.ended.is_set() and not colleague.ended.is_set()
    await talk.customer.hang_up()


Action = Callable[[Office, Talk], Awaitable[None]]
SHORT, LONG = ("talk_too_short", "waiting", 1), ("connected", "done", 0)
CASES: dict[str, tuple[Action, tuple[str, str, int]]] = {
    "101": (customer_hangs_up, SHORT),
    "102": (agent_hangs_up, SHORT),
    "103": (customer_hangs_up, SHORT),
    "104": (talk_on, LONG),
    "105": (talk_on, LONG),
    "106": (transfer_and_go_on, LONG),
}


@ONE_VERSION
async def test_only_a_talk_that_was_long_enough_is_one(open_office: OpenOffice) -> None:
    """While short talks end, the shortest talk is ten minutes: on a busy machine a short talk may last for seconds."""
    extra = f"[from-phones](+)\nexten => {COLLEAGUE},1,Dial(PJSIP/{COLLEAGUE},20)\n"
    setup = office_setup()
    setup.extra_dialplan = extra

    async def check(office: Office, extension: str) -> None:
        action, (outcome, status, customers) = CASES[extension]
        talk = await connect(office, extension)
        await action(office, talk)
        attempt = await expect(office, talk.request, outcome, status, customers=customers)
        assert attempt.connected_at is not None
        assert (attempt.talked_at is not None) == (outcome == "connected")

    async with open_office(prepare, setup, phones=(*AGENTS, COLLEAGUE)) as office:
        for shortest, outcome in ((LONGEST_MIN_TALK, SHORT), (SHORTEST, LONG)):
            office.bazang.min_talk(shortest)
            for _ in range(2):  # the poll of the first heartbeat may have read the settings before
                await office.wait_for_poll()
            talks = [extension for extension in AGENTS if CASES[extension][1] is outcome]
            await asyncio.gather(*(check(office, extension) for extension in talks))
        assert_customers_were_called_once(office)


# -- without the worker -------------------------------------------------------------------------------------------


async def test_duration_of_a_talk_is_found_out_afterwards(open_office: OpenOffice) -> None:
    """The worker is killed when agent and customer are connected, and started again after they have hung up."""
    short, long = ("101", "103"), ("102", "104")
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        talks = await asyncio.gather(*(connect(office, extension) for extension in (*short, *long)))
        await office.bazang.kill_worker()
        for talk in talks[:2]:
            await talk.customer.hang_up()
        await asyncio.sleep(LONGER)
        for talk in talks[2:]:
            await talk.customer.hang_up()
        for talk in talks:
            await talk.agent.wait_ended()
        await office.bazang.start_worker()
        for talk in talks:
            attempt = await office.wait_for_attempt(talk.request, timeout=2 * PATIENCE)
            seconds = talk.customer.ended_at - talk.customer.answered_at
            if talk.extension in long:
                await expect(office, talk.request, *LONG[:2])
            elif seconds < SHORTEST:
                await expect(office, talk.request, *SHORT[:2], customers=1)
            else:  # on a busy machine it took long to connect the others
                assert attempt.outcome in (SHORT[0], LONG[0])
        assert_customers_were_called_once(office)


MISSES: dict[str, tuple[int, str]] = {
    "101": (486, "agent_busy"),
    "102": (603, "agent_rejected"),
    "105": (404, "agent_unreachable"),
    "106": (0, "agent_no_answer"),
}


async def test_agents_who_miss_the_call_without_the_worker_are_found_out(open_office: OpenOffice) -> None:
    """The next order deletes the records, however it ends."""
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        requests = {extension: add_request(office, extension) for extension in MISSES}
        calls = {extension: await office.phones[extension].next_call() for extension in MISSES}
        await office.bazang.kill_worker()
        for extension, (status, _) in MISSES.items():
            if status:
                calls[extension].reject(status)
        for call in calls.values():
            await call.wait_ended(20 + PATIENCE)
        await office.wait_until_no_call()
        await office.bazang.start_worker()
        for extension, (_, outcome) in MISSES.items():
            attempt = await office.wait_for_attempt(requests[extension], timeout=2 * PATIENCE)
            assert attempt.outcome == outcome, office.bazang.describe()
            row = office.get_request(requests[extension])
            assert (row.agent_misses, row.customer_attempts) == (1, 0)
        missed = {attempt.id for attempt in office.bazang.attempts()}
        records = await office.bazang.asterisk.cli("database show bazang")
        assert all(attempt in records for attempt in missed), records
        await office.wait_for_poll()
        add_request(office, "103")
        (await office.next_customer_call(customer_of("103"))).reject(486)
        await office.bazang.asterisk.wait_for_output(
            "database show bazang",
            lambda shown: sum(attempt in shown for attempt in missed) <= 1,  # three with each order
        )


# -- the PBX dies or stands still ---------------------------------------------------------------------------------


@ONE_VERSION
@pytest.mark.parametrize("with_worker", [True, False])
async def test_customer_who_answered_before_the_pbx_died_is_not_called_again(
    open_office: OpenOffice, with_worker: bool
) -> None:
    """Asterisk's record may lack the last second. `with_worker`: the worker dies too.

    A talk whose shortest time had passed is known to the worker.
    """
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        bazang = office.bazang
        long = await connect(office, "105")
        await bazang.until(lambda: bazang.attempts()[0].talked_at, PATIENCE, "the talk has lasted")
        shorts = await asyncio.gather(*(connect(office, extension) for extension in ("101", "103")))
        if with_worker:
            await bazang.kill_worker()
        await bazang.asterisk.kill()
        for talk in (long, *shorts):
            talk.agent.end(0)
            talk.customer.end(0)
        await bazang.asterisk.start()
        for extension in ("101", "103", "105"):
            await office.phones[extension].register()
        if with_worker:
            await bazang.start_worker()
        await expect(office, long.request, *LONG[:2])
        for talk in shorts:
            attempt = await office.wait_for_attempt(talk.request, timeout=2 * PATIENCE)
            if attempt.talked_at is None:
                await expect(office, talk.request, "unclear", "uncertain")
        await office.expect_no_call("101", SHORTEST)
        assert_customers_were_called_once(office)


@ONE_VERSION
@pytest.mark.parametrize("frozen", ["before the answer", "in the talk"])
async def test_silence_of_a_pbx_that_stands_still_is_no_talk(open_office: OpenOffice, frozen: str) -> None:
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        bazang = office.bazang
        request = add_request(office, "101")
        agent = await office.answer_agent("101")
        customer = await office.next_customer_call(customer_of("101"))
        await office.wait_for_step(request, "customer_dialled")
        if frozen == "in the talk":
            await customer.answer()
            await office.wait_for_status(request, "connected")
            bazang.asterisk.pause()
        else:
            bazang.asterisk.pause()
            await customer.answer()
        hang_up = asyncio.ensure_future(customer.hang_up())
        await asyncio.sleep(2 * SHORTEST + 6)  # the standstill is what is tested: the PBX is asked twice in it
        bazang.asterisk.resume()
        await hang_up
        await agent.wait_ended()
        if frozen == "in the talk":
            await expect(office, request, "unclear", "uncertain")
        else:
            await expect(office, request, *SHORT[:2], customers=1)
        assert_customers_were_called_once(office)


SAID = "the PBX does not respond during the talk"


@ONE_VERSION
@pytest.mark.parametrize(
    "killed",
    [
        "when it is stored",
        "when the database is locked",
        "at the first doubt",
    ],
)
async def test_standstill_in_a_talk_is_known_to_the_next_worker(open_office: OpenOffice, killed: str) -> None:
    """The worker is killed before Asterisk goes on, so it can store nothing of how the call ended."""
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        bazang = office.bazang
        talk = await connect(office, "101")
        await office.wait_for_status(talk.request, "connected")
        is_locked = killed == "when the database is locked"
        with bazang.database.write() if is_locked else nullcontext():  # nobody else can write then
            bazang.asterisk.pause()
            await bazang.until(standstill_file(bazang.settings).exists, PATIENCE, "the worker writes it down")
            if is_locked:
                await bazang.until(lambda: SAID in bazang.worker_log(), PATIENCE, "the worker is sure")
            elif killed == "when it is stored":
                await bazang.until(lambda: bazang.attempts()[0].stood_still_at, PATIENCE, "the worker stores it")
            hang_up = asyncio.ensure_future(talk.customer.hang_up())
            await bazang.kill_worker()
        assert (killed == "when it is stored") == (bazang.attempts()[0].stood_still_at is not None)
        assert (killed == "at the first doubt") == (SAID not in bazang.worker_log())
        await asyncio.sleep(SHORTEST)  # by Asterisk's record the talk is long enough
        bazang.asterisk.resume()
        await hang_up
        await talk.agent.wait_ended()
        await office.wait_until_no_call()
        await bazang.start_worker()
        await expect(office, talk.request, "unclear", "uncertain")
        assert_customers_were_called_once(office)


@ONE_VERSION
@pytest.mark.parametrize("ends", ["before the log-in", "after the log-in"])
async def test_standstill_that_no_worker_saw_begin_is_noticed_at_the_log_in(open_office: OpenOffice, ends: str) -> None:
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        bazang = office.bazang
        talk = await connect(office, "101")
        await office.wait_for_status(talk.request, "connected")
        await bazang.kill_worker()
        bazang.asterisk.pause()
        logins = bazang.worker_log().count("PBX: connected")
        bazang.launch_worker()
        await bazang.until(lambda: "PBX: down TimeoutError" in bazang.worker_log(), PATIENCE, "the log-in fails")
        hang_up = asyncio.ensure_future(talk.customer.hang_up()) if ends == "before the log-in" else None
        bazang.asterisk.resume()
        await bazang.until(lambda: bazang.worker_log().count("PBX: connected") > logins, PATIENCE, "the log-in")
        await (hang_up or talk.customer.hang_up())
        await talk.agent.wait_ended()
        await expect(office, talk.request, "unclear", "uncertain")
        assert_customers_were_called_once(office)


async def test_customer_who_hangs_up_in_the_instant_of_the_answer_is_called_again(open_office: OpenOffice) -> None:
    """Asterisk may not come to what it does at an answer. It stands still, so that it learns of both at once."""
    async with open_office(prepare, office_setup(), phones=AGENTS) as office:
        requests = {extension: add_request(office, extension) for extension in AGENTS}
        await asyncio.gather(*(office.answer_agent(extension) for extension in AGENTS if extension not in FIRST))
        customers = [await office.next_customer_call(customer_of(extension)) for extension in AGENTS]
        office.bazang.asterisk.pause()
        for customer in customers:
            await customer.answer()
            customer.phone.send_in_dialog(customer, "BYE")
            customer.end(200)
        office.bazang.asterisk.resume()
        for request in requests.values():
            attempt = await office.wait_for_attempt(request, timeout=2 * PATIENCE)
            assert attempt.outcome in ("customer_gone", "talk_too_short"), office.bazang.describe()
            row = await office.wait_for_status(request, "waiting")
            assert (row.customer_attempts, row.agent_misses) == (1, 0)
