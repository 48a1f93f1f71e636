"""The panel, with a fresh database for every test, copied from one that the migrations built."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
from flask import Flask
from jinja2 import BytecodeCache

from app import create_app
from app.config import Settings
from app.domain.pbx_connection import CallersState, ConnectionReport, ConnectionResult, DialplanState
from app.domain.pbx_product import Product
from app.extensions import db, limiter
from app.services import commands, users
from app.store.database import Database
from app.store.models import Command, User
from script.office.database import build_database, open_database
from script.office.shared_caches import Templates
from tests.support.factories import NOW
from tests.support.passwords import hash_quickly
from tests.web.pages import Visitor

ADMINISTRATOR, OPERATOR, GONE, SUPERVISOR = "sara", "omid", "gone", "mina"
PASSWORD = "correct horse"
CONNECTED = ConnectionReport(
    ConnectionResult.CONNECTED,
    version="22.10.1",
    extensions=12,
    queues=2,
    dialplan=DialplanState.CURRENT,
    may_reload=True,
    product=Product.ASTERISK,
    contexts=(),
    outbound=("from-internal",),
    callers=CallersState.REACHED,
)
Answer = tuple[bool, str]


class Service(Protocol):
    """Runs a fake telephone service. See the fixture `service`."""

    def __call__(self, **answers: Answer) -> AbstractContextManager[list[Command]]: ...


@pytest.fixture(scope="session")
def built_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an administrator, an operator whose phone is 101, a user who left, and a supervisor."""
    path = build_database(tmp_path_factory.mktemp("built"))
    database = open_database(path)
    add_people(database)
    database.engine.dispose()  # the last connection writes the WAL back
    return path


def add_people(database: Database) -> None:
    people = {ADMINISTRATOR: "administrator", OPERATOR: "operator", GONE: "administrator", SUPERVISOR: "supervisor"}
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)  # checking a password takes as long as hashing it
        for name, role in people.items():
            users.create(database, name, PASSWORD, role, NOW, extensions=("101",) if name == OPERATOR else ())
    with database.write() as session:
        left = session.get(User, 3)
        assert left is not None
        left.active = False


@pytest.fixture(scope="session")
def compiled_templates() -> BytecodeCache:
    """Compiled templates, shared by all tests, since compiling them takes half of the time."""
    return Templates()


@pytest.fixture
def app(built_database: Path, compiled_templates: BytecodeCache, settings: Settings) -> Iterator[Flask]:
    """The panel. Forms need no token, unless a test switches that on."""
    settings.data_dir.mkdir(parents=True)
    shutil.copy(built_database, settings.data_dir / "bazang.sqlite3")
    app = create_app(settings)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    app.jinja_env.bytecode_cache = compiled_templates
    limiter.reset()  # its counts are those of the process
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    """A visitor who is not logged in."""
    return Visitor(app)


@pytest.fixture
def admin(app: Flask, database: Database) -> Visitor:
    """An administrator who reads English."""
    users.set_locale(database, 1, "en")
    return Visitor(app, 1, locale="en")


@pytest.fixture
def operator(app: Flask, database: Database) -> Visitor:
    """An operator who reads English."""
    users.set_locale(database, 2, "en")
    return Visitor(app, 2, locale="en")


@pytest.fixture
def supervisor(app: Flask, database: Database) -> Visitor:
    """A supervisor who reads English."""
    users.set_locale(database, 4, "en")
    return Visitor(app, 4, locale="en")


@pytest.fixture
def service(database: Database) -> Service:
    """A fake telephone service: `with service(call_now=(True, "done")) as commands_done`."""

    @contextmanager
    def serve(**answers: Answer) -> Iterator[list[Command]]:
        handled: list[Command] = []
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(0.01):
                for command in commands.open_commands(database, datetime.now(UTC)):
                    handled.append(command)
                    ok, result = answers[command.kind]
                    commands.answer(database, command.id, ok=ok, result=result, now=datetime.now(UTC))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield handled
        finally:
            ended.set()
            thread.join(10)

    return serve
