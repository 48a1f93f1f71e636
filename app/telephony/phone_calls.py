"""What somebody of the office hears who is rung by the studio, read from top to bottom.

It knows keys and sounds; where the recording goes, and what a page is told of it, is the `Studio`'s.
"""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.domain.phone_calls import CallFailure, CallKind, CallState
from app.telephony.agi import AgiBroken, AgiSession, CannotWrite, HungUp, Sound

log = logging.getLogger(__name__)
AGI_PATH = "studio/"  # of the FastAGI requests that come here
MAX_RECORDING_SECONDS = 120.0  # seconds of a recording
MAX_TRIES = 3
CHOICE_SECONDS = 5.0  # to press a key after a question
WORK_SECONDS = 30.0  # for the recording to be looked at, or made a finished sound of
TONE = "tone"


@dataclass(frozen=True)
class CallScript:
    """What a call is for, and its sounds: those of the studio's prompts, and TONE."""

    kind: CallKind
    sounds: Mapping[str, Sound]


class PhoneCallHandler(Protocol):
    async def open(self, call: str) -> CallScript | None:
        """The call was answered. None: it is none of ours, or over already."""

    async def tell(self, call: str, state: CallState) -> bool:
        """Note how far it is; False where it was cancelled meanwhile."""

    def new_take(self, call: str) -> Sound:
        """Return where Asterisk is to record, instead of all that was recorded before."""

    async def judge(self, call: str) -> CallFailure | None:
        """Tell what is wrong with what was recorded."""

    async def keep(self, call: str) -> CallFailure | None:
        """Make a finished sound of what was recorded and note it as kept."""

    async def close(self, call: str, failure: CallFailure | None) -> None:
        """The call is over; without a failure all that was to be done is done."""


class _Failed(Exception):
    """It cannot be done; the argument is the Failure."""


class _Cancelled(Exception):
    """A page has ended the call."""


async def handle_phone_call(session: AgiSession, studio: PhoneCallHandler) -> None:
    """Lead a call of the studio to its end."""
    call = session.path.removeprefix(AGI_PATH)
    script = await studio.open(call)
    if script is None:
        log.info("a call of the studio that nobody waits for: %s", call)
        return
    failure: CallFailure | None = CallFailure.SERVICE_DOWN  # what it is when we are ended in the middle
    try:
        await _Dialogue(session, studio, call, script.sounds).lead(script.kind)
        failure = None
    except _Failed as failed:
        (failure,) = failed.args
    except HungUp:
        failure = await _why_hung_up(session)
    except _Cancelled:
        failure = None
    except (AgiBroken, OSError) as error:
        log.warning("studio call %s broke off: %s", call, error)
        failure = CallFailure.BROKEN_OFF
    finally:
        await studio.close(call, failure)


async def _why_hung_up(session: AgiSession) -> CallFailure:
    try:
        return CallFailure.CANNOT_READ if await session.is_on_the_line() else CallFailure.HUNG_UP
    except AgiBroken:
        return CallFailure.HUNG_UP


class _Dialogue:
    def __init__(self, session: AgiSession, studio: PhoneCallHandler, call: str, sounds: Mapping[str, Sound]) -> None:
        self._session, self._studio, self._call, self._sounds = session, studio, call, sounds

    async def lead(self, kind: CallKind) -> None:
        """From the first word to the last. Raises _Failed, _Cancelled, HungUp, AgiBroken."""
        await self._session.answer()
        if kind is CallKind.TEST:
            await self._say("phone_call_test")
            await self._tell(CallState.DONE)
            return
        failure = await self._record()
        if failure is not None:
            await self._say("phone_call_failed")
            raise _Failed(failure)
        try:
            await self._say("phone_call_saved")
        except (HungUp, AgiBroken):
            log.info("studio call %s: hung up when all was done", self._call)

    async def _record(self) -> CallFailure | None:
        """Record until something is kept; return why nothing can be."""
        failure = None
        for _ in range(MAX_TRIES):
            try:
                failure = await self._record_good()
            except CannotWrite:
                failure = CallFailure.CANNOT_WRITE
            if failure is None:
                failure = await self._work(self._studio.keep(self._call))
            if failure in (None, CallFailure.CANNOT_WRITE, CallFailure.BROKEN_OFF):
                return failure
            await self._say("phone_call_silence")
        return failure

    async def _record_good(self) -> CallFailure | None:
        """Record, again and again if that is wished, up to what is to be kept; return a failure if it cannot be."""
        while True:
            take = self._studio.new_take(self._call)
            await self._tell(CallState.RECORDING)
            await self._say("phone_call_instructions")
            await self._say(TONE)
            await self._session.record(take.path, MAX_RECORDING_SECONDS)
            failure = await self._work(self._studio.judge(self._call))
            if failure is not None:
                return failure
            await self._tell(CallState.LISTENING)
            if await self._is_good(take):
                return None

    async def _is_good(self, take: Sound) -> bool:
        """Ask: 1 keeps it, 2 has it recorded again, 3 plays it."""
        silent = 0
        while silent < MAX_TRIES:
            question = self._sounds["phone_call_choice"]
            key = await self._session.play([question], "123") or await self._session.get_digit(CHOICE_SECONDS)
            if key in ("1", "2"):
                return key == "1"
            if key == "3":
                key = await self._session.play([take], "12")
                if key:
                    return key == "1"
            else:
                silent += 1
        raise _Failed(CallFailure.UNDECIDED)

    async def _tell(self, state: CallState) -> None:
        if not await self._studio.tell(self._call, state):
            raise _Cancelled

    async def _work(self, work: Awaitable[CallFailure | None]) -> CallFailure | None:
        try:
            return await self._session.keep_waiting(work, WORK_SECONDS)
        except TimeoutError:
            return CallFailure.BROKEN_OFF

    async def _say(self, key: str) -> None:
        await self._session.play([self._sounds[key]])
