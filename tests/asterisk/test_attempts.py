"""What becomes of an attempt: every way in which the agent and the customer can take it or not, and who may be rung."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable

import pytest

from app.services import commands
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import OWN, Scene
from tests.support.asterisk import OfficeSetup, QueueSetup
from tests.support.bazang import Bazang
from tests.support.phone import Call, Phone

MODULE = ("module", "*5001")
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
    return f"09120000{extension}"


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
