"""How long agent and customer were connected: who has talked long enough, and who perhaps has not."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable

import pytest

from app.domain.lifecycle import Outcome
from app.telephony.ami import AmiDisconnected, AmiError, AmiTimeout
from app.worker import talk_times
from app.worker.background import BackgroundTasks
from app.worker.talk_times import TalkTimes
from script.office.patience import PATIENCE

A = "0b6f6d3e-94f5-4a3c-9d7e-2f1f7b1c8a90"
SHORT = 0.02  # seconds


class Harness:
    """`answer`: how the PBX responds to a ping."""

    def __init__(self) -> None:
        self.tasks = BackgroundTasks()
        self.shortest = SHORT
        self.lasted: list[str] = []
        self.over: list[str] = []
        self.silent: list[str] = []
        self.doubts: list[bool] = []
        self.asked = 0
        self.answer: Callable[[], asyncio.Future[None] | AmiError | None] = lambda: None
        self.talks = TalkTimes(
            shortest=lambda: self.shortest,
            ask=self._ask,
            tasks=self.tasks,
            lasted=self.lasted.append,
            over=self.over.append,
            silent=self.silent.append,
            doubtful=lambda attempt, is_doubtful: self.doubts.append(is_doubtful),
        )

    async def _ask(self) -> None:
        self.asked += 1
        answer = self.answer()
        if isinstance(answer, AmiError):
            raise answer
        if answer is not None:
            await answer

    async def until(self, condition: Callable[[], object]) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not condition():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0)


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    yield harness
    await harness.tasks.cancel()


async def test_talk_that_has_lasted_is_reported_before_its_end(harness: Harness) -> None:
    harness.talks.begin(A)
    harness.talks.begin(A)  # a repeated report
    await harness.until(lambda: harness.lasted)
    assert (harness.lasted, harness.over, harness.asked) == ([A], [], 1)
    harness.talks.begin(A)
    assert harness.talks.end(A, None) is Outcome.CONNECTED
    assert harness.lasted == [A]


async def test_agent_who_leaves_after_a_talk_ends_it(harness: Harness) -> None:
    harness.talks.begin(A)
    await harness.until(lambda: harness.lasted)
    harness.talks.leave(A)
    assert harness.over == [A]


async def test_agent_who_leaves_early_ends_it_when_the_customers_call_has_lasted(harness: Harness) -> None:
    harness.talks.begin(A)
    harness.talks.leave(A)
    assert harness.over == []
    await harness.until(lambda: harness.over)
    assert (harness.lasted, harness.over) == ([A], [A])


async def test_end_decides_what_has_not_lasted(harness: Harness) -> None:
    harness.shortest = math.inf
    for seconds, outcome in ((1.5, Outcome.TALK_TOO_SHORT), (None, Outcome.UNCLEAR)):
        harness.talks.begin(A)
        assert harness.talks.end(A, seconds) is outcome
        assert harness.talks.end(A, seconds) is outcome, "found out afterwards"
    harness.shortest = 1.5
    assert harness.talks.end(A, 1.5) is Outcome.CONNECTED


async def test_any_connection_is_a_talk_without_a_shortest_one(harness: Harness) -> None:
    harness.shortest = 0
    harness.talks.begin(A)
    assert (harness.lasted, harness.asked) == ([A], 0)
    assert harness.talks.end("another", None) is Outcome.CONNECTED


@pytest.mark.parametrize("gives_up", [True, False])
async def test_nobody_talks_while_the_pbx_stands_still(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, gives_up: bool
) -> None:
    """`gives_up`: the response is late, or does not come."""
    monkeypatch.setattr(talk_times, "PROMPT_SECONDS", -1.0)  # every response is late
    harness.answer = lambda: AmiTimeout("no response") if gives_up else None
    harness.talks.begin(A)
    await harness.until(lambda: harness.asked == 3)
    assert (harness.lasted, harness.silent) == ([], [A])
    assert harness.talks.end(A, 20.0) is Outcome.UNCLEAR


async def test_talk_goes_on_after_the_pbx_stood_still(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk_times, "PROMPT_SECONDS", -1.0)
    harness.talks.begin(A)
    await harness.until(lambda: harness.asked == 2)
    monkeypatch.setattr(talk_times, "PROMPT_SECONDS", PATIENCE)
    await harness.until(lambda: harness.lasted)
    assert harness.talks.end(A, 20.0) is Outcome.CONNECTED


@pytest.mark.parametrize("known", ["from the beginning", "at the end", ""])
async def test_standstill_that_a_former_worker_saw_counts(harness: Harness, known: str) -> None:
    harness.shortest = PATIENCE
    harness.talks.begin(A, stood_still=known == "from the beginning")
    harness.talks.begin(A)
    outcome = harness.talks.end(A, 2 * PATIENCE, stood_still=known == "at the end")
    assert outcome is (Outcome.UNCLEAR if known else Outcome.CONNECTED)


@pytest.mark.parametrize("lost", [True, False])
async def test_end_that_comes_before_the_response(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """A PBX that goes on after a standstill reports the end and responds in any order. `lost`: it reports nothing."""
    response = asyncio.get_running_loop().create_future()
    harness.answer = lambda: response
    harness.talks.begin(A)
    await harness.until(lambda: harness.asked)
    monkeypatch.setattr(talk_times, "PROMPT_SECONDS", -1.0)
    if lost:
        harness.talks.connection_lost()
    assert harness.talks.end(A, 20.0) is Outcome.UNCLEAR
    response.set_result(None)
    await harness.tasks.cancel()
    assert harness.lasted == []


@pytest.mark.parametrize("then", ["responds", "is lost", "ends"])
async def test_pbx_that_does_not_respond_at_once_is_doubted(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """If nobody learns whether it responds, the doubt counts."""
    monkeypatch.setattr(talk_times, "LOOK_SECONDS", SHORT)
    monkeypatch.setattr(talk_times, "PROMPT_SECONDS", PATIENCE)
    response = asyncio.get_running_loop().create_future()
    harness.answer = lambda: response
    harness.talks.begin(A)
    await harness.until(lambda: harness.doubts)
    assert (harness.doubts, harness.silent) == ([True], [])
    if then == "responds":
        response.set_result(None)
        await harness.until(lambda: harness.lasted)
    elif then == "is lost":
        harness.talks.connection_lost()
    assert (harness.talks.end(A, 20.0) is Outcome.UNCLEAR) == (then == "is lost")
    assert (harness.doubts, harness.silent) == ([True, False], [A] if then == "is lost" else [])


async def test_lost_connection_stops_the_time_until_the_channels_are_read(harness: Harness) -> None:
    harness.answer = lambda: AmiDisconnected("lost")
    harness.talks.begin(A)
    await harness.until(lambda: harness.asked)
    harness.talks.connection_lost()
    await asyncio.sleep(2 * SHORT)
    assert (harness.lasted, harness.asked) == ([], 1)
    harness.answer = lambda: None
    harness.talks.begin(A)
    await harness.until(lambda: harness.lasted)
    assert harness.asked == 2


async def test_talk_counts_from_the_first_response_after_a_timeout(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next question may come just before the PBX goes on, so that its response is prompt."""
    monkeypatch.setattr(talk_times, "PROMPT_SECONDS", 5 * SHORT)
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    answers = [first, second]
    harness.answer = lambda: answers.pop(0) if answers else None
    harness.shortest = 3 * SHORT
    harness.talks.begin(A)
    await harness.until(lambda: harness.asked)
    begun = loop.time()
    await harness.until(lambda: loop.time() > begun + 6 * SHORT)
    first.set_exception(AmiTimeout("no response"))
    await harness.until(lambda: harness.asked == 2)
    second.set_result(None)
    responded = loop.time()
    await harness.until(lambda: harness.lasted)
    assert loop.time() >= responded + harness.shortest
    assert harness.asked == 3


async def test_pbx_is_asked_again_and_again_during_the_shortest_talk(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it could stand still for almost all of it, and respond in time at its end."""
    monkeypatch.setattr(talk_times, "ASK_SECONDS", SHORT)
    harness.shortest = math.inf
    harness.talks.begin(A)
    await harness.until(lambda: harness.asked == 3)
    assert (harness.lasted, harness.silent) == ([], [])


async def test_silence_while_this_worker_stood_still_is_not_that_of_the_pbx(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LOOK_SECONDS", SHORT), ("OVERSLEPT_SECONDS", SHORT), ("PROMPT_SECONDS", 5 * SHORT)):
        monkeypatch.setattr(talk_times, name, seconds)
    response = asyncio.get_running_loop().create_future()
    harness.answer = lambda: response
    harness.talks.begin(A)
    await harness.until(lambda: harness.asked)
    time.sleep(10 * SHORT)  # noqa: ASYNC251 - the standstill of the event loop is what is tested
    assert harness.talks.end(A, 20.0) is Outcome.CONNECTED


async def test_timer_of_an_ended_talk_reports_nothing(harness: Harness) -> None:
    harness.talks.begin(A)
    assert harness.talks.end(A, 0.0) is Outcome.TALK_TOO_SHORT
    await asyncio.sleep(2 * SHORT)
    assert (harness.lasted, harness.asked) == ([], 0)
