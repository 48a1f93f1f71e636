"""Fixtures for tests with a browser. A test fails if the browser reports an error that the test does not expect."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from app.services import users
from script.office.bazang import Bazang
from tests.asterisk.conftest import OpenOffice, office_database, open_office, prompts, warm_workers
from tests.asterisk.office import MODULE, Office
from tests.browser.panel import Loop, Person, serve
from tests.support.browsing import Browsers
from tests.web.conftest import ADMINISTRATOR, PASSWORD, built_database, compiled_templates, service
from tests.web.conftest import app as unguarded_app

__all__ = [
    "built_database",
    "compiled_templates",
    "office_database",
    "open_office",
    "prompts",
    "service",
    "unguarded_app",
    "warm_workers",
]

OpenBrowser = Callable[..., Person]


@pytest.fixture
def app(unguarded_app: Flask) -> Flask:
    """The panel with the settings of an installation: forms need their CSRF tokens."""
    unguarded_app.config.update(WTF_CSRF_ENABLED=True, TESTING=False)
    return unguarded_app


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The address of the running panel."""
    with serve(app) as url:
        yield url


@pytest.fixture
def open_browser(browsers: Browsers, address: str) -> Iterator[OpenBrowser]:
    """Open a browser for a new person: `open_browser(java_script_enabled=False)`. The test fails if it has errors."""
    people: list[Person] = []

    def open_one(url: str = address, **options: Any) -> Person:
        people.append(Person(browsers.running(), url, **options))
        return people[-1]

    yield open_one
    errors = [error for person in people for error in person.errors]
    for person in people:
        browsers.close_context(person.context)
    assert errors == []


@pytest.fixture
def person(open_browser: OpenBrowser) -> Person:
    return open_browser()


@pytest.fixture
def loop() -> Iterator[Loop]:
    """An event loop for the phones of a real PBX."""
    loop = Loop()
    yield loop
    loop.close()


def add_administrator(bazang: Bazang) -> None:
    users.create(bazang.database, ADMINISTRATOR, PASSWORD, "administrator", datetime.now(UTC))


@pytest.fixture
def office(loop: Loop, open_office: OpenOffice) -> Iterator[Office]:
    """An office with Asterisk, a worker, an administrator and a module without automatic calls for 101."""

    def prepare(bazang: Bazang) -> None:
        add_administrator(bazang)
        module = bazang.module(automatic=False)
        assert module == 1
        bazang.scenario("101", busy=MODULE, no_answer=MODULE)

    with loop.enter(open_office(prepare)) as office:
        yield office
