"""Export and import all modules, with the texts of their prompts, and all scenarios as one JSON file.

An import is all or nothing. A module is identified by its code, so the order of modules in the file does not matter and
a file can be imported twice. Modules and scenarios that the file does not name stay as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.library import SoundLibrary
from app.domain.routing import Destination, Situation
from app.services import commands
from app.services.errors import ErrorCode, Invalid
from app.services.modules.input import ModuleInput, audit_fields, from_row
from app.services.modules.save import record_saved, store_module
from app.services.modules.validation import check_module
from app.services.pbx.scenarios import ExtensionInput, QueueInput, store_scenario
from app.services.prompts import recordings
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
    min_wait: _Seconds = 0
    rest: _Seconds = 10
    retries: _Seconds = 2
    retry_pause: _Seconds = 300
    agent_pause: _Seconds = 60
    agent_ring: _Seconds = 20
    customer_ring: _Seconds = 40
    expire_after: _Seconds = 0
    caller_id: _Number = ""
    prompts: dict[_Short, _Prompt] = Field(default_factory=dict)

    def to_input(self) -> ModuleInput:
        values = self.model_dump(exclude={"next", "error", "prompts", "targets"})
        prompts = {key: PromptInput(**prompt.model_dump()) for key, prompt in self.prompts.items()}
        values |= {"next": self.next.to_input(), "error": self.error.to_input()}
        return ModuleInput(**values, targets=tuple(self.targets), prompts=prompts)

    @classmethod
    def of(cls, given: ModuleInput) -> "_Module":
        values = asdict(given) | {"next": _Destination.of(given.next), "error": _Destination.of(given.error)}
        return cls(**values | {"targets": list(given.targets)})


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


class _File(_Strict):
    bazang: Literal[1]
    modules: list[_Module] = Field(default_factory=list)
    extensions: list[_Extension] = Field(default_factory=list)
    queues: list[_Queue] = Field(default_factory=list)


# -- export -----------------------------------------------------------------------------------------------------------


def export_settings(database: Database) -> dict[str, Any]:
    """Return all modules and scenarios, ready for JSON."""
    with database.read() as session:
        modules = session.scalars(select(Module).order_by(Module.code))
        extensions = session.scalars(select(ExtensionScenario).order_by(ExtensionScenario.extension))
        queues = session.scalars(select(QueueScenario).order_by(QueueScenario.queue))
        return _File(
            bazang=1,
            modules=[_Module.of(from_row(row)) for row in modules],
            extensions=[_Extension.of(ExtensionInput.from_row(row)) for row in extensions],
            queues=[_Queue.of(QueueInput.from_row(row)) for row in queues],
        ).model_dump()


# -- import -----------------------------------------------------------------------------------------------------------


def import_settings(database: Database, library: SoundLibrary, content: Any, now: datetime, *, actor: str = "") -> int:
    """Store the modules and scenarios of a file; return how many there are.

    Raises BadFile; then nothing is stored.
    """
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise BadFile([f"{_path_in_file(e['loc'])}: {e['msg']}" for e in error.errors()]) from error
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
        return [
            *self._store_modules([module.to_input() for module in file.modules]),
            *self._store_scenarios("extensions", "extension", [extension.to_input() for extension in file.extensions]),
            *self._store_scenarios("queues", "queue", [queue.to_input() for queue in file.queues]),
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


# -- errors in words --------------------------------------------------------------------------------------------------

_WORDS: Mapping[str, str] = {
    ErrorCode.REQUIRED: "is required",
    ErrorCode.TOO_LONG: "is too long",
    ErrorCode.CHARACTERS: "has characters that cannot be displayed",
    ErrorCode.CODE: "has characters that are not allowed here",
    ErrorCode.NUMBER: "is not a telephone number",
    ErrorCode.RANGE: "is too small or too large",
    ErrorCode.CHOICE: "is not one of the possible values",
    ErrorCode.ONE_QUEUE: "must be one queue",
    ErrorCode.CUSTOM: "must be context,extension,priority",
    ErrorCode.NO_MODULE: "is not the code of a module",
    ErrorCode.CYCLE: "leads back to where it comes from",
    ErrorCode.NO_FILE: "names no recording",
    ErrorCode.IN_USE: "is still used by something else",
}


def _duplicates(name: str, key: str, codes: list[str]) -> list[str]:
    return [f"{name}[{i}].{key}: {code!r} is there twice" for i, code in enumerate(codes) if code in codes[:i]]


def _error_lines(name: str, index: int, errors: Mapping[str, str]) -> list[str]:
    return [f"{name}[{index}].{_path(field)}: {_WORDS.get(code, code)}" for field, code in errors.items()]


def _path(field: str) -> str:
    """Return where the file has a form's field: next_code is next.code."""
    if field.startswith("prompt_"):
        return f"prompts.{field.removeprefix('prompt_')}"
    return re.sub(r"^(.+)_(kind|code)$", r"\1.\2", field) if field not in _Module.model_fields else field


def _path_in_file(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    return path or "the whole file"
