"""Serve the panel in this process, and use it with a browser whose errors are collected."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from persiantools.jdatetime import JalaliDate
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from app.server.connections import Limits
from script.office.patience import PATIENCE
from tests.support.serving import serve_application
from tests.web.pages import session_user_id

T = TypeVar("T")
PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")

# Chromium does not log every violation in its console, but it fires this event for each.
LISTEN_FOR_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve the panel as an installation does. Yield its address."""
    with serve_application(app, Limits()) as port:
        yield f"http://127.0.0.1:{port}"


NO_SERVICE_WORKER = "Service Worker registration blocked by Playwright"
DEADLINE = PATIENCE * 1000  # milliseconds
expect.set_options(timeout=DEADLINE)


class Person:
    """A user with a browser. `errors`: messages of the console, script errors and policy violations, in order.

    The browser has no service worker unless `service_workers` is "allow": with one, Playwright does not intercept the
    requests of the page.
    """

    def __init__(
        self, browser: Browser, address: str, service_workers: Literal["allow", "block"] = "block", **options: Any
    ) -> None:
        self._address = address
        self.context: BrowserContext = browser.new_context(
            base_url=address,
            service_workers=service_workers,
            **options,
        )
        self.context.set_default_timeout(DEADLINE)
        self.context.add_init_script(LISTEN_FOR_VIOLATIONS)
        self.errors: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(f"page error: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and message.text != NO_SERVICE_WORKER:
            self.errors.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def ignore_errors(self, *codes: str) -> None:
        """Remove the errors that contain one of these HTTP status codes. The browser logs each such response."""
        self.errors[:] = [error for error in self.errors if not any(code in error for code in codes)]

    def open_session(self, cookie: dict[str, str], path: str = "/requests") -> Page:
        """Open a page with the cookie of a session. Return the page."""
        self.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": self._address}])
        self.page.goto(path)
        return self.page

    def choose_language(self, locale: str) -> Page:
        """Open the log-in page in this language. Return the page."""
        self.page.goto("/login")
        if self.page.locator("html").get_attribute("lang") != locale:
            self.page.locator("button[name=locale]").click()
        return self.page

    def log_in(self, name: str, password: str, *, locale: str = "en") -> Page:
        """Log in through the form, in this language. Return the page."""
        page = self.choose_language(locale)
        page.locator("#name").fill(name)
        page.locator("#password").fill(password)
        page.locator("main button").click()
        page.wait_for_url(lambda url: not url.endswith("/login"))
        return page


def session_cookie(app: Flask, user_id: int, locale: str) -> dict[str, str]:
    """Return the session cookie of a logged-in user, for `Person.open_session`."""
    session = {"_user_id": session_user_id(app, user_id), "_fresh": True, "locale": locale}
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None
    return {"name": "session", "value": signer.dumps(session)}


# -- pages ------------------------------------------------------------------------------------------------------------


def row(page: Page, request: int = 1) -> Locator:
    """Return the row of a request."""
    return page.locator(f"#request-{request}")


def wait_for_row(page: Page, text: str, request: int = 1) -> None:
    """Wait until the row of a request contains this text."""
    contains = "([id, text]) => document.getElementById(id)?.innerText.includes(text)"
    page.wait_for_function(contains, arg=[f"request-{request}", text])


def count_loads(page: Page) -> Callable[[], int]:
    """Return a function that returns how often the page was loaded since now."""
    page.wait_for_load_state()
    count = [0]
    page.on("domcontentloaded", lambda _: count.__setitem__(0, count[0] + 1))
    return lambda: count[0]


def pick_date(page: Page, name: str, day: date, locale: str) -> None:
    """Choose a day in the calendar of a field with the mouse. Change the month until the day is shown."""
    page.locator(f"[data-picks={name}]").click()
    wanted = JalaliDate(day).day if locale == "fa" else day.day
    stamp = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    button = page.locator(f".calendar [data-day='{stamp}']")
    previous, following = (page.locator(".calendar-head button").nth(place) for place in (0, 1))
    shown = int(page.locator(".calendar [data-day]").first.get_attribute("data-day") or 0)
    for _month in range(4):
        if button.count():
            break
        (previous if stamp < shown else following).click()
    assert int(button.inner_text().translate(LATIN)) == wanted
    button.click()
    expect(page.locator(".calendar")).to_have_count(0)


# -- asynchronous code ------------------------------------------------------------------------------------------------


class Loop:
    """An event loop in a separate thread. Phones run in it while a test waits for the browser."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="office")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = PATIENCE + 60) -> T:
        """Run a coroutine in the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    @contextmanager
    def enter(self, opened: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Run an asynchronous context manager in the loop, as a synchronous one."""
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
