"""The tests' browser itself: one that hangs costs its test some time, and no other test anything."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.browsing import Browsers


@pytest.fixture
def own(browsers: Browsers) -> Iterator[Browsers]:
    """A browser for this test alone."""
    own = browsers.like()
    yield own
    own.close()


def test_the_same_browser_goes_on_while_it_closes_what_it_shall(own: Browsers) -> None:
    first = own.running()
    context = first.new_context()
    context.new_page()
    own.close_context(context)
    assert first.contexts == [] and own.running() is first


def test_a_browser_that_does_not_close_a_context_is_killed_and_another_one_started(
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
