"""The commands, as an administrator types them: what they do, and one clear line where they cannot."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from app import create_app, doctor
from app.config import ConfigError, Settings, load_settings, secret_key
from app.extensions import db
from app.server.process import kill, spawn
from app.services import users
from app.services.modules import save as modules
from app.services.modules.transfer import export_settings
from app.services.setup import first_administrator
from app.store.database import Database
from app.store.models import Base, CallRequest
from app.store.pbx_state import worker_state
from script.office.asterisk import OfficeSetup, free_port
from script.office.bazang import Bazang
from script.office.database import build_database, make_settings
from tests.support.factories import NOW, at_once, create_request, make_module_input

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "a long password"
PROCESS_SECONDS = 30
Install = Callable[..., Flask]


def run(app: Flask, *arguments: str, given: str | None = None) -> Result:
    """Run a command within this process."""
    with app.app_context():
        return app.test_cli_runner().invoke(args=list(arguments), input=given)


def flask(folder: Path, *arguments: str, given: str | bytes = b"", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, whose data lie in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), *arguments],
        cwd=folder,
        env=environment(folder, settings),
        input=given.encode() if isinstance(given, str) else given,
        capture_output=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("BAZANG_")}
    ours = {f"BAZANG_{name}": value for name, value in ({"DATA_DIR": str(folder / "data")} | dict(settings)).items()}
    return others | {"FLASK_SKIP_DOTENV": "1"} | ours


@pytest.fixture(scope="module")
def built_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_database(tmp_path_factory.mktemp("built"))


@pytest.fixture
def app(settings: Settings, built_database: Path) -> Iterator[Flask]:
    """The panel on an up-to-date database."""
    app = installed(settings, built_database)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def machine(tmp_path: Path, built_database: Path) -> Path:
    """The folder of an installation whose database is up to date."""
    (tmp_path / "data").mkdir()
    shutil.copy(built_database, tmp_path / "data")
    return tmp_path


@pytest.fixture
def install(settings: Settings, built_database: Path, tmp_path: Path) -> Install:
    """Make an application with settings of its own, on an up-to-date database: `install(ami_port=5038)`."""
    folders = (tmp_path / f"data{number}" for number in itertools.count())

    def make(**values: Any) -> Flask:
        return installed(make_settings(next(folders), **values), built_database)

    return make


def installed(settings: Settings, built_database: Path) -> Flask:
    settings.data_dir.mkdir()
    shutil.copy(built_database, settings.data_dir)
    return create_app(settings)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a failed command says."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def refusal(result: Result) -> str:
    """Return what a command that failed within this process says."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").rstrip("\n")


def rows(database: Database) -> dict[str, int]:
    """Return how many rows each table has."""
    with database.read() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


# create-admin


@pytest.mark.parametrize("ending", ["\n", "\r\n", "", "\nmore\n"])
def test_an_administrator_is_made_with_a_password_from_the_standard_input(
    app: Flask, database: Database, ending: str
) -> None:
    result = run(app, "create-admin", "سارا", "--password-stdin", given=PASSWORD + ending)
    assert (result.exit_code, result.output) == (0, "سارا may log in now.\n")
    user = users.check_password(database, "سارا", PASSWORD)
    assert user is not None
    assert user.role == "administrator"


def test_a_typed_password_is_asked_for_twice_and_not_shown(app: Flask, database: Database) -> None:
    typed = f"{PASSWORD}\nsomething else\n{PASSWORD}\n{PASSWORD}\n"
    result = run(app, "create-admin", "sara", given=typed)
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert "do not match" in result.output
    assert users.check_password(database, "sara", PASSWORD) is not None


@pytest.mark.parametrize(
    ("name", "password", "words"),
    [
        ("sara", "1234567", "password: at least 8 characters"),
        ("sara", "", "password: at least 8 characters"),
        ("sara", "x" * 201, "password: too long"),
        ("", PASSWORD, "name: must not be empty"),
        ("x" * 81, PASSWORD, "name: too long"),
        ("sa\x07ra", PASSWORD, "name: has characters that cannot be shown"),
        ("taken", PASSWORD, "name: this name is taken"),
        ("taken", "short", "password: at least 8 characters; name: this name is taken"),
    ],
)
def test_no_administrator_is_made_of_nonsense(
    app: Flask, database: Database, name: str, password: str, words: str
) -> None:
    users.create(database, "taken", PASSWORD, "operator", NOW)
    assert refusal(run(app, "create-admin", name, "--password-stdin", given=f"{password}\n")) == words
    assert users.count(database) == 1


def test_create_admin_as_a_process(machine: Path) -> None:
    done = flask(machine, "create-admin", "sara", "--password-stdin", given=f"{PASSWORD}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "sara may log in now.\n", "")
    again = flask(machine, "create-admin", "sara", "--password-stdin", given=f"{PASSWORD}\n")
    assert one_line(again) == "name: this name is taken"
    nothing = flask(machine, "create-admin", "omid", "--password-stdin")
    assert one_line(nothing) == "password: at least 8 characters"


@pytest.mark.parametrize(
    ("reading", "words"),
    [("utf-8:strict", "the password is no text in UTF-8"), ("utf-8:surrogateescape", "password: has characters that")],
)
def test_a_password_that_is_no_text_is_told(
    machine: Path, monkeypatch: pytest.MonkeyPatch, reading: str, words: str
) -> None:
    """How strictly the standard input is read depends on the locale."""
    monkeypatch.setenv("PYTHONIOENCODING", reading)
    done = flask(machine, "create-admin", "omid", "--password-stdin", given=b"\xff\xfe password\n")
    assert one_line(done).startswith(words)


# dialplan


def test_the_dialplan_that_is_printed_is_what_is_written(app: Flask, database: Database, settings: Settings) -> None:
    modules.save(database, make_module_input(code="*5001"), NOW)
    printed = run(app, "dialplan")
    assert printed.exit_code == 0
    assert not settings.dialplan_path.exists()
    written = run(app, "dialplan", "--write")
    assert written.exit_code == 0
    assert settings.dialplan_path.read_text(encoding="utf-8") == printed.stdout
    assert "exten => *5001,1" in printed.stdout
    assert str(settings.dialplan_path) in written.stdout
    revision = written.stdout.split()[1]
    assert f"r{revision}" in printed.stdout


def test_a_dialplan_that_cannot_be_written_or_made_is_told(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = install(dialplan_file=tmp_path / "file/bazang.conf")
    assert "file" in refusal(run(blocked, "dialplan", "--write"))
    unsafe = install(agi_host="127.0.0.1;System(x)")
    assert "not for a dialplan" in refusal(run(unsafe, "dialplan"))


def test_dialplan_as_a_process(machine: Path) -> None:
    printed = flask(machine, "dialplan")
    assert (printed.returncode, printed.stderr) == (0, "")
    written = flask(machine, "dialplan", "--write", DIALPLAN_FILE=str(machine / "here/bazang.conf"))
    assert (written.returncode, written.stderr) == (0, "")
    assert (machine / "here/bazang.conf").read_text() == printed.stdout
    assert stat.S_IMODE((machine / "here/bazang.conf").stat().st_mode) == 0o644


# fill


def test_requests_are_made_up_where_there_are_none(app: Flask, database: Database) -> None:
    result = run(app, "fill", "--requests", "40", "--waiting", "2", "--seed", "7")
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "40 requests are made, of which 2 wait."
    assert "all automatic calls are paused" in result.output
    assert count_requests(database) == 40
    again = run(app, "fill", "--requests", "10", "--waiting", "0")  # more of them, and none that waits
    assert again.output == "10 requests are made, of which 0 wait.\n"
    assert count_requests(database) == 50


def test_among_real_requests_none_are_made_up_unless_one_insists(app: Flask, database: Database) -> None:
    create_request(database)
    assert refusal(run(app, "fill", "--requests", "10")).startswith("there are requests of real customers here")
    assert count_requests(database) == 1
    assert run(app, "fill", "--requests", "10", "--yes").exit_code == 0
    assert count_requests(database) == 11


@pytest.mark.parametrize("count", ["0", "-1", "x", "2000001"])
def test_no_number_of_requests_is_nonsense(app: Flask, database: Database, count: str) -> None:
    assert run(app, "fill", "--requests", count).exit_code == 2
    assert count_requests(database) == 0


def count_requests(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(CallRequest)) or 0


# settings export, settings import


def furnish(database: Database) -> dict[str, Any]:
    modules.save(database, make_module_input(name="فروش", code="*5001"), NOW)
    return export_settings(database)


def test_settings_are_exported_to_a_file_and_to_the_standard_output(
    app: Flask, database: Database, tmp_path: Path
) -> None:
    content = furnish(database)
    file = tmp_path / "office.json"
    result = run(app, "settings", "export", str(file))
    assert (result.exit_code, result.output) == (0, "")
    assert json.loads(file.read_text(encoding="utf-8")) == content
    assert "فروش" in file.read_text(encoding="utf-8"), "people read these files, too"
    assert run(app, "settings", "export", "-").stdout == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("piped", [False, True])
def test_settings_are_imported(app: Flask, database: Database, tmp_path: Path, mark: str, piped: bool) -> None:
    """From a file and from the standard input; some editors begin a file with a mark."""
    modules.save(database, make_module_input(name="Old", code="*5001"), NOW)
    content = export_settings(database)
    content["modules"][0]["name"] = "فروش"
    content["queues"] = [{"queue": "800"}]
    text = mark + json.dumps(content, ensure_ascii=False)
    file = tmp_path / "office.json"
    file.write_text(text, encoding="utf-8")
    result = run(app, "settings", "import", "-" if piped else str(file), given=text if piped else None)
    assert (result.exit_code, result.output) == (0, "2 entries were taken in.\n")
    assert export_settings(database)["modules"] == content["modules"]


BROKEN: list[tuple[bytes, str]] = [
    (b"", "cannot be read"),
    (b"bazang", "cannot be read"),
    (b'{"bazang": 1', "cannot be read"),
    (b'{"bazang": 1, "modules": \xff}', "cannot be read"),
    (b'{"bazang": 1, "queues": [{"queue": "800", "wrapup": ' + b"9" * 5000 + b"}]}", "cannot be read"),
    (b"[" * 200_000, "cannot be read"),
    (b"[]", "the whole file: "),
    (b'{"bazang": 1, "queues": [{"queue": "800", "wrapup": "1"}]}', "queues[0].wrapup: "),
    (b'{"bazang": 1, "queues": [{"queue": "800"}, {"queue": "8 1"}]}', "queues[1].queue: "),
]


@pytest.mark.parametrize(("content", "words"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_changes_nothing_and_is_told(
    app: Flask, database: Database, tmp_path: Path, content: bytes, words: str
) -> None:
    furnish(database)
    before = rows(database)
    file = tmp_path / "office.json"
    file.write_bytes(content)
    told = refusal(run(app, "settings", "import", str(file)))
    assert told.startswith("nothing was taken in:")
    assert words in told
    assert rows(database) == before


def test_a_file_that_is_not_there_is_told(app: Flask, tmp_path: Path) -> None:
    told = refusal(run(app, "settings", "import", str(tmp_path / "lost.json")))
    assert f"{tmp_path}/lost.json cannot be read" in told
    assert "No such file" in told
    told = refusal(run(app, "settings", "export", str(tmp_path / "lost/office.json")))
    assert f"{tmp_path}/lost/office.json cannot be written" in told


def test_a_folder_of_prompts_that_cannot_be_used_is_told_as_such(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    app = install(prompts_dir=tmp_path / "file")
    told = refusal(run(app, "settings", "import", "-", given='{"bazang": 1}'))
    assert told.startswith("nothing was taken in: ")
    assert str(tmp_path / "file") in told
    assert "cannot be read" not in told


def test_settings_travel_from_one_process_to_another(machine: Path) -> None:
    module = {
        "name": "فروش",
        "code": "*5001",
        "target_kind": "extension",
        "targets": ["101"],
        "next": {"kind": "hangup"},
        "error": {"kind": "hangup"},
    }
    content = json.dumps({"bazang": 1, "modules": [module]})
    taken = flask(machine, "settings", "import", "-", given=content)
    assert (taken.returncode, taken.stdout, taken.stderr) == (0, "1 entries were taken in.\n", "")
    # Whatever the terminal speaks: what is written is UTF-8.
    exported = flask(machine, "settings", "export", "-")
    assert (exported.returncode, exported.stderr) == (0, "")
    assert json.loads(exported.stdout)["modules"][0]["name"] == "فروش"
    broken = flask(machine, "settings", "import", "-", given="no JSON")
    assert "cannot be read" in one_line(broken)
    assert flask(machine, "settings", "export", "-").stdout == exported.stdout


# doctor


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor waits for no exchange that is not there at once."""
    monkeypatch.setattr(doctor, "CONNECT_SECONDS", 0.3)


def faults(output: str) -> dict[str, str]:
    """Return the faults that the doctor found, each with the hint below it."""
    lines = output.splitlines()
    found = {}
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("FAULT "):
            assert after.startswith("      -> "), f"no hint: {line}"
            found[line.removeprefix("FAULT ")] = after.removeprefix("      -> ")
    return found


def test_on_a_fresh_machine_the_doctor_begins_with_the_database(tmp_path: Path) -> None:
    result = run(create_app(make_settings(tmp_path)), "doctor")
    assert result.exit_code == 1
    assert faults(result.output) == {"the database is at nothing, not at 0002": "flask --app wsgi db upgrade"}


@pytest.mark.usefixtures("impatient")
def test_the_doctor_has_a_hint_for_every_fault(install: Install) -> None:
    result = run(install(ami_port=free_port()), "doctor")
    assert result.exit_code == 1
    found = faults(result.output)
    assert [fault.partition(":")[0].partition(" at ")[0] for fault in found] == [
        "nobody may log in yet",
        "no exchange answers",
        "the telephone service does not run",
    ]
    assert "create-admin" in found["nobody may log in yet"]
    assert "ok    the database (sqlite) is up to date\n" in result.output
    assert "ok    texts can be spoken" in result.output


@pytest.mark.usefixtures("impatient")
def test_the_doctor_names_the_voices_of_the_folder(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    for name, config in (("fa_IR-amir-medium", '{"language": {"family": "fa"}}'), ("lost", "")):
        (folder / f"{name}.onnx").touch()
        (folder / f"{name}.onnx.json").write_text(config)
    app = install(ami_port=free_port(), voices_dir=folder)
    output = run(app, "doctor").output
    assert "ok    the voice fa_IR-amir-medium speaks fa\n" in output
    assert "warn  the voice piper:lost cannot be used: lost.onnx.json does not tell its language\n" in output
    monkeypatch.setattr(doctor, "has_piper", lambda: False)
    output = run(app, "doctor").output
    assert "piper is not installed: fa_IR-amir-medium.onnx, lost.onnx\n      -> pip install piper-tts" in output


@pytest.mark.usefixtures("impatient")
def test_the_doctor_tells_of_a_folder_of_voices_that_cannot_be_read(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = run(install(ami_port=free_port(), voices_dir=tmp_path / "file"), "doctor").output
    assert f"warn  {tmp_path / 'file'} cannot be read" in output


@pytest.mark.usefixtures("impatient")
def test_the_doctor_sees_who_does_not_speak_ami(install: Install) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        result = run(install(ami_port=mute.getsockname()[1]), "doctor")
    assert result.exit_code == 1
    assert any(fault.startswith("no exchange answers at 127.0.0.1:") for fault in faults(result.output))


@pytest.mark.usefixtures("impatient")
def test_the_doctor_finds_folders_that_cannot_be_used(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    values = {"prompts_dir": tmp_path / "file/prompts", "dialplan_file": tmp_path / "file/bazang.conf"}
    result = run(install(ami_port=free_port(), **values), "doctor")
    hints = set(faults(result.output).values())
    assert {f"let this user write there (BAZANG_{name})" for name in ("PROMPTS_DIR", "DIALPLAN_FILE")} <= hints
    assert any(fault.startswith("no text can be spoken") for fault in faults(result.output))


@pytest.mark.usefixtures("impatient")
def test_the_doctor_finds_an_inbox_that_the_exchange_cannot_write(install: Install, tmp_path: Path) -> None:
    inbox = tmp_path / "prompts/inbox"
    values = {"prompts_dir": tmp_path / "prompts", "ami_port": free_port()}
    assert f"ok    {inbox} will be made" in run(install(**values), "doctor").output
    inbox.mkdir()
    inbox.chmod(0o755)
    found = faults(run(install(**values), "doctor").output)
    assert found[f"{inbox}: Asterisk cannot put there what is recorded by phone"].startswith(f"chmod 1733 {inbox}")
    inbox.chmod(0o1733)
    assert f"ok    {inbox} takes what is recorded" in run(install(**values), "doctor").output


def test_the_doctor_tells_of_a_database_server_that_is_not_there(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://bazang:geheim@127.0.0.1:{free_port()}/bazang"
    done = flask(tmp_path, "doctor", DATABASE_URL=url)
    assert done.returncode == 1
    ((fault, hint),) = faults(done.stdout).items()
    assert fault.startswith("the database cannot be opened: ")
    assert hint == "look at BAZANG_DATABASE_URL"
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""
    assert "geheim" not in done.stdout


def office(folder: Path, rights: str = "") -> Bazang:
    setup = OfficeSetup()
    setup.ami_rights += rights
    return Bazang(22, folder / "office", setup)


async def doctor_of(bazang: Bazang, **settings: str) -> subprocess.CompletedProcess[str]:
    values = {name.removeprefix("BAZANG_"): value for name, value in bazang.environment.items()}
    return await asyncio.to_thread(lambda: flask(bazang.folder, "doctor", **(values | settings)))


@pytest.mark.asterisk(22)
async def test_the_doctor_has_nothing_to_say_where_all_is_well(tmp_path: Path) -> None:
    bazang = office(tmp_path)
    bazang.module()
    users.create(bazang.database, "sara", PASSWORD, "administrator", NOW)
    async with bazang:
        await bazang.start_worker()
        done = await doctor_of(bazang)
        assert done.returncode == 0, done.stdout
        assert done.stderr == ""
        found = [line for line in done.stdout.splitlines() if line.startswith("ok    ")]
        for words in ("connected to the exchange (Asterisk 22", "calls may be made", "revision", "dialogue listens"):
            assert any(words in line for line in found), words

        await bazang.kill_worker()
        with bazang.database.write() as session:  # its heartbeat is still fresh, but nobody takes the callers
            worker_state(session).heartbeat = datetime.now(UTC) + timedelta(minutes=1)
        deaf = await doctor_of(bazang)
        assert deaf.returncode == 1
        (fault,) = faults(deaf.stdout)
        assert fault.startswith(f"nothing listens on 127.0.0.1:{bazang.settings.agi_port}")


@pytest.mark.asterisk(22)
async def test_the_doctor_finds_a_wrong_secret_and_missing_rights(tmp_path: Path) -> None:
    bazang = office(tmp_path, "\n[weak]\nsecret=bazang-secret\nread=call\nwrite=call\n")
    async with bazang:
        wrong = await doctor_of(bazang, AMI_SECRET="another")
        weak = await doctor_of(bazang, AMI_USERNAME="weak")
        nowhere = await doctor_of(bazang, OUTBOUND_CONTEXT="")
    assert [done.returncode for done in (wrong, weak, nowhere)] == [1, 1, 1]
    refused = f"the exchange at 127.0.0.1:{bazang.asterisk.ami_port} refused user 'bazang'"
    assert "BAZANG_AMI_SECRET" in faults(wrong.stdout)[refused]
    found = faults(weak.stdout)
    assert found["not allowed: Originate, DBGet, ShowDialPlan"] == "manager.conf: add originate,reporting to write="
    (channels,) = (hint for fault, hint in found.items() if fault.startswith("CoreShowChannels was refused"))
    assert channels == "manager.conf: add reporting to write="
    assert "BAZANG_OUTBOUND_CONTEXT" in faults(nowhere.stdout)["nobody said how customers are dialled"]


# worker


@contextmanager
def worker(folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A telephone service that is ready for callers."""
    log = folder / "worker.log"
    command = [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), "worker"]
    process = spawn(command, log, environment=environment(folder, settings), folder=folder)
    try:
        deadline = time.monotonic() + PROCESS_SECONDS
        while not (log.exists() and "ready for callers" in log.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield process
    finally:
        kill(process)


def test_a_second_worker_on_the_same_database_is_refused(machine: Path) -> None:
    ports = {"AMI_PORT": str(free_port())}
    with worker(machine, AGI_PORT=str(free_port()), **ports) as first:
        second = flask(machine, "worker", AGI_PORT=str(free_port()), **ports)
        assert one_line(second) == "another worker is running on this database"
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        assert first.wait(PROCESS_SECONDS) == 0
    with worker(machine, AGI_PORT=str(free_port()), **ports) as next_one:
        kill(next_one)  # as a power cut would: nothing of it stands in the way of the one after it
    with worker(machine, AGI_PORT=str(free_port()), **ports):
        pass


def test_a_worker_whose_port_is_taken_says_which(machine: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        line = one_line(flask(machine, "worker", AGI_PORT=str(port), AMI_PORT=str(free_port())))
    assert line.startswith(f"cannot listen on 127.0.0.1:{port} (BAZANG_AGI_BIND, BAZANG_AGI_PORT): ")
    assert "in use" in line


def test_a_worker_whose_folder_cannot_be_used_does_not_blame_the_port(machine: Path) -> None:
    (machine / "file").touch()
    line = one_line(flask(machine, "worker", AGI_PORT=str(free_port()), PROMPTS_DIR=str(machine / "file")))
    assert str(machine / "file") in line
    assert "listen" not in line


@pytest.mark.parametrize(
    "command",
    [
        ["worker"],
        ["create-admin", "sara", "--password-stdin"],
        ["setup-link"],
        ["dialplan"],
        ["settings", "export", "-"],
        ["settings", "import", "-"],
    ],
    ids=" ".join,
)
def test_without_tables_every_command_says_how_to_make_them(tmp_path: Path, command: list[str]) -> None:
    app = create_app(make_settings(tmp_path))
    told = refusal(run(app, *command, given=f"{PASSWORD}\n"))
    assert told == "the database is at nothing, not at 0002: flask --app wsgi db upgrade"


def test_a_worker_without_tables_says_so_in_one_line(tmp_path: Path) -> None:
    assert "db upgrade" in one_line(flask(tmp_path, "worker"))


# Nonsense in the environment


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TIMEZONE", "Mars", "no such time zone: 'Mars'"),
        ("TIMEZONE", "Asia", "no such time zone: 'Asia'"),
        ("TIMEZONE", "", "no such time zone: ''"),
        ("TIMEZONE", "../../etc/passwd", "no such time zone"),
        ("DEFAULT_REGION", "Iran", "no such country: 'Iran'"),
        ("DEFAULT_LOCALE", "de", "'fa' or 'en'"),
        ("PBX_PROFILE", "cisco", "'asterisk' or 'freepbx'"),
        ("AMI_PORT", "0", "greater than or equal to 1"),
        ("AMI_PORT", "fifty", "valid integer"),
        ("AGI_PORT", "65536", "less than or equal to 65535"),
        ("AGI_PORT", "", "valid integer"),
        ("TRUSTED_PROXIES", "-1", "greater than or equal to 0"),
        ("TRUSTED_PROXIES", "10", "less than or equal to 9"),
        ("TRUSTED_PROXIES", "yes", "valid integer"),
        ("TRUSTED_PROXIES", "127.0.0.1", "valid integer"),
        ("POLL_SECONDS", "0", "greater than or equal to 0.2"),
        ("POLL_SECONDS", "nan", ""),
        ("POLL_SECONDS", "inf", "less than or equal to 60"),
        ("AREA_CODE", "+98", "match pattern"),
        ("OUTBOUND_CONTEXT", "from internal", "match pattern"),
        ("QUEUE_CONTEXT", "a,b", "match pattern"),
        ("DATABASE_URL", "nonsense", "expected sqlite:///FILE or postgresql"),
        ("DATABASE_URL", "mysql://root@localhost/bazang", "expected sqlite:///FILE or postgresql"),
        ("DATABASE_URL", "sqlite://", "expected sqlite:///FILE or postgresql"),
        ("DATABASE_URL", "sqlite:///:memory:", "expected sqlite:///FILE or postgresql"),
        ("DATABASE_URL", "postgresql://bazang@localhost:port/bazang", "Port"),
        ("ASTERISK_PROMPTS_DIR", "/srv/a,b", "no sound can be played from '/srv/a,b'"),
        ("PROMPTS_DIR", "/srv/a&b", "no sound can be played from '/srv/a&b'"),
    ],
)
def test_nonsense_in_a_setting_is_told_with_its_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"BAZANG_{name}", value)
    with pytest.raises(ConfigError) as refused:
        load_settings(_env_file=None, data_dir=settings.data_dir)
    (line,) = str(refused.value).splitlines()
    named = "ASTERISK_PROMPTS_DIR" if name == "PROMPTS_DIR" else name
    assert line.startswith(f"BAZANG_{named}: ")
    assert words in line


@pytest.mark.parametrize(
    "value",
    ["sqlite:////srv/bazang.sqlite3", "postgresql://bazang@/bazang?host=/run", "postgresql+psycopg://a:b@h:5432/c"],
)
def test_the_databases_that_there_are_may_be_named(settings: Settings, value: str) -> None:
    assert load_settings(_env_file=None, data_dir=settings.data_dir, database_url=value).database_url == value


def test_a_secret_is_not_repeated_in_a_message(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAZANG_DATABASE_URL", "postgres://bazang:geheim@localhost/bazang")
    with pytest.raises(ConfigError) as refused:
        load_settings(_env_file=None, data_dir=settings.data_dir)
    assert "geheim" not in str(refused.value)


def test_a_command_with_nonsense_in_the_environment_says_a_line_per_fault(tmp_path: Path) -> None:
    done = flask(tmp_path, "dialplan", TIMEZONE="Mars", AGI_PORT="99999")
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(done.stderr.removeprefix("Error: ").splitlines()) == [
        "BAZANG_AGI_PORT: Input should be less than or equal to 65535 (got '99999')",
        "BAZANG_TIMEZONE: no such time zone: 'Mars' (write it as Asia/Tehran) (got 'Mars')",
    ]
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = one_line(flask(tmp_path, "dialplan", DATA_DIR=str(tmp_path / "file/data")))
    assert line.startswith("BAZANG_DATA_DIR: ")


# The key that signs sessions


def test_all_who_start_at_once_share_one_key_that_only_the_owner_reads(settings: Settings) -> None:
    keys = at_once([lambda: secret_key(settings)] * 12)
    assert len(set(keys)) == 1
    assert len(keys[0]) == 64
    (file,) = settings.data_dir.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_key(settings) == keys[0]


# setup-link


def test_the_link_of_the_set_up_is_printed_and_nothing_else(app: Flask, database: Database) -> None:
    result = run(app, "setup-link", "--host", "fd00::5", "--port", "8080", "--https")
    assert result.exit_code == 0
    address, token = result.output.rstrip("\n").split("?token=")
    assert address == "https://[fd00::5]:8080/setup"
    assert first_administrator.fits(database, token, datetime.now(UTC))


def test_no_link_is_printed_where_there_is_an_administrator(app: Flask, database: Database) -> None:
    users.create(database, "sara", PASSWORD, "administrator", NOW)
    assert "there is an administrator already" in refusal(run(app, "setup-link"))
