"""The panel under test in this process, and what a browser that looks at it complains of."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from persiantools.jdatetime import JalaliDate
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect
from waitress import wasyncore
from waitress.server import create_server

from script.office.patience import PATIENCE
from tests.web.pages import session_user_id

T = TypeVar("T")
PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")

# Chromium says of some violations nothing in its console; the page's own event tells of each.
LISTEN_FOR_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve the panel as an installation does, by waitress; give its address."""
    sockets: dict[int, Any] = {}
    server = create_server(app, map=sockets, host="127.0.0.1", port=0, threads=8)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            wasyncore.loop(timeout=0.5, map=sockets, count=1)

    thread = threading.Thread(target=work, name="panel")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        ended.set()
        server.pull_trigger()
        thread.join(10)
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)


DEADLINE = PATIENCE * 1000  # milliseconds
expect.set_options(timeout=DEADLINE)


class Person:
    """Somebody with a browser. `complaints`: what its console, its pages and their policies object to."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self._address = address
        self.context: BrowserContext = browser.new_context(base_url=address, **options)
        self.context.set_default_timeout(DEADLINE)
        self.context.add_init_script(LISTEN_FOR_VIOLATIONS)
        self.complaints: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def take(self, cookie: dict[str, Any], where: str = "/requests") -> Page:
        """Begin with a session that is there already, at the requests or elsewhere."""
        self.context.add_cookies([{**cookie, "url": self._address}])
        self.page.goto(where)
        return self.page

    def choose_language(self, locale: str) -> Page:
        """Have the log-in in a language; return the page."""
        self.page.goto("/login")
        if self.page.locator("html").get_attribute("lang") != locale:
            self.page.locator("button[name=locale]").click()
        return self.page

    def log_in(self, name: str, password: str, *, locale: str = "en") -> Page:
        """Choose a language and log in by hand; return the page."""
        page = self.choose_language(locale)
        page.locator("#name").fill(name)
        page.locator("#password").fill(password)
        page.locator("main button").click()
        page.wait_for_url("**/requests")
        return page


def session_of(app: Flask, user_id: int, locale: str) -> dict[str, Any]:
    """Return the cookie of a user who has logged in, for `Person.take`."""
    session = {"_user_id": session_user_id(app, user_id), "_fresh": True, "locale": locale}
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None
    return {"name": "session", "value": signer.dumps(session)}


# -- what a page of requests shows ------------------------------------------------------------------------------------


def row(page: Page, request: int = 1) -> Locator:
    return page.locator(f"#request-{request}")


def soon(page: Page, said: str, request: int = 1) -> None:
    """Return as soon as a request's row says this."""
    says = "([id, said]) => document.getElementById(id)?.innerText.includes(said)"
    page.wait_for_function(says, arg=[f"request-{request}", said])


def loads(page: Page) -> Callable[[], int]:
    """Count how often the page is loaded from now on."""
    page.wait_for_load_state()
    count = [0]
    page.on("domcontentloaded", lambda _: count.__setitem__(0, count[0] + 1))
    return lambda: count[0]


def pick(page: Page, name: str, day: date, locale: str) -> None:
    """Choose a day in a field's calendar with the mouse, going by months until it is there."""
    page.locator(f"[data-picks={name}]").click()
    wanted = JalaliDate(day).day if locale == "fa" else day.day
    stamp = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    button = page.locator(f".calendar [data-day='{stamp}']")
    back, forth = (page.locator(".calendar-head button").nth(place) for place in (0, 1))
    shown = int(page.locator(".calendar [data-day]").first.get_attribute("data-day") or 0)
    for _month in range(4):
        if button.count():
            break
        (back if stamp < shown else forth).click()
    assert int(button.inner_text().translate(LATIN)) == wanted
    button.click()
    expect(page.locator(".calendar")).to_have_count(0)


# -- what goes on beside it -------------------------------------------------------------------------------------------


class Loop:
    """An event loop in a thread of its own, for what goes on while a test waits for the browser."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="office")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = PATIENCE + 60) -> T:
        """Do it there; return what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    @contextmanager
    def within(self, opened: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter it there, and leave it with whatever the body raises."""
        entered = self.run(opened.__aenter__())
        try:
            yield entered
        except BaseException as error:
            self.run(opened.__aexit__(type(error), error, error.__traceback__))
            raise
        self.run(opened.__aexit__(None, None, None))

    def close(self) -> None:
        async def cancel_all() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_default_executor()

        self.run(cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
