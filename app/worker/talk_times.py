"""Tell which attempts ended with a talk: agent and customer were connected for the shortest talk of the office.

The PBX reports at the end how long that was. The worker does not wait for it: a call whose shortest talk has passed is
stored at once, so that a later failure of anything cannot make it unknown. By then the PBX must respond, because a PBX
that stands still has a connection, and nobody hears anything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.domain.lifecycle import Outcome, talk_outcome
from app.telephony.ami import AmiError, AmiTimeout
from app.worker.background import BackgroundTasks

PROMPT_SECONDS = 3.0  # a PBX that takes longer to respond stood still; a busy machine takes one or two


@dataclass(eq=False)
class _Talk:
    """What is known of a talk. Times are monotonic.

    `counts_from`: agent and customer have been connected since then, and the PBX has not stood still. `timer`
    identifies the running timer, None if there is none. `asked_at`: since when the PBX has not responded.
    """

    counts_from: float
    has_lasted: bool = False
    has_agent_left: bool = False
    stood_still: bool = False
    timer: object | None = None
    asked_at: float | None = None


class TalkTimes:
    """The talks of the attempts in flight.

    `shortest` returns the shortest talk in seconds. `ask` returns when the PBX has responded, or raises AmiError.
    `lasted` is called once for each talk that has lasted so long, and `over` when its agent has left as well.
    """

    def __init__(
        self,
        *,
        shortest: Callable[[], float],
        ask: Callable[[], Awaitable[None]],
        tasks: BackgroundTasks,
        lasted: Callable[[str], None],
        over: Callable[[str], None],
    ) -> None:
        self._shortest, self._ask, self._tasks = shortest, ask, tasks
        self._lasted, self._over = lasted, over
        self._talks: dict[str, _Talk] = {}

    def begin(self, attempt: str) -> None:
        """Note that agent and customer are connected now, and perhaps have been before."""
        talk = self._talks.setdefault(attempt, _Talk(asyncio.get_running_loop().time()))
        if talk.has_lasted or talk.timer is not None:
            return
        if self._shortest() <= 0:
            self._note_lasted(attempt, talk)
        else:
            talk.timer = object()
            self._tasks.spawn(self._time(attempt, talk, talk.timer))

    def leave(self, attempt: str) -> None:
        """Note that the agent has left. Until the shortest talk has passed, the end of the whole call decides."""
        talk = self._talks[attempt]
        talk.has_agent_left = True
        if talk.has_lasted:
            self._over(attempt)

    def connection_lost(self) -> None:
        """Stop all timers, because ends of calls are missed from now on. `begin` continues them."""
        for talk in self._talks.values():
            _note_response(talk)
            talk.timer = None

    def end(self, attempt: str, seconds: float | None) -> Outcome:
        """Return the outcome of an attempt whose agent and customer were connected for so long by the PBX's clock.

        `seconds` is None if nobody knows.
        """
        talk = self._talks.pop(attempt, None)
        if talk is not None and talk.has_lasted:
            return Outcome.CONNECTED
        if talk is not None:
            _note_response(talk)
        stood_still = talk is not None and talk.stood_still
        at_least = 0.0 if seconds is None or stood_still else seconds
        return talk_outcome(at_least, seconds, self._shortest())

    async def _time(self, attempt: str, talk: _Talk, timer: object) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, talk.counts_from + self._shortest() - loop.time()))
            if not self._runs(attempt, talk, timer):
                return
            counted_from, talk.asked_at = talk.counts_from, loop.time()
            try:
                await self._ask()
            except AmiTimeout:
                pass  # it stands still
            except AmiError:
                return  # the connection is lost
            if not self._runs(attempt, talk, timer):
                return
            _note_response(talk)
            if talk.counts_from == counted_from:
                self._note_lasted(attempt, talk)
                return

    def _runs(self, attempt: str, talk: _Talk, timer: object) -> bool:
        return self._talks.get(attempt) is talk and talk.timer is timer

    def _note_lasted(self, attempt: str, talk: _Talk) -> None:
        talk.has_lasted = True
        self._lasted(attempt)
        if talk.has_agent_left:
            self._over(attempt)


def _note_response(talk: _Talk) -> None:
    """Note that the PBX has responded, or that nobody waits for it any more. Count again if it stood still."""
    now = asyncio.get_running_loop().time()
    if talk.asked_at is not None and now - talk.asked_at > PROMPT_SECONDS:
        talk.stood_still, talk.counts_from = True, now
    talk.asked_at = None
