"""The part of every address before the panel's own path, for a panel that is not at the root of its host."""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from app.config import EXCHANGE_CODE, FIRST_EXCHANGE

EXCHANGE = "bazang.exchange"  # the code of the exchange in the environment of WSGI
_OF_EXCHANGE = re.compile(rf"/x/({EXCHANGE_CODE})(?=/|$)")
log = logging.getLogger(__name__)
_HEADER = "HTTP_X_FORWARDED_PREFIX"

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class UrlPrefix:
    """WSGI middleware that sets the prefix, and cuts it off the path if the reverse proxy has not.

    The prefix comes from a setting. A header would let a visitor put links to another host into cached pages.
    """

    def __init__(self, app: WsgiApp, prefix: str) -> None:
        self._app, self._prefix, self._has_warned = app, prefix, False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._prefix:
            path = str(environ.get("PATH_INFO", ""))
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
            environ["SCRIPT_NAME"] = self._prefix
        if _HEADER in environ and not self._has_warned and environ[_HEADER].strip("/") != self._prefix.strip("/"):
            self._has_warned = True
            log.warning("X-Forwarded-Prefix is ignored; set BAZANG_URL_PREFIX if the panel is not at the root")
        return self._app(environ, start_response)


class ExchangePrefix:
    """WSGI middleware that moves the exchange from the path to the prefix: /x/north/requests.

    So all addresses of a page lead to its exchange: two tabs with two exchanges do not disturb each other, and a
    bookmark stays right. Addresses of the first exchange have no such part.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ.pop(EXCHANGE, None)
        found = _OF_EXCHANGE.match(environ.get("PATH_INFO", ""))
        if found is not None and found[1] != FIRST_EXCHANGE:  # which has one address only
            environ[EXCHANGE] = found[1]
            environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}{found[0]}"
            environ["PATH_INFO"] = environ["PATH_INFO"][found.end() :] or "/"
        return self._app(environ, start_response)
