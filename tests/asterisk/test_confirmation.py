"""Confirmation: agents confirm by answering, and customers are asked before they are connected."""

import asyncio
from collections.abc import Awaitable, Callable

from app.audio.prompt_texts import default_text, fill_in
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, Office, customer_of, phone_secrets

NAME = "Sepehr"
QUESTION = fill_in(default_text("ask_customer", "en"), NAME)
RETRY_PAUSE = 600  # seconds
CALLER_ID = "02188880000"


async def hear_question(office: Office, customer: Call) -> None:
    await customer.answer()
    await office.wait_for_text(customer, QUESTION)


# Each gets the agent's call and the customer's ringing call, and ends the customer's part of it.
CustomerAction = Callable[[Office, Call, Call], Awaitable[None]]


def press(keys: str) -> CustomerAction:
    async def action(office: Office, agent: Call, customer: Call) -> None:
        await hear_question(office, customer)
        await customer.press(keys)

    return action


async def say_nothing(office: Office, agent: Call, customer: Call) -> None:
    """As a mailbox or an analogue line does that answers at once."""
    await hear_question(office, customer)
    customer.rtp.received.clear()
    await office.wait_for_text(customer, QUESTION)


async def hang_up(office: Office, agent: Call, customer: Call) -> None:
    await hear_question(office, customer)
    await customer.hang_up()


async def agent_hangs_up(office: Office, agent: Call, customer: Call) -> None:
    await hear_question(office, customer)
    await agent.hang_up()


def reject(status: int) -> CustomerAction:
    async def action(office: Office, agent: Call, customer: Call) -> None:
        customer.reject(status)

    return action


async def let_it_ring(office: Office, agent: Call, customer: Call) -> None:
    await customer.wait_ended()


# Action, outcome, status of the request, attempts of the customer.
CASES: list[tuple[CustomerAction, str, str, int]] = [
    (press("2"), "customer_later", "waiting", 0),
    (press("9"), "customer_declined", "cancelled", 0),
    (say_nothing, "customer_silent", "waiting", 1),
    (hang_up, "customer_gone", "waiting", 1),
    (agent_hangs_up, "customer_abandoned", "waiting", 1),
    (reject(486), "customer_busy", "waiting", 1),
    (reject(603), "customer_rejected", "waiting", 1),
    (let_it_ring, "customer_no_answer", "waiting", 1),
]
AGENTS = tuple(str(101 + number) for number in range(len(CASES)))


def prepare(bazang: Bazang) -> None:
    bazang.module(
        targets=AGENTS,
        customer_ring=10,
        retry_pauses=(RETRY_PAUSE,),
        busy_pause=0,
        asks_customer=True,
        office_name=NAME,
        caller_id=CALLER_ID,
    )


async def test_customer_is_asked_and_only_key_1_connects(open_office: OpenOffice) -> None:
    """Until then, they count as reached for no request."""

    def prepare_both(bazang: Bazang) -> None:
        prepare(bazang)
        bazang.module(code="*5002", automatic=False)

    async with open_office(prepare_both, phones=("101",)) as office:
        request, other = office.add_request(), office.add_request(module=2)
        agent = await office.answer_agent("101")
        customer = await office.next_customer_call(OWN)
        assert customer.remote == CALLER_ID
        await hear_question(office, customer)
        agent.rtp.received.clear()
        await customer.press("5")  # any other key: the question is repeated
        customer.rtp.received.clear()
        await office.wait_for_text(customer, QUESTION)
        assert len(set(agent.rtp.received)) > 50, "the agent hears ringing, not silence"
        assert [office.get_request(each).status for each in (request, other)] == ["dialling", "waiting"]
        assert not agent.rtp.keys_heard
        await customer.press("1")
        await office.wait_for_status(request, "connected")
        await office.wait_for_status(other, "done")
        await office.check_audio_both_ways(agent, customer)
        await customer.hang_up()
        await agent.wait_ended()
        await office.wait_for_status(request, "done")
        assert [attempt.outcome for attempt in office.bazang.attempts()] == ["connected"]
        assert len(office.calls_to(OWN)) == 1


@ONE_VERSION
async def test_complaint_09_mailbox_does_not_count_as_answered(open_office: OpenOffice) -> None:
    async def check(
        office: Office, extension: str, action: CustomerAction, outcome: str, status: str, customers: int
    ) -> None:
        request = office.add_request(customer_of(extension), target=extension)
        agent = await office.answer_agent(extension)
        customer = await office.next_customer_call(customer_of(extension))
        await action(office, agent, customer)
        attempt = await office.wait_for_attempt(request, timeout=2 * PATIENCE)
        assert (attempt.outcome, attempt.connected_at) == (outcome, None), office.bazang.describe()
        row = office.get_request(request)
        assert (row.status, row.customer_attempts, row.agent_misses) == (status, customers, 0)
        if status == "waiting":
            assert row.not_before is not None and attempt.ended_at is not None
            assert (row.not_before - attempt.ended_at).total_seconds() == RETRY_PAUSE
        await asyncio.gather(agent.wait_ended(), customer.wait_ended(3))
        assert len(office.calls_to(customer_of(extension))) == 1

    async with open_office(prepare, OfficeSetup(phones=phone_secrets(AGENTS)), phones=AGENTS) as office:
        cases = zip(AGENTS, CASES, strict=True)
        await asyncio.gather(*(check(office, extension, *case) for extension, case in cases))


@ONE_VERSION
async def test_complaint_11_agent_and_customer_hear_the_language_of_the_request(open_office: OpenOffice) -> None:
    name = "سپهر"

    def prepare_persian(bazang: Bazang) -> None:
        bazang.module(language="fa", asks_customer=True, office_name=name)

    async with open_office(prepare_persian, phones=("101",)) as office:
        request = office.add_request()
        agent = await office.phones["101"].next_call()
        await agent.answer()
        await office.wait_for_prompt(agent, "agent_intro", "fa")
        await agent.press("1")
        customer = await office.next_customer_call(OWN)
        await customer.answer()
        await office.wait_for_text(customer, fill_in(default_text("ask_customer", "fa"), name), "fa")
        await customer.press("1")
        await office.wait_for_status(request, "connected")


# The outbound context answers before it dials.
EARLY = """
[outbound](+)
exten => _0912X.,1,Answer()
 same => n,Wait(0.3)
 same => n,Dial(PJSIP/${EXTEN}@trunk,60)
 same => n,Hangup()
"""


async def press_1(office: Office, agent: Call, customer: Call) -> None:
    await hear_question(office, customer)
    await customer.press("1")
    await office.check_audio_both_ways(agent, customer)
    await customer.hang_up()


async def test_question_waits_until_the_customer_answers_behind_an_outbound_context_that_answers(
    open_office: OpenOffice,
) -> None:
    """A customer inside is asked, too."""
    agents = AGENTS[:5]
    inside = "102"

    async def check(office: Office, extension: str, action: CustomerAction, outcome: str) -> None:
        number = inside if extension == "101" else customer_of(extension)
        request = office.add_request(number, target=extension)
        agent = await office.answer_agent(extension)
        if number == inside:
            customer = await office.phones[inside].next_call()
        else:
            customer = await office.next_customer_call(number)
        await action(office, agent, customer)
        attempt = await office.wait_for_attempt(request, timeout=2 * PATIENCE)
        assert attempt.outcome == outcome, office.bazang.describe()
        await agent.wait_ended()

    cases = {
        "101": (press_1, "connected"),
        "103": (press_1, "connected"),
        "104": (reject(486), "customer_busy"),
        "105": (let_it_ring, "customer_no_answer"),
    }
    setup = OfficeSetup(phones=phone_secrets(AGENTS), extra_dialplan=EARLY)
    async with open_office(prepare, setup, phones=agents) as office:
        await asyncio.gather(*(check(office, extension, *case) for extension, case in cases.items()))


async def test_what_the_customer_pressed_while_the_worker_was_down_is_found_out(open_office: OpenOffice) -> None:
    extensions = AGENTS[:5]

    async def begin(office: Office, extension: str) -> tuple[int, Call, Call]:
        request = office.add_request(customer_of(extension), target=extension)
        agent = await office.answer_agent(extension)
        customer = await office.next_customer_call(customer_of(extension))
        await office.wait_for_step(request, "customer_dialled")
        await hear_question(office, customer)
        return request, agent, customer

    async with open_office(prepare, OfficeSetup(phones=phone_secrets(AGENTS)), phones=extensions) as office:
        calls = await asyncio.gather(*(begin(office, extension) for extension in extensions))
        await office.bazang.kill_worker()
        for keys, (_, agent, customer) in zip(("2", "9", ""), calls, strict=False):
            await (customer.press(keys) if keys else customer.hang_up())
            await agent.wait_ended()
        await calls[3][2].press("1")
        await office.check_audio_both_ways(*calls[3][1:])
        await office.bazang.start_worker()
        for status, (request, *_) in zip(("waiting", "cancelled", "waiting", "connected"), calls, strict=False):
            await office.wait_for_status(request, status)
        (last, _, customer) = calls[4]
        assert office.get_request(last).status == "dialling", "the customer is still asked"
        await customer.press("9")
        await office.wait_for_status(last, "cancelled")
        await calls[3][2].hang_up()
        await office.wait_for_status(calls[3][0], "done")
        outcomes = {attempt.agent: attempt.outcome for attempt in office.bazang.attempts()}
        expected = ("customer_later", "customer_declined", "customer_gone", "connected", "customer_declined")
        assert outcomes == dict(zip(extensions, expected, strict=True)), office.bazang.describe()
        assert len(office.calls_to("")) == len(extensions)


@ONE_VERSION
async def test_agent_confirms_by_answering(open_office: OpenOffice) -> None:
    """The announcement plays, and key 2 still postpones."""

    def by_answering(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102"), agent_confirms="answer")

    async with open_office(by_answering) as office:
        request = office.add_request()
        agent = await office.answer_agent("101", keys="")
        await office.connect_customer(agent, request)
        postponed = office.add_request(customer_of("102"), target="102")
        await (await office.answer_agent("102", keys="2")).wait_ended()
        attempt = await office.wait_for_attempt(postponed)
        assert (attempt.outcome, attempt.dialled_at) == ("agent_refused", None)
