"""The customer is rung first: when the agent is free and reserved. They hear music while the agent's phone rings."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.audio.prompt_texts import default_text, fill_in
from app.services.prompts.input import PromptInput
from app.services.requests.registration import Registration, register
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, Office, add_scenario, customer_of, phone_secrets
from tests.audio.sounds import tone, write_sound

NAME = "Sepehr"
GREETING = fill_in(default_text("greet_customer", "en"), NAME)
APOLOGY = default_text("apology", "en")
RETRY_PAUSE = 600  # seconds
AGENT_RING = 6


def prepare(bazang: Bazang, **fields: Any) -> None:
    defaults: dict[str, Any] = {
        "customer_first": True,
        "office_name": NAME,
        "agent_ring": AGENT_RING,
        "customer_ring": 10,
        "retry_pauses": (RETRY_PAUSE,),
        "busy_pause": 0,
    }
    bazang.module(**defaults | fields)


def with_music(folder: Path, **options: Any) -> OfficeSetup:
    music = folder / "music"
    music.mkdir()
    write_sound(music / "tone.wav", tone(3), rate=8000)
    conf = f"[default]\nmode=files\ndirectory={music}\n"
    return OfficeSetup(extra_files={"musiconhold.conf": conf}, **options)


async def wait_for_music(office: Office, customer: Call) -> None:
    """Wait until the customer hears something new, which is no silence."""
    customer.rtp.received.clear()
    await office.bazang.until(lambda: len(set(customer.rtp.received)) > 20, PATIENCE, "the customer hears music")


async def answer_customer(office: Office, number: str = OWN) -> Call:
    """Answer as the customer and hear the greeting. Return the call."""
    customer = await office.next_customer_call(number)
    await customer.answer()
    await office.wait_for_text(customer, GREETING)
    return customer


async def test_customer_hears_music_until_the_agent_takes_the_call(open_office: OpenOffice, tmp_path: Path) -> None:
    """Until then, they count as reached for no request."""

    def prepare_both(bazang: Bazang) -> None:
        prepare(bazang)
        bazang.module(code="*5002", automatic=False)

    async with open_office(prepare_both, with_music(tmp_path), phones=("101",)) as office:
        request, same_number = office.add_request(), office.add_request(module=2)
        customer = await office.next_customer_call()
        await office.wait_for_step(request, "customer_dialled")
        assert not office.phones["101"].invites
        await customer.answer()
        await office.wait_for_text(customer, GREETING)
        agent = await office.phones["101"].next_call()
        assert agent.remote == OWN
        await wait_for_music(office, customer)
        await office.wait_for_step(request, "customer_waits")
        await agent.answer()
        await office.wait_for_prompt(agent, "agent_intro_waiting")
        await wait_for_music(office, customer)
        assert [office.get_request(each).status for each in (request, same_number)] == ["dialling", "waiting"]
        await agent.press("1")
        await office.wait_for_status(request, "connected")
        await office.check_audio_both_ways(agent, customer)
        await office.wait_for_status(same_number, "done")
        await agent.hang_up()
        await customer.wait_ended()
        await office.wait_for_status(request, "done")
        (attempt,) = office.bazang.attempts()
        times = (attempt.started_at, attempt.dialled_at, attempt.answered_at, attempt.connected_at, attempt.ended_at)
        assert None not in times and sorted(at for at in times if at) == list(times)
        # The line is free again, and the customer may end the call as well.
        other = office.add_request("09121110000")
        customer = await answer_customer(office, "09121110000")
        agent = await office.answer_agent("101")
        await office.wait_for_status(other, "connected")
        await customer.hang_up()
        await agent.wait_ended()
        await office.wait_for_status(other, "done")
        assert len(office.phones["101"].invites) == 2


# Each gets the customer's ringing call, and ends the attempt.
Action = Callable[[Office, str, Call], Awaitable[None]]


async def agent_lets_it_ring(office: Office, extension: str, customer: Call) -> None:
    await customer.answer()
    agent = await office.phones[extension].next_call()
    await office.wait_for_text(customer, APOLOGY, timeout=AGENT_RING + PATIENCE)
    assert agent.ended.is_set()
    await customer.wait_ended(PATIENCE)


async def agent_refuses(office: Office, extension: str, customer: Call) -> None:
    await customer.answer()
    agent = await office.answer_agent(extension, keys="2")
    await agent.wait_ended()
    await office.wait_for_text(customer, APOLOGY)
    await customer.wait_ended(PATIENCE)


async def agent_is_taken(office: Office, extension: str, customer: Call) -> None:
    """The agent makes a call while the customer's phone rings."""
    busy = await office.occupy(extension, f"0913{extension:0>7}")
    await customer.answer()
    await office.wait_for_text(customer, APOLOGY)
    await busy.end()


async def customer_leaves_the_music(office: Office, extension: str, customer: Call) -> None:
    await customer.answer()
    agent = await office.phones[extension].next_call()
    await customer.hang_up()
    await agent.wait_ended()


async def customer_leaves_during_the_announcement(office: Office, extension: str, customer: Call) -> None:
    await customer.answer()
    agent = await office.phones[extension].next_call()
    await agent.answer()
    await office.wait_for_prompt(agent, "agent_intro_waiting")
    await customer.hang_up()
    await agent.wait_ended(2)  # long before the announcement ends


async def customer_is_busy(office: Office, extension: str, customer: Call) -> None:
    customer.reject(486)


async def customer_lets_it_ring(office: Office, extension: str, customer: Call) -> None:
    await customer.wait_ended(2 * PATIENCE)


MISSED, GONE = ("agent_missed_customer", 1, True), ("customer_gone", 0, True)
# Action, outcome, misses of the agent, whether the agent is rung first from now on.
CASES: list[tuple[Action, tuple[str, int, bool]]] = [
    (agent_lets_it_ring, MISSED),
    (agent_refuses, MISSED),
    (agent_is_taken, MISSED),
    (customer_leaves_the_music, GONE),
    (customer_leaves_during_the_announcement, GONE),
    (customer_is_busy, ("customer_busy", 0, False)),
    (customer_lets_it_ring, ("customer_no_answer", 0, False)),
]
AGENTS = tuple(str(101 + number) for number in range(len(CASES)))


async def test_whoever_does_not_come_the_customer_is_rung_once(open_office: OpenOffice) -> None:
    async def check(office: Office, extension: str, action: Action, expected: tuple[str, int, bool]) -> None:
        outcome, misses, agent_first = expected
        request = office.add_request(customer_of(extension), target=extension)
        customer = await office.next_customer_call(customer_of(extension))
        await action(office, extension, customer)
        attempt = await office.wait_for_attempt(request, timeout=2 * PATIENCE)
        assert (attempt.outcome, attempt.connected_at) == (outcome, None), office.bazang.describe()
        row = office.get_request(request)
        assert (row.status, row.customer_attempts, row.agent_misses) == ("waiting", 1, misses)
        assert row.agent_first is agent_first
        assert row.not_before is not None and attempt.ended_at is not None
        assert (row.not_before - attempt.ended_at).total_seconds() == RETRY_PAUSE
        assert len(office.calls_to(customer_of(extension))) == 1
        if not agent_first:
            assert not office.phones[extension].invites, "the agent was never rung"

    setup = OfficeSetup(phones=phone_secrets(AGENTS))
    async with open_office(lambda b: prepare(b, targets=AGENTS), setup, phones=AGENTS) as office:
        cases = zip(AGENTS, CASES, strict=True)
        await asyncio.gather(*(check(office, extension, *case) for extension, case in cases))
        # The caller registers again: now the agent is rung first.
        number = customer_of(AGENTS[0])
        again = Registration(1, f"+98{number[1:]}", caller_number=number, extension=AGENTS[0])
        register(office.bazang.database, again, datetime.now(UTC))
        agent = await office.phones[AGENTS[0]].next_call(2 * PATIENCE)
        assert len(office.calls_to(number)) == 1
        await office.answer_agent_call(agent)
        await office.connect_customer(agent, 1, number)


@ONE_VERSION
async def test_line_is_reserved_while_the_customer_is_rung_and_asked(open_office: OpenOffice) -> None:
    """Nobody else rings the agent: a caller whom the scenario leads there finds a busy line, a request waits."""
    question = "Press 1."

    def with_scenario(bazang: Bazang) -> None:
        prompts = {"ask_customer": PromptInput(text=question)}
        prepare(bazang, targets=("101", "102"), asks_customer=True, agent_confirms="answer", prompts=prompts)
        add_scenario(bazang)

    async def ask_mailbox(office: Office) -> None:
        request = office.add_request(customer_of("102"), target="102")
        await (await office.next_customer_call(customer_of("102"))).answer()
        attempt = await office.wait_for_attempt(request, timeout=3 * PATIENCE)
        assert attempt.outcome == "customer_silent"
        assert not office.phones["102"].invites

    async def reserve(office: Office) -> None:
        request = office.add_request()
        customer = await office.next_customer_call(OWN)
        other = office.add_request("09121110000")
        caller = await office.call_in("101", caller="09120000009")
        await office.wait_for_prompt(caller, "intro")
        await caller.hang_up()
        await customer.answer()
        await office.wait_for_text(customer, question)
        assert not office.phones["101"].invites
        await customer.press("1")
        await office.wait_for_text(customer, GREETING)
        agent = await office.phones["101"].next_call()
        await agent.answer()
        await office.wait_for_status(request, "connected")  # without a key
        assert office.get_request(other).status == "waiting"
        await office.check_audio_both_ways(agent, customer)
        await agent.hang_up()
        await office.next_customer_call("09121110000")

    async with open_office(with_scenario) as office:
        await asyncio.gather(reserve(office), ask_mailbox(office))


# -- failures ---------------------------------------------------------------------------------------------------------

WAITING = ("101", "102", "103")


async def wait_in_music(office: Office, extension: str) -> tuple[int, Call, Call]:
    """Return a request whose customer waits while the agent's phone rings, and both calls."""
    request = office.add_request(customer_of(extension), target=extension)
    customer = await answer_customer(office, customer_of(extension))
    agent = await office.phones[extension].next_call()
    await office.wait_for_step(request, "customer_waits")
    return request, customer, agent


def office_setup() -> OfficeSetup:
    return OfficeSetup(phones=phone_secrets(WAITING))


async def test_call_goes_on_without_the_worker(open_office: OpenOffice) -> None:
    """The worker is killed while three customers hear music: two agents come, one of them after the restart."""

    async with open_office(
        lambda b: prepare(b, targets=WAITING, agent_ring=60), office_setup(), phones=WAITING
    ) as office:
        calls = await asyncio.gather(*(wait_in_music(office, extension) for extension in WAITING))
        await office.bazang.kill_worker()
        (talked, customer, agent), (gone, leaving, left), (late, last, coming) = calls
        await office.answer_agent_call(agent)
        await office.check_audio_both_ways(agent, customer)
        await leaving.hang_up()
        await left.wait_ended()
        await office.bazang.start_worker()
        await office.wait_for_status(talked, "connected")
        attempt = await office.wait_for_attempt(gone)
        assert attempt.outcome == "customer_gone"
        assert office.get_request(late).status == "dialling"
        await office.answer_agent_call(coming)
        await office.wait_for_status(late, "connected")
        await asyncio.gather(agent.hang_up(), last.hang_up())
        for request in (talked, late):
            await office.wait_for_status(request, "done")
        assert len(office.calls_to("")) == len(WAITING)
        assert all(len(office.phones[extension].invites) == 1 for extension in WAITING)


async def test_what_happened_without_the_worker_is_found_out(open_office: OpenOffice) -> None:
    async with open_office(lambda b: prepare(b, targets=WAITING), office_setup(), phones=WAITING) as office:
        calls = await asyncio.gather(*(wait_in_music(office, extension) for extension in WAITING))
        await office.bazang.kill_worker()
        (talked, customer, agent), (gone, leaving, _), (missed, patient, _) = calls
        await office.answer_agent_call(agent)
        await office.check_audio_both_ways(agent, customer)
        await agent.hang_up()
        await leaving.hang_up()
        await patient.wait_ended(AGENT_RING + 2 * PATIENCE)
        await office.bazang.start_worker()
        outcomes = {talked: "connected", gone: "customer_gone", missed: "agent_missed_customer"}
        for request, outcome in outcomes.items():
            attempt = await office.wait_for_attempt(request)
            assert attempt.outcome == outcome, office.bazang.describe()
        assert len(office.calls_to("")) == len(WAITING)


@ONE_VERSION
async def test_pbx_that_crashes_in_the_music_does_not_ring_the_customer_again(open_office: OpenOffice) -> None:
    async with open_office(prepare, phones=("101",)) as office:
        request, customer, agent = await wait_in_music(office, "101")
        await office.bazang.asterisk.kill()
        for call in (customer, agent):
            call.end(0)
        await office.bazang.asterisk.start()
        await office.phones["101"].register()
        attempt = await office.wait_for_attempt(request, timeout=2 * PATIENCE)
        assert attempt.outcome == "unclear", office.bazang.describe()
        row = office.get_request(request)
        assert (row.status, row.customer_attempts, row.agent_first) == ("uncertain", 0, True)
        assert len(office.calls_to(customer_of("101"))) == 1


@ONE_VERSION
async def test_order_that_the_pbx_got_late_rings_the_customer_once(open_office: OpenOffice) -> None:
    """Asterisk hangs when the worker sends the order. It executes it when the worker may have given it up."""
    async with open_office(prepare, phones=("101",)) as office:
        bazang = office.bazang
        bazang.asterisk.pause()
        request = office.add_request()
        await bazang.until(lambda: "unknown whether it rings" in bazang.worker_log(), PATIENCE, "the reply is overdue")
        bazang.asterisk.resume()
        await answer_customer(office)
        await office.answer_agent("101")
        await office.wait_for_status(request, "connected")
        assert len(office.calls_to(OWN)) == len(office.phones["101"].invites) == 1


@ONE_VERSION
async def test_without_the_worker_no_customer_is_rung(open_office: OpenOffice) -> None:
    """It is killed just before Asterisk executes the order: nobody says that the attempt still stands."""
    async with open_office(prepare, phones=("101",)) as office:
        bazang = office.bazang
        bazang.asterisk.pause()
        request = office.add_request()
        await bazang.until(bazang.attempts, PATIENCE, "the request is claimed")
        await bazang.kill_worker()
        bazang.asterisk.resume()
        await office.wait_until_no_call()
        assert office.calls_to("") == []
        await bazang.start_worker()
        attempt = await office.wait_for_attempt(request)
        assert attempt.outcome == "not_started"
        await answer_customer(office)
        assert len(office.calls_to("")) == 1
