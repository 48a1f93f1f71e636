"""By which host names the panel may be opened.

Another name means that somebody lets a name of theirs point to this machine, to reach the panel through the browser of
a person in the office, or to put the name into what the panel writes.
"""

import re
from collections.abc import Collection
from ipaddress import ip_address

# These names exist in the office's own network only. Nobody outside can register them.
_LOCAL_SUFFIXES = (
    *(".local", ".lan", ".home", ".internal", ".intranet", ".corp", ".private"),
    *(".localdomain", ".home.arpa", ".localhost", ".test"),
)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_LONGEST = 253


def host_name(host: str) -> str:
    """Return the name or address in a Host header, without the port. Return "" if it is malformed."""
    if _is_address(host):  # IPv6 without brackets, in the setting
        return host.lower()
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?", host)
    if match is None:
        return ""
    if match[1].startswith("["):
        address = match[1].strip("[]").lower()
        return address if _is_address(address) else ""
    name = match[1].lower().removesuffix(".")
    return name if len(name) <= _LONGEST and _NAME.fullmatch(name) else ""


def is_local(name: str) -> bool:
    """Return whether a name is an address, or exists in the office's own network only."""
    return bool(name) and (_is_address(name) or "." not in name or name.endswith(_LOCAL_SUFFIXES))


def is_listed(name: str, allowed: Collection[str]) -> bool:
    """Return whether a name is in a list. There, `.example.org` means all names below, and `*` any name."""
    return bool(name) and any(
        entry in ("*", name) or (entry.startswith(".") and name.endswith(entry)) for entry in allowed
    )


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def split_hosts(text: str) -> tuple[str, ...]:
    """Return the hosts of a list with commas or spaces between."""
    return tuple(text.replace(",", " ").split())
