"""A browser that looks at the panel, and a test that fails of whatever the browser complains of."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.asterisk.conftest import prompts, stage
from tests.browser.panel import Loop, Person, serve
from tests.support.browsing import Browsers
from tests.web.conftest import app as unguarded_app
from tests.web.conftest import built_database, compiled_templates, service

__all__ = ["built_database", "compiled_templates", "prompts", "service", "stage", "unguarded_app"]

Meet = Callable[..., Person]


@pytest.fixture
def app(unguarded_app: Flask) -> Flask:
    """The panel as it is installed: its forms need their tokens."""
    unguarded_app.config.update(WTF_CSRF_ENABLED=True, TESTING=False)
    return unguarded_app


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the panel is served."""
    with serve(app) as url:
        yield url


@pytest.fixture
def meet(browsers: Browsers, address: str) -> Iterator[Meet]:
    """Have somebody sit down at a browser: `meet(java_script_enabled=False)`."""
    people: list[Person] = []

    def sit_down(where: str = address, **options: Any) -> Person:
        people.append(Person(browsers.running(), where, **options))
        return people[-1]

    yield sit_down
    complaints = [complaint for person in people for complaint in person.complaints]
    for person in people:
        browsers.close_context(person.context)
    assert complaints == []


@pytest.fixture
def person(meet: Meet) -> Person:
    return meet()


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Where the telephones of a real exchange are, beside the browser."""
    loop = Loop()
    yield loop
    loop.close()
