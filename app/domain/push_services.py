"""The push services of browsers. Nothing else is ever sent to.

The address to which notifications go comes from a browser. So it must be one of a push service that we know, by https
at the usual port, and it must lie outside our networks (`addresses.is_public`).
"""

from urllib.parse import urlsplit

LONGEST_ENDPOINT = 1000
# Chrome, Edge and most others; Firefox; Edge on Windows; Safari. Each with the names below it.
_SERVICES = ("fcm.googleapis.com", "push.services.mozilla.com", "notify.windows.com", "push.apple.com")


def push_service(endpoint: str) -> str | None:
    """Return the host of an endpoint, None if it is not one of a push service that we know."""
    if len(endpoint) > LONGEST_ENDPOINT or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    if parts.scheme != "https" or "@" in parts.netloc or "\\" in endpoint or port not in (None, 443):
        return None
    return host if any(host == name or host.endswith(f".{name}") for name in _SERVICES) else None
