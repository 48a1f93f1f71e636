"""Make the phone calls that pages have requested: ring, follow the events, and handle the dialogue."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from app.audio.clip import Clip, SoundError
from app.audio.prompt_texts import PHONE_CALL_KEYS, default_text
from app.domain.lifecycle import Outcome
from app.domain.phone_calls import CallFailure, CallState
from app.domain.routing import Context
from app.services.errors import Invalid, NotFound
from app.services.prompts import phone_calls, recordings
from app.services.prompts import voice as voices
from app.services.prompts.phone_calls import PhoneCallView
from app.services.prompts.recordings import Origin
from app.store.database import PASSING_FAILURES, Database
from app.telephony import lookup
from app.telephony.agi import Sound
from app.telephony.ami import AmiClient, AmiError, AmiRefused
from app.telephony.attempts import AttemptFollower, EndReport, Fields, StepReport
from app.telephony.dialer import Dialer
from app.telephony.phone_calls import MAX_RECORDING_SECONDS, TONE, CallScript
from app.telephony.snapshot import Snapshot
from app.telephony.variables import GRACE
from app.worker.clock import utcnow
from app.worker.prompts import PromptStore
from app.worker.recording_inbox import RecordingInbox

log = logging.getLogger(__name__)
T = TypeVar("T")
RING_SECONDS = 25
STORE_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds between tries, while the person on the phone waits
ABANDONED_SECONDS = 3600.0  # a file in the inbox that is older belongs to no call
_FAILURES = {
    Outcome.AGENT_TAKEN: CallFailure.BUSY,
    Outcome.AGENT_BUSY: CallFailure.BUSY,
    Outcome.AGENT_NO_ANSWER: CallFailure.NO_ANSWER,
    Outcome.AGENT_REJECTED: CallFailure.REJECTED,
    Outcome.AGENT_UNREACHABLE: CallFailure.UNREACHABLE,
}


@dataclass
class _Call:
    """A call in progress. `answered`: None, or why it was not; `opened`: set when the dialogue has begun."""

    view: PhoneCallView
    script: CallScript
    answered: asyncio.Future[CallFailure | None]
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    recording: str = ""  # the file's name in the inbox


class PhoneCalls:
    """The PhoneCallHandler of the dialogue. Its methods run in the event loop; threads use the database and files."""

    def __init__(
        self,
        database: Database,
        ami: AmiClient,
        sounds: PromptStore,
        snapshot: Snapshot,
        inbox: RecordingInbox,
        *,
        may_dial: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database, self._ami = database, ami
        self._sounds, self._snapshot = sounds, snapshot
        self._follower = AttemptFollower()
        self._dialer = Dialer(ami, self._follower, may_dial=may_dial)
        self._calls: dict[str, _Call] = {}
        self._abandoned: list[str] = []  # calls of the previous worker that may still have to be hung up
        self._inbox = inbox
        # A thread of its own: speech and conversions take seconds, and callers must not wait for them.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="phone-calls")

    # -- start and stop ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Fail the calls of the previous worker and create the inbox."""
        self._abandoned = await asyncio.to_thread(phone_calls.fail_abandoned, self._database, utcnow())
        await asyncio.to_thread(self._inbox.create)

    async def clean_up(self) -> None:
        """Hang up the calls of the previous worker and remove abandoned files. Raises AmiError."""
        await asyncio.to_thread(self._inbox.remove_old, ABANDONED_SECONDS)
        if self._abandoned and self._ami.connected:
            for call_id in self._abandoned:
                await self._dialer.hang_up(call_id)
            self._abandoned = []
            await asyncio.to_thread(self._inbox.remove_old, 0.0)

    async def stop(self) -> None:
        """End the ringing calls. Calls in a dialogue end with their AGI session."""
        for call in list(self._calls.values()):
            if not call.opened.is_set():
                _set_result(call.answered, CallFailure.SERVICE_DOWN)
                await self._hang_up(call.view.id)
                await self._fail(call.view.id, CallFailure.SERVICE_DOWN)
        self._executor.shutdown(wait=False, cancel_futures=True)

    # -- events of the PBX ------------------------------------------------------------------------------------

    def connection_lost(self) -> None:
        """Give up the ringing calls, whose events are lost. A call that is answered later is ended then."""
        for call in self._calls.values():
            _set_result(call.answered, CallFailure.NOT_CONNECTED)

    def handle_event(self, event: Fields) -> bool:
        """Handle a live AMI event. Return whether it belongs to one of the calls."""
        if not self._calls:
            return False
        match self._follower.handle(event):
            case StepReport(call_id):
                _set_result(self._calls[call_id].answered, None)
            case EndReport(call_id, outcome):
                _set_result(self._calls[call_id].answered, _FAILURES.get(outcome, CallFailure.UNREACHABLE))
            case _:
                return False
        return True

    # -- commands of the panel --------------------------------------------------------------------------------

    async def make_call(self, call_id: str) -> None:
        """Make a requested call. Return when its dialogue has begun, or when the call is over."""
        try:
            view = await asyncio.to_thread(phone_calls.claim, self._database, call_id, utcnow())
            if view is None:
                return
            failure = await self._prepare_and_ring(view)
        except lookup.InvalidLookup as error:  # the hint names something that is not a phone, such as a parking lot
            log.warning("phone call %s: the extension has no phone to ring: %s", call_id, error)
            failure = CallFailure.UNREACHABLE
        except AmiRefused as refusal:
            log.error("phone call %s: the PBX refused to ring: %s", call_id, refusal)
            failure = CallFailure.RING_REFUSED
        except AmiError as error:
            log.warning("phone call %s: the PBX does not answer: %s", call_id, error)
            failure = CallFailure.NOT_CONNECTED
        except (SoundError, OSError) as error:
            log.error("phone call %s: cannot synthesize its texts: %s", call_id, error)
            failure = CallFailure.NO_SOUND
        except Exception:  # without an end in its row, the page would show the call as active for ever
            log.exception("phone call %s failed unexpectedly", call_id)
            failure = CallFailure.BROKEN_OFF
            if call_id in self._calls:
                await self._hang_up(call_id)
        if failure is not None:
            await self._fail(call_id, failure)

    async def cancel(self, call_id: str) -> None:
        """End a call that a page has cancelled."""
        call = self._calls.get(call_id)
        if call is not None:
            _set_result(call.answered, CallFailure.HUNG_UP)  # an earlier result has precedence
            await self._hang_up(call_id)

    async def _prepare_and_ring(self, view: PhoneCallView) -> CallFailure | None:
        """Ring the extension. Return why the call failed, None if its dialogue has begun or it was cancelled."""
        if not self._ami.connected:
            return CallFailure.NOT_CONNECTED
        if not await lookup.has_location(self._ami, f"{Context.PHONE_CALL},s,1"):
            return CallFailure.NO_DIALPLAN
        extension = self._snapshot.extensions.get(view.extension)
        devices = (extension.devices if extension is not None else ()) or (f"PJSIP/{view.extension}",)
        hint = extension.hint_name if extension is not None else ""
        failure = await self._check_devices(devices, has_hint=bool(hint))
        if failure is not None:
            return failure
        script = await self._run(lambda: self._make_script(view))
        if not await self.update_state(view.id, CallState.RINGING):
            return None  # cancelled meanwhile
        call = _Call(view, script, asyncio.get_running_loop().create_future())
        self._calls[view.id] = call
        return await self._ring(call, devices, hint)

    async def _check_devices(self, devices: tuple[str, ...], *, has_hint: bool) -> CallFailure | None:
        """Return why none of the devices can be rung now, None if one can.

        Some technologies (IAX2, DAHDI) don't report their states. Their devices can be rung if they have a hint.
        """
        states = {await lookup.device_state(self._ami, device) for device in devices}
        if has_hint and "UNKNOWN" in states:
            return None
        if states <= lookup.MISSING_STATES:
            return CallFailure.UNKNOWN_EXTENSION
        if "NOT_INUSE" in states:
            return None
        return CallFailure.UNREACHABLE if states <= lookup.MISSING_STATES | {"UNAVAILABLE"} else CallFailure.BUSY

    async def _ring(self, call: _Call, devices: tuple[str, ...], hint: str) -> CallFailure | None:
        """Ring and wait until the dialogue has begun; return why it has not."""
        view = call.view
        await self._dialer.ring(view.id, view.extension, "&".join(devices), hint, RING_SECONDS)
        log.info("phone call %s: ringing %s", view.id, view.extension)
        try:
            async with asyncio.timeout(RING_SECONDS + 2 * GRACE):
                failure = await asyncio.shield(call.answered)
            if failure is None:
                async with asyncio.timeout(2 * GRACE):
                    await call.opened.wait()
        except TimeoutError:  # no event came
            failure = CallFailure.NO_DIALOGUE if call.answered.done() else CallFailure.NO_ANSWER
            await self._hang_up(view.id)
        if failure is CallFailure.HUNG_UP:  # cancelled by a page, possibly before the channel existed
            await self._hang_up(view.id)
        return failure

    async def _hang_up(self, call_id: str) -> None:
        try:
            if self._ami.connected:
                await self._dialer.hang_up(call_id)
        except AmiError as error:
            log.warning("phone call %s: cannot hang up: %s", call_id, error)

    # -- the dialogue (PhoneCallHandler) ----------------------------------------------------------------------

    async def open_call(self, call_id: str) -> CallScript | None:
        call = self._calls.get(call_id)
        if call is None or call.opened.is_set() or not await self.update_state(call_id, CallState.ANSWERED):
            return None
        if call_id not in self._calls:
            return None  # it failed while its state was stored
        call.opened.set()
        _set_result(call.answered, None)
        return call.script

    async def update_state(self, call_id: str, state: CallState) -> bool:
        return await asyncio.to_thread(phone_calls.update_state, self._database, call_id, state, utcnow())

    def new_recording(self, call_id: str) -> Sound:
        call = self._calls[call_id]
        self._drop_recording(call)
        call.recording = self._inbox.new_name()
        return Sound(self._inbox.asterisk_path(call.recording), MAX_RECORDING_SECONDS)

    async def check_recording(self, call_id: str) -> CallFailure | None:
        return await self._run(lambda: self._inbox.check(self._calls[call_id].recording))

    async def save_recording(self, call_id: str) -> CallFailure | None:
        call = self._calls[call_id]
        try:
            await self._save(call)
        except SoundError as error:
            log.info("phone call %s: %s", call_id, error)
            return CallFailure.SILENCE_ONLY if error.code in ("silence_only", "no_sound") else CallFailure.BROKEN_OFF
        except (OSError, SQLAlchemyError) as error:
            log.error("phone call %s: cannot save the recording: %s", call_id, error)
            return CallFailure.CANNOT_WRITE if isinstance(error, OSError) else CallFailure.BROKEN_OFF
        return None

    async def close_call(self, call_id: str, failure: CallFailure | None) -> None:
        if failure is not None:
            await self._fail(call_id, failure)
        self._forget(call_id)

    # -- rows, files and sounds -------------------------------------------------------------------------------

    async def _fail(self, call_id: str, failure: CallFailure) -> None:
        log.info("phone call %s: %s", call_id, failure)
        update, now = phone_calls.update_state, utcnow()
        try:
            await asyncio.to_thread(update, self._database, call_id, CallState.FAILED, now, detail=failure.value)
        except SQLAlchemyError as error:  # the worker corrects the row at its next start
            log.error("phone call %s: cannot store its failure: %s", call_id, error)
        self._forget(call_id)

    def _forget(self, call_id: str) -> None:
        call = self._calls.pop(call_id, None)
        self._follower.forget(call_id)
        if call is not None:
            self._drop_recording(call)

    def _drop_recording(self, call: _Call) -> None:
        if call.recording:
            self._inbox.remove(call.recording)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _make_script(self, view: PhoneCallView) -> CallScript:
        """Make the sounds of a call. Raises SoundError and OSError."""
        library, language = self._sounds.library, view.language
        with self._database.read() as session:
            speech = voices.load_office_speech(session, library, language)
        sounds = {}
        for key in PHONE_CALL_KEYS:
            clip = voices.synthesize_with_fallback(library, default_text(key, language), language, speech)
            sounds[key] = Sound(self._sounds.asterisk_path(clip.path), clip.seconds)
        tone = library.tone()
        return CallScript(view.kind, sounds | {TONE: Sound(self._sounds.asterisk_path(tone.path), tone.seconds)})

    async def _save(self, call: _Call) -> None:
        """Convert the recorded file and add it to the library. Raises SoundError, OSError, SQLAlchemyError."""
        clip = await self._run(lambda: self._convert(call.recording))
        await self._store_patiently(call.view, clip)

    def _convert(self, recording: str) -> Clip:
        with self._inbox.open(recording) as stream:
            return self._sounds.library.convert(stream, "recording.wav")

    async def _store_patiently(self, view: PhoneCallView, clip: Clip) -> None:
        """Store a clip as the recording of a call, as soon as the database is there. Raises what `_store` does."""
        for pause in STORE_PAUSES:
            try:
                return await self._run(lambda: self._store(view, clip))
            except PASSING_FAILURES as error:
                log.error("phone call %s: the recording is not stored yet: %s", view.id, getattr(error, "orig", error))
                await asyncio.sleep(pause)
        await self._run(lambda: self._store(view, clip))

    def _store(self, view: PhoneCallView, clip: Clip) -> None:
        """Store a clip as the recording of a call. It may be repeated. Raises SQLAlchemyError and OSError."""
        library = self._sounds.library
        file = recordings.add(
            self._database, library, clip, name=view.name, origin=Origin.PHONE, now=utcnow(), actor=view.created_by
        )
        now = utcnow()
        is_saved = phone_calls.update_state(self._database, view.id, CallState.SAVED, now, file=file)
        # A try whose answer was lost has saved it.
        if not is_saved and phone_calls.load(self._database, view.id, now).file != file:
            with suppress(Invalid, NotFound):  # the call was cancelled at this moment
                recordings.delete(self._database, library, file, now=now)


def _set_result(future: asyncio.Future[CallFailure | None], failure: CallFailure | None) -> None:
    if not future.done():
        future.set_result(failure)
