"""The sounds of the dialogue and of the agent's leg, ready before they are needed and named as Asterisk sees them."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES, age_text, default_text
from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Status
from app.services.prompts import recordings, voice
from app.services.prompts.sounds import make_digit_clip, make_digit_clips, make_prompt_clips
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import Speech
from app.telephony.ivr import DIGITS, ModuleView, Sound

log = logging.getLogger(__name__)
AGENT_PIECES = ("agent_intro", "agent_keys")
UNUSED = timedelta(days=7)  # more than two days, for it is marked once a day what is in use
RENEWAL_SECONDS = 2.0  # that a caller waits for new sounds where there are former ones
Piece = tuple[str, str]  # a language, and the name of a piece or the text of an age


@dataclass(frozen=True)
class _Manner:
    """How announcements are spoken in a language. `recorded`: digit -> file."""

    voice: Speech
    recorded: Mapping[str, str]


@dataclass(frozen=True)
class _Round:
    """What is made as everything has been set since the last change."""

    fresh: set[Piece] = field(default_factory=set)
    manners: dict[str, _Manner] = field(default_factory=dict)  # by language


@dataclass(frozen=True)
class _Needed:
    ages: frozenset[Piece]
    modules: Sequence[int]
    languages: frozenset[str]


class PromptStore:
    """`agent_prompt` does no I/O: all it may play was made by `prepare` before."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self.library = SoundLibrary(settings.prompts_path, settings.voices_path)
        self._pieces: dict[Piece, str] = {}  # -> path; an outdated one is played until the new one is made
        self._round = _Round()
        self._keeping = threading.Lock()  # of these two
        self._views: dict[int, ModuleView] = {}
        self._former: dict[int, ModuleView] = {}  # what callers hear while the new is made for long
        self._seen: object = None  # what all sounds depend on, as it was at the last look
        self._making = threading.Lock()
        self._prepared = False
        # Threads of their own: making speech takes seconds, and calls must not wait for that.
        self._makers = ThreadPoolExecutor(4, thread_name_prefix="speech")

    def name(self, path: Path) -> str:
        """Return a file below PROMPTS_DIR as Asterisk names it: its own folder, no ending."""
        inside = path.relative_to(self._settings.prompts_path).with_suffix("")
        return f"{self._settings.asterisk_prompts_dir}/{inside.as_posix()}"

    def tidy(self) -> int:
        """Remove what was spoken once and is played no more; give the number of files. Blocks.

        To be called once a day. What may be played is marked as used each time, so a file stays for days after it was
        last in use: every call that plays it is over by then.
        """
        views = [*self._views.values(), *self._former.values()]
        played = [sound.path for view in views for sound in (*view.prompts.values(), *view.digits.values()) if sound]
        folder = f"{self._settings.asterisk_prompts_dir}/"
        self.library.mark_used(name.removeprefix(folder) for name in (*self._pieces.values(), *played))
        try:
            return self.library.remove_unused(UNUSED)
        except (SoundError, OSError) as error:
            log.warning("sounds that are not used any more cannot be removed: %s", error)
            return 0

    def close(self) -> None:
        """Begin to make nothing more: who ends must not wait for speech that nobody will hear."""
        self._makers.shutdown(wait=False, cancel_futures=True)

    def forget(self) -> None:
        """Have everything made anew: a module, a recording or a voice has changed.

        Agents hear what was made before until `prepare` has made the new; so do callers, if it takes long.
        """
        self._former |= self._views
        self._views = {}  # a new one: what is being made now is of the module as it was
        with self._keeping:
            self._round = _Round()

    async def module(self, module_id: int) -> ModuleView | None:
        """Return a module as the dialogue needs it, None if there is none. Speech may have to be made."""
        known = self._views.get(module_id)
        if known is not None:
            return await asyncio.to_thread(self._as_it_is_now, known)
        making = asyncio.get_running_loop().run_in_executor(self._makers, self._module_view, module_id)
        former = self._former.get(module_id)
        if former is not None:
            done, _ = await asyncio.wait({making}, timeout=RENEWAL_SECONDS)
            if not done:
                making.add_done_callback(_log_failure)
                return await asyncio.to_thread(self._as_it_is_now, former)
        return await making

    def _as_it_is_now(self, former: ModuleView) -> ModuleView | None:
        """The module with its former sounds: whether it is active or silent holds at once."""
        with self._database.read() as session:
            module = store.load_module(session, former.id)
        if module is None:
            return None
        return replace(former, name=module.name, code=module.code, active=module.active, silent=module.silent)

    def _module_view(self, module_id: int) -> ModuleView | None:
        with self._making:  # several callers at once wait for one making
            return self._views.get(module_id) or self._make_view(module_id)

    def _make_view(self, module_id: int) -> ModuleView | None:
        views = self._views
        with self._database.read() as session:
            module = store.load_module(session, module_id)
            if module is None:
                return None
            manner = voice.load_module_speech(session, self.library, module)
            recorded = recordings.list_digits(session, module.language)
        clips = make_prompt_clips(self._database, self.library, module_id)
        digits = make_digit_clips(self.library, module.language, manner, recorded)
        view = ModuleView(
            id=module.id,
            name=module.name,
            code=module.code,
            active=module.active,
            silent=module.silent,
            language=module.language,
            prompts={key: self._sound(clip) for key, clip in clips.items()},
            digits={digit: self._spoken(clip) for digit, clip in digits.items()},
        )
        views[module_id] = view
        if views is self._views:
            self._former.pop(module_id, None)
        return view

    def _sound(self, clip: Clip | None) -> Sound | None:
        return None if clip is None else self._spoken(clip)

    def _spoken(self, clip: Clip) -> Sound:
        return Sound(self.name(clip.path), clip.seconds)

    def agent_prompt(self, order: DialOrder, now: datetime) -> Sequence[str]:
        """Return the files that tell the agent whose request it is and how old; what is not ready is left out."""
        language = order.language
        minutes = int((now - order.registered_at).total_seconds() // 60)
        wanted = ["agent_intro", *order.spoken, age_text(minutes, language), "agent_keys"]
        return [self._pieces[language, piece] for piece in wanted if (language, piece) in self._pieces]

    @property
    def prepared(self) -> bool:
        """Whether an agent who answers now would be told who it is about, as far as that can be told at all."""
        return self._prepared

    async def prepare(self) -> None:
        """Make the pieces that the waiting requests may need within the next minute, and every module's prompts."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._makers, self._look_for_changes)
        modules = await loop.run_in_executor(self._makers, self._prepare_announcements)
        self._prepared = True
        await loop.run_in_executor(self._makers, self._prepare_modules, modules)

    def _look_for_changes(self) -> None:
        """See by ourselves what changed: whoever changes something tells us, but may find us busy for too long."""
        with self._database.read() as session:
            stored = store_settings.read_all(session)
            seen = (
                {name: value for name, value in stored.items() if name.startswith(("voice_", "rate_", "pitch_"))},
                {language: recordings.list_digits(session, language) for language in LANGUAGES},
                {module.id: module.updated_at for module in store.all_modules(session)},
            )
        if self._seen not in (None, seen):
            self.forget()
        self._seen = seen

    def _prepare_announcements(self) -> Sequence[int]:
        now = self._round  # what is made from here on is of the settings as they are read now
        needed = self._needed(now)
        for language in needed.languages:
            manner = now.manners[language]
            for digit in DIGITS:
                self._make(now, (language, digit), partial(self._digit, digit, language, manner))
            for key in AGENT_PIECES:
                self._make(now, (language, key), partial(self._say, default_text(key, language), language, manner))
        for language, text in needed.ages:
            self._make(now, (language, text), partial(self._say, text, language, now.manners[language]))
        return needed.modules

    def _digit(self, digit: str, language: str, manner: _Manner) -> Clip:
        return make_digit_clip(self.library, digit, language, manner.voice, manner.recorded)

    def _say(self, text: str, language: str, manner: _Manner) -> Clip:
        return voice.synthesize_with_fallback(self.library, text, language, manner.voice)

    def _prepare_modules(self, modules: Sequence[int]) -> None:
        for module_id in modules:
            try:
                self._module_view(module_id)
            except (SoundError, OSError) as error:
                log.error("module %s: a prompt cannot be made: %s", module_id, error)

    def _make(self, now: _Round, piece: Piece, make: Callable[[], Clip]) -> None:
        if piece in now.fresh:
            return
        try:
            path = self.name(make().path)
        except (SoundError, OSError) as error:
            log.error("%r cannot be spoken: %s", piece[1], error)
            return
        with self._keeping:
            # If something changed while this was made, it is better than nothing, but never takes the new one's place.
            if now is self._round or piece not in self._pieces:
                self._pieces[piece] = path
            now.fresh.add(piece)

    def _needed(self, now: _Round) -> _Needed:
        at = datetime.now().astimezone()
        with self._database.read() as session:
            modules = store.all_modules(session)
            office = store_settings.office(session, self._settings).locale
            languages = frozenset({module.language for module in modules} | {office})
            waiting = store.active(session, [Status.WAITING])
            for language in languages - now.manners.keys():
                now.manners[language] = _Manner(
                    voice.load_office_speech(session, self.library, language), recordings.list_digits(session, language)
                )
        ages = {(language, age_text(0, language)) for language in languages}
        for row, module in waiting:
            language = module.language if module is not None else office
            minutes = int((at - row.registered_at).total_seconds() // 60)
            ages |= {(language, age_text(minutes + ahead, language)) for ahead in (0, 1)}
        return _Needed(frozenset(ages), [module.id for module in modules], languages)


def _log_failure(making: asyncio.Future[ModuleView | None]) -> None:
    if not making.cancelled() and (error := making.exception()) is not None:
        log.error("a module's sounds cannot be made: %r", error)
