"""The commands dialplan, settings and fill, and what all commands have in common."""

import io
import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import pyrage
import pytest
from flask import Flask
from sqlalchemy import func, select

from app import create_app
from app.config import Settings
from app.services.modules.save import save_module
from app.services.modules.transfer import export_settings
from app.store.database import Database
from app.store.models import Base, CallRequest
from script.office.database import make_settings
from script.office.server_database import new_database
from tests.cli.conftest import PASSWORD, Install, error_of, run, run_process
from tests.support.factories import NOW, create_request, make_module_input


@pytest.mark.parametrize(
    "command",
    [
        ["worker"],
        ["create-admin", "sara", "--password-stdin"],
        ["remove-second-factor", "sara"],
        ["setup-link"],
        ["dialplan"],
        ["settings", "export", "-"],
        ["settings", "import", "-"],
        ["backup", "-"],
        ["fill", "--requests", "1"],
    ],
    ids=" ".join,
)
def test_without_tables_every_command_says_how_to_create_them(tmp_path: Path, command: list[str]) -> None:
    app = create_app(make_settings(tmp_path))
    assert "flask --app wsgi db upgrade" in error_of(run(app, *command, given=f"{PASSWORD}\n"))


def test_a_process_with_invalid_settings_prints_one_line_for_each(tmp_path: Path) -> None:
    done = run_process(tmp_path, "dialplan", TIMEZONE="Mars", AGI_PORT="99999")
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.removeprefix("Error: ").splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == ["BAZANG_AGI_PORT", "BAZANG_TIMEZONE"]
    assert not (tmp_path / "data").exists()


# -- dialplan ---------------------------------------------------------------------------------------------------------


def test_the_written_dialplan_is_the_printed_one(app: Flask, database: Database, settings: Settings) -> None:
    save_module(database, make_module_input(code="*5001"), NOW)
    printed = run(app, "dialplan")
    assert printed.exit_code == 0
    assert "exten => *5001,1" in printed.stdout
    assert not settings.dialplan_path.exists()
    written = run(app, "dialplan", "--write")
    assert written.exit_code == 0
    assert settings.dialplan_path.read_text(encoding="utf-8") == printed.stdout
    assert stat.S_IMODE(settings.dialplan_path.stat().st_mode) == 0o644
    assert str(settings.dialplan_path) in written.stdout
    revision = written.stdout.split()[1]
    assert f"r{revision}" in printed.stdout


def test_a_dialplan_that_cannot_be_written_or_rendered_is_an_error(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in error_of(run(install(dialplan_file=tmp_path / "file/bazang.conf"), "dialplan", "--write"))
    assert "System(x)" in error_of(run(install(agi_host="127.0.0.1;System(x)"), "dialplan"))


# -- backup and restore -----------------------------------------------------------------------------------------------


def test_backup_is_private_and_restored_where_there_is_no_office(
    app: Flask, database: Database, tmp_path: Path
) -> None:
    create_request(database)
    file, empty = tmp_path / "office.backup", create_app(make_settings(tmp_path / "empty"))
    saved = run(app, "backup", str(file))
    assert saved.exit_code == 0 and "1 requests" in saved.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    restored = run(empty, "restore", str(file))
    assert restored.exit_code == 0, restored.output
    assert "1 requests" in restored.stdout and "paused" in restored.stdout
    assert count_requests(empty.extensions["bazang"]["database"]) == 1
    assert "an office already" in error_of(run(empty, "restore", str(file)))


def test_backup_through_a_pipe(app: Flask, database: Database, tmp_path: Path) -> None:
    create_request(database)
    content = run(app, "backup", "-").stdout_bytes
    empty = create_app(make_settings(tmp_path / "empty"))
    assert run(empty, "restore", "-", given=content).exit_code == 0
    assert count_requests(empty.extensions["bazang"]["database"]) == 1


@pytest.mark.slow
def test_backup_with_a_passphrase_is_restored_on_the_other_kind_of_database(
    app: Flask, database: Database, tmp_path: Path, postgres_url: str
) -> None:
    create_request(database)
    file, typed, right = tmp_path / "office.age", "a long passphrase", tmp_path / "passphrase"
    right.write_text(f"{typed}\nand a line that is none\n")
    saved = run(app, "backup", str(file), "--encrypt", given=f"{typed}\n{typed}\n")
    assert saved.exit_code == 0 and "1 requests" in saved.stderr and typed not in saved.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_bytes()
    assert content.startswith(b"age-encryption.org/v1\n")
    with tarfile.open(fileobj=io.BytesIO(pyrage.passphrase.decrypt(content, typed))) as archive:
        assert "manifest.json" in archive.getnames()  # any program for age can do this

    with new_database(postgres_url) as url:
        empty = create_app(make_settings(tmp_path / "empty", database_url=url))
        restored_into: Database = empty.extensions["bazang"]["database"]
        wrong = run(empty, "restore", str(file), given="another passphrase\n")
        assert wrong.exit_code == 1 and "Nothing was restored. The passphrase is wrong" in wrong.stderr
        restored = run(empty, "restore", str(file), "--passphrase-file", str(right))
        assert restored.exit_code == 0, restored.output
        assert count_requests(restored_into) == 1
        restored_into.engine.dispose()


def test_passphrase_that_cannot_be_used(app: Flask, tmp_path: Path) -> None:
    file, passphrase = tmp_path / "office.age", tmp_path / "passphrase"
    passphrase.write_text("short\n")
    assert "8 characters" in error_of(run(app, "backup", str(file), "--passphrase-file", str(passphrase)))
    assert not file.exists()
    typed = run(app, "backup", str(file), "--passphrase-file", "-", given="short\n")
    assert "8 characters" in error_of(typed) and not file.exists()
    passphrase.write_bytes(b"\xff\xfe")
    for path in (passphrase, tmp_path / "missing"):
        assert "cannot be read" in error_of(run(app, "backup", str(file), "--passphrase-file", str(path)))
    assert "either" in error_of(run(app, "restore", "-", "--passphrase-file", "-"))


def test_backup_that_cannot_be_written_or_read_is_an_error(app: Flask, tmp_path: Path) -> None:
    assert "No backup was made" in error_of(run(app, "backup", str(tmp_path / "missing" / "file")))
    (tmp_path / "file").write_text("no backup")
    assert "damaged" in error_of(run(app, "restore", str(tmp_path / "file")))


# -- fill -------------------------------------------------------------------------------------------------------------


def test_fill_creates_requests(app: Flask, database: Database) -> None:
    result = run(app, "fill", "--requests", "40", "--waiting", "2", "--seed", "7")
    assert result.exit_code == 0
    assert result.output.startswith("40 requests were created; 2 of them are waiting.\n")
    assert "all automatic calls are paused" in result.output
    assert count_requests(database) == 40
    again = run(app, "fill", "--requests", "10", "--waiting", "0")
    assert again.output == "10 requests were created; 0 of them are waiting.\n"
    assert count_requests(database) == 50


def test_fill_needs_a_confirmation_if_there_are_real_requests(app: Flask, database: Database) -> None:
    create_request(database)
    assert "--yes" in error_of(run(app, "fill", "--requests", "10"))
    assert count_requests(database) == 1
    assert run(app, "fill", "--requests", "10", "--yes").exit_code == 0
    assert count_requests(database) == 11


@pytest.mark.parametrize("count", ["0", "2000001"])
def test_fill_refuses_impossible_counts(app: Flask, database: Database, count: str) -> None:
    assert run(app, "fill", "--requests", count).exit_code == 2
    assert count_requests(database) == 0


def count_requests(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(CallRequest)) or 0


# -- settings ---------------------------------------------------------------------------------------------------------


def export_of_a_module(database: Database) -> dict[str, Any]:
    save_module(database, make_module_input(name="فروش", code="*5001"), NOW)
    return export_settings(database)


def test_settings_are_exported_to_a_file_and_to_standard_output(app: Flask, database: Database, tmp_path: Path) -> None:
    content = export_of_a_module(database)
    file = tmp_path / "office.json"
    result = run(app, "settings", "export", str(file))
    assert (result.exit_code, result.output) == (0, "")
    exported = json.loads(file.read_text(encoding="utf-8"))
    assert content.items() <= exported.items()
    assert {"office", "voices", "users"} <= exported.keys()
    assert "password" not in file.read_text(encoding="utf-8")
    assert "فروش" in file.read_text(encoding="utf-8"), "people can read it"
    assert run(app, "settings", "export", "-").stdout == file.read_text(encoding="utf-8")


def test_passwords_are_exported_if_it_is_wished_and_missing_ones_are_named(app: Flask, database: Database) -> None:
    exported = json.loads(run(app, "settings", "export", "-", "--with-passwords").stdout)
    assert all(user["password_hash"].startswith("$argon2") for user in exported["users"])
    content = {"bazang": 1, "users": [{"name": "new one", "role": "operator"}]}
    result = run(app, "settings", "import", "-", given=json.dumps(content))
    assert result.exit_code == 0
    assert "no password yet: new one" in result.output and "set-password" in result.output


@pytest.mark.slow
def test_a_process_reads_and_writes_utf8_in_any_locale(
    app: Flask, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    content = export_of_a_module(database)
    exported = run_process(settings.data_dir.parent, "settings", "export", "-")
    assert (exported.returncode, exported.stderr) == (0, "")
    assert content.items() <= json.loads(exported.stdout).items()
    text = exported.stdout.replace("فروش", "خرید")
    imported = run_process(settings.data_dir.parent, "settings", "import", "-", given=text)
    assert (imported.returncode, imported.stderr) == (0, "")
    assert export_settings(database)["modules"][0]["name"] == "خرید"


@pytest.mark.parametrize(("mark", "piped"), [("", True), ("\ufeff", False)], ids=["piped", "byte order mark"])
def test_settings_are_imported(app: Flask, database: Database, tmp_path: Path, mark: str, piped: bool) -> None:
    save_module(database, make_module_input(name="Old", code="*5001"), NOW)
    content = export_settings(database)
    content["modules"][0]["name"] = "فروش"
    content["queues"] = [{"queue": "800"}]
    text = mark + json.dumps(content, ensure_ascii=False)
    file = tmp_path / "office.json"
    file.write_text(text, encoding="utf-8")
    result = run(app, "settings", "import", "-" if piped else str(file), given=text if piped else None)
    done, hint = result.output.split("\n", 1)
    assert (result.exit_code, done) == (0, "2 entries were imported.")
    assert "The worker does not run" in hint and "sounds" in hint
    assert export_settings(database)["modules"] == content["modules"]


BROKEN: list[tuple[bytes, str]] = [
    (b"", "cannot be read"),
    (b'{"bazang": 1, "modules": \xff}', "cannot be read"),
    (b'{"bazang": 1, "queues": [{"queue": "800", "wrapup": ' + b"9" * 5000 + b"}]}", "cannot be read"),
    (b"[" * 200_000, "cannot be read"),
    (b"[]", ""),
    (b'{"bazang": 1, "queues": [{"queue": "800", "wrapup": "1"}]}', "queues[0].wrapup: "),
    (b'{"bazang": 1, "queues": [{"queue": "800"}, {"queue": "8|1"}]}', "queues[1].queue: may only have letters"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_changes_nothing(
    app: Flask, database: Database, tmp_path: Path, content: bytes, message: str
) -> None:
    export_of_a_module(database)
    before = count_rows(database)
    file = tmp_path / "office.json"
    file.write_bytes(content)
    error = error_of(run(app, "settings", "import", str(file)))
    assert error.startswith("Nothing was imported")
    assert message in error
    assert count_rows(database) == before


def count_rows(database: Database) -> dict[str, int]:
    """Return the number of rows of each table."""
    with database.read() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def test_a_file_that_cannot_be_opened_is_an_error(app: Flask, tmp_path: Path) -> None:
    missing = tmp_path / "lost/office.json"
    assert f"{missing} cannot be read" in error_of(run(app, "settings", "import", str(missing)))
    assert f"{missing} cannot be written" in error_of(run(app, "settings", "export", str(missing)))


def test_an_unusable_prompts_folder_is_not_reported_as_an_unreadable_file(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = error_of(run(install(prompts_dir=tmp_path / "file"), "settings", "import", "-", given='{"bazang": 1}'))
    assert str(tmp_path / "file") in error
    assert "cannot be read" not in error
