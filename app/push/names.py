"""Ask another program for the name that belongs to a number, at an address that is allowed only."""

import http.client
import ssl
from dataclasses import dataclass

from app.domain.name_lookup import NoName, name_from
from app.domain.webhooks import BadUrl, parse_url
from app.push.pinned import PinnedConnection, trusted_authorities
from app.push.webhook import FindAddresses, failure_of, find

TIMEOUT = 3.0  # seconds for each step
LONGEST = 5.0  # seconds for all steps
LARGEST_ANSWER = 16 * 1024  # bytes
_KNOWS_NONE = frozenset({204, 404})


@dataclass(frozen=True)
class Answer:
    """A name, "" if the program knows none. Or `failure`: a code as of push/webhook.py, or `answer` or `too_large`."""

    name: str = ""
    failure: str = ""


class NameSource:
    """Asks for names. `find`, `tls`: others than those of the internet, for tests."""

    def __init__(
        self, find: FindAddresses = find, tls: ssl.SSLContext | None = None, *, longest: float = LONGEST
    ) -> None:
        self._find, self._tls, self._longest = find, tls, longest

    def ask(self, url: str, inside: bool, key: str, field: str) -> Answer:
        """Return the answer of a program. `key` is sent as the header Authorization. Never raises OSError."""
        try:
            return self._ask(url, inside, key, field)
        except BadUrl:
            return Answer(failure="bad_url")
        except ValueError:  # http.client refuses the key as a header
            return Answer(failure="key")
        except (OSError, http.client.HTTPException) as error:
            return Answer(failure=failure_of(error))

    def _ask(self, url: str, inside: bool, key: str, field: str) -> Answer:
        target = parse_url(url, inside=inside)
        addresses = self._find(target.host, target.port, inside)
        tls = (self._tls or trusted_authorities()) if target.scheme == "https" else None
        headers = {"User-Agent": "Bazang", "Accept": "application/json" if field else "text/plain"}
        if key:
            headers["Authorization"] = key
        connection = PinnedConnection(target.host, addresses, tls, timeout=TIMEOUT)
        with connection.for_at_most(self._longest):
            connection.request("GET", target.path, headers=headers)
            response = connection.getresponse()
            if response.status in _KNOWS_NONE:
                return Answer()
            if response.status != 200:
                return Answer(failure=f"http_{response.status}")
            body = response.read(LARGEST_ANSWER + 1)
        if len(body) > LARGEST_ANSWER:
            return Answer(failure="too_large")
        try:
            return Answer(name_from(body, field))
        except NoName:
            return Answer(failure="answer")
