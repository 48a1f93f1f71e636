"""Measure the first visit of the pending requests: bytes over the wire, and when a slow line shows something.

Chromium visits a panel in a process of its own with an empty cache, through a simulated line of 1.6 Mbit/s and 150 ms.
Browsers offer Brotli by https and on their own machine only, so the page is measured with gzip, too.
"""

import asyncio
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from playwright.sync_api import Browser, sync_playwright

from app.server.panel import panel_answers, start_panel
from app.services import users
from script.benchmarks import pages
from script.lib.chromium import find_chromium
from script.office.ports import free_port

REQUESTS = 100
MAX_KILOBYTES, MAX_SECONDS = 180, 2.0
LINE = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
ENCODINGS = {"br": "gzip, deflate, br", "gzip": "gzip, deflate"}
LOCALES = ("en", "fa")
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@dataclass(frozen=True)
class Visit:
    """What a visit took: files, bytes with their headers, and seconds until the first text or picture."""

    files: int
    size: int
    painted: float


def run(runs: int) -> int:
    """Visit the page `runs` times in each language and encoding. Print medians. Return 1 if one misses its limit."""
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        office = pages.open_office(Path(folder) / "office", REQUESTS)
        port = free_port()
        environment = {**os.environ, "BAZANG_DATA_DIR": str(Path(folder) / "office")}
        panel = start_panel("127.0.0.1", port, environment, Path(folder), Path(folder) / "panel.log")
        try:
            assert asyncio.run(panel_answers(panel, "127.0.0.1", port)), (Path(folder) / "panel.log").read_text()
            return _measure(office, f"http://127.0.0.1:{port}", runs)
        finally:
            panel.terminate()
            panel.wait(10)


def _measure(office: pages.Office, address: str, runs: int) -> int:
    print(f"First visit of the pending requests, {pages.WAITING} of them, at 1.6 Mbit/s and 150 ms, medians of {runs}")
    chromium = find_chromium()
    missed = 0
    with sync_playwright() as playwright:
        options = {"args": chromium.arguments, "env": {**chromium.environment}}
        browser = playwright.chromium.launch(executable_path=chromium.executable, **options)  # type: ignore[arg-type]
        for locale in LOCALES:
            users.set_locale(office.database, 1, locale)
            for name, accepted in ENCODINGS.items():
                visits = [_visit(browser, address, _session_of(office.client), accepted) for _ in range(runs)]
                kilobytes = statistics.median(visit.size for visit in visits) / 1000
                seconds = statistics.median(visit.painted for visit in visits)
                is_missed = kilobytes > MAX_KILOBYTES or seconds > MAX_SECONDS
                missed += is_missed
                print(
                    f"{locale}, {name + ':':<5} {visits[0].files} files, {kilobytes:5.1f} kB, "
                    f"ratio {kilobytes / MAX_KILOBYTES:.2f} of {MAX_KILOBYTES}; painted after {seconds:.2f} s, "
                    f"ratio {seconds / MAX_SECONDS:.2f} of {MAX_SECONDS:g}{'  MISSED' if is_missed else ''}"
                )
        browser.close()
    return 1 if missed else 0


def _session_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def _visit(browser: Browser, address: str, session: str, accepted: str) -> Visit:
    """Visit the page with an empty cache. What it asks for by itself after that, once a second, does not count."""
    context = browser.new_context(base_url=address, extra_http_headers={"Accept-Encoding": accepted})
    context.add_cookies([{"name": "session", "value": session, "url": address}])
    page = context.new_page()
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", LINE)
    polls: set[str] = set()
    sizes: dict[str, int] = {}

    def note_response(event: dict[str, Any]) -> None:
        if event["type"] in ("Fetch", "XHR"):
            polls.add(event["requestId"])

    line.on("Network.responseReceived", note_response)
    line.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    answer = page.goto("/requests")
    assert answer is not None and answer.status == 200 and page.locator("[id^=request-]").count() > pages.WAITING / 2
    page.evaluate("document.fonts.ready.then(() => true)")
    painted = page.evaluate(FIRST_PAINT) / 1000
    context.close()
    counted = [int(size) for request, size in sizes.items() if request not in polls]
    return Visit(len(counted), sum(counted), painted)
