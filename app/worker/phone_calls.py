"""The studio's calls: rings for them, follows them, and takes in what was recorded."""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from app.audio.clip import SoundError, read_clip
from app.audio.prompt_texts import PHONE_CALL_KEYS, default_text
from app.audio.tone import write_tone
from app.config import Settings
from app.domain.lifecycle import Outcome
from app.domain.phone_calls import CallFailure, CallState
from app.services.errors import Invalid, NotFound
from app.services.prompts import phone_calls, recordings
from app.services.prompts import voice as speech
from app.services.prompts.phone_calls import INBOX, INBOX_MODE, PhoneCallView
from app.store.database import Database
from app.telephony import lookup
from app.telephony.agi import Sound
from app.telephony.ami import AmiClient, AmiError, AmiRefused
from app.telephony.attempts import AttemptFollower, EndNews, Fields, StepNews
from app.telephony.dialer import Dialer
from app.telephony.phone_calls import MAX_RECORDING_SECONDS, TONE, CallScript
from app.telephony.snapshot import Snapshot
from app.telephony.variables import GRACE
from app.worker.dispatcher import utcnow
from app.worker.prompts import PromptStore

log = logging.getLogger(__name__)
T = TypeVar("T")
RING = 25  # seconds
LEFT_OVER = 3600.0  # seconds after which a file there is nobody's any more
SHORTEST = 0.3  # seconds that are a recording
QUIET = -50.0  # dBFS: the peak of a line on which nobody speaks
_FAILURES = {
    Outcome.AGENT_TAKEN: CallFailure.BUSY,
    Outcome.AGENT_BUSY: CallFailure.BUSY,
    Outcome.AGENT_NO_ANSWER: CallFailure.NO_ANSWER,
    Outcome.AGENT_REJECTED: CallFailure.REJECTED,
    Outcome.AGENT_UNREACHABLE: CallFailure.UNREACHABLE,
}


@dataclass
class _Call:
    """A call under way. `rung`: what came of the ringing, None for an answer; `opened`: the dialogue has it."""

    view: PhoneCallView
    script: CallScript
    rung: asyncio.Future[CallFailure | None]
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    take: str = ""  # the file in the inbox, without its ending


class PhoneCalls:
    """The dialogue's `Studio`. All methods belong to the event loop; the database and files are seen to in threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        ami: AmiClient,
        sounds: PromptStore,
        snapshot: Snapshot,
    ) -> None:
        self._settings, self._database, self._ami = settings, database, ami
        self._sounds, self._snapshot = sounds, snapshot
        self._follower = AttemptFollower()
        self._dialer = Dialer(ami, self._follower)
        self._calls: dict[str, _Call] = {}
        self._stray: list[str] = []  # calls of the service before us, to be hung up
        self._inbox = settings.prompts_path / INBOX
        # A thread of its own: speech and conversions take seconds, and callers must not wait for that.
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="studio")

    # -- life -------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Give up what a service before us has left."""
        self._stray = await asyncio.to_thread(phone_calls.fail_abandoned, self._database, utcnow())
        await asyncio.to_thread(self._open_inbox)

    async def tidy(self) -> None:
        """Hang up what a service before us has left, and remove files that nobody wants. Raises AmiError."""
        await asyncio.to_thread(self._sweep, LEFT_OVER)
        if self._stray and self._ami.connected:
            for call in self._stray:
                await self._dialer.hang_up(call)
            self._stray = []
            await asyncio.to_thread(self._sweep, 0.0)

    async def stop(self) -> None:
        """End the calls that ring; those in a dialogue end with it."""
        for call in list(self._calls.values()):
            if not call.opened.is_set():
                _settle(call.rung, CallFailure.SERVICE_DOWN)
                await self._hang_up(call.view.id)
                await self._fail(call.view.id, CallFailure.SERVICE_DOWN)
        self._maker.shutdown(wait=False, cancel_futures=True)

    def connection_lost(self) -> None:
        """Nobody hears any more what becomes of the calls that ring; should one be answered, it is ended."""
        for call in self._calls.values():
            _settle(call.rung, CallFailure.NOT_CONNECTED)

    def take(self, event: Fields) -> bool:
        """Take a live event; return whether it tells of one of the calls."""
        if not self._calls:
            return False
        match self._follower.take(event):
            case StepNews(call_id):
                _settle(self._calls[call_id].rung, None)
            case EndNews(call_id, outcome):
                _settle(self._calls[call_id].rung, _FAILURES.get(outcome, CallFailure.UNREACHABLE))
            case _:
                return False
        return True

    # -- what pages ask ---------------------------------------------------------------------------------------

    async def call(self, call_id: str) -> None:
        """Make a call that a page asked for; return when it is in its dialogue, or over."""
        try:
            view = await asyncio.to_thread(phone_calls.claim, self._database, call_id, utcnow())
            if view is None:
                return
            failure = await self._reach(view)
        except lookup.InvalidLookup as error:  # the hint is a parking place, or whatever else is no phone
            log.warning("studio call %s: there is no phone that can be rung: %s", call_id, error)
            failure = CallFailure.UNREACHABLE
        except AmiRefused as refusal:
            log.error("studio call %s was refused by the exchange: %s", call_id, refusal)
            failure = CallFailure.ORDER_REFUSED
        except AmiError as error:
            log.warning("studio call %s: the exchange does not answer: %s", call_id, error)
            failure = CallFailure.NOT_CONNECTED
        except (SoundError, OSError) as error:
            log.error("studio call %s: what is to be said cannot be spoken: %s", call_id, error)
            failure = CallFailure.NO_SOUND
        except Exception:  # whatever it was: the page must not show a call for ever that nobody sees to
            log.exception("studio call %s broke off", call_id)
            failure = CallFailure.BROKEN_OFF
            if call_id in self._calls:
                await self._hang_up(call_id)
        if failure is not None:
            await self._fail(call_id, failure)

    async def cancel(self, call_id: str) -> None:
        """End a call that a page has cancelled."""
        call = self._calls.get(call_id)
        if call is not None:
            _settle(call.rung, CallFailure.HUNG_UP)  # what is noted already counts for more
            await self._hang_up(call_id)

    async def _reach(self, view: PhoneCallView) -> CallFailure | None:
        """Ring, and return when the dialogue has the call, or nobody wants it any more; or why it cannot."""
        if not self._ami.connected:
            return CallFailure.NOT_CONNECTED
        if not await lookup.has_destination(self._ami, "bazang-studio,s,1"):
            return CallFailure.NO_DIALPLAN
        known = self._snapshot.extensions.get(view.extension)
        devices = known.devices if known is not None and known.devices else (f"PJSIP/{view.extension}",)
        failure = await self._look_at(devices)
        if failure is not None:
            return failure
        script = await self._make(lambda: self._script(view))
        if not await self.tell(view.id, CallState.RINGING):
            return None  # cancelled meanwhile
        rung: asyncio.Future[CallFailure | None] = asyncio.get_running_loop().create_future()
        call = self._calls[view.id] = _Call(view, script, rung)
        await self._dialer.ring(
            view.id, view.extension, "&".join(devices), known.context if known is not None else "", RING
        )
        log.info("studio call %s: ringing %s", view.id, view.extension)
        try:
            async with asyncio.timeout(RING + 2 * GRACE):
                failure = await asyncio.shield(rung)
            if failure is None:
                async with asyncio.timeout(2 * GRACE):
                    await call.opened.wait()
        except TimeoutError:  # nothing was heard of it
            failure = CallFailure.NO_DIALOGUE if rung.done() else CallFailure.NO_ANSWER
            await self._hang_up(view.id)
        if failure is CallFailure.HUNG_UP:  # cancelled by a page, perhaps before there was a channel
            await self._hang_up(view.id)
        return failure

    async def _look_at(self, devices: tuple[str, ...]) -> CallFailure | None:
        """Tell why none of the devices can be rung now."""
        states = {await lookup.device_state(self._ami, device) for device in devices}
        if states <= lookup.NOT_THERE:
            return CallFailure.UNKNOWN_EXTENSION
        if "NOT_INUSE" in states:
            return None
        return CallFailure.UNREACHABLE if states <= lookup.NOT_THERE | {"UNAVAILABLE"} else CallFailure.BUSY

    async def _hang_up(self, call_id: str) -> None:
        try:
            if self._ami.connected:
                await self._dialer.hang_up(call_id)
        except AmiError as error:
            log.warning("studio call %s could not be hung up: %s", call_id, error)

    # -- what the dialogue asks -------------------------------------------------------------------------------

    async def open(self, call_id: str) -> CallScript | None:
        call = self._calls.get(call_id)
        if call is None or call.opened.is_set() or not await self.tell(call_id, CallState.ANSWERED):
            return None
        if call_id not in self._calls:
            return None  # it was given up in this instant
        call.opened.set()
        _settle(call.rung, None)
        return call.script

    async def tell(self, call_id: str, state: CallState) -> bool:
        return await asyncio.to_thread(phone_calls.update_state, self._database, call_id, state, utcnow())

    def new_take(self, call_id: str) -> Sound:
        call = self._calls[call_id]
        self._drop(call)
        call.take = str(uuid.uuid4())
        return Sound(f"{self._settings.asterisk_prompts_dir}/{INBOX}/{call.take}", MAX_RECORDING_SECONDS)

    async def judge(self, call_id: str) -> CallFailure | None:
        return await self._make(lambda: _judge(self._file(self._calls[call_id])))

    async def keep(self, call_id: str) -> CallFailure | None:
        call = self._calls[call_id]
        try:
            return await self._make(lambda: self._keep(call))
        except SoundError as error:
            log.info("studio call %s: %s", call_id, error)
            return CallFailure.SILENCE_ONLY if error.code in ("silence_only", "no_sound") else CallFailure.BROKEN_OFF
        except (OSError, SQLAlchemyError) as error:
            log.error("studio call %s: the recording cannot be kept: %s", call_id, error)
            return CallFailure.CANNOT_WRITE if isinstance(error, OSError) else CallFailure.BROKEN_OFF

    async def close(self, call_id: str, failure: CallFailure | None) -> None:
        if failure is not None:
            await self._fail(call_id, failure)
        self._forget(call_id)

    # -- rows and files ---------------------------------------------------------------------------------------

    async def _fail(self, call_id: str, failure: CallFailure) -> None:
        log.info("studio call %s: %s", call_id, failure)
        advance, now = phone_calls.update_state, utcnow()
        try:
            await asyncio.to_thread(advance, self._database, call_id, CallState.FAILED, now, detail=failure.value)
        except SQLAlchemyError as error:  # the next start of the service puts it right
            log.error("the end of studio call %s cannot be noted: %s", call_id, error)
        self._forget(call_id)

    def _forget(self, call_id: str) -> None:
        call = self._calls.pop(call_id, None)
        self._follower.forget(call_id)
        if call is not None:
            self._drop(call)

    async def _make(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._maker, work)

    def _script(self, view: PhoneCallView) -> CallScript:
        library, language = self._sounds.library, view.language
        with self._database.read() as session:
            voice = speech.load_office_speech(session, library, language)
        clips = {
            key: speech.synthesize_with_fallback(library, default_text(key, language), language, voice)
            for key in PHONE_CALL_KEYS
        }
        tone = self._inbox.parent / "tone.wav"
        if not tone.exists():
            write_tone(tone)
        sounds = {key: Sound(self._sounds.name(clip.path), clip.seconds) for key, clip in clips.items()}
        return CallScript(view.kind, sounds | {TONE: Sound(self._sounds.name(tone), 0.5)})

    def _keep(self, call: _Call) -> None:
        view, library = call.view, self._sounds.library
        # Should somebody have put a link there, it is not followed.
        with os.fdopen(os.open(self._file(call), os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            clip = library.convert(stream, "studio.wav")
        file = recordings.add(
            self._database, library, clip, name=view.name, origin="phone", now=utcnow(), actor=view.created_by
        )
        if not phone_calls.update_state(self._database, view.id, CallState.KEPT, utcnow(), file=file):
            with suppress(Invalid, NotFound):  # it was cancelled in this instant
                recordings.delete(self._database, library, file)

    def _file(self, call: _Call) -> Path:
        return self._inbox / f"{call.take}.wav"

    def _drop(self, call: _Call) -> None:
        if call.take:
            self._file(call).unlink(missing_ok=True)

    def _open_inbox(self) -> None:
        try:
            self._inbox.mkdir(parents=True, exist_ok=True)
            self._inbox.chmod(INBOX_MODE)
        except OSError as error:
            log.error("nothing can be recorded by phone: %s", error)

    def _sweep(self, older_than: float) -> None:
        """Remove what nobody took; what a call has recorded just now stays."""
        wanted = {call.take for call in self._calls.values()}
        with suppress(OSError):
            for path in self._inbox.iterdir():
                if path.stem not in wanted and path.lstat().st_mtime <= time.time() - older_than:
                    path.unlink(missing_ok=True)


def _settle(future: asyncio.Future[CallFailure | None], failure: CallFailure | None) -> None:
    if not future.done():
        future.set_result(failure)


def _judge(file: Path) -> CallFailure | None:
    """Tell what is wrong with a recording as Asterisk wrote it."""
    try:
        clip = read_clip(file)
    except OSError as error:
        log.error("what the exchange recorded cannot be read: %s", error)
        return CallFailure.CANNOT_WRITE
    except SoundError:
        return CallFailure.NOTHING_RECORDED
    if clip.seconds < SHORTEST:
        return CallFailure.NOTHING_RECORDED
    return CallFailure.SILENCE_ONLY if clip.peak_dbfs < QUIET else None
