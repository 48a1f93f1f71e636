"""Run Chromium with Playwright, and restart it if it does not close a context."""

import os
import signal
import sys
import threading

from playwright.sync_api import Browser, BrowserContext, Error, Playwright

from script.lib.chromium import Chromium

PATIENCE = 20.0  # seconds; a context closes in a tenth of one


class Browsers:
    """Runs one Chromium at a time with the same additional arguments. `pid` is its process id."""

    def __init__(self, playwright: Playwright, chromium: Chromium, *arguments: str) -> None:
        self._playwright = playwright
        self._chromium = chromium
        self._arguments = [*chromium.arguments, *arguments]
        self._browser: Browser | None = None
        self.pid = 0

    def running(self) -> Browser:
        """Return the running browser. Start one if none is running."""
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._playwright.chromium.launch(
                executable_path=self._chromium.executable,
                args=self._arguments,
                env={**self._chromium.environment},
            )
            self.pid = _pid(self._browser)
        return self._browser

    def with_arguments(self, *arguments: str) -> "Browsers":
        """Return a new `Browsers` with these additional arguments only."""
        return Browsers(self._playwright, self._chromium, *arguments)

    def close_context(self, context: BrowserContext, patience: float = PATIENCE) -> None:
        """Close a context. Kill the browser if it does not close within `patience` seconds.

        Playwright waits without a limit, and Chromium sometimes does not answer `Target.disposeBrowserContext`.
        """
        killer = threading.Timer(patience, self._kill)
        killer.start()
        try:
            context.close()
        except Error:
            if context.browser is None or context.browser.is_connected():
                raise
        finally:
            killer.cancel()
            killer.join()

    def _kill(self) -> None:
        # pytest hides the output of a passing test, so this goes to the real stderr.
        print(f"Chromium {self.pid} does not close a context. It is killed.", file=sys.__stderr__, flush=True)
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        if self._browser is not None and self._browser.is_connected():
            self._browser.close()


def _pid(browser: "Browser") -> int:
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    (pid,) = (process["id"] for process in processes if process["type"] == "browser")
    return int(pid)
