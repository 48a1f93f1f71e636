"""The command doctor finds each problem and says how to fix it."""

import asyncio
import json
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from app import create_app, doctor
from app.config import Settings
from app.doctor import exchange
from app.domain.findings import Level
from app.services import users
from app.store import workers
from app.store.models import QueueScenario
from app.store.pbx_state import worker_state
from script.office.asterisk import OfficeSetup, free_port
from script.office.bazang import Bazang
from script.office.database import make_settings
from tests.cli.conftest import PASSWORD, Install, run, run_process
from tests.support.factories import NOW, create_line, create_module, create_queue


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a PBX that does not answer."""
    monkeypatch.setattr(exchange, "CONNECT_SECONDS", 0.3)


def faults_of(output: str) -> dict[str, str]:
    """Return the faults that were found, each with its fix."""
    lines = output.splitlines()
    found = {}
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("FAULT "):
            assert after.startswith("      -> "), f"no fix: {line}"
            found[line.removeprefix("FAULT ")] = after.removeprefix("      -> ")
    return found


def examine(app: Flask) -> str:
    """Return the output of the doctor."""
    return run(app, "doctor").output


def test_without_tables_there_is_only_one_finding(tmp_path: Path) -> None:
    result = run(create_app(make_settings(tmp_path)), "doctor")
    assert result.exit_code == 1
    ((fault, fix),) = faults_of(result.output).items()
    assert "none" in fault and "db upgrade" in fix
    assert len(result.output.splitlines()) == 2


def test_a_database_server_that_does_not_answer_is_a_fault_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://bazang:geheim@127.0.0.1:{free_port()}/bazang"
    result = run(create_app(make_settings(tmp_path, database_url=url)), "doctor")
    assert result.exit_code == 1
    ((_fault, fix),) = faults_of(result.output).items()
    assert "BAZANG_DATABASE_URL" in fix
    assert len(result.output.splitlines()) == 2
    assert "geheim" not in result.output


@pytest.mark.usefixtures("quick")
def test_on_a_new_installation_every_fault_has_a_fix(install: Install) -> None:
    port = free_port()
    result = run(install(ami_port=port, agi_port=free_port()), "doctor")
    assert result.exit_code == 1
    administrator, pbx, worker = faults_of(result.output).items()
    assert "create-admin" in administrator[1]
    assert f"127.0.0.1:{port}" in pbx[0]
    assert "flask --app wsgi worker" in worker[1]
    assert "ok    The database (sqlite)" in result.output
    assert "ok    Speech" in result.output


@pytest.mark.usefixtures("quick")
def test_voices(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    for name, config in (("fa_IR-amir-medium", '{"language": {"family": "fa"}}'), ("lost", "")):
        (folder / f"{name}.onnx").touch()
        (folder / f"{name}.onnx.json").write_text(config)
    app = install(ami_port=free_port(), voices_dir=folder)
    output = examine(app)
    assert "ok    The voice fa_IR-amir-medium speaks fa." in output
    assert "warn  A voice is left out: the voice piper:lost cannot be used" in output
    monkeypatch.setattr(doctor, "is_piper_installed", lambda: False)
    output = examine(app)
    assert "fa_IR-amir-medium.onnx, lost.onnx\n      -> Run: `pip install piper-tts`" in output


@pytest.mark.usefixtures("quick")
def test_an_unreadable_folder_of_voices_is_a_warning(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"warn  {tmp_path / 'file'}" in examine(install(ami_port=free_port(), voices_dir=tmp_path / "file"))


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_no_pbx_is_a_fault(install: Install) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        found = faults_of(examine(install(ami_port=port)))
    assert any(f"127.0.0.1:{port}" in fault for fault in found)


@pytest.mark.usefixtures("quick")
def test_unusable_folders_are_faults(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folders = {"prompts_dir": tmp_path / "file/prompts", "dialplan_file": tmp_path / "file/bazang.conf"}
    found = faults_of(examine(install(ami_port=free_port(), **folders)))
    for name in ("BAZANG_PROMPTS_DIR", "BAZANG_DIALPLAN_FILE", "requirements"):
        assert any(name in fix for fix in found.values()), name


@pytest.mark.usefixtures("quick")
def test_asterisk_must_be_able_to_write_to_the_inbox(install: Install, tmp_path: Path) -> None:
    inbox = tmp_path / "prompts/inbox"
    values = {"prompts_dir": tmp_path / "prompts", "ami_port": free_port()}
    assert f"ok    {inbox}" in examine(install(**values))
    inbox.mkdir()
    inbox.chmod(0o755)
    assert any(f"chmod 1733 {inbox}" in fix for fix in faults_of(examine(install(**values))).values())
    inbox.chmod(0o1733)
    assert not any(str(inbox) in fault for fault in faults_of(examine(install(**values))))


@pytest.mark.usefixtures("quick")
def test_asterisk_must_be_able_to_enter_the_folders(install: Install, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    output = examine(install(prompts_dir=closed / "prompts", ami_port=free_port()))
    assert "warn  " in output and f"chmod o+x {closed}" in output


# -- with a real PBX --------------------------------------------------------------------------------------------------


def office(folder: Path, rights: str = "") -> Bazang:
    setup = OfficeSetup()
    setup.ami_rights += rights
    return Bazang(22, folder / "office", setup)


async def examine_office(bazang: Bazang, **settings: str) -> tuple[int, str]:
    """Run the doctor in a process with the office's settings. Return the exit code and the output."""
    values = {name.removeprefix("BAZANG_"): value for name, value in bazang.environment.items()}
    done = await asyncio.to_thread(lambda: run_process(bazang.folder, "doctor", **(values | settings)))
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.usefixtures("quick")
def test_queues_that_the_pbx_takes_for_one_are_named(install: Install) -> None:
    app = install()
    database = app.extensions["bazang"]["database"]
    with database.write() as session:
        session.add_all(QueueScenario(queue=queue) for queue in ("a-b", "ab", "sales"))
        state = worker_state(session)
        state.heartbeat = datetime.now(UTC) + timedelta(minutes=1)
        session.add(state)
    output = examine(app)
    assert "takes the name of queue ab for that of queue a-b" in output
    assert "bazang-queues,queue-" in output and "sales" not in output


@pytest.mark.usefixtures("quick")
def test_members_whose_state_is_unknown_are_listed_one_by_one(install: Install) -> None:
    app = install()
    database = app.extensions["bazang"]["database"]
    create_queue(database, "800", "201", "sara", "102", "Local-sales-agents-n")
    create_line(database, "sara", state="unknown", devices="IAX2/sara")
    create_line(database, "102", state="in_call")
    with database.write() as session:
        state = worker_state(session)
        state.heartbeat = datetime.now(UTC) + timedelta(minutes=1)
        session.add(state)
    output = examine(app)
    assert "of 201, a member of queue 800" in output
    assert "`exten => 201,hint,PJSIP/201`;" in output and "`exten => sara,hint,IAX2/sara`;" in output
    assert "exten => NUMBER,hint,PJSIP/NUMBER" in output
    assert " 102, a member" not in output


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("seconds", "words"), [(12600, "forward by 3:30:00"), (-12600, "back by 3:30:00"), (0, "")])
def test_jump_of_the_clock_is_a_warning(install: Install, seconds: int, words: str) -> None:
    app = install()
    with app.extensions["bazang"]["database"].write() as session:
        state = worker_state(session)
        state.heartbeat = now = datetime.now(UTC) + timedelta(minutes=1)
        if seconds:
            state.jumped_at, state.jump_seconds = now, seconds
        session.add(state)
    output = examine(app)
    if seconds:
        assert f"jumped {words} at {now:%Y-%m-%d %H:%M:%S} UTC" in output and "systemd-time-wait-sync" in output
    assert ("jumped" in output) == bool(seconds)


@pytest.mark.usefixtures("quick")
def test_destination_that_dials_a_number_is_a_warning(install: Install) -> None:
    app = install()
    dials = {"error_kind": "custom", "error_code": "outbound,09121234567,1"}
    create_module(app.extensions["bazang"]["database"], code="*5001", **dials)
    assert "of the module *5001 dials a telephone number for every caller: outbound,09121234567,1" in examine(app)


@pytest.mark.asterisk(22)
async def test_a_working_installation_has_no_faults(tmp_path: Path) -> None:
    bazang = office(tmp_path)
    bazang.module()
    users.create(bazang.database, "sara", PASSWORD, "administrator", NOW)
    async with bazang:
        await bazang.start_worker()
        code, output = await examine_office(bazang)
        assert (code, faults_of(output)) == (0, {})
        for text in ("Asterisk 22", "make and end calls", "revision", "listens for callers"):
            assert text in output

        await bazang.kill_worker()
        with bazang.database.write() as session:  # its heartbeat is still recent, but it does not listen
            worker_state(session).heartbeat = datetime.now(UTC) + timedelta(minutes=1)
        code, output = await examine_office(bazang)
        assert code == 1
        (from_asterisk, _), (from_here, fix) = faults_of(output).items()
        address = f"127.0.0.1:{bazang.settings.agi_port}"
        assert f"Asterisk does not reach the worker at {address}." in from_asterisk
        assert address in from_here and "BAZANG_AGI_HOST" in fix


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("runs", [False, True])
def test_another_program_on_the_port_of_the_worker_is_named(
    install: Install, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    """FreePBX's own FastAGI service, before the worker runs and while it seems to run."""
    monkeypatch.setattr(doctor, "LISTEN_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        app = install(ami_port=free_port(), agi_port=port)
        if runs:
            with app.extensions["bazang"]["database"].write() as session:
                state = worker_state(session)
                state.heartbeat = datetime.now(UTC) + timedelta(minutes=1)
                session.add(state)
        found = faults_of(examine(app))
        expected = "Another program than our worker" if runs else f"cannot listen on 127.0.0.1:{port}"
        (fix,) = (fix for fault, fix in found.items() if expected in fault)
        assert "FreePBX" in fix and "BAZANG_AGI_PORT" in fix


def test_who_leads_and_who_stands_by_is_said(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LISTEN_SECONDS", 0.2)
    app = install(ami_port=free_port(), agi_port=free_port(), agi_host="127.0.0.1,127.0.0.2")
    settings, database = (app.extensions["bazang"][name] for name in ("settings", "database"))
    with database.write() as session:
        state = worker_state(session)
        state.heartbeat, state.started_at, state.host = datetime.now(UTC), NOW, "pbx-1"
        session.add(state)

    def texts() -> str:
        return "\n".join(finding.text for finding in doctor.check_worker(settings, database, datetime.now(UTC)))

    assert f"The worker runs on pbx-1 since {NOW:%Y-%m-%d %H:%M:%S} UTC." in texts()
    assert "does not listen on 127.0.0.1" in texts() and "stand" not in texts()
    monkeypatch.setattr(workers, "standbys", lambda session: ["pbx-2"])
    assert "Standby: a worker on pbx-2." in texts()
    monkeypatch.setattr(workers, "standbys", lambda session: [])
    assert "No other worker stands by." in texts()
    monkeypatch.setattr(doctor, "is_bazang", lambda host, *_: host == "127.0.0.2")
    assert "The worker listens for callers on 127.0.0.2" in texts()
    monkeypatch.setattr(workers, "clock_skew", lambda session: timedelta(seconds=-7))
    assert "differs from that of the database by -7 s" in texts()


@pytest.mark.parametrize(("version", "level"), [("11.25.3", "fault"), ("13.38.3", "ok"), ("", "ok")])
def test_an_old_asterisk_is_a_fault(version: str, level: str) -> None:
    finding = exchange.check_version(version)
    assert finding.level == level
    assert ("13 or later" in finding.fix) == (level == "fault")


@pytest.mark.asterisk(22)
async def test_a_wrong_secret_and_missing_rights_are_faults(tmp_path: Path) -> None:
    bazang = office(tmp_path, "\n[weak]\nsecret=bazang-secret\nread=call\nwrite=call\n")
    async with bazang:
        wrong = await examine_office(bazang, AMI_SECRET="another")
        weak = await examine_office(bazang, AMI_USERNAME="weak")
        without_context = await examine_office(bazang, OUTBOUND_CONTEXT="")
    assert [code for code, _ in (wrong, weak, without_context)] == [1, 1, 1]
    assert any("BAZANG_AMI_SECRET" in fix for fix in faults_of(wrong[1]).values())
    found = faults_of(weak[1])
    (missing,) = (fault for fault in found if "Originate, DBGet, ShowDialPlan" in fault)
    assert "add originate,reporting to write=" in found[missing]
    (channels,) = (fault for fault in found if "refuses CoreShowChannels" in fault)
    assert "add reporting to write=" in found[channels]
    assert any("BAZANG_OUTBOUND_CONTEXT" in fix for fix in faults_of(without_context[1]).values())


@pytest.mark.usefixtures("quick")
def test_files_that_others_can_read_are_faults(install: Install, tmp_path: Path) -> None:
    app = install(ami_port=free_port())
    folder = next(tmp_path.glob("data*"))
    assert f"ok    Other users can read no private file in {folder}." in examine(app)
    (folder / "copy.sqlite3").touch()
    (folder / "copy.sqlite3").chmod(0o644)
    assert faults_of(examine(app))[f"Other users have access to {folder / 'copy.sqlite3'}."] == (
        f"Run: `chmod 600 {folder / 'copy.sqlite3'}`"
    )


def test_disk_that_is_nearly_full(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    (found,) = doctor.check_disks(settings, low=0, least=0)
    assert found.level is Level.OK and "MB free" in found.text
    (found,) = doctor.check_disks(settings, low=2**62, least=0)
    assert found.level is Level.WARNING and f"The disk of {settings.data_dir} is nearly full" in found.text
    assert "`du -xhd2 /" in found.fix
    (found,) = doctor.check_disks(settings, low=2**62, least=2**62)
    assert found.level is Level.FAULT


@pytest.mark.parametrize(("answer", "count"), [("echo no", 1), ("echo yes", 0), ("exit 1", 0), (None, 0)])
def test_clock_that_is_not_synchronized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None, count: int
) -> None:
    if answer is not None:
        (tmp_path / "timedatectl").write_text(f'#!/bin/sh\ntest "$2" = --property=NTPSynchronized && {answer}\n')
        (tmp_path / "timedatectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(doctor.check_time_service())
    assert len(found) == count and all("`sudo timedatectl set-ntp true`" in each.fix for each in found)


@pytest.mark.usefixtures("quick")
def test_findings_as_json(install: Install) -> None:
    result = run(install(ami_port=free_port(), agi_port=free_port()), "doctor", "--json")
    *found, end = (json.loads(line) for line in result.output.splitlines())
    assert end == {"faults": sum(each["level"] == "fault" for each in found)}
    assert result.exit_code == 1 and found[0]["level"] == "ok" and found[0]["part"] == "database"
    (worker,) = (each for each in found if each["part"] == "worker" and each["level"] == "fault")
    assert worker["text"] == "The worker does not run." and "worker`" in worker["fix"]
