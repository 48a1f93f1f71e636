"""Tell which attempts ended with a talk: agent and customer were connected for the shortest talk of the office.

The PBX reports at the end how long that was. The worker does not wait for it: a call whose shortest talk has passed is
stored at once, so that a later failure of anything cannot make it unknown. Meanwhile the PBX is asked again and again,
because a PBX that stands still has a connection, and nobody hears anything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.domain.lifecycle import Outcome, talk_outcome
from app.telephony.ami import AmiError, AmiTimeout
from app.worker.background import BackgroundTasks

ASK_SECONDS = 1.0  # between two questions to the PBX
PROMPT_SECONDS = 3.0  # a PBX that takes longer to respond stood still; a busy machine takes one or two
LOOK_SECONDS = 1.0  # between two looks at a silent PBX
OVERSLEPT_SECONDS = 1.0  # a worker that looks so much later stood still itself, and can tell nothing of the PBX


@dataclass(eq=False)
class _Talk:
    """What is known of a talk. Times are monotonic.

    `counts_from`: agent and customer have been connected since then, and neither the PBX nor this worker has stood
    still. `silent` is called when the PBX is first seen to stand still, `doubtful` with true when it does not respond
    at once, and with false when it is not waited for any more. `timer` identifies the running timer, None if there is
    none. `silence`: for how many seconds the PBX has been asked in vain, as far as this worker was running; None if it
    is not asked. `looked_at`: when that was counted.
    """

    counts_from: float
    silent: Callable[[], None]
    doubtful: Callable[[bool], None]
    has_lasted: bool = False
    has_agent_left: bool = False
    stood_still: bool = False
    timer: object | None = None
    silence: float | None = None
    looked_at: float = 0.0
    is_doubtful: bool = False

    def begin_question(self) -> None:
        self.silence, self.looked_at = 0.0, _now()

    def look(self) -> None:
        """Count the silence of a PBX that is asked. Once it stood still, the talk counts from now on."""
        if self.silence is None:
            return
        now = _now()
        passed, self.looked_at = now - self.looked_at, now
        self.silence += min(passed, LOOK_SECONDS + OVERSLEPT_SECONDS)
        if self.silence > PROMPT_SECONDS:
            self.note_standstill()
        if self.silence > PROMPT_SECONDS or passed > LOOK_SECONDS + OVERSLEPT_SECONDS:
            self.counts_from = now

    def note_standstill(self) -> None:
        if not self.stood_still:
            self.stood_still = True
            self.silent()

    def note_doubt(self, is_doubtful: bool) -> None:
        if is_doubtful != self.is_doubtful:
            self.is_doubtful = is_doubtful
            self.doubtful(is_doubtful)

    def end_question(self) -> None:
        """Note that the PBX has responded, or that its call has ended."""
        self.look()
        self.silence = None
        self.note_doubt(False)

    def lose_connection(self) -> None:
        """Note that nobody learns whether the PBX responds. A doubt counts."""
        if self.is_doubtful:
            self.note_standstill()
        self.end_question()
        self.timer = None


class TalkTimes:
    """The talks of the attempts in flight.

    `shortest` returns the shortest talk in seconds. `ask` returns when the PBX has responded, or raises AmiError.
    `lasted` is called once for each talk that has lasted so long, and `over` when its agent has left as well. `silent`
    is called once for each talk in which the PBX stands still, while it does. `doubtful` is called with true when it
    has not responded for LOOK_SECONDS, and with false when it is not waited for any more.
    """

    def __init__(
        self,
        *,
        shortest: Callable[[], float],
        ask: Callable[[], Awaitable[None]],
        tasks: BackgroundTasks,
        lasted: Callable[[str], None],
        over: Callable[[str], None],
        silent: Callable[[str], None],
        doubtful: Callable[[str, bool], None],
    ) -> None:
        self._shortest, self._ask, self._tasks = shortest, ask, tasks
        self._lasted, self._over, self._silent, self._doubtful = lasted, over, silent, doubtful
        self._talks: dict[str, _Talk] = {}

    def begin(self, attempt: str, *, stood_still: bool = False) -> None:
        """Note that agent and customer are connected now, and perhaps have been before.

        `stood_still`: the PBX is known to have stood still since they are.
        """
        new = _Talk(_now(), partial(self._silent, attempt), partial(self._doubtful, attempt))
        talk = self._talks.setdefault(attempt, new)
        talk.stood_still = talk.stood_still or stood_still
        if talk.has_lasted or talk.timer is not None:
            return
        talk.counts_from = _now()
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
            talk.lose_connection()

    def end(self, attempt: str, seconds: float | None, *, stood_still: bool = False) -> Outcome:
        """Return the outcome of an attempt whose agent and customer were connected for so long by the PBX's clock.

        `seconds` is None if nobody knows. `stood_still`: the PBX is known to have stood still in this time.
        """
        talk = self._talks.pop(attempt, None)
        if talk is not None and talk.has_lasted:
            return Outcome.CONNECTED
        if talk is not None:
            talk.end_question()
        stood_still = stood_still or (talk is not None and talk.stood_still)
        at_least = 0.0 if seconds is None or stood_still else seconds
        return talk_outcome(at_least, seconds, self._shortest())

    async def _time(self, attempt: str, talk: _Talk, timer: object) -> None:
        while self._runs(attempt, talk, timer):
            slept_at, left = _now(), max(0.0, talk.counts_from + self._shortest() - _now())
            pause = min(left, ASK_SECONDS)
            await asyncio.sleep(pause)
            if not self._runs(attempt, talk, timer):
                return
            if _now() - slept_at > pause + OVERSLEPT_SECONDS:
                talk.counts_from = _now()
            if not await self._wait_for_response(talk) or not self._runs(attempt, talk, timer):
                return
            talk.end_question()
            if pause == left and _now() >= talk.counts_from + self._shortest():
                self._note_lasted(attempt, talk)
                return

    async def _wait_for_response(self, talk: _Talk) -> bool:
        """Ask until the PBX has responded. Return false if the connection is lost."""
        talk.begin_question()
        while True:
            asking = asyncio.ensure_future(self._ask())
            try:
                while not (await asyncio.wait({asking}, timeout=LOOK_SECONDS))[0]:
                    talk.look()
                    talk.note_doubt(True)
                asking.result()
                return True
            except AmiTimeout:
                talk.look()
            except AmiError:
                return False
            finally:
                asking.cancel()

    def _runs(self, attempt: str, talk: _Talk, timer: object) -> bool:
        return self._talks.get(attempt) is talk and talk.timer is timer

    def _note_lasted(self, attempt: str, talk: _Talk) -> None:
        talk.has_lasted = True
        self._lasted(attempt)
        if talk.has_agent_left:
            self._over(attempt)


def _now() -> float:
    return asyncio.get_running_loop().time()
