"""The sounds of the worker: prompts for callers and announcements for agents, made before they are needed."""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from app.audio.clip import SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES
from app.config import Settings
from app.domain.dial_order import DialOrder
from app.services.prompts.digits import list_digit_files
from app.services.prompts.recordings import list_prompt_files
from app.services.sounds import StoredSounds
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.telephony.agi import Sound
from app.telephony.dialer import CustomerSounds
from app.telephony.ivr import ModuleView
from app.worker.announcements import Announcements
from app.worker.module_prompts import ModulePrompts

log = logging.getLogger(__name__)
NUMBER_SECONDS = 1.0
MOST_NEEDED = 3  # numbers that are made for orders within NUMBER_SECONDS
QUIET_SECONDS = 0.2  # without a registration, after which numbers that were registered are spoken, one by one
MOST_EXPECTED = 50
UNUSED_AGE = timedelta(days=7)  # must be more than two days: sounds in use are marked once a day


class PromptStore:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self.stored = StoredSounds(database, settings.prompts_path)
        self.library = SoundLibrary(settings.prompts_path, settings.voices_path, self.stored.fetch)
        # Threads of their own: synthesis takes seconds, and calls must not wait for it.
        self._executor = ThreadPoolExecutor(4, thread_name_prefix="speech")
        self._announcements = Announcements(
            settings, database, self.library, lambda clip: self.asterisk_path(clip.path)
        )
        self._module_prompts = ModulePrompts(
            settings, database, self.library, lambda clip: self.asterisk_path(clip.path), self._executor
        )
        # The last numbers that were registered, each with its module. The others are made when they are needed.
        self._expected: deque[tuple[int, str]] = deque(maxlen=MOST_EXPECTED)
        self._needed: deque[float] = deque(maxlen=MOST_NEEDED + 1)  # when orders needed numbers, loop time
        self._waiting: list[asyncio.Future[Any]] = []  # for these numbers
        self._expecting: asyncio.TimerHandle | None = None  # since the last one
        self._making: asyncio.Future[None] | None = None
        self._inputs: object = None  # the stored values that the sounds depend on, at the last check
        self._wanted = object()  # changes when the sounds must be made again
        self._made: object = None  # the value of _wanted for which the sounds that customers hear are made
        self._agents_prepared = False  # agents may hear outdated sounds, but not none

    def asterisk_path(self, path: Path) -> str:
        """Return a file below PROMPTS_DIR as Asterisk names it: in its own folder, without the extension."""
        inside = path.relative_to(self._settings.prompts_path).with_suffix("")
        return f"{self._settings.asterisk_prompts_dir}/{inside.as_posix()}"

    # -- sounds for calls -------------------------------------------------------------------------------------

    @property
    def prepared(self) -> bool:
        """Whether the sounds for agents and customers are made, as far as they can be made at all.

        After a change it is false until the sounds of customers are made: a question that was added must be asked.
        """
        return self._agents_prepared and self._made is self._wanted

    def agent_prompt(self, order: DialOrder, now: datetime) -> Sequence[str]:
        """Return the files that tell the agent the request's number and age. Does no I/O."""
        return self._announcements.agent_prompt(order, now)

    def customer_sounds(self, order: DialOrder) -> CustomerSounds:
        """Return the sounds for the customer. Does no I/O."""
        question = self._module_prompts.path(order.module, "ask_customer") if order.asks_customer else ""
        if order.asks_customer and not question:
            log.error("attempt %s: the customer is not asked, because the prompt for it is missing", order.attempt)
        if not order.customer_first:
            return CustomerSounds(question)
        greeting, apology = (self._module_prompts.path(order.module, key) for key in ("greet_customer", "apology"))
        return CustomerSounds(question, greeting, apology)

    async def load_module(self, module_id: int) -> ModuleView | None:
        """Return a module with its prompts, None if it does not exist. Its prompts may have to be made first."""
        return await self._module_prompts.load(module_id)

    def were_made(self, module_ids: Collection[int]) -> bool:
        """Tell whether callers of these modules need not wait for sounds that were never made. Does no I/O."""
        return self._module_prompts.were_made(module_ids)

    async def speak(self, module_id: int, text: str) -> Sound | None:
        """Return a text in the voice of a module, None if it cannot be spoken."""
        return await self._module_prompts.speak(module_id, text)

    async def read_out(self, module_id: int, number: str) -> Sequence[Sound]:
        """Return a number as a module reads it out to callers; empty if it cannot be spoken."""
        return await self._module_prompts.read_out(module_id, number)

    def expect(self, module_id: int, number: str) -> None:
        """Make in the background what agents hear of a number that was just registered.

        While callers register it is not made: synthesis would take the processor from them. If an agent is free
        sooner, `prepare_number` makes it.
        """
        self._expected.append((module_id, number))
        if self._expecting is not None:
            self._expecting.cancel()
        self._expecting = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._begin_expected)

    def _begin_expected(self) -> None:
        self._expecting = None
        if self._making is None:
            self._make_next_expected()

    def _make_next_expected(self) -> None:
        """Make one number, and then the next one, unless another caller has come meanwhile."""
        if self._expecting is not None or not self._expected:
            return
        with suppress(RuntimeError):  # the worker ends
            self._making = asyncio.get_running_loop().run_in_executor(
                self._executor, self._announcements.expect, *self._expected.popleft()
            )
            self._making.add_done_callback(self._end_expected)

    def _end_expected(self, made: asyncio.Future[None]) -> None:
        self._making = None
        _log_failure(made)
        self._make_next_expected()

    async def prepare_number(self, order: DialOrder) -> None:
        """Make what the agent hears of the number of an order, within a second; else they hear its digits.

        A request that somebody adds in the panel may be dialled at once. If many numbers are needed at once, nobody
        waits for any: the phones of many agents would ring late. Orders keep their order.
        """
        if self._announcements.has_number(order.language, order.spoken):
            return
        loop = asyncio.get_running_loop()
        self._needed.append(loop.time())
        if len(self._needed) > MOST_NEEDED and loop.time() - self._needed[0] < NUMBER_SECONDS:
            waiting = list(self._waiting)
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            return
        make = partial(self._announcements.make_number, order.language, order.spoken)
        with suppress(RuntimeError):  # the worker ends
            making = loop.run_in_executor(self._executor, make)
            making.add_done_callback(_log_failure)
            waiting_for_it = asyncio.ensure_future(asyncio.wait({making}, timeout=NUMBER_SECONDS))
            self._waiting.append(waiting_for_it)
            try:
                await asyncio.wait({waiting_for_it})
            finally:
                self._waiting.remove(waiting_for_it)

    # -- preparation ------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Let all sounds be made again, since a module, a recording or a voice has changed.

        Agents hear the old sounds until `prepare` has made the new ones. So do callers, if it takes long.
        """
        self._wanted = object()
        self._module_prompts.reset()
        self._announcements.reset()

    async def prepare(self, now: datetime) -> None:
        """Make what the waiting requests may need within the next minute, then the prompts of all modules.

        If the sounds are reset meanwhile, they must be prepared once more.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._reset_if_changed)
        wanted = self._wanted
        await loop.run_in_executor(self._executor, lambda: self._module_prompts.prepare(for_customers=True))
        if wanted is self._wanted:
            self._made = wanted
        await loop.run_in_executor(self._executor, self._announcements.prepare, now)
        self._agents_prepared = True
        await loop.run_in_executor(self._executor, self._module_prompts.prepare)

    def _reset_if_changed(self) -> None:
        """Find changes without the panel's command: it may have expired while the worker was busy.

        Also make the sounds again when a recording has come that was needed and could not be had.
        """
        if self.stored.fetch_lacking():
            self.reset()
        with self._database.read() as session:
            stored = store_settings.read_all(session)
            names = ("voice_", "rate_", "pitch_", "pronunciations_")
            inputs = (
                {name: value for name, value in stored.items() if name.startswith(names)},
                {language: list_digit_files(session, language) for language in LANGUAGES},
                {language: list_prompt_files(session, language) for language in LANGUAGES},
                {module.id: module.updated_at for module in store.all_modules(session)},
            )
        if self._inputs not in (None, inputs):
            self.reset()
        self._inputs = inputs

    # -- clean-up ---------------------------------------------------------------------------------------------

    def remove_unused(self) -> int:
        """Remove synthesized sounds that were not used for UNUSED_AGE; return their number. Blocks.

        Call it once a day. Each time it marks the sounds that can be played as used, so a file stays for days after its
        last use. By then every call that plays it is over.
        """
        folder = f"{self._settings.asterisk_prompts_dir}/"
        paths = (*self._announcements.paths, *self._module_prompts.paths)
        self.library.mark_used(path.removeprefix(folder) for path in paths)
        try:
            return self.library.remove_unused(UNUSED_AGE)
        except (SoundError, OSError) as error:
            log.warning("cannot remove unused sounds: %s", error)
            return 0

    def close(self) -> None:
        """Start no more synthesis, so that the worker can end soon."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._module_prompts.close()


def _log_failure(making: asyncio.Future[None]) -> None:
    if not making.cancelled() and (error := making.exception()) is not None:
        log.error("cannot make the groups of a number: %r", error)
