"""The worker misses steps of attempts, and the agents hang up just when it is connected again."""

import asyncio

import pytest

from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.phone import Call
from script.office.ports import free_port
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office, customer_of, phone_secrets
from tests.support.ami_proxy import ami_proxy

# The step of an attempt when the worker is disconnected. It misses the steps after it.
STEPS = ("claimed", "agent_answered", "customer_dialled", "connected")
DELAYS = (0.0, 0.1, 0.3)  # seconds from the log-in until the agent hangs up; the first poll takes 0.5
CASES = {str(101 + number): (step, delay) for number, (step, delay) in enumerate((s, d) for s in STEPS for d in DELAYS)}


async def start_attempt(office: Office, extension: str, step: str) -> tuple[int, Call]:
    """Start an attempt and bring it to this step. Return its request and the agent's call."""
    request = office.add_request(customer_of(extension), target=extension)
    agent_call = await office.phones[extension].next_call()
    if step != "claimed":
        await office.answer_agent_call(agent_call, keys="" if step == "agent_answered" else "1")
    if step == "connected":
        await (await office.next_customer_call(customer_of(extension), timeout=30)).answer()
    await office.wait_for_step(request, step)
    return request, agent_call


async def finish_attempt(office: Office, extension: str, step: str, agent_call: Call) -> None:
    """Bring an attempt from this step to the last one: agent and customer are connected."""
    if step == "claimed":
        await office.answer_agent_call(agent_call)
    elif step == "agent_answered":
        await agent_call.press("1")
    if step != "connected":
        await (await office.next_customer_call(customer_of(extension), timeout=30)).answer()


async def wait_until_all_connected(office: Office) -> None:
    """Wait until Asterisk's database has a record of each attempt as connected."""
    await office.bazang.asterisk.wait_for_output(
        "database show bazang", lambda shown: shown.count(": connected") >= len(CASES)
    )


@ONE_VERSION
@pytest.mark.parametrize("failure", ["the connection is cut", "the worker is killed"])
async def test_call_that_ends_while_the_worker_reconnects_counts_as_connected(
    open_office: OpenOffice, failure: str
) -> None:
    setup = OfficeSetup(phones=phone_secrets(CASES), ami_port=free_port())

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=tuple(CASES), agent_ring=60, customer_ring=60)

    async with (
        ami_proxy(setup.ami_port) as proxy,
        open_office(prepare, setup, phones=tuple(CASES), AMI_PORT=str(proxy.port)) as office,
    ):
        started = await asyncio.gather(
            *(start_attempt(office, extension, step) for extension, (step, _) in CASES.items())
        )
        calls = dict(zip(CASES, started, strict=True))
        proxy.cut()
        if failure == "the worker is killed":
            await office.bazang.kill_worker()
        await asyncio.gather(
            *(finish_attempt(office, extension, CASES[extension][0], calls[extension][1]) for extension in CASES)
        )
        await wait_until_all_connected(office)
        assert {row.step for row in office.bazang.requests()} == set(STEPS), "the worker has missed the later steps"
        proxy.restore()
        if failure == "the worker is killed":
            office.bazang.launch_worker()

        async def hang_up(extension: str) -> None:
            await asyncio.sleep(CASES[extension][1])
            await calls[extension][1].hang_up()

        async with asyncio.timeout(30):
            await proxy.logged_in.wait()
        await asyncio.gather(*(hang_up(extension) for extension in CASES))
        for extension, (request, _) in calls.items():
            await office.wait_for_status(request, "done")
            assert len(office.phones[extension].invites) == len(office.calls_to(customer_of(extension))) == 1
        assert [attempt.outcome for attempt in office.bazang.attempts()] == ["connected"] * len(CASES)
