"""The names that callers say: record them, convert them, and find them for the agent's announcement."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, repeat
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.audio.clip import SoundError
from app.audio.spoken_names import LONGEST
from app.audio.spoken_names import SpokenNames as Folder
from app.services.errors import NotFound
from app.services.requests import spoken_names
from app.store.database import PASSING_FAILURES, Database
from app.store.uptime import uptime
from app.telephony.agi import Sound
from app.worker.background import BackgroundTasks
from app.worker.clock import utcnow
from app.worker.prompts import PromptStore
from app.worker.recording_inbox import RecordingInbox
from app.worker.write_queue import PAUSES

log = logging.getLogger(__name__)
# How long a call waits for a name that is being recorded or converted. It must be shorter than the time after which the
# dispatcher asks the PBX what became of a silent attempt.
WAIT_SECONDS = 1.5
STANDBY_PAUSE = timedelta(hours=1)
ORPHAN_SECONDS = 3600.0  # a file that no request has after this time never gets one


class StandbyCare:
    """Removes the names that were deleted since this machine led. `turn` must be called again and again."""

    def __init__(self, database: Database, root: Path) -> None:
        self._database, self._folder = database, Folder(root)
        self._next = timedelta()  # by the uptime
        self.work = threading.Thread(target=self._remove)

    def turn(self) -> None:
        """Look once an hour. Does not block: the database may not answer."""
        if uptime() >= self._next and not self.work.is_alive():
            self._next = uptime() + STANDBY_PAUSE
            self.work = threading.Thread(target=self._remove, name="names", daemon=True)
            self.work.start()

    def _remove(self) -> None:
        try:
            for file in spoken_names.find_orphans(self._database, self._folder.older_than(ORPHAN_SECONDS)):
                self._folder.remove(file)
        except (SQLAlchemyError, OSError) as error:
            log.warning("cannot remove spoken names: %s", error)


@dataclass
class _Recording:
    """A name being said for a request. `name`: its file in the inbox; `ended`: it is stored, or there is none."""

    request: int
    name: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class SpokenNames:
    """`new_recording`, `keep`, `recover` and `find` run in the event loop, the other methods block."""

    def __init__(
        self, database: Database, sounds: PromptStore, inbox: RecordingInbox, *, tasks: BackgroundTasks
    ) -> None:
        self._database, self._sounds, self._inbox, self._tasks = database, sounds, inbox, tasks
        self._folder = Folder(sounds.library.root)
        self._recordings: dict[str, _Recording] = {}  # by the path as Asterisk sees it
        # Threads of their own: a conversion takes a second, and callers must not wait for it.
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="names")

    def new_recording(self, request: int) -> Sound:
        """Return the file into which Asterisk is to record the name of a request's caller. `keep` must follow."""
        recording = _Recording(request, self._inbox.new_name())
        path = self._inbox.asterisk_path(recording.name)
        self._recordings[path] = recording
        return Sound(path, LONGEST)

    def keep(self, recorded: Sound) -> None:
        """Store what was recorded, in the background. Too short, silent, or nothing at all: there is no name."""
        self._tasks.spawn(self._keep(recorded.path))

    async def recover(self) -> None:
        """Store the names that the previous worker could not store: the database was away, or it ended too soon."""
        unsettled = await asyncio.to_thread(self._folder.unsettled)
        for file, request in unsettled:
            if not await asyncio.to_thread(self._store, request, file, replaces=False):
                await self._store_later(request, file, replaces=False)

    async def _keep(self, path: str) -> None:
        recording = self._recordings[path]
        file, is_settled = "", True
        run = partial(asyncio.get_running_loop().run_in_executor, self._executor)
        try:
            file = await run(self._convert, recording)
            if file:
                is_settled = await run(self._store, recording.request, file)
        finally:
            recording.ended.set()
            del self._recordings[path]
        if not is_settled:
            await self._store_later(recording.request, file)

    def _convert(self, recording: _Recording) -> str:
        """Return the file of the name, "" if there is none."""
        try:
            if self._inbox.check(recording.name) is not None:
                log.info("request %s: the caller said no name", recording.request)
                return ""
            with self._inbox.open(recording.name) as stream:
                return self._folder.convert(stream, recording.request)
        except (SoundError, OSError) as error:
            log.warning("request %s: the spoken name is not kept: %s", recording.request, error)
            return ""
        finally:
            self._inbox.remove(recording.name)

    def _store(self, request: int, file: str, *, replaces: bool = True) -> bool:
        """Store the file, and remove the one that it replaces. If it can never be stored, it is removed itself.

        Return False if the database is away. Whatever ends the worker then, the file and its note stay.
        """
        unused = file
        try:
            unused = spoken_names.save(
                self._database, self._sounds.library.root, request, file, utcnow(), replaces=replaces
            )
            log.info("request %s: the caller said their name", request)
        except PASSING_FAILURES as error:
            log.error("request %s: the spoken name is not stored yet: %s", request, getattr(error, "orig", error))
            return False
        except (SQLAlchemyError, NotFound, OSError) as error:
            log.warning("request %s: the spoken name is not kept: %s", request, error)
        try:
            if unused:
                self._folder.remove(unused)
            self._folder.settle(file, request)
        except OSError as error:
            log.warning("cannot remove spoken names: %s", error)
        return True

    async def _store_later(self, request: int, file: str, *, replaces: bool = True) -> None:
        """Store a file as soon as the database is there."""
        for pause in chain(PAUSES, repeat(PAUSES[-1])):
            await asyncio.sleep(pause)
            if await asyncio.to_thread(self._store, request, file, replaces=replaces):
                return

    async def find(self, request: int) -> str:
        """Return the file with the name of a request's caller as Asterisk sees it, "" if there is none.

        A name that is being said or converted is waited for, for WAIT_SECONDS at most.
        """
        ends = [asyncio.ensure_future(of.ended.wait()) for of in self._recordings.values() if of.request == request]
        if ends:
            _, waiting = await asyncio.wait(ends, timeout=WAIT_SECONDS)
            for end in waiting:
                end.cancel()
        try:
            return await asyncio.to_thread(self._find, request)
        except (SQLAlchemyError, OSError) as error:
            log.error("request %s: cannot find the spoken name: %s", request, error)
            return ""

    def _find(self, request: int) -> str:
        file = spoken_names.find(self._database, request)
        if not file:
            return ""
        self._sounds.stored.fetch(file)  # another worker may have recorded it
        path = self._folder.path(file)
        return self._sounds.asterisk_path(path) if path.is_file() else ""

    def delete_old(self, now: datetime) -> int:
        """Delete the names that are not kept any longer, and the files that no request has. Return how many."""
        files = set(spoken_names.delete_old(self._database, now))
        files |= set(spoken_names.find_orphans(self._database, self._folder.older_than(ORPHAN_SECONDS)))
        try:
            for file in files:
                self._folder.remove(file)
        except OSError as error:
            log.warning("cannot remove spoken names: %s", error)
        return len(files)

    def close(self) -> None:
        """Start no more conversions, so that the worker can end soon."""
        self._executor.shutdown(wait=False, cancel_futures=True)
