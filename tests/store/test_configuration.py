"""What people have configured is read once, and again as soon as somebody has changed it."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app.store.configuration import Configuration, load_configuration
from app.store.database import Database
from app.store.models import Module, NumberRule, SpecialDay
from app.store.settings import write_setting
from app.store.version import configuration_version
from script.office.server_database import new_database, open_server_database
from tests.support.factories import NOW, create_module, create_request


def load(database: Database) -> Configuration:
    with database.read() as session:
        return load_configuration(database, session)


CHANGES: dict[str, Callable[[Session], object]] = {
    "setting": lambda session: write_setting(session, "all_paused", "1"),
    "special day": lambda session: session.add(SpecialDay(date=date(2026, 12, 1), created_at=NOW)),
    "number rule": lambda session: session.add(NumberRule(kind="refuse", value="+98900", created_at=NOW)),
    "many at once": lambda session: session.execute(update(Module).values(retries=9)),
    "removed": lambda session: session.execute(delete(Module)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_configuration_is_read_again_after_a_change(database: Database, change: Callable[[Session], object]) -> None:
    create_module(database)
    before = load(database)
    with database.write() as session:
        change(session)
    assert load(database) is not before


def test_configuration_is_kept_while_requests_change(database: Database) -> None:
    module = create_module(database)
    before = load(database)
    create_request(database, module)
    assert load(database) is before
    assert load(database).modules[module.id].name == module.name


def test_change_that_is_not_committed_counts_for_nobody(database: Database) -> None:
    create_module(database)
    before = load(database)
    with pytest.raises(RuntimeError), database.write() as session:
        write_setting(session, "all_paused", "1")
        session.flush()
        raise RuntimeError
    create_module(database, code="*5002")
    after = load(database)
    assert after is not before
    assert "all_paused" not in after.settings


def test_versions_never_return(database: Database) -> None:
    """A restored database must not look like the one before."""
    create_module(database)
    seen = set()
    for value in ("0", "1", "0"):
        with database.write() as session:
            write_setting(session, "all_paused", value)
        with database.read() as session:
            seen.add(configuration_version(session))
    assert len(seen) == 3


@pytest.fixture
def server(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    with new_database(postgres_url, postgres_template) as url:
        with open_server_database(url) as opened:
            yield opened


def test_configuration_is_read_again_after_a_change_on_postgresql(server: Database) -> None:
    create_module(server)
    for change in CHANGES.values():
        before = load(server)
        with server.write() as session:
            change(session)
        assert load(server) is not before
