"""Recordings and spoken names in a PostgreSQL database, and machines that share nothing else."""

import io
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from app.audio.clip import SoundError
from app.audio.library import SoundLibrary
from app.doctor.sounds import check_recordings
from app.domain.findings import Level
from app.services import sounds
from app.services.prompts import recordings
from app.services.prompts.recordings import Origin, read_recording
from app.services.requests import spoken_names
from app.services.sounds import StoredSounds, adopt, read_content
from app.store.database import Database
from app.store.models import CallRequest, Recording, SpokenName, StoredSound
from script.office.database import make_settings
from script.office.server_database import new_database, open_server_database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, create_request, run_at_once
from tests.support.sounds import quick_conversion

__all__ = ["quick_conversion"]
pytestmark = pytest.mark.usefixtures("quick_conversion")
NAMES = [f"names/{letter * 32}.wav" for letter in "abc"]
SMALL = 2000  # bytes, less than any sound
LOST = f"uploads/{'0' * 64}.wav"


class Machine:
    """A machine with a folder of its own."""

    def __init__(self, database: Database, root: Path) -> None:
        self.database, self.root = database, root
        self.stored = StoredSounds(database, root)
        self.library = SoundLibrary(root, fetch=self.stored.fetch)

    def upload(self, content: bytes) -> str:
        stream = io.BytesIO(content)
        return recordings.store_upload(self.database, self.library, stream, "beep.wav", Origin.UPLOAD, NOW).file

    def say(self, request: int, file: str) -> str:
        (self.root / "names").mkdir(exist_ok=True)
        write_sound(self.root / file, tone(0.5))
        return spoken_names.save(self.database, self.root, request, file, NOW)

    def bytes_of(self, file: str) -> bytes:
        return (self.root / file).read_bytes()


@pytest.fixture
def served(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    with new_database(postgres_url, postgres_template) as url, open_server_database(url) as opened:
        yield opened


@pytest.fixture
def panel(served: Database, tmp_path: Path) -> Machine:
    return Machine(served, tmp_path / "panel")


@pytest.fixture
def worker(served: Database, tmp_path: Path) -> Machine:
    return Machine(served, tmp_path / "worker")


@pytest.fixture(scope="module")
def beep(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_sound(tmp_path_factory.mktemp("beep") / "beep.wav", tone(0.5)).read_bytes()


def stored_files(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(StoredSound.file).order_by(StoredSound.file)))


def damage(database: Database, file: str) -> None:
    """Change the content of a sound in the database."""
    with database.write() as session:
        session.execute(update(StoredSound).where(StoredSound.file == file).values(content=b"\0" * 100))


def forget(database: Database) -> None:
    """Let the database be that of an office which is older than the table."""
    with database.write() as session:
        session.execute(delete(StoredSound))


@contextmanager
def full_disk() -> Iterator[None]:
    """Refuse to write more than a small file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- recordings -------------------------------------------------------------------------------------------------------


def test_other_machine_gets_a_recording_when_it_needs_it(panel: Machine, worker: Machine, beep: bytes) -> None:
    file = panel.upload(beep)
    assert not (worker.root / file).exists()
    clip = read_recording(worker.library, file)
    assert clip.path == worker.root / file
    assert worker.bytes_of(file) == panel.bytes_of(file)
    assert clip.path.stat().st_mode & 0o777 == 0o644, "Asterisk reads it as another user"
    assert recordings.has_file(Machine(panel.database, panel.root.parent / "third").library, file)


def test_sqlite_has_the_files_only(database: Database, tmp_path: Path, beep: bytes) -> None:
    machine = Machine(database, tmp_path / "prompts")
    file = machine.upload(beep)
    request = create_request(database).id
    machine.say(request, NAMES[0])
    assert stored_files(database) == []
    assert adopt(database, machine.root) == sounds.Adopted()
    (machine.root / file).unlink()
    with pytest.raises(FileNotFoundError):
        read_recording(machine.library, file)
    with pytest.raises(FileNotFoundError):
        read_content(database, NAMES[0])
    stray = write_sound(machine.root / LOST, tone(0.5))
    assert machine.stored.remove_deleted() == 0
    assert stray.exists()


def test_damaged_file_is_written_again(panel: Machine, worker: Machine, beep: bytes) -> None:
    file = panel.upload(beep)
    (worker.root / file).write_bytes(panel.bytes_of(file)[:-100])
    assert read_recording(worker.library, file).seconds == read_recording(panel.library, file).seconds
    (worker.root / file).write_bytes(panel.bytes_of(file)[:-2])  # it was found right, and has changed since
    read_recording(worker.library, file)
    assert worker.bytes_of(file) == panel.bytes_of(file)


def test_what_is_damaged_in_the_database_is_not_played_and_is_mended(
    panel: Machine, worker: Machine, beep: bytes
) -> None:
    file = panel.upload(beep)
    good = panel.bytes_of(file)
    damage(panel.database, file)
    with pytest.raises(FileNotFoundError):
        read_recording(worker.library, file)
    assert read_recording(panel.library, file)
    assert worker.stored.lacking == {file}
    assert not worker.stored.fetch_lacking()
    assert adopt(worker.database, worker.root, look_inside=True).lost == (file,)
    assert adopt(panel.database, panel.root, look_inside=True).lost == ()
    assert worker.stored.fetch_lacking()
    assert worker.bytes_of(file) == good
    damage(panel.database, file)
    panel.upload(beep)
    assert read_content(panel.database, file) == good, "so does another upload of the same sound"


@pytest.mark.parametrize(
    "file",
    ["../secret.wav", "uploads/../../secret.wav", "/etc/passwd", f"uploads/{'0' * 64}.wav\n", "names/a.wav", ""],
    ids=["above", "through", "absolute", "line", "short", "empty"],
)
def test_path_in_the_database_does_not_lead_out_of_the_folder(panel: Machine, file: str) -> None:
    with panel.database.write() as session:
        session.add(Recording(file=file, name="bad", origin="upload", created_at=NOW))
        session.flush()
        session.add(StoredSound(file=file, recording=file, sha256=sounds.hash_of(b"x"), content=b"x"))
    for act in (
        lambda: panel.stored.fetch(file),
        lambda: read_recording(panel.library, file),
        lambda: read_content(panel.database, file),
    ):
        with pytest.raises(FileNotFoundError):
            act()
    with panel.database.read() as session:
        assert list(sounds.read_others(session.connection(), panel.root)) == []


def test_machines_with_one_folder_may_write_a_file_at_once(
    panel: Machine, served: Database, tmp_path: Path, beep: bytes
) -> None:
    file = panel.upload(beep)
    workers = [Machine(served, tmp_path / "shared") for _ in range(6)]
    for _ in range(5):
        run_at_once([partial(read_recording, worker.library, file) for worker in workers])
        assert workers[0].bytes_of(file) == panel.bytes_of(file)
        (workers[0].root / file).unlink()
    assert list((workers[0].root / "uploads").iterdir()) == []


def test_full_disk_leaves_nothing_behind_and_is_tried_again(panel: Machine, worker: Machine, beep: bytes) -> None:
    file = panel.upload(beep)
    assert len(panel.bytes_of(file)) > SMALL
    with full_disk():
        with pytest.raises(OSError, match="File too large"):
            read_recording(worker.library, file)
        assert not recordings.has_file(worker.library, file)
        assert not worker.stored.fetch_lacking()
    assert list((worker.root / "uploads").iterdir()) == []
    assert worker.stored.fetch_lacking()
    assert read_recording(worker.library, file)
    assert worker.stored.lacking == set()


def test_deleted_recording_goes_everywhere(
    panel: Machine, worker: Machine, beep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = panel.upload(beep)
    read_recording(worker.library, file)
    recordings.delete(panel.database, panel.library, file, now=NOW)
    assert stored_files(panel.database) == []
    assert worker.stored.remove_deleted() == 0, "somebody may have copied it here a moment ago"
    monkeypatch.setattr(sounds, "STRAY_SECONDS", -1)
    kept = panel.upload(write_sound(panel.root / "other.wav", tone(0.7)).read_bytes())
    read_recording(worker.library, kept)
    assert worker.stored.remove_deleted() == 1
    assert [path.name for path in (worker.root / "uploads").iterdir()] == [Path(kept).name]


# -- spoken names -----------------------------------------------------------------------------------------------------


def test_name_is_read_where_it_was_not_recorded_and_goes_with_its_request(panel: Machine, worker: Machine) -> None:
    requests = [create_request(panel.database, number=f"+98912000000{number}").id for number in range(2)]
    assert worker.say(requests[0], NAMES[0]) == ""
    assert worker.say(requests[1], NAMES[1]) == ""
    assert read_content(panel.database, NAMES[0]) == worker.bytes_of(NAMES[0])
    assert worker.say(requests[0], NAMES[2]) == NAMES[0]
    assert stored_files(panel.database) == [NAMES[1], NAMES[2]], "the newer name replaces the older one"
    panel.stored.fetch(NAMES[2])  # as a worker that takes over
    names = panel.root / "names"
    assert (names.stat().st_mode & 0o777, (panel.root / NAMES[2]).stat().st_mode & 0o777) == (0o711, 0o644)
    with panel.database.write() as session:
        session.execute(delete(CallRequest).where(CallRequest.id == requests[0]))
        session.get_one(CallRequest, requests[1]).done_at = NOW - timedelta(days=30)
    assert stored_files(panel.database) == [NAMES[1]]
    assert spoken_names.delete_old(panel.database, NOW) == [NAMES[1]]
    assert stored_files(panel.database) == []


# -- an office that is older than the table ---------------------------------------------------------------------------


@pytest.fixture
def older(panel: Machine, worker: Machine, beep: bytes) -> str:
    """Let the panel have a recording and the worker a name, both as files only. Return the recording."""
    file = panel.upload(beep)
    worker.say(create_request(panel.database).id, NAMES[0])
    forget(panel.database)
    return file


def test_sounds_of_an_older_office_get_into_the_database_once(older: str, panel: Machine, worker: Machine) -> None:
    with pytest.raises(FileNotFoundError):
        read_recording(worker.library, older)
    assert read_recording(panel.library, older), "until then the machine that has it plays it"
    assert adopt(worker.database, worker.root).lost == (older,)
    assert recordings.list_recordings(panel.database, panel.library).rows[0].file == older
    assert stored_files(panel.database) == [NAMES[0], older]
    assert worker.stored.fetch_lacking()
    assert adopt(worker.database, worker.root) == sounds.Adopted()


def test_older_office_is_taken_over_in_parts(older: str, panel: Machine, worker: Machine) -> None:
    assert adopt(panel.database, panel.root, seconds=0) == sounds.Adopted(is_more=True)
    assert stored_files(panel.database) == []


def test_damaged_file_does_not_get_into_the_database(older: str, panel: Machine) -> None:
    (panel.root / older).write_bytes(panel.bytes_of(older)[:-100])
    with pytest.raises(SoundError):
        read_recording(panel.library, older)
    assert older in adopt(panel.database, panel.root).lost
    assert stored_files(panel.database) == []


def test_name_that_was_replaced_meanwhile_is_not_stored(older: str, panel: Machine, worker: Machine) -> None:
    lacking = sounds.Lacking(NAMES[0], 1)
    with panel.database.write() as session:
        assert sounds.is_wanted(session, lacking)
        session.get_one(SpokenName, 1).file = NAMES[1]
        session.flush()
        assert not sounds.is_wanted(session, lacking)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_doctor_names_lost_recordings(request: pytest.FixtureRequest, tmp_path: Path, kind: str, beep: bytes) -> None:
    database = request.getfixturevalue("database" if kind == "sqlite" else "served")
    settings = make_settings(tmp_path / "office")
    machine = Machine(database, settings.prompts_path)
    file = machine.upload(beep)
    assert check_recordings(settings, database).level is Level.OK
    remove: Callable[[], None] = (machine.root / file).unlink
    remove()
    if kind == "postgresql":
        assert check_recordings(settings, database).level is Level.OK, "the database has it"
        damage(database, file)
    found = check_recordings(settings, database)
    assert (found.level, "beep.wav" in found.text) == (Level.WARNING, True)
    assert ("another machine" in found.fix) == (kind == "postgresql")
