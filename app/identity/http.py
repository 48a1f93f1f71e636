"""Requests to the OpenID Connect provider: short, small, and without redirections."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from app.domain.webhooks import may_reach
from app.identity.errors import Unreachable
from app.push.pinned import PinnedConnection, find_addresses

STEP_SECONDS = 3.0
LONGEST = 6.0  # seconds for all steps of a request
LARGEST = 1 << 20  # bytes of an answer


@dataclass(frozen=True)
class Answer:
    """An answer, with the few names that Authlib wants of it."""

    status_code: int
    body: bytes

    def json(self) -> Any:
        """Return the parsed body. Raises ValueError."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("too deep") from error

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise Unreachable(f"HTTP {self.status_code}")


class HttpClient:
    """Sends requests. `ca`: a file with further certificates; "": those that the machine trusts."""

    def __init__(self, ca: str = "") -> None:
        self._ca = ca
        self._tls: ssl.SSLContext | None = None

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Get a page. Raises Unreachable."""
        return self._send("GET", url, None, headers or {})

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> Answer:
        """Post a form, as Authlib's client does it. Raises Unreachable."""
        url, prepared, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return self._send("POST", url, body, prepared)

    def _send(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        try:
            port = parts.port or (443 if secure else 80)
            addresses = find_addresses(parts.hostname or "", port, may_reach=partial(may_reach, inside=True))
            connection = PinnedConnection(
                parts.hostname or "", addresses, self._context() if secure else None, timeout=STEP_SECONDS
            )
            path = parts._replace(scheme="", netloc="", fragment="", path=parts.path or "/").geturl()
            with connection.for_at_most(LONGEST):
                connection.request(method, path, body, {"Accept": "application/json", **headers})
                response = connection.getresponse()
                content = response.read(LARGEST + 1)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unreachable(f"{parts.hostname}: {str(error) or type(error).__name__}") from error
        if len(content) > LARGEST:
            raise Unreachable(f"{parts.hostname}: the answer is too large")
        return Answer(response.status, content)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            if self._ca:
                self._tls.load_verify_locations(self._ca)
        return self._tls
