"""The dialplan that Asterisk runs for us: rendered from the modules and scenarios, written whole or not at all."""

import hashlib
import os
import re
import string
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.telephony import variables

_SAFE = re.compile(r"[A-Za-z0-9_*#.+/&@:,-]*")
# The characters of a SIP address that mean nothing in a dial string. The dialplan checks brackets separately.
_CONTACT = f"{string.ascii_letters}{string.digits}-_.!~*'+:;=@%/"
MODE = 0o644  # Asterisk reads the file as another user
NORMAL_CLEARING, USER_BUSY, NO_USER_RESPONSE, CONGESTION = 16, 17, 19, 34  # Q.850 causes


class UnsafeDialplan(ValueError):
    """A value that is to stand in the dialplan has a character that means something there."""


@dataclass(frozen=True)
class Destination:
    """Where a call goes: `kind` is extension, queue, module, custom or hangup; "" hangs up with `cause`."""

    kind: str = ""
    code: str = ""
    cause: int = NORMAL_CLEARING


@dataclass(frozen=True)
class ModulePlan:
    id: int
    code: str
    next: Destination
    error: Destination


@dataclass(frozen=True)
class ExtensionPlan:
    """`devices` as a hint has them; `own_hint`: the exchange has none, so we give one. `ring` in seconds."""

    extension: str
    devices: str
    hint_context: str
    own_hint: bool
    ring: int
    no_answer: Destination
    busy: Destination
    unavailable: Destination


@dataclass(frozen=True)
class QueuePlan:
    """`max_wait` in seconds."""

    queue: str
    max_wait: int
    failed: Destination


@dataclass(frozen=True)
class Dialplan:
    """Everything that the dialplan is made from."""

    modules: tuple[ModulePlan, ...]
    extensions: tuple[ExtensionPlan, ...]
    queues: tuple[QueuePlan, ...]
    profile: str
    agi_host: str
    agi_port: int
    extension_context: str
    queue_context: str


@dataclass(frozen=True)
class Rendered:
    text: str
    revision: str


def render(plan: Dialplan) -> Rendered:
    """Render the dialplan. Its revision is a digest of its content. Raises UnsafeDialplan."""
    _check(plan)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - no HTML; every value was held against _SAFE
    )
    template = environment.get_template("dialplan.conf.jinja")
    values = {name: getattr(plan, name) for name in plan.__dataclass_fields__}
    values |= {"grace": variables.GRACE, "prompt_variables": variables.PROMPT_VARIABLES, "probe": variables.PROBE}
    values["contact_characters"] = _CONTACT.replace(";", "\\;")  # a bare one begins a comment
    draft = template.render(values, revision="")
    revision = hashlib.sha256(draft.encode()).hexdigest()[:12]
    return Rendered(template.render(values, revision=revision), revision)


def _check(value: object) -> None:
    if isinstance(value, str):
        if not _SAFE.fullmatch(value):
            raise UnsafeDialplan(f"not for a dialplan: {value!r}")
    elif isinstance(value, tuple):
        for item in value:
            _check(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            _check(getattr(value, name))


def write(path: Path, text: str) -> bool:
    """Replace the file in one step; return whether it changed. Asterisk never sees half a dialplan."""
    if path.exists() and path.read_bytes() == text.encode() and path.stat().st_mode & 0o777 == MODE:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".bazang-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), MODE)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True
