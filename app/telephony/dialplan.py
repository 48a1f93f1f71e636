"""Render the dialplan that Asterisk runs for us, and write its file in one step."""

import hashlib
import os
import re
import string
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.routing import Context, Dialplan
from app.telephony import variables

_SAFE = re.compile(r"[A-Za-z0-9_*#.+/&@:,-]*")
# The characters of a SIP address that mean nothing in a dial string. The dialplan checks brackets separately.
_CONTACT = f"{string.ascii_letters}{string.digits}-_.!~*'+:;=@%/"
MODE = 0o644  # Asterisk reads the file as another user
# Q.850 causes with which a call without a destination ends, by the names that the template uses
CAUSES = {"NORMAL_CLEARING": 16, "USER_BUSY": 17, "NO_USER_RESPONSE": 19, "CONGESTION": 34}


class UnsafeDialplan(ValueError):
    """A value for the dialplan contains a character that has a meaning there."""


@dataclass(frozen=True)
class Rendered:
    """`revision` is a digest of the text."""

    text: str
    revision: str


def render(plan: Dialplan) -> Rendered:
    """Render the dialplan. Raises UnsafeDialplan."""
    _check(plan)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - no HTML; `_check` has checked every value
    )
    template = environment.get_template("dialplan.conf.jinja")
    values = {field.name: getattr(plan, field.name) for field in fields(plan)}
    values |= {"context": Context, "grace": variables.GRACE, "prompt_variables": variables.PROMPT_VARIABLES}
    values |= {"probe": variables.PROBE, **CAUSES}
    values["contact_characters"] = _CONTACT.replace(";", "\\;")  # a bare ; starts a comment
    draft = template.render(values, revision="")
    revision = hashlib.sha256(draft.encode()).hexdigest()[:12]
    return Rendered(template.render(values, revision=revision), revision)


def _check(value: object) -> None:
    """Raise UnsafeDialplan if any text in a plan is not safe."""
    if isinstance(value, str):
        if not _SAFE.fullmatch(value):
            raise UnsafeDialplan(f"not allowed in the dialplan: {value!r}")
    elif isinstance(value, tuple):
        for item in value:
            _check(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            _check(getattr(value, name))


def write(path: Path, text: str) -> bool:
    """Replace the file and return whether it changed. Asterisk sees the old file or the new one, never a part."""
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
