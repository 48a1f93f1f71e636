"""The modules with their prompts as the dialogue with callers needs them."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime

from app.audio.clip import Clip, SoundError
from app.audio.library import OFFERS, WHILE_DOWN, SoundLibrary
from app.config import Settings
from app.domain.hours import Hours
from app.services.modules import while_down
from app.services.modules.offers import is_offered, offer_file
from app.services.prompts.digits import list_digit_files
from app.services.prompts.sounds import make_digit_clips, make_module_clips, make_readout
from app.services.prompts.voice import load_module_speech, synthesize_with_fallback
from app.services.requests.outside import find_outside
from app.store import requests as store
from app.store import settings as store_settings
from app.store.configuration import load_configuration
from app.store.database import Database
from app.store.hours import make_hours
from app.store.models import Module
from app.telephony.agi import Sound
from app.telephony.ivr import ModuleView
from app.worker.at_once import AtOnce
from app.worker.clock import utcnow

log = logging.getLogger(__name__)
RENEWAL_SECONDS = 2.0  # how long a caller waits for new sounds if there are old ones


class ModulePrompts:
    """`executor`: runs the synthesis, which takes seconds."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        library: SoundLibrary,
        asterisk_path: Callable[[Clip], str],
        executor: Executor,
    ) -> None:
        self._settings, self._database, self._library, self._executor = settings, database, library, executor
        self._asterisk_path = asterisk_path
        self._modules: dict[int, ModuleView] = {}
        self._outdated: dict[int, ModuleView] = {}  # callers hear these if the new ones take long
        self._making: dict[int, threading.Lock] = {}  # by module: no caller waits for the prompts of another one
        self._tried: set[int] = set()
        self._present = AtOnce(self._update, "modules")

    @property
    def paths(self) -> Sequence[str]:
        """The files of all prompts as Asterisk sees them, the outdated ones included."""
        modules = [*self._modules.values(), *self._outdated.values()]
        sounds = [sound for module in modules for sound in (*module.prompts.values(), *module.digits.values())]
        return [sound.path for sound in sounds if sound is not None]

    def were_made(self, module_ids: Collection[int]) -> bool:
        """Tell whether the prompts of these modules were made since the start, or could not be made. Does no I/O."""
        return self._tried.issuperset(module_ids)

    def close(self) -> None:
        """End the thread of its own when it has nothing to do."""
        self._present.close()

    def reset(self) -> None:
        """Let the prompts of all modules be made again."""
        self._outdated |= self._modules
        self._modules = {}  # a new dictionary: prompts that are being made now are outdated, too

    async def load(self, module_id: int) -> ModuleView | None:
        """Return a module with its prompts, None if it does not exist. Its prompts may have to be made first."""
        view = self._modules.get(module_id) or await self._make_or_wait(module_id)
        return await self._present.ask(view) if view is not None else None

    async def _make_or_wait(self, module_id: int) -> ModuleView | None:
        making = asyncio.get_running_loop().run_in_executor(self._executor, self._find_or_make, module_id)
        outdated = self._outdated.get(module_id)
        if outdated is not None:
            done, _ = await asyncio.wait({making}, timeout=RENEWAL_SECONDS)
            if not done:
                making.add_done_callback(_log_failure)
                return outdated
        return await making

    async def speak(self, module_id: int, text: str) -> Sound | None:
        """Return a text in the voice of a module, None if it cannot be spoken. It may have to be synthesized first."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._speak, module_id, text)

    def _speak(self, module_id: int, text: str) -> Sound | None:
        with self._database.read() as session:
            module = store.load_module(session, module_id)
            if module is None:
                return None
            language, speech = module.language, load_module_speech(session, self._library, module)
        try:
            return self._sound(synthesize_with_fallback(self._library, text, language, speech))
        except (SoundError, OSError) as error:
            log.error("cannot speak %r: %s", text, error)
            return None

    async def read_out(self, module_id: int, number: str) -> Sequence[Sound]:
        """Return a number (ASCII digits) as a module reads it out; empty if it cannot be spoken."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read_out, module_id, number)

    def _read_out(self, module_id: int, number: str) -> Sequence[Sound]:
        with self._database.read() as session:
            module = store.load_module(session, module_id)
            if module is None:
                return []
            language, speech = module.language, load_module_speech(session, self._library, module)
            files = list_digit_files(session, language)
        try:
            return [self._sound(clip) for clip in make_readout(self._library, number, language, speech, files)]
        except (SoundError, OSError) as error:
            log.error("cannot read out a number in groups: %s", error)
            return []

    def path(self, module_id: int | None, key: str) -> str:
        """Return the file of a module's prompt, "" if there is none. Does no I/O."""
        view = None if module_id is None else self._modules.get(module_id) or self._outdated.get(module_id)
        sound = view.prompts.get(key) if view is not None else None
        return sound.path if sound is not None else ""

    def prepare(self, *, for_customers: bool = False) -> None:
        """Make the prompts of all modules that are not made yet, or of those whose customers hear some. Blocks."""
        with self._database.read() as session:
            modules = store.all_modules(session)
            heard = {module.id for module in modules if module.asks_customer or module.customer_first}
            module_ids = [module.id for module in modules if module.id in heard or not for_customers]
            offered = [offer_file(module.id) for module in modules if is_offered(module)]
            heard_while_down = [file for module in modules for file in while_down.sound_files(module).values()]
        for module_id in module_ids:
            try:
                self._find_or_make(module_id)
            except (SoundError, OSError) as error:
                log.error("cannot make the prompts of module %s: %s", module_id, error)
        self._library.keep_published(OFFERS, offered)
        self._library.keep_published(WHILE_DOWN, heard_while_down)

    def _update(self, views: Sequence[ModuleView]) -> list[ModuleView | None]:
        """Return each view with the module's present state, also while its sounds are old; None if it is gone."""
        now = utcnow()
        with self._database.read() as session:
            configuration = load_configuration(self._database, session)
            office = store_settings.office(session, self._settings, configuration.settings)
        days, modules = configuration.special_days, configuration.modules
        hours = make_hours(office.timezone, office.region, configuration.settings, days, now)
        updated: dict[int, ModuleView | None] = {}  # many callers come to the same module
        for view in views:
            if id(view) not in updated:
                module = modules.get(view.id)
                updated[id(view)] = None if module is None else _with_state(view, module, hours.of(module), now)
        return [updated[id(view)] for view in views]

    def _find_or_make(self, module_id: int) -> ModuleView | None:
        with self._making.setdefault(module_id, threading.Lock()):  # several callers wait for the same prompts
            try:
                return self._modules.get(module_id) or self._make(module_id)
            finally:
                self._tried.add(module_id)

    def _make(self, module_id: int) -> ModuleView | None:
        modules = self._modules
        with self._database.read() as session:
            module = store.load_module(session, module_id)
            if module is None:
                return None
            speech = load_module_speech(session, self._library, module)
            digit_files = list_digit_files(session, module.language)
        prompts = make_module_clips(self._database, self._library, module_id)
        published = [(OFFERS, "offer", offer_file(module_id))] if is_offered(module) else []
        published += [(WHILE_DOWN, key, file) for key, file in while_down.sound_files(module).items()]
        for folder, key, file in published:
            clip = prompts.get(key)
            if clip is not None:
                self._library.publish(folder, file, clip)
        digits = make_digit_clips(self._library, module.language, speech, digit_files)
        view = ModuleView(
            id=module.id,
            name=module.name,
            code=module.code,
            active=module.active,
            silent=module.silent,
            language=module.language,
            prompts={key: None if clip is None else self._sound(clip) for key, clip in prompts.items()},
            digits={digit: self._sound(clip) for digit, clip in digits.items()},
            offers_times=module.offers_times,
            tells_prospect=module.tells_place or module.tells_wait,
            asks_name=module.asks_name,
        )
        modules[module_id] = view
        if modules is self._modules:
            self._outdated.pop(module_id, None)
        else:  # a reset meanwhile: this view is outdated, but better than none
            self._outdated.setdefault(module_id, view)
        return view

    def _sound(self, clip: Clip) -> Sound:
        return Sound(self._asterisk_path(clip), clip.seconds)


def _with_state(view: ModuleView, module: Module, hours: Hours, now: datetime) -> ModuleView:
    """Return a view with the name, the code and the state of its module."""
    return replace(
        view,
        name=module.name,
        code=module.code,
        active=module.active,
        silent=module.silent,
        outside=find_outside(module, hours, now),
        offers_times=view.offers_times and module.offers_times,  # old sounds may not offer it
        tells_prospect=module.tells_place or module.tells_wait,
        asks_name=view.asks_name and module.asks_name,
    )


def _log_failure(making: asyncio.Future[ModuleView | None]) -> None:
    if not making.cancelled() and (error := making.exception()) is not None:
        log.error("cannot make a module's prompts: %r", error)
