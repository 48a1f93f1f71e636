"""The browser of the tests: if it does not respond, it is replaced for the next test."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.browsing import Browsers


@pytest.fixture
def own(browsers: Browsers) -> Iterator[Browsers]:
    """A separate browser for one test."""
    own = browsers.with_arguments()
    yield own
    own.close()


def test_browser_is_reused_after_it_closed_a_context(own: Browsers) -> None:
    first = own.running()
    context = first.new_context()
    context.new_page()
    own.close_context(context)
    assert first.contexts == [] and own.running() is first


def test_browser_that_does_not_close_a_context_is_killed_and_replaced(
    own: Browsers, capfd: pytest.CaptureFixture[str]
) -> None:
    first = own.running()
    context = first.new_context()
    context.new_page()
    os.kill(own.pid, signal.SIGSTOP)
    own.close_context(context, patience=0.5)
    assert not first.is_connected()
    second = own.running()
    page = second.new_page()
    page.set_content("<p>alive")
    assert page.locator("p").inner_text() == "alive"


def test_other_event_loops_run_while_a_browser_is_open(own: Browsers) -> None:
    """Tests of simulated time run in the same process, on a loop of their own."""
    browser = own.running()
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.sleep(0, "ran")) == "ran"
    finally:
        loop.close()
    assert browser.new_page().evaluate("1 + 1") == 2
