"""The migrations on SQLite."""

from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from app import create_app
from app.extensions import db
from app.store.models import Base, Module
from script.office.database import MIGRATIONS, make_settings, open_engine


def test_migrations_match_the_models(database_file: Path) -> None:
    engine = open_engine(database_file)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": Base.metadata, "render_as_batch": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_partial_indexes_have_conditions(database_file: Path) -> None:
    """Alembic does not compare the conditions of indexes, so they are compared here."""
    engine = open_engine(database_file)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
        built = {row.name: row.sql for row in rows}
    engine.dispose()
    conditions = {
        index.name: str(index.dialect_options["sqlite"]["where"])
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }
    assert {"uq_active_request", "uq_attempt_request", "uq_attempt_number", "uq_attempt_agent"} <= conditions.keys()
    for name, condition in conditions.items():
        assert built[name].endswith(f"WHERE {condition}"), name


def test_database_is_at_the_only_head(database_file: Path) -> None:
    heads = ScriptDirectory(str(MIGRATIONS)).get_heads()
    assert len(heads) == 1
    engine = open_engine(database_file)
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == heads[0]
    engine.dispose()


def test_downgrade_removes_all_tables_and_upgrade_works_again(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="base")
        assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        assert set(Base.metadata.tables) <= set(inspect(db.engine).get_table_names())
        db.engine.dispose()


def test_prompt_files_become_recordings_and_downgrade_restores_them(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0001")
        with db.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO modules (id, name, code, active, silent, automatic, language, min_wait, rest, retries,"
                    " retry_pause, agent_pause, agent_ring, customer_ring, expire_after, caller_id, target_kind,"
                    " targets, next_kind, next_code, error_kind, error_code, created_at, updated_at) VALUES"
                    " (1, 'Sales', '*5001', 1, 0, 1, 'fa', 0, 10, 2, 300, 60, 20, 40, 0, '', 'extension', '[]',"
                    " 'hangup', '', 'hangup', '', '2026-01-01', '2026-01-01')"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO call_requests (id, module_name, queue, target, number, caller_number, caller_name,"
                    " created_by, status, priority, first_called_at, registered_at, call_now, customer_attempts,"
                    " agent_misses, done_at, version) VALUES"
                    " (1, 'Sales', 0, '', '101', '', '', '', 'done', 0, '2026-01-01', '2026-01-01', 0, 0, 0, :at, 2),"
                    " (2, 'Sales', 0, '', '102', '', '', '', 'done', 0, '2026-01-01', '2026-01-01', 0, 0, 0, :at, 2),"
                    " (3, 'Sales', 0, '', '103', '', '', '', 'failed', 0, '2026-01-01', '2026-01-01', 0, 0, 0, :at, 2)"
                ),
                {"at": "2026-01-03"},
            )
            connection.execute(
                text(
                    "INSERT INTO attempts (id, request_id, agent, number, manual, started_at, connected_at, ended_at,"
                    " cause, trace_cleared)"
                    " VALUES ('a', 1, '101', '1', 0, '2026-01-02', '2026-01-02', '2026-01-03', '', 1)"
                )
            )
            prompts = [("intro", "file", "uploads/a.wav", "hello.mp3"), ("is", "none", "", "")]
            for key, mode, file, name in prompts:
                connection.execute(
                    text("INSERT INTO prompts VALUES (1, :key, :mode, '', :file, :name)"),
                    {"key": key, "mode": mode, "file": file, "name": name},
                )
        for direction, revision in ((flask_migrate.upgrade, "head"), (flask_migrate.downgrade, "0001")):
            direction(directory=str(MIGRATIONS), revision=revision)
            with db.engine.connect() as connection:
                rows = connection.execute(text("SELECT key, file FROM prompts ORDER BY key")).all()
                if revision == "head":
                    assert [tuple(row) for row in rows] == [("intro", "uploads/a.wav"), ("is", None)]
                    recordings = connection.execute(text("SELECT file, name, origin FROM recordings")).all()
                    assert [tuple(row) for row in recordings] == [("uploads/a.wav", "hello.mp3", "upload")]
                    assert connection.scalar(text("SELECT voice || theme FROM modules, users")) is None
                    reached = connection.scalars(text("SELECT reached_at FROM call_requests ORDER BY id")).all()
                    assert reached == ["2026-01-02", "2026-01-03", None]
                else:
                    assert [tuple(row) for row in rows] == [("intro", "uploads/a.wav"), ("is", "")]
        db.engine.dispose()


@pytest.mark.parametrize("has_module", [True, False])
def test_only_an_office_with_modules_may_run_a_dialplan_without_the_secret(tmp_path: Path, has_module: bool) -> None:
    app = create_app(make_settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0007")
        if has_module:
            with db.engine.begin() as connection:
                connection.execute(
                    text(
                        "INSERT INTO modules (id, name, code, active, silent, automatic, language, voice, min_wait,"
                        " rest, retries, retry_pause, agent_pause, agent_ring, customer_ring, expire_after, caller_id,"
                        " target_kind, targets, next_kind, next_code, error_kind, error_code, created_at, updated_at)"
                        " VALUES (1, 'Sales', '*5001', 1, 0, 1, 'fa', '', 0, 10, 2, 300, 60, 20, 40, 0, '',"
                        " 'extension', '[]', 'hangup', '', 'hangup', '', '2026-01-01', '2026-01-01')"
                    )
                )
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        with db.engine.connect() as connection:
            stored = connection.scalar(text("SELECT value FROM settings WHERE name = 'agi_upgrade'"))
            assert stored == ("old_dialplan" if has_module else None)
            assert connection.scalar(text("SELECT expire_after FROM modules")) == (0 if has_module else None)
        db.engine.dispose()


def test_requests_of_before_know_whether_a_colleague_typed_the_number(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0011")
        with db.engine.begin() as connection:
            for created_by in ("", "sara"):
                connection.execute(
                    text(
                        "INSERT INTO call_requests (module_name, queue, target, number, caller_number, caller_name,"
                        " created_by, status, priority, first_called_at, registered_at, call_now, customer_attempts,"
                        " agent_misses, route_failures, note, done_by, version) VALUES ('Sales', 0, '101',"
                        " '+989121234567', '', '', :created_by, 'done', 0, '2026-01-01', '2026-01-01', 0, 0, 0, 0, '',"
                        " '', 1)"
                    ),
                    {"created_by": created_by},
                )
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        with db.engine.connect() as connection:
            rows = connection.execute(text("SELECT created_by, number_source FROM call_requests ORDER BY id"))
            assert [tuple(row) for row in rows] == [("", "caller_id"), ("sara", "panel")]
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0011")
        assert "number_source" not in {column["name"] for column in inspect(db.engine).get_columns("call_requests")}
        db.engine.dispose()


def test_fields_of_modules_that_changed_their_form_come_back(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0014")
        with db.engine.begin() as connection:
            for number, pause in enumerate((240, 86400)):
                connection.execute(
                    text(
                        "INSERT INTO modules (name, code, active, silent, automatic, language, voice, min_wait, rest,"
                        " retries, retry_pause, agent_pause, agent_ring, customer_ring, expire_after, caller_id,"
                        " target_kind, targets, next_kind, next_code, error_kind, error_code, created_at, updated_at)"
                        " VALUES ('Sales', :code, 1, 0, 1, 'fa', '', 0, 10, 2, :pause, 60, 20, 40, 0, '', 'extension',"
                        " '[]', 'hangup', '', 'hangup', '', '2026-01-01', '2026-01-01')"
                    ),
                    {"code": f"*500{number}", "pause": pause},
                )
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        with Session(db.engine) as session:
            found = [(module.retry_pauses, module.busy_pause) for module in session.scalars(select(Module))]
            assert found == [([240], 0), ([86400], 0)]
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0014")
        with db.engine.connect() as connection:
            assert connection.scalars(text("SELECT retry_pause FROM modules ORDER BY id")).all() == [240, 86400]
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0022")
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE modules SET carry_over = false WHERE code = '*5001'"))
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        with Session(db.engine) as session:
            assert session.scalars(select(Module.at_closing).order_by(Module.id)).all() == ["carry_over", "expire"]
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0022")
        with db.engine.connect() as connection:
            assert connection.scalars(text("SELECT carry_over FROM modules ORDER BY id")).all() == [1, 0]
        db.engine.dispose()
