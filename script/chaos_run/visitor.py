"""An administrator who looks at the panel's pages during a run."""

import asyncio
import re
import urllib.parse
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from typing import Any

from app.services import users
from script.office.bazang import Bazang

VISIT_SECONDS = 2.0
_NAME, _PASSWORD = "visitor", "correct horse battery staple"
_PAGES = ("/", "/overview", "/report", "/modules")
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Visitor:
    """An administrator with a browser. They look at one page after the other for ever."""

    def __init__(self, bazang: Bazang, port: int) -> None:
        users.create(bazang.database, _NAME, _PASSWORD, "administrator", datetime.now(UTC))
        self._port = port
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.pages = 0

    async def run(self) -> None:
        """Look at pages. A panel that is down is tried again."""
        while True:
            for page in _PAGES:
                with suppress(OSError):
                    await asyncio.to_thread(self._look, page)
                await asyncio.sleep(VISIT_SECONDS)

    def _look(self, page: str) -> None:
        answer = self._get(page)
        if "/login" in answer.url:
            token = _TOKEN.search(answer.read().decode())
            fields = {"name": _NAME, "password": _PASSWORD, "csrf_token": token[1] if token else ""}
            self._get("/login", urllib.parse.urlencode(fields).encode()).read()
            return
        answer.read()
        self.pages += 1

    def _get(self, path: str, data: bytes | None = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data)
        return self._opener.open(request, timeout=30)
