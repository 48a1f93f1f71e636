"""The part of every address before the panel's own path, for a panel that is not at the root of its host."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

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
