"""Answer what is asked at the same time together, in one thread of its own.

Each question alone would need a thread, and a session of the database. Of many callers at once, those cost more than
the answers.
"""

import asyncio
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
MOST_AT_ONCE = 50
BUSY_SECONDS = 0.1  # since several came at once: so long, others are waited for
QUIET_SECONDS = 0.002  # in which nobody comes, then nobody is waited for any more
LONGEST_GATHER = 0.02  # seconds


class Gathering:
    """Wait for others while many come, since one more in a group costs much less than another group.

    One who comes alone does not wait.
    """

    def __init__(self) -> None:
        self._busy_until = 0.0  # loop time

    async def wait(self, waiting: Sized, most: int) -> None:
        """Wait until `most` are `waiting`, or nobody else comes. `waiting` is a list that grows meanwhile."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if len(waiting) > 1:
            self._busy_until = now + BUSY_SECONDS
        count, latest = 0, now + LONGEST_GATHER if now < self._busy_until else now
        while count < len(waiting) < most and loop.time() < latest:
            count = len(waiting)
            await asyncio.sleep(QUIET_SECONDS)


class AtOnce(Generic[Question, Answer]):
    """`answer` gets the questions that came while it answered the last ones, and returns an answer for each.

    It may block. If it raises, each question is asked alone, so that one of them does not harm the others. `ask` runs
    in the event loop.
    """

    def __init__(self, answer: Callable[[Sequence[Question]], Sequence[Answer]], name: str) -> None:
        self._answer = answer
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._gathering = Gathering()
        self._task: asyncio.Task[None] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def ask(self, question: Question) -> Answer:
        """Return the answer. Raises what `answer` raises for this question alone."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answered))
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all())
        return await answered

    def close(self) -> None:
        """End the thread when it has nothing to do."""
        self._executor.shutdown(wait=False)

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await self._gathering.wait(self._waiting, MOST_AT_ONCE)
                group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                questions = [question for question, _ in group]
                answers: Sequence[Answer | _Failed]
                try:
                    answers = await loop.run_in_executor(self._executor, self._answer_each, questions)
                except RuntimeError as failure:  # the worker ends
                    answers = [_Failed(failure)] * len(group)
                for (_, answered), answer in zip(group, answers, strict=True):
                    if answered.done():  # nobody waits any more
                        continue
                    if isinstance(answer, _Failed):
                        answered.set_exception(answer.failure)
                    else:
                        answered.set_result(answer)
        finally:
            self._task = None

    def _answer_each(self, questions: Sequence[Question]) -> "Sequence[Answer | _Failed]":
        if len(questions) > 1:
            with suppress(Exception):
                return self._answer(questions)
        answers: list[Answer | _Failed] = []
        for question in questions:
            try:
                answers += self._answer([question])
            except Exception as failure:
                answers.append(_Failed(failure))
        return answers


class _Failed:
    def __init__(self, failure: Exception) -> None:
        self.failure = failure
