"""Forms of websites: from which origins they may be sent, and the puzzle that a visitor's browser solves.

A puzzle costs a robot computing time for each request, and a visitor nothing but a second or two while they type.
"""

import re
from collections.abc import Collection
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

LONGEST_ORIGIN = 300
PUZZLE_SIZE = 50_000  # the secret number of a puzzle is smaller; on average, half as many digests are computed
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def parse_origin(text: str) -> str:
    """Return an origin as browsers write it in the header Origin: https://www.example.org. Raises ValueError.

    It must be https. http is for this machine only, where somebody builds the website.
    """
    text = text.strip()
    if not 0 < len(text) <= LONGEST_ORIGIN or not text.isprintable():
        raise ValueError("no origin")
    parts = urlsplit(text)
    host, port = parts.hostname or "", parts.port
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc or "?" in text:
        raise ValueError("more than an origin")
    host = _ascii_host(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ValueError("not https")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def origin_of(url: str) -> str:
    """Return the origin of a page, or "" if it has none that may be allowed."""
    try:
        parts = urlsplit(url)
        return parse_origin(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return ""


def is_allowed(origin: str, allowed: Collection[str]) -> bool:
    """Tell whether a header Origin is one of these origins, letter by letter. "null" and "" never are."""
    return bool(origin) and origin != "null" and origin in allowed


def _ascii_host(host: str) -> str:
    """Return a host name in ASCII: browsers send names with Persian letters so. Raises ValueError."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    name = host.encode("idna").decode("ascii") if host else ""  # UnicodeError is a ValueError
    if not _HOST.fullmatch(name):
        raise ValueError("no host")
    return name


def _is_this_machine(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")


def puzzle_digest(salt: str, number: int) -> str:
    """Return the digest from which a browser finds out the number."""
    return sha256(f"{salt}:{number}".encode()).hexdigest()
