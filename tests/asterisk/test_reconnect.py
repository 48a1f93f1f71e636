"""The worker misses steps of an attempt, and the agent hangs up just as it is connected again."""

import asyncio

import pytest

from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.phone import Call
from script.office.ports import free_port
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene
from tests.support.ami_proxy import ami_proxy

# How far an attempt has come when the worker stops listening: the steps after that are missed.
STEPS = ("claimed", "agent_answered", "customer_dialled", "connected")
DELAYS = (0.0, 0.1, 0.3)  # seconds from the log-in to the moment at which the agent hangs up; the first poll needs 0.5
CASES = {str(101 + number): (step, delay) for number, (step, delay) in enumerate((s, d) for s in STEPS for d in DELAYS)}


def number_of(extension: str) -> str:
    return f"0912{extension:0>7}"


async def begin(scene: Scene, extension: str, step: str) -> tuple[int, Call]:
    """Bring an attempt to this step; return its request and the agent's call."""
    request = scene.wish(number_of(extension), target=extension)
    ring = await scene.phones[extension].next_call()
    if step != "claimed":
        await scene.accept(ring, keys="" if step == "agent_answered" else "1")
    if step == "connected":
        await (await scene.customer(number_of(extension), timeout=30)).answer()
    await scene.steps(request, step)
    return request, ring


async def go_on(scene: Scene, extension: str, step: str, ring: Call) -> None:
    """Take the steps that are left until the two talk."""
    if step == "claimed":
        await scene.accept(ring)
    elif step == "agent_answered":
        await ring.press("1")
    if step != "connected":
        await (await scene.customer(number_of(extension), timeout=30)).answer()


async def all_are_connected(scene: Scene) -> None:
    """Return when each attempt is on Asterisk's own record as connected."""
    async with asyncio.timeout(30):
        while (await scene.bazang.asterisk.cli("database show bazang")).count(": connected") < len(CASES):
            pass


@pytest.mark.parametrize("fate", ["the connection is cut", "the worker is killed"])
async def test_agent_who_hangs_up_while_the_worker_comes_back_has_talked(stage: Stage, fate: str) -> None:
    setup = OfficeSetup(phones={extension: f"secret{extension}" for extension in CASES}, ami_port=free_port())

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=tuple(CASES), agent_ring=60, customer_ring=60)

    async with (
        ami_proxy(setup.ami_port) as proxy,
        stage(prepare, setup, phones=tuple(CASES), AMI_PORT=str(proxy.port)) as scene,
    ):
        begun = await asyncio.gather(*(begin(scene, extension, step) for extension, (step, _) in CASES.items()))
        calls = dict(zip(CASES, begun, strict=True))
        proxy.cut()
        if fate == "the worker is killed":
            await scene.bazang.kill_worker()
        await asyncio.gather(
            *(go_on(scene, extension, CASES[extension][0], calls[extension][1]) for extension in CASES)
        )
        await all_are_connected(scene)
        assert {row.step for row in scene.bazang.requests()} == set(STEPS), "the worker has heard nothing of it"
        proxy.restore()
        if fate == "the worker is killed":
            scene.bazang.launch_worker()

        async def hang_up(extension: str) -> None:
            await asyncio.sleep(CASES[extension][1])
            await calls[extension][1].hang_up()

        async with asyncio.timeout(30):
            await proxy.logged_in.wait()
        await asyncio.gather(*(hang_up(extension) for extension in CASES))
        for extension, (request, _) in calls.items():
            await scene.becomes(request, "done")
            assert len(scene.phones[extension].invites) == len(scene.calls_to(number_of(extension))) == 1
        assert [attempt.outcome for attempt in scene.bazang.attempts()] == ["connected"] * len(CASES)
