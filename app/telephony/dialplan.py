"""Render the dialplan that Asterisk runs for us, and write its file in one step."""

import hashlib
import os
import re
import string
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.dialplan_names import extension_key, is_extension, queue_extension, queue_extensions
from app.domain.dialplan_numbers import CallerCheck, NumberCheck
from app.domain.hosts import split_hosts
from app.domain.routing import Context, Destination, DestinationKind, Dialplan, OfferPlan, QueuePlan
from app.telephony import variables

_SAFE = re.compile(r"[A-Za-z0-9_*#.+/&@:,-]*")
_SAFE_QUEUE = re.compile(r"[\w\u200c\u200d .-]*")
_SAFE_NUMBER = re.compile(r"(?:[0-9X]|\[[0-9]+\])+")
# The characters of a SIP address that mean nothing in a dial string. The dialplan checks brackets separately.
_CONTACT = f"{string.ascii_letters}{string.digits}-_.!~*'+:;=@%/"
_CONTEXT_CHARACTERS = r"A-Za-z0-9_.\-"  # for FILTER
OWN_CALLS = "bazang-own-calls"  # the context that ends calls of ours that come back to the office
MODE = 0o644  # Asterisk reads the file as another user
KEEP_REMOVED = timedelta(days=1)  # no call is inside a dialogue, a queue or a ringing extension for so long
_REMOVABLE = re.compile(
    r"(?:^; Removed at (?P<removed>[0-9]{1,10})\n)?"
    r"^\[(?P<context>bazang-(?:module|first-offer|(?:plain-)?extension)-[0-9*#]+|bazang-queues)\](?:\(\+\))?\n"
    r"(?P<steps>(?:(?:exten =>| same =>).*\n|\n)*)",
    re.MULTILINE,
)
_ENTRIES = re.compile(r"^\[(bazang-modules|bazang-extensions)\]\n((?:exten =>.*\n|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"Goto\((bazang-(?:modules|extensions|queues),[^,()]+,1)\)")
_QUEUE = re.compile(r"^exten => (?P<name>[A-Za-z0-9_.-]+),(?P<step>[12]),.*\n(?: same => .*\n)*", re.MULTILINE)
# Q.850 causes with which a call without a destination ends, by the names that the template uses
CAUSES = {"NORMAL_CLEARING": 16, "USER_BUSY": 17, "NO_USER_RESPONSE": 19, "CALL_REJECTED": 21, "CONGESTION": 34}


# Created once, because it keeps the compiled template and every poll renders it.
_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    autoescape=False,  # noqa: S701 - no HTML; `_check` checks every value
)


class UnsafeDialplan(ValueError):
    """A value for the dialplan contains a character that has a meaning there."""


@dataclass(frozen=True)
class Rendered:
    """`revision` is a digest of the text, `number_check` one of the part that says which numbers may be dialled."""

    text: str
    revision: str
    number_check: str


def render(plan: Dialplan) -> Rendered:
    """Render the dialplan. Raises UnsafeDialplan."""
    _check(plan)
    extensions = queue_extensions(queue.queue for queue in plan.queues)
    _check_extensions(plan, extensions)
    template = _environment.get_template("dialplan.conf.jinja")
    values = {field.name: getattr(plan, field.name) for field in fields(plan)}
    values |= {"context": Context, "grace": variables.GRACE, "prompt_variables": variables.PROMPT_VARIABLES}
    values |= {"probe": variables.PROBE, "own_calls": OWN_CALLS, "caller_event": variables.CALLER_EVENT, **CAUSES}
    values |= {"ping": variables.PING, "probe_reached": variables.PROBE_REACHED}
    values |= {"probe_unreached": variables.PROBE_UNREACHED, "attempt_path": variables.ATTEMPT_PATH}
    values["facts"] = ",".join(f"${{{name}}}" for name in variables.FACTS)
    values |= {"readable": variables.READABLE, "readable_file": variables.READABLE_FILE}
    values["agi_hosts"] = split_hosts(plan.agi_host)
    values |= {"given_up": variables.GIVEN_UP, "forbid": variables.FORBID}
    values |= {"hold_reason": variables.HOLD_REASON, "release": variables.RELEASE}
    values["queue_extension"] = lambda queue: extensions.get(queue) or queue_extension(queue)
    values |= {"kept_family": variables.KEPT_FAMILY, "kept_most": variables.KEPT_MOST}
    values["commit_seconds"] = variables.COMMIT_SECONDS
    values["offer_pause"] = variables.OFFER_PAUSE
    values["offer_of"] = {offer.queue: offer for offer in plan.offers if offer.key}
    values["contact_characters"] = _CONTACT.replace(";", "\\;")  # a bare ; starts a comment
    values["context_characters"] = _CONTEXT_CHARACTERS
    values["number_check"] = number_check = _digest(repr(plan.numbers))
    draft = template.render(values, revision="")
    revision = _digest(draft)
    return Rendered(template.render(values, revision=revision), revision, number_check)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_extensions(plan: Dialplan, queues: Mapping[str, str]) -> None:
    """Raise UnsafeDialplan if Asterisk would take an extension for something else, or two of a context for one.

    This holds for all names from outside that become extensions. What leads here has checked most of them in words.
    """
    names = {
        Context.MODULES: [module.code for module in plan.modules],
        Context.EXTENSIONS: [extension.extension for extension in plan.extensions],
        Context.QUEUES: list(queues.values()),
    }
    for context, extensions in names.items():
        keys: set[str] = set()
        for extension in extensions:
            if not is_extension(extension) or extension_key(extension) in keys:
                raise UnsafeDialplan(f"no extension of its own in {context}: {extension!r}")
            keys.add(extension_key(extension))


def _check(value: object, safe: re.Pattern[str] = _SAFE) -> None:
    """Raise UnsafeDialplan if any text in a plan is not safe."""
    if isinstance(value, str):
        if not safe.fullmatch(value):
            raise UnsafeDialplan(f"not allowed in the dialplan: {value!r}")
    elif isinstance(value, tuple):
        for item in value:
            _check(item)
    elif isinstance(value, NumberCheck):
        for form in (*value.allowed, *value.emergency):
            _check(form, _SAFE_NUMBER)
    elif isinstance(value, CallerCheck):
        for form in (*value.allowed, *value.refused):
            _check(form.removeprefix("+"), _SAFE_NUMBER)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            _check(getattr(value, name), _SAFE_QUEUE if _is_queue_name(value, name) else _SAFE)


def make_folder(folder: Path) -> None:
    """Create a folder that Asterisk, as another user, can enter whatever the umask is. Raises OSError."""
    for new in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
        new.mkdir(exist_ok=True)
        new.chmod(0o755)


def _is_queue_name(value: object, field: str) -> bool:
    """Tell whether a field of a plan is the name of a queue."""
    if isinstance(value, Destination):
        return field == "code" and value.kind == DestinationKind.QUEUE
    return isinstance(value, QueuePlan | OfferPlan) and field == "queue"


def with_removed(text: str, previous: str, now: datetime) -> str:
    """Return a dialplan with the steps of what was removed from the previous one, for KEEP_REMOVED.

    A call continues at its next step after a reload, and would end if that is gone. No new call gets to these steps:
    nothing leads to the context of a module or an extension, and a queue's extension has no first step. The steps that
    stay lead directly to others, because the entries of those may be removed, too.
    """
    entries = {f"{context},{exten},1": place for context, exten, place in _entries(previous)}
    current = {(context, extension_key(name)) for context, name, *_ in _removable(text)}
    kept = []
    for context, name, removed_at, steps in _removable(previous):
        since = min(removed_at or now, now)
        if (context, extension_key(name)) not in current and since > now - KEEP_REMOVED:
            heading = f"[{context}](+)" if name else f"[{context}]"
            direct = _ENTRY.sub(lambda entry: f"Goto({entries.get(entry[1], entry[1])})", steps)
            kept.append(f"\n; Removed at {int(since.timestamp())}\n{heading}\n{direct}\n")
    return text + "".join(kept)


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the context and extension of each module, extension and queue, and where its steps begin."""
    for context, lines in _ENTRIES.findall(text):
        for exten, place in re.findall(r"^exten => ([^,\n]+),1,Goto\((.+)\)$", lines, re.MULTILINE):
            yield context, exten, place
    for context, name, *_ in _removable(text):
        if name:
            yield context, name, f"{context},{name},2"


def _removable(text: str) -> Iterator[tuple[str, str, datetime | None, str]]:
    """Yield the context, the name of the queue, the moment of removal, and the steps of what can be removed.

    These are modules, extensions and queues. The name is "" except for queues, the moment None if it is not removed.
    """
    for found in _REMOVABLE.finditer(text):
        removed_at = datetime.fromtimestamp(int(found["removed"]), UTC) if found["removed"] else None
        if found["context"] != Context.QUEUES:
            yield found["context"], "", removed_at, found["steps"].strip("\n")
            continue
        for queue in _QUEUE.finditer(found["steps"]):
            steps = queue[0].strip("\n")
            if queue["step"] == "1":
                steps = steps.partition("\n")[2].replace(" same => n", f"exten => {queue['name']},2", 1)
            yield found["context"], queue["name"], removed_at, steps


def write(path: Path, text: str, now: datetime) -> bool:
    """Replace the file and return whether it changed. Asterisk sees the old file or the new one, never a part.

    What was removed since the file was written stays for the calls that are inside it (`with_removed`).
    """
    if path.exists():
        text = with_removed(text, path.read_text(encoding="utf-8", errors="replace"), now)
    if path.exists() and path.read_bytes() == text.encode() and path.stat().st_mode & 0o777 == MODE:
        return False
    make_folder(path.parent)
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
