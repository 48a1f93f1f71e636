"""The agent's announcement: the pieces of it, made before a request needs them."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import age_text
from app.audio.spoken_numbers import group_text, number_groups
from app.config import Settings
from app.domain.dial_order import AnnouncementOrder, Confirmation, DialOrder
from app.domain.numbers import national
from app.services.prompts import voice as voices
from app.services.prompts.digits import list_digit_files
from app.services.prompts.input import DEFAULT_PROMPT
from app.services.prompts.sounds import DIGITS, make_clip, make_digit_clip
from app.store import requests as store
from app.store import settings as store_settings
from app.store.configuration import load_configuration
from app.store.database import Database
from app.store.settings import Speech

log = logging.getLogger(__name__)
AGENT_KEYS = ("agent_intro", "agent_intro_waiting", "agent_keys", "agent_keys_waiting")
NEW_GROUPS = 60  # groups of numbers that are made at a time, so that other sounds need not wait for long
# A language, and a digit, a key of AGENT_KEYS, the text of an age, "pause", or the group of a number with a #.
Piece = tuple[str, str]


@dataclass(frozen=True)
class _LanguageSettings:
    """How announcements in a language are spoken. `digit_files`: the recorded digits, which are read one by one."""

    speech: Speech
    digit_files: Mapping[str, str]


@dataclass(frozen=True)
class _Generation:
    """The pieces made since the last reset, and the settings with which they are made, by language."""

    made: set[Piece] = field(default_factory=set)
    settings: dict[str, _LanguageSettings] = field(default_factory=dict)


class Announcements:
    """`agent_prompt` does no I/O: it uses only pieces that `prepare` has made."""

    def __init__(
        self, settings: Settings, database: Database, library: SoundLibrary, asterisk_path: Callable[[Clip], str]
    ) -> None:
        self._settings, self._database, self._library = settings, database, library
        self._asterisk_path = asterisk_path
        self._paths: dict[Piece, str] = {}  # an outdated piece is used until the new one is made
        self._generation = _Generation()
        self._lock = threading.Lock()  # for both

    @property
    def paths(self) -> Sequence[str]:
        """The files of the pieces as Asterisk sees them."""
        return list(self._paths.values())

    def reset(self) -> None:
        """Let the next `prepare` make all pieces again. The old ones are used until then."""
        with self._lock:
            self._generation = _Generation()

    def agent_prompt(self, order: DialOrder, now: datetime) -> Sequence[str]:
        """Return the files that tell the agent the number of a request, the name that its caller has said, and its age.

        They come in the order of the office. Pieces that are not made are left out.
        """
        language, waiting = order.language, "_waiting" if order.customer_first else ""
        minutes = int((now - order.registered_at).total_seconds() // 60)
        parts = {
            AnnouncementOrder.NUMBER: [
                *self._made(language, f"agent_intro{waiting}"),
                *self._number(language, order.spoken),
            ],
            AnnouncementOrder.NAME: [order.spoken_name] if order.spoken_name else [],
            AnnouncementOrder.WAIT: self._made(language, age_text(minutes, language)),
        }
        first = parts.pop(order.announced_first)
        files = [*first, *(file for part in parts.values() for file in part)]
        if order.agent_confirms is Confirmation.KEY:
            files += self._made(language, f"agent_keys{waiting}")
        return files

    def _number(self, language: str, number: str) -> Sequence[str]:
        """Return the files of a number. Recorded digits are read one by one, and so are groups that are not made."""
        settings = self._generation.settings.get(language)
        is_recorded = settings is not None and bool(settings.digit_files)
        files: list[str] = []
        for group in number_groups(number):
            made = [] if is_recorded else self._made(language, f"#{group}")
            if files and not made:
                files += self._made(language, "pause")
            files += made or self._made(language, *group)
        return files

    def _made(self, language: str, *names: str) -> list[str]:
        return [self._paths[language, name] for name in names if (language, name) in self._paths]

    def prepare(self, now: datetime) -> None:
        """Make the pieces that the waiting requests may need within the next minute. Blocks."""
        generation = self._generation  # a reset from here on must not get pieces made with these settings
        ages, numbers = self._load_settings(generation, now)
        for language, settings in list(generation.settings.items()):
            for digit in DIGITS:
                self._make(generation, (language, digit), partial(self._make_digit, digit, language, settings))
            self._make(generation, (language, "pause"), self._library.pause)
            for key in AGENT_KEYS:
                self._make(generation, (language, key), partial(self._make_prompt, key, language, settings))
        for language, text in ages:
            settings = generation.settings[language]
            self._make(generation, (language, text), partial(self._synthesize, text, language, settings))
        missing = [group for group in self._groups(generation, numbers) if group not in generation.made]
        self._make_groups(generation, missing[:NEW_GROUPS])

    def expect(self, module_id: int, number: str) -> None:
        """Make the groups of a number (ASCII digits) that a module has registered. Blocks."""
        with self._database.read() as session:
            module = load_configuration(self._database, session).modules.get(module_id)
        if module is not None:
            self.make_number(module.language, number)

    def has_number(self, language: str, number: str) -> bool:
        """Tell whether a number can be announced at once. Does no I/O."""
        settings = self._generation.settings.get(language)
        if settings is not None and settings.digit_files:
            return True
        return all((language, f"#{group}") in self._paths for group in number_groups(number))

    def make_number(self, language: str, number: str) -> None:
        """Make the groups of a number (ASCII digits). Blocks."""
        generation = self._generation
        if language not in generation.settings:
            with self._database.read() as session:
                self._load_language(session, generation, language)
        self._make_groups(generation, self._groups(generation, [(language, number)]))

    def _groups(self, generation: _Generation, numbers: Iterable[tuple[str, str]]) -> list[Piece]:
        """Return the groups of these numbers that the voice speaks. `numbers`: with their languages."""
        by_voice = [one for one in numbers if not generation.settings[one[0]].digit_files]
        found = ((language, f"#{group}") for language, number in by_voice for group in number_groups(number))
        return list(dict.fromkeys(found))

    def _make_groups(self, generation: _Generation, groups: Iterable[Piece]) -> None:
        for language, name in groups:
            text, settings = group_text(name.removeprefix("#"), language), generation.settings[language]
            self._make(generation, (language, name), partial(self._synthesize, text, language, settings))

    def _load_settings(self, generation: _Generation, now: datetime) -> tuple[set[Piece], list[tuple[str, str]]]:
        """Add the settings of languages that are new in this generation.

        Return the ages that may be spoken soon, and the numbers of the waiting requests with their languages.
        """
        with self._database.read() as session:
            modules = store.all_modules(session)
            office = store_settings.office(session, self._settings)
            waiting = store.registrations(session)
            languages = {module.language for module in modules} | {office.locale}
            for language in languages:
                self._load_language(session, generation, language)
        ages = {(language, age_text(0, language)) for language in languages}
        numbers = []
        of_module = {module.id: module.language for module in modules}
        for module_id, registered_at, number in waiting:
            language = of_module.get(module_id or 0, office.locale)
            minutes = int((now - registered_at).total_seconds() // 60)
            ages |= {(language, age_text(minutes + later, language)) for later in (0, 1)}
            numbers.append((language, national(number, office.region)))
        return ages, numbers

    def _load_language(self, session: Session, generation: _Generation, language: str) -> None:
        if language not in generation.settings:
            speech = voices.agent_speech(voices.load_office_speech(session, self._library, language))
            generation.settings[language] = _LanguageSettings(speech, list_digit_files(session, language))

    def _make_digit(self, digit: str, language: str, settings: _LanguageSettings) -> Clip:
        return make_digit_clip(self._library, digit, language, settings.speech, settings.digit_files)

    def _make_prompt(self, key: str, language: str, settings: _LanguageSettings) -> Clip:
        def make(speech: Speech) -> Clip:
            clip = make_clip(self._library, key, DEFAULT_PROMPT, language, speech)
            assert clip is not None, "these prompts have a default text in every language"
            return clip

        return voices.make_with_fallback(make, settings.speech, key)

    def _synthesize(self, text: str, language: str, settings: _LanguageSettings) -> Clip:
        return voices.synthesize_with_fallback(self._library, text, language, settings.speech)

    def _make(self, generation: _Generation, piece: Piece, make: Callable[[], Clip]) -> None:
        if piece in generation.made:
            return
        try:
            path = self._asterisk_path(make())
        except (SoundError, OSError) as error:
            log.error("cannot make %r of the agent's announcement: %s", piece[1], error)
            return
        with self._lock:
            # After a reset meanwhile, this piece is outdated: it is better than none, but must not replace a new one.
            if generation is self._generation or piece not in self._paths:
                self._paths[piece] = path
            generation.made.add(piece)
