"""The dialogue of a phone call, by which someone in the office records a prompt or tests a phone.

This module knows keys and sounds. Its PhoneCallHandler knows the files of recordings and stores the state of the call.
"""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.domain.phone_calls import CallFailure, CallKind, CallState
from app.telephony.agi import AgiBroken, AgiSession, CannotWrite, HungUp, Sound

log = logging.getLogger(__name__)
AGI_PATH = "studio/"  # the path of FastAGI requests for phone calls
MAX_RECORDING_SECONDS = 120.0
MAX_TRIES = 3
KEY_SECONDS = 5.0  # how long to wait for a key after a question
WORK_SECONDS = 30.0  # how long checking or converting a recording may take
TONE = "tone"


@dataclass(frozen=True)
class CallScript:
    """What a call is for, and its sounds by key: PHONE_CALL_KEYS and TONE."""

    kind: CallKind
    sounds: Mapping[str, Sound]


class PhoneCallHandler(Protocol):
    async def open_call(self, call_id: str) -> CallScript | None:
        """Note that the call was answered. Return None if it is unknown or over already."""

    async def update_state(self, call_id: str, state: CallState) -> bool:
        """Store the state of the call. Return False if it was cancelled meanwhile."""

    def new_recording(self, call_id: str) -> Sound:
        """Return the file that Asterisk is to record into, and drop what was recorded before."""

    async def check_recording(self, call_id: str) -> CallFailure | None:
        """Return what is wrong with the recorded file, None if it is good."""

    async def save_recording(self, call_id: str) -> CallFailure | None:
        """Convert the recorded file and add it to the library. Return why that failed, None if it succeeded."""

    async def close_call(self, call_id: str, failure: CallFailure | None) -> None:
        """End the call. `failure`: None if everything was done."""


class _CallFailed(Exception):
    """The call failed; the argument is the CallFailure."""


class _Cancelled(Exception):
    """A page has cancelled the call."""


async def handle_phone_call(session: AgiSession, handler: PhoneCallHandler) -> None:
    """Run the dialogue of a phone call to its end."""
    call_id = session.path.removeprefix(AGI_PATH)
    script = await handler.open_call(call_id)
    if script is None:
        log.info("phone call %s is unknown or over", call_id)
        return
    failure: CallFailure | None = CallFailure.SERVICE_DOWN  # if this task is cancelled
    try:
        await _Dialogue(session, handler, call_id, script.sounds).run(script.kind)
        failure = None
    except _CallFailed as failed:
        (failure,) = failed.args
    except HungUp:
        failure = await _hangup_reason(session)
    except _Cancelled:
        failure = None
    except (AgiBroken, OSError) as error:
        log.warning("phone call %s: the connection broke: %s", call_id, error)
        failure = CallFailure.BROKEN_OFF
    finally:
        await handler.close_call(call_id, failure)


async def _hangup_reason(session: AgiSession) -> CallFailure:
    """Return whether the person hung up, or Asterisk could not read a sound, which looks the same in AGI."""
    try:
        return CallFailure.CANNOT_READ if await session.is_on_the_line() else CallFailure.HUNG_UP
    except AgiBroken:
        return CallFailure.HUNG_UP


class _Dialogue:
    def __init__(
        self, session: AgiSession, handler: PhoneCallHandler, call_id: str, sounds: Mapping[str, Sound]
    ) -> None:
        self._session, self._handler, self._call_id, self._sounds = session, handler, call_id, sounds

    async def run(self, kind: CallKind) -> None:
        """Answer and run the whole dialogue. Raises _CallFailed, _Cancelled, HungUp, AgiBroken."""
        await self._session.answer()
        if kind is CallKind.TEST:
            await self._play("phone_call_test")
            await self._update_state(CallState.DONE)
            return
        failure = await self._record_and_save()
        if failure is not None:
            await self._play("phone_call_failed")
            raise _CallFailed(failure)
        try:
            await self._play("phone_call_saved")
        except (HungUp, AgiBroken):
            log.info("phone call %s: hung up after the recording was saved", self._call_id)

    async def _record_and_save(self) -> CallFailure | None:
        """Record until a recording is saved, MAX_TRIES times at most; return why none could be saved."""
        failure = None
        for _ in range(MAX_TRIES):
            try:
                failure = await self._record_until_chosen()
            except CannotWrite:
                failure = CallFailure.CANNOT_WRITE
            if failure is None:
                failure = await self._wait_for(self._handler.save_recording(self._call_id))
            if failure in (None, CallFailure.CANNOT_WRITE, CallFailure.BROKEN_OFF):
                return failure
            await self._play("phone_call_silence")
        return failure

    async def _record_until_chosen(self) -> CallFailure | None:
        """Record, as often as the person wants, until a recording is chosen; return what is wrong with it."""
        while True:
            recording = self._handler.new_recording(self._call_id)
            await self._update_state(CallState.RECORDING)
            await self._play("phone_call_instructions")
            await self._play(TONE)
            await self._session.record(recording.path, MAX_RECORDING_SECONDS)
            failure = await self._wait_for(self._handler.check_recording(self._call_id))
            if failure is not None:
                return failure
            await self._update_state(CallState.CHOOSING)
            if await self._is_chosen(recording):
                return None

    async def _is_chosen(self, recording: Sound) -> bool:
        """Ask what to do with the recording: 1 saves it, 2 records again, 3 plays it."""
        tries = 0
        while tries < MAX_TRIES:
            question = self._sounds["phone_call_choice"]
            key = await self._session.play([question], "123") or await self._session.get_digit(KEY_SECONDS)
            if key in ("1", "2"):
                return key == "1"
            if key == "3":
                key = await self._session.play([recording], "12")
                if key:
                    return key == "1"
            else:
                tries += 1
        raise _CallFailed(CallFailure.UNDECIDED)

    async def _update_state(self, state: CallState) -> None:
        if not await self._handler.update_state(self._call_id, state):
            raise _Cancelled

    async def _wait_for(self, work: Awaitable[CallFailure | None]) -> CallFailure | None:
        try:
            return await self._session.keep_waiting(work, WORK_SECONDS)
        except TimeoutError:
            return CallFailure.BROKEN_OFF

    async def _play(self, key: str) -> None:
        await self._session.play([self._sounds[key]])
