"""The store on PostgreSQL: migrations, constraints and concurrent sessions."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from app import create_app
from app.domain.lifecycle import Status
from app.extensions import db
from app.store import requests
from app.store.database import Database
from app.store.models import Base, CallRequest, Module, Setting
from app.store.settings import read_setting, write_setting
from script.office.database import MIGRATIONS, make_settings
from script.office.server_database import new_database, open_server_database
from tests.store.claims import claim_all
from tests.support.factories import NOW, create_attempt, create_line, create_module, create_request, reload, run_at_once

THREADS, TURNS = 8, 25


@pytest.fixture
def database(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    with new_database(postgres_url, postgres_template) as url, open_server_database(url) as opened:
        yield opened


class Deliberate(Exception):
    """Raised within a transaction by a test."""


# Migrations


def test_migrations_match_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": Base.metadata, "render_as_batch": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_partial_indexes_have_conditions(database: Database) -> None:
    """Alembic does not compare the conditions of indexes."""
    with database.engine.connect() as connection:
        found = {row.indexname: row.indexdef for row in connection.execute(text("SELECT * FROM pg_indexes"))}
    partial = {
        index.name
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    }
    assert {"uq_active_request", "uq_attempt_request", "uq_attempt_number", "uq_attempt_agent"} <= partial
    assert all(" WHERE " in found[str(name)] for name in partial)
    assert all("UNIQUE" in found[name] for name in found if name.startswith("uq_"))


def test_pauses_of_modules_survive_a_downgrade(postgres_url: str, postgres_template: str, tmp_path: Path) -> None:
    with new_database(postgres_url, postgres_template) as url, open_server_database(url) as database:
        module = create_module(database, retry_pauses=[240, 300])
        app = create_app(make_settings(tmp_path, database_url=url))
        with app.app_context():
            flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0014")
            with db.engine.connect() as connection:
                assert connection.scalar(text("SELECT retry_pause FROM modules")) == 240
            flask_migrate.upgrade(directory=str(MIGRATIONS))
            db.engine.dispose()
        after = reload(database, module)
        assert (after.retry_pauses, after.busy_pause) == ([240], 0)


def test_downgrade_removes_all_tables_and_upgrade_works_again(postgres_url: str, tmp_path: Path) -> None:
    with new_database(postgres_url) as url:
        app = create_app(make_settings(tmp_path, database_url=url))
        with app.app_context():
            flask_migrate.upgrade(directory=str(MIGRATIONS))
            flask_migrate.downgrade(directory=str(MIGRATIONS), revision="base")
            assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
            flask_migrate.upgrade(directory=str(MIGRATIONS))
            assert set(Base.metadata.tables) <= set(inspect(db.engine).get_table_names())
            db.engine.dispose()


# Constraints


def test_duplicate_active_requests_and_attempts_in_flight_are_refused(database: Database) -> None:
    module = create_module(database)
    request = create_request(database, module)
    with pytest.raises(IntegrityError, match="uq_active_request"):
        create_request(database, module)
    create_request(database, module, status=Status.DONE.value)
    create_attempt(database, request, agent="101")
    other = create_request(database, module, number="+989127654321")
    for again, rule in ((request, "uq_attempt_(request|number|agent)"), (other, "uq_attempt_agent")):
        with pytest.raises(IntegrityError, match=rule):
            create_attempt(database, again, agent="101")
    create_attempt(database, other, agent="101", ended_at=NOW)


def test_rows_are_read_as_they_were_stored(database: Database) -> None:
    module = create_module(database, name="فروش", targets=["101", "*102"])
    request = create_request(database, module, first_called_at=NOW)
    assert reload(database, module).targets == ["101", "*102"]
    assert reload(database, module).name == "فروش"
    assert reload(database, request).first_called_at == NOW
    with database.write() as session:
        session.delete(session.get_one(Module, module.id))
    assert reload(database, request).module_id is None


def test_text_that_is_too_long_for_its_column_is_refused(database: Database) -> None:
    """SQLite accepts it. So text from outside is shortened before it is stored."""
    with pytest.raises(DataError):
        create_line(database, name="x" * 81)


# Concurrent sessions


def count_up(database: Database, turns: int) -> None:
    """Read with a lock, add one, write."""
    for _ in range(turns):
        with database.write() as session:
            row = session.scalars(select(Setting).where(Setting.name == "counter").with_for_update()).one()
            row.value = str(int(row.value) + 1)


def test_concurrent_threads_lose_no_update(database: Database) -> None:
    with database.write() as session:
        write_setting(session, "counter", "0")
    run_at_once([lambda: count_up(database, TURNS)] * THREADS)
    with database.read() as session:
        assert read_setting(session, "counter") == str(THREADS * TURNS)


def test_concurrent_changes_of_a_request_are_all_stored(database: Database) -> None:
    """Each thread loads the request with a lock, as the services do."""
    request = create_request(database, create_module(database))

    def raise_priority() -> None:
        for _ in range(TURNS):
            with database.write() as session:
                loaded = requests.load(session, request.id, lock=True)
                assert loaded is not None
                loaded[0].priority += 1

    run_at_once([raise_priority] * THREADS)
    assert reload(database, request).priority == THREADS * TURNS


def test_stale_row_is_refused(database: Database) -> None:
    request = create_request(database, create_module(database))
    stale = reload(database, request)
    with database.write() as session:
        session.get_one(CallRequest, request.id).priority = 5
    stale.priority = 7
    with pytest.raises(StaleDataError), database.write() as session:
        session.add(stale)
    assert reload(database, request).priority == 5


def test_each_request_is_claimed_once(database: Database) -> None:
    module = create_module(database)
    ids = {create_request(database, module, number=f"+98912000{n:04}").id for n in range(40)}
    results = run_at_once([lambda: claim_all(database)] * THREADS)
    assert Counter(claim for claims in results for claim in claims) == Counter(ids)


def test_locked_requests_are_skipped(database: Database) -> None:
    """The next dispatch finds them."""
    module = create_module(database)
    locked = create_request(database, module)
    unlocked = create_request(database, module, number="+989127654321")
    found: list[int] = []

    def find_waiting() -> None:
        with database.write() as session:
            found.extend(row.id for row, _ in requests.active(session, [Status.WAITING], lock=True))

    with database.write() as session:
        assert requests.load(session, locked.id, lock=True)
        thread = threading.Thread(target=find_waiting)
        thread.start()
        thread.join(10)
    assert found == [unlocked.id]


def test_exception_rolls_the_transaction_back(database: Database) -> None:
    with pytest.raises(Deliberate), database.write() as session:
        write_setting(session, "word", "lost")
        session.flush()
        raise Deliberate
    with database.read() as session:
        assert session.scalars(select(Setting)).all() == []
