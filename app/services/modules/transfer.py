"""The office's modules, with their prompts' texts, and scenarios as one JSON file.

Taking a file in is all or nothing. Modules are known by their code, so their order in the file does not matter and a
file can be taken in twice. What the file does not name stays as it is.
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
from app.services import commands
from app.services.errors import Invalid
from app.services.modules import save as modules
from app.services.modules.save import SITUATIONS, ModuleInput
from app.services.pbx import scenarios
from app.services.prompts import recordings
from app.services.prompts.input import PromptInput
from app.store.database import Database
from app.store.models import ExtensionScenario, Module, QueueScenario


class BadFile(ValueError):
    """The file cannot be taken in: `errors` has a line per fault, each with its place in the file."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


# Nothing longer than its column, and no NUL, which PostgreSQL cannot keep.
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

    @property
    def pair(self) -> tuple[str, str]:
        return (self.kind, self.code)


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


class _Extension(_Strict):
    extension: _Short
    ring: _Seconds = 25
    no_answer: _Destination = _Destination()
    busy: _Destination = _Destination()
    unavailable: _Destination = _Destination()


class _Queue(_Strict):
    queue: _Text
    max_wait: _Seconds = 60
    wrapup: _Seconds = 0
    failed: _Destination = _Destination()


class _File(_Strict):
    bazang: Literal[1]
    modules: list[_Module] = Field(default_factory=list)
    extensions: list[_Extension] = Field(default_factory=list)
    queues: list[_Queue] = Field(default_factory=list)


def export_settings(database: Database) -> dict[str, Any]:
    """Return all modules and scenarios, as JSON has them."""
    with database.read() as session:
        return _File(
            bazang=1,
            modules=[_module(m) for m in session.scalars(select(Module).order_by(Module.code))],
            extensions=[
                _Extension(
                    extension=e.extension,
                    ring=e.ring,
                    **{s: _Destination(kind=getattr(e, f"{s}_kind"), code=getattr(e, f"{s}_code")) for s in SITUATIONS},
                )
                for e in session.scalars(select(ExtensionScenario).order_by(ExtensionScenario.extension))
            ],
            queues=[
                _Queue(
                    queue=q.queue,
                    max_wait=q.max_wait,
                    wrapup=q.wrapup,
                    failed=_Destination(kind=q.failed_kind, code=q.failed_code),
                )
                for q in session.scalars(select(QueueScenario).order_by(QueueScenario.queue))
            ],
        ).model_dump()


def _module(row: Module) -> _Module:
    values = asdict(modules.as_input(row))
    for side in ("next", "error"):
        values[side] = {"kind": values.pop(f"{side}_kind"), "code": values.pop(f"{side}_code")}
    values["targets"] = list(values["targets"])
    return _Module(**values)


def import_settings(database: Database, library: SoundLibrary, content: Any, now: datetime, *, actor: str = "") -> int:
    """Store what a file has; return how many modules and scenarios it had. Raises BadFile; then nothing is stored."""
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise BadFile([f"{_place(e['loc'])}: {e['msg']}" for e in error.errors()]) from error
    with database.write() as session:
        errors = _Intake(session, library, now, actor).take(file)
        if errors:
            raise BadFile(errors)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)
    return len(file.modules) + len(file.extensions) + len(file.queues)


class _Intake:
    def __init__(self, session: Session, library: SoundLibrary, now: datetime, actor: str) -> None:
        self._session, self._library, self._now, self._actor = session, library, now, actor

    def take(self, file: _File) -> list[str]:
        """Store first and check afterwards: a module may point to one that comes later in the file."""
        given = [_input(module) for module in file.modules]
        rows = [self._store(index, module) for index, module in enumerate(given)]
        errors = _twice("modules", "code", [module.code for module in given])
        for index, (module, row) in enumerate(zip(given, rows, strict=True)):
            faults = modules.check(self._session, module, row.id) | self._lost_files(module)
            errors += _faults_of_module(index, faults)
        errors += _twice("extensions", "extension", [extension.extension for extension in file.extensions])
        for index, extension in enumerate(file.extensions):
            ways = {s: getattr(extension, s).pair for s in SITUATIONS}
            scenario = scenarios.ExtensionInput(extension.extension, extension.ring, ways)
            before = scenarios.extension_fields(self._session, extension.extension)
            faults = scenarios.store_extension(self._session, scenario)
            scenarios.note_extension(self._session, extension.extension, before, self._now, actor=self._actor)
            errors += [f"extensions[{index}].{_inside(name)}: {_words(code)}" for name, code in faults.items()]
        errors += _twice("queues", "queue", [queue.queue for queue in file.queues])
        for index, queue in enumerate(file.queues):
            before = scenarios.queue_fields(self._session, queue.queue)
            faults = scenarios.store_queue(
                self._session,
                scenarios.QueueInput(queue.queue, queue.max_wait, queue.wrapup, queue.failed.pair),
            )
            scenarios.note_queue(self._session, queue.queue, before, self._now, actor=self._actor)
            errors += [f"queues[{index}].{_inside(name)}: {_words(code)}" for name, code in faults.items()]
        return errors

    def _store(self, index: int, given: ModuleInput) -> Module:
        known = self._session.scalar(select(Module).where(Module.code == given.code).with_for_update())
        before = modules.as_fields(modules.as_input(known)) if known is not None else {}
        row = known or Module(created_at=self._now)
        try:
            modules.store(self._session, given, row, self._now)
        except Invalid as invalid:  # somebody else made it in this instant
            raise BadFile(_faults_of_module(index, invalid.errors)) from invalid
        modules.note_saved(self._session, row, before, self._now, actor=self._actor)
        return row

    def _lost_files(self, given: ModuleInput) -> dict[str, str]:
        lost = {}
        for key, prompt in given.prompts.items():
            if prompt.mode == "file" and not recordings.has_file(self._library, prompt.file):
                lost[f"prompt_{key}.file"] = f"{prompt.file!r} is not in the prompts' folder: copy it there first"
        return lost


def _input(module: _Module) -> ModuleInput:
    values = module.model_dump(exclude={"next", "error", "prompts", "targets"})
    return ModuleInput(
        **values,
        targets=tuple(module.targets),
        next_kind=module.next.kind,
        next_code=module.next.code,
        error_kind=module.error.kind,
        error_code=module.error.code,
        prompts={key: PromptInput(**prompt.model_dump()) for key, prompt in module.prompts.items()},
    )


def _twice(name: str, key: str, codes: list[str]) -> list[str]:
    return [f"{name}[{i}].{key}: {code!r} stands there twice" for i, code in enumerate(codes) if code in codes[:i]]


def _faults_of_module(index: int, faults: Mapping[str, str]) -> list[str]:
    return [f"modules[{index}].{_inside(name)}: {_words(code)}" for name, code in faults.items()]


def _inside(name: str) -> str:
    """Return the place of a form's field in the file: next_code stands there as next.code."""
    if name.startswith("prompt_"):
        return f"prompts.{name.removeprefix('prompt_')}"
    return re.sub(r"^(.+)_(kind|code)$", r"\1.\2", name) if name not in _Module.model_fields else name


def _words(code: str) -> str:
    return _WORDS.get(code, code)


_WORDS = {
    "required": "must not be empty",
    "too_long": "too long",
    "characters": "has characters that cannot be shown",
    "code": "has characters that are not allowed here",
    "number": "is no telephone number",
    "range": "too small or too large",
    "choice": "is none of those that there are",
    "one_queue": "must be one queue",
    "custom": "must be context,extension,priority",
    "no_module": "there is no module of this code",
    "cycle": "leads back to where it comes from",
    "no_file": "names no recording",
    "in_use": "something else leads to it",
}


def _place(location: tuple[int | str, ...]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    return place or "the whole file"
