"""Names as extensions of our dialplan: those that Asterisk takes for something else, and for the same extension.

A name is compared without its dashes. Some names have a meaning: Asterisk goes to them by itself, for example to `h`
when a call ends. One that begins with an underscore is a pattern.
"""

import hashlib
import re
from collections.abc import Iterable

LONGEST = 79  # characters of an extension
_PLAIN = re.compile(rf"[A-Za-z0-9*#.-][A-Za-z0-9*#_.-]{{0,{LONGEST - 1}}}")
# Asterisk uses single letters (a, e, h, i, o, s, t, T) and these words. Bazang leaves all letters to it.
_SPECIAL = re.compile(r"[a-z]?|fax|failed|talk", re.IGNORECASE)
_CODE = re.compile(r"queue[0-9a-f]{12}")


def extension_key(name: str) -> str:
    """Return what Asterisk compares of the name of an extension. Two names with the same key are one extension."""
    return name.replace("-", "")


def is_extension(name: str) -> bool:
    """Tell whether Asterisk takes a name as it is, for an extension that only calls for this name reach."""
    return _PLAIN.fullmatch(name) is not None and _SPECIAL.fullmatch(extension_key(name)) is None


def queue_extension(queue: str) -> str:
    """Return the extension of a queue: its name, or a short code for a name that cannot be one."""
    is_own = is_extension(queue) and _CODE.fullmatch(extension_key(queue)) is None
    return queue if is_own else _code(queue)


def queue_extensions(queues: Iterable[str]) -> dict[str, str]:
    """Return the extension of each queue.

    Of the names that Asterisk takes for the same extension, the first one keeps its name. The others get codes.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for queue in sorted(set(queues)):
        extension = queue_extension(queue)
        if extension_key(extension) in taken:
            extension = _code(queue)
        taken.add(extension_key(extension))
        found[queue] = extension
    return found


def clashing(queue: str, others: Iterable[str]) -> str:
    """Return the first of the other queues whose name Asterisk takes for the same extension, "" if there is none."""
    key = extension_key(queue_extension(queue))
    return next((other for other in sorted(others) if other != queue and extension_key(other) == key), "")


def _code(queue: str) -> str:
    return f"queue-{hashlib.sha256(queue.encode()).hexdigest()[:12]}"
