"""Export and import modules with the texts of their prompts, scenarios and pronunciations as one JSON file.

An import is all or nothing. A module is identified by its code, so the order of modules in the file does not matter and
a file can be imported twice. Modules, scenarios and pronunciations that the file does not name stay as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES
from app.audio.pronunciations import BadPronunciation, Pronunciation
from app.domain import module_defaults
from app.domain.hours import AtClosing
from app.domain.routing import Destination, Situation
from app.services import commands
from app.services.errors import ErrorCode, Invalid
from app.services.modules.input import ModuleInput, audit_fields, from_row
from app.services.modules.save import record_saved, store_module
from app.services.modules.validation import check_module
from app.services.pbx.queue_names import find_clashes
from app.services.pbx.scenarios import ExtensionInput, QueueInput, store_scenario
from app.services.prompts import recordings, voice
from app.services.prompts.input import PromptInput, PromptMode
from app.store.database import Database
from app.store.models import ExtensionScenario, Module, QueueScenario


class BadFile(ValueError):
    """The file cannot be imported. `errors` has a line for each error, which begins with its place in the file."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


# -- the file ---------------------------------------------------------------------------------------------------------

# Texts fit their columns and have no NUL, which PostgreSQL cannot store.
_Word = Annotated[str, Field(max_length=8, pattern=r"^[^\x00]*$")]
_Kind = Annotated[str, Field(max_length=16, pattern=r"^[^\x00]*$")]
_Short = Annotated[str, Field(max_length=20, pattern=r"^[^\x00]*$")]
_Number = Annotated[str, Field(max_length=32, pattern=r"^[^\x00]*$")]
_Text = Annotated[str, Field(max_length=80, pattern=r"^[^\x00]*$")]
_FileName = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
_Long = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
_Seconds = Annotated[int, Field(ge=0, le=100_000_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Destination(_Strict):
    kind: _Kind = ""
    code: _Text = ""

    def to_input(self) -> Destination:
        return Destination(self.kind, self.code)

    @classmethod
    def of(cls, destination: Destination) -> "_Destination":
        return cls(kind=str(destination.kind), code=destination.code)


class _Prompt(_Strict):
    mode: _Word = "speech"
    text: _Long = ""
    file: _FileName = ""
    original_name: _FileName = ""


class _Module(_Strict):
    name: _Text
    code: _Short
    target_kind: _Kind
    targets: list[_Text]
    next: _Destination
    error: _Destination
    active: bool = True
    silent: bool = False
    automatic: bool = True
    language: _Word = "fa"
    voice: _Text = ""
    rate: _Seconds | None = None
    pitch: _Seconds | None = None
    min_wait: _Seconds = module_defaults.MIN_WAIT
    rest: _Seconds = module_defaults.REST
    retries: _Seconds = module_defaults.RETRIES
    retry_pauses: list[_Seconds] = Field(default_factory=lambda: list(module_defaults.RETRY_PAUSES))
    busy_pause: _Seconds = module_defaults.BUSY_PAUSE
    agent_pause: _Seconds = module_defaults.AGENT_PAUSE
    agent_ring: _Seconds = module_defaults.AGENT_RING
    customer_ring: _Seconds = module_defaults.CUSTOMER_RING
    agent_confirms: _Word = module_defaults.AGENT_CONFIRMS
    asks_customer: bool = False
    customer_first: bool = False
    office_name: _Text = ""
    expire_after: _Seconds = module_defaults.EXPIRE_AFTER
    hours: Annotated[str, Field(max_length=600, pattern=r"^[^\x00]*$")] = ""
    holidays: bool = True
    outside: _Kind = module_defaults.OUTSIDE
    stop_before: _Seconds = module_defaults.STOP_BEFORE
    at_closing: _Kind = module_defaults.AT_CLOSING
    agent_order: _Kind = module_defaults.AGENT_ORDER
    preferred_for: _Seconds = module_defaults.PREFERRED_FOR
    fallback_after: _Seconds = module_defaults.FALLBACK_AFTER
    fallback: _Destination = _Destination()
    place: _Kind = module_defaults.PLACE
    callers_lead: _Seconds = module_defaults.CALLERS_LEAD
    callers_share: _Seconds = module_defaults.CALLERS_SHARE
    offers_times: bool = False
    quarter_limit: _Seconds = module_defaults.QUARTER_LIMIT
    tells_place: bool = False
    tells_wait: bool = False
    asks_name: bool = False
    keeps_while_down: bool = False
    offer_key: _Word = ""
    offer_after: _Seconds = module_defaults.OFFER_AFTER
    offer_callers: _Seconds = module_defaults.OFFER_CALLERS
    offer_callers_per_agent: _Seconds = module_defaults.OFFER_CALLERS_PER_AGENT
    caller_id: _Number = ""
    prompts: dict[_Short, _Prompt] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read_single_pause(cls, module: Any) -> Any:
        """Read a module of an older version, which had one pause for all retries, also after a busy customer."""
        if not isinstance(module, dict) or "retry_pause" not in module or "retry_pauses" in module:
            return module
        others = {name: value for name, value in module.items() if name != "retry_pause"}
        return {"busy_pause": 0, **others, "retry_pauses": [module["retry_pause"]]}

    @model_validator(mode="before")
    @classmethod
    def _read_carry_over(cls, module: Any) -> Any:
        """Read a module of an older version, which had a switch: what is open at the closing waits, or expires."""
        if not isinstance(module, dict) or not isinstance(module.get("carry_over"), bool) or "at_closing" in module:
            return module
        others = {name: value for name, value in module.items() if name != "carry_over"}
        return others | {"at_closing": (AtClosing.CARRY_OVER if module["carry_over"] else AtClosing.EXPIRE).value}

    def to_input(self) -> ModuleInput:
        values = self.model_dump(exclude={"next", "error", "fallback", "prompts", "targets", "retry_pauses"})
        prompts = {key: PromptInput(**prompt.model_dump()) for key, prompt in self.prompts.items()}
        values |= {name: getattr(self, name).to_input() for name in ("next", "error", "fallback")}
        return ModuleInput(
            **values, targets=tuple(self.targets), retry_pauses=tuple(self.retry_pauses), prompts=prompts
        )

    @classmethod
    def of(cls, given: ModuleInput) -> "_Module":
        destinations = {name: _Destination.of(getattr(given, name)) for name in ("next", "error", "fallback")}
        values = asdict(given) | destinations
        return cls(**values | {"targets": list(given.targets), "retry_pauses": list(given.retry_pauses)})


class _Extension(_Strict):
    extension: _Short
    ring: _Seconds = 25
    no_answer: _Destination = _Destination()
    busy: _Destination = _Destination()
    unavailable: _Destination = _Destination()

    def to_input(self) -> ExtensionInput:
        return ExtensionInput(self.extension, self.ring, {s: getattr(self, s).to_input() for s in Situation})

    @classmethod
    def of(cls, given: ExtensionInput) -> "_Extension":
        destinations: dict[str, Any] = {s.value: _Destination.of(given.destination(s)) for s in Situation}
        return cls(extension=given.extension, ring=given.ring, **destinations)


class _Queue(_Strict):
    queue: _Text
    max_wait: _Seconds = 60
    wrapup: _Seconds = 0
    failed: _Destination = _Destination()

    def to_input(self) -> QueueInput:
        return QueueInput(self.queue, self.max_wait, self.wrapup, self.failed.to_input())

    @classmethod
    def of(cls, given: QueueInput) -> "_Queue":
        failed = _Destination.of(given.failed)
        return cls(queue=given.queue, max_wait=given.max_wait, wrapup=given.wrapup, failed=failed)


class _Pronunciation(_Strict):
    word: _Text
    written_as: _Text


class _File(_Strict):
    bazang: Literal[1]
    modules: list[_Module] = Field(default_factory=list)
    extensions: list[_Extension] = Field(default_factory=list)
    queues: list[_Queue] = Field(default_factory=list)
    pronunciations: dict[_Word, list[_Pronunciation]] = Field(default_factory=dict)


# -- export -----------------------------------------------------------------------------------------------------------


def export_settings(database: Database) -> dict[str, Any]:
    """Return all modules, scenarios and pronunciations, ready for JSON."""
    with database.read() as session:
        modules = session.scalars(select(Module).order_by(Module.code))
        extensions = session.scalars(select(ExtensionScenario).order_by(ExtensionScenario.extension))
        queues = session.scalars(select(QueueScenario).order_by(QueueScenario.queue))
        return _File(
            bazang=1,
            modules=[_Module.of(from_row(row)) for row in modules],
            extensions=[_Extension.of(ExtensionInput.from_row(row)) for row in extensions],
            queues=[_Queue.of(QueueInput.from_row(row)) for row in queues],
            pronunciations={
                language: [_Pronunciation(word=one.word, written_as=one.written_as) for one in found]
                for language, found in voice.load_pronunciations(session).items()
            },
        ).model_dump()


# -- import -----------------------------------------------------------------------------------------------------------


def import_settings(database: Database, library: SoundLibrary, content: Any, now: datetime, *, actor: str = "") -> int:
    """Store the modules and scenarios of a file; return how many there are.

    Raises BadFile; then nothing is stored.
    """
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise BadFile([f"{path_in_file(e['loc'])}: {e['msg']}" for e in error.errors()]) from error
    with database.write() as session:
        errors = _Import(session, library, now, actor).store(file)
        if errors:
            raise BadFile(errors)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)
    return len(file.modules) + len(file.extensions) + len(file.queues)


class _Import:
    """One import within a transaction."""

    def __init__(self, session: Session, library: SoundLibrary, now: datetime, actor: str) -> None:
        self._session, self._library, self._now, self._actor = session, library, now, actor

    def store(self, file: _File) -> list[str]:
        """Store the file's content and return its errors, after which the transaction must not be committed."""
        clashes = find_clashes(self._session)
        return [
            *self._store_modules([module.to_input() for module in file.modules]),
            *self._store_scenarios("extensions", "extension", [extension.to_input() for extension in file.extensions]),
            *self._store_scenarios("queues", "queue", [queue.to_input() for queue in file.queues]),
            *self._store_pronunciations(file.pronunciations),
            *(
                f"{clash.queue!r} {_WORDS[ErrorCode.SAME_EXTENSION]}: {clash.other!r}"
                for clash in find_clashes(self._session)
                if clash not in clashes
            ),
        ]

    def _store_modules(self, modules: list[ModuleInput]) -> list[str]:
        """Store all modules before checking any: a module may point to a later one of the file."""
        rows = [self._store_module(index, module) for index, module in enumerate(modules)]
        errors = _duplicates("modules", "code", [module.code for module in modules])
        for index, (module, row) in enumerate(zip(modules, rows, strict=True)):
            found = check_module(self._session, module, row.id) | self._missing_files(module)
            errors += _error_lines("modules", index, found)
        return errors

    def _store_module(self, index: int, given: ModuleInput) -> Module:
        existing = self._session.scalar(select(Module).where(Module.code == given.code).with_for_update())
        before = audit_fields(from_row(existing)) if existing is not None else {}
        row = existing or Module(created_at=self._now)
        try:
            store_module(self._session, given, row, self._now)
        except Invalid as invalid:  # another transaction has just stored a module with this code
            raise BadFile(_error_lines("modules", index, invalid.errors)) from invalid
        record_saved(self._session, row, before, self._now, actor=self._actor)
        return row

    def _missing_files(self, given: ModuleInput) -> dict[str, str]:
        return {
            f"prompt_{key}.file": f"{prompt.file!r} is not in the folder of the prompts: copy it there first"
            for key, prompt in given.prompts.items()
            if prompt.mode == PromptMode.FILE and not recordings.has_file(self._library, prompt.file)
        }

    def _store_scenarios(self, name: str, key: str, scenarios: list[Any]) -> list[str]:
        errors = _duplicates(name, key, [scenario.code for scenario in scenarios])
        for index, scenario in enumerate(scenarios):
            found = store_scenario(self._session, scenario, now=self._now, actor=self._actor)
            errors += _error_lines(name, index, found)
        return errors

    def _store_pronunciations(self, given: Mapping[str, list[_Pronunciation]]) -> list[str]:
        errors = []
        for language, pronunciations in given.items():
            if language not in LANGUAGES:
                errors.append(f"pronunciations.{language}: {_WORDS[ErrorCode.CHOICE]}")
                continue
            added = [Pronunciation(one.word, one.written_as) for one in pronunciations]
            try:
                voice.add_pronunciations(self._session, language, added, self._now, actor=self._actor)
            except BadPronunciation as error:
                errors.append(f"pronunciations.{language}: {error}")
        return errors


# -- errors in words --------------------------------------------------------------------------------------------------

_WORDS: Mapping[str, str] = {
    ErrorCode.REQUIRED: "is required",
    ErrorCode.TOO_LONG: "is too long",
    ErrorCode.CHARACTERS: "has characters that cannot be displayed",
    ErrorCode.CODE: "has characters that are not allowed here",
    ErrorCode.QUEUE_NAME: "may only have letters, digits, spaces, dots, dashes and underscores",
    ErrorCode.SAME_EXTENSION: "is the same as the name of another queue for the PBX, which ignores dashes",
    ErrorCode.NUMBER: "is not a telephone number",
    ErrorCode.RANGE: "is too small or too large",
    ErrorCode.PAUSES: "must be 1 to 10 pauses from 10 seconds to 7 days",
    ErrorCode.CHOICE: "is not one of the possible values",
    ErrorCode.HOURS: "must be as in: sat 08:00-12:00, 13:00-17:00; sun 08:00-17:00",
    ErrorCode.ONE_QUEUE: "must be one queue",
    ErrorCode.CUSTOM: "must be context,extension,priority",
    ErrorCode.DIALS: "would dial a telephone number",
    ErrorCode.NO_MODULE: "is not the code of a module",
    ErrorCode.CYCLE: "leads back to where it comes from",
    ErrorCode.NO_FILE: "names no recording",
    ErrorCode.NO_QUESTION: "must be played, because customers are asked",
    ErrorCode.OFFERED: "is set, but the callers of this queue are offered another module already",
    ErrorCode.DIGITS: "may only have digits",
    ErrorCode.CONTEXT: "is no name of a context",
    ErrorCode.LAST_ADMINISTRATOR: "would leave no active administrator",
    ErrorCode.TWICE: "has something twice",
    ErrorCode.TAKEN: "is taken",
    ErrorCode.ADDRESS: "is not an address such as sara@example.org",
    ErrorCode.HOST: "is neither a host name nor an address",
    ErrorCode.URL: "is not an address of http or https",
    ErrorCode.INSIDE: "is inside the office, which is not allowed",
    ErrorCode.CERTIFICATE: "has no certificates in PEM",
    ErrorCode.SOMETHING: "is empty, and there is no summary either",
    ErrorCode.ENCRYPT: "must be starttls or tls, because somebody logs in",
    ErrorCode.IN_USE: "is still used by something else",
}


def in_words(code: str) -> str:
    """Return what an error code says, in words that follow the place of the error."""
    return _WORDS.get(code, code.replace("_", " "))


def _duplicates(name: str, key: str, codes: list[str]) -> list[str]:
    return [f"{name}[{i}].{key}: {code!r} is there twice" for i, code in enumerate(codes) if code in codes[:i]]


def _error_lines(name: str, index: int, errors: Mapping[str, str]) -> list[str]:
    return [f"{name}[{index}].{_path(field)}: {in_words(code)}" for field, code in errors.items()]


def _path(field: str) -> str:
    """Return where the file has a form's field: next_code is next.code."""
    if field.startswith("prompt_"):
        return f"prompts.{field.removeprefix('prompt_')}"
    return re.sub(r"^(.+)_(kind|code)$", r"\1.\2", field) if field not in _Module.model_fields else field


def path_in_file(location: tuple[int | str, ...]) -> str:
    """Return the place of an error as people write it: modules[0].next.code."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    return path or "the whole file"
