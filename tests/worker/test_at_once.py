"""Questions that come at once are answered together, and none harms the others."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from app.worker.at_once import MOST_AT_ONCE, AtOnce
from script.office.patience import PATIENCE


class Answering:
    """Answers with the double. The first group waits until it may go on. 0 makes it fail."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, questions: Sequence[int]) -> list[int]:
        self.groups.append(list(questions))
        self.began.set()
        assert self.may_go_on.wait(PATIENCE)
        if 0 in questions:
            raise ValueError("0")
        return [2 * question for question in questions]


@pytest.fixture
def answering() -> Answering:
    return Answering()


@pytest.fixture
def at_once(answering: Answering) -> Iterator[AtOnce[int, int]]:
    opened = AtOnce(answering, "test")
    yield opened
    answering.may_go_on.set()
    opened.close()


async def begin(at_once: AtOnce[int, int], answering: Answering) -> "asyncio.Task[int]":
    """Ask the first question, and return when its answer is being found."""
    first = asyncio.create_task(at_once.ask(1))
    assert await asyncio.to_thread(answering.began.wait, PATIENCE)
    return first


async def test_questions_that_come_meanwhile_are_answered_together(
    at_once: AtOnce[int, int], answering: Answering
) -> None:
    first = await begin(at_once, answering)
    others = [asyncio.create_task(at_once.ask(number)) for number in range(2, MOST_AT_ONCE + 4)]
    await asyncio.sleep(0)
    answering.may_go_on.set()
    assert await asyncio.gather(first, *others) == [2 * number for number in range(1, MOST_AT_ONCE + 4)]
    assert [len(group) for group in answering.groups] == [1, MOST_AT_ONCE, 2]


async def test_question_that_fails_does_not_harm_the_others(at_once: AtOnce[int, int], answering: Answering) -> None:
    first = await begin(at_once, answering)
    others = [asyncio.create_task(at_once.ask(number)) for number in (12, 0, 14)]
    await asyncio.sleep(0)
    answering.may_go_on.set()
    assert await first == 2
    twelve, failed, fourteen = await asyncio.gather(*others, return_exceptions=True)
    assert (twelve, fourteen) == (24, 28) and isinstance(failed, ValueError)


async def test_who_is_gone_needs_no_answer(at_once: AtOnce[int, int], answering: Answering) -> None:
    first = await begin(at_once, answering)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answering.may_go_on.set()
    assert await at_once.ask(3) == 6


async def test_nobody_waits_for_ever_when_the_worker_ends(at_once: AtOnce[int, int], answering: Answering) -> None:
    at_once.close()
    with pytest.raises(RuntimeError):
        await at_once.ask(1)
