"""Recordings, on SQLite and on PostgreSQL: stored once, and not deleted while they are in use."""

import io
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.services.errors import Invalid, NotFound
from app.services.modules.save import save_module
from app.services.prompts import recordings
from app.services.prompts.digits import set_digit
from app.services.prompts.input import PromptInput
from app.services.prompts.recordings import Origin, RecordingSort, Use
from app.services.sounds import RECORDING
from app.store.database import Database
from app.store.models import DigitRecording, Module, Prompt, Recording
from script.office.database import open_database
from script.office.server_database import new_database, open_server_database
from tests.audio.sounds import silence, tone, write_sound
from tests.support.factories import NOW, create_recording, make_module_input, reload, run_at_once

MISSING = f"uploads/{'0' * 64}.wav"
ROUNDS = 12  # of actions at the same moment


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def template(request: pytest.FixtureRequest) -> Any:
    """The database of which each test gets a copy."""
    if request.param == "sqlite":
        return request.getfixturevalue("built_database")
    return request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")


@pytest.fixture
def database(template: Any, tmp_path: Path) -> Iterator[Database]:
    if isinstance(template, Path):
        opened = open_database(Path(shutil.copy(template, tmp_path / "bazang.sqlite3")))
        yield opened
        opened.engine.dispose()
        return
    with new_database(*template) as url, open_server_database(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def beep(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_sound(tmp_path_factory.mktemp("beep") / "beep.wav", tone(0.5)).read_bytes()


def upload(
    database: Database, library: SoundLibrary, content: bytes, name: str = "beep.wav", **options: Any
) -> Recording:
    return recordings.store_upload(database, library, io.BytesIO(content), name, Origin.UPLOAD, NOW, **options)


def delete(database: Database, library: SoundLibrary, file: str) -> None:
    recordings.delete(database, library, file, now=NOW)


def use_in_module(database: Database, library: SoundLibrary, file: str, code: str = "*5001") -> int:
    prompts = {"intro": PromptInput("file", "", file, "beep.wav")}
    return save_module(database, make_module_input(code=code, prompts=prompts), NOW, library=library)


def list_rows(database: Database, table: Any) -> list[Any]:
    with database.read() as session:
        return list(session.scalars(select(table)))


# -- uploads --------------------------------------------------------------------------------------------------------


def test_upload_is_converted_and_measured(database: Database, library: SoundLibrary, beep: bytes) -> None:
    row = upload(database, library, beep, "Good morning", original_name="morning.wav", actor="sara")
    assert reload(database, row).name == row.name == "Good morning"
    assert (row.original_name, row.origin, row.created_by, row.created_at) == ("morning.wav", "upload", "sara", NOW)
    assert row.seconds == pytest.approx(0.5, abs=0.05)
    assert row.loudness is not None
    assert -25 < row.loudness < -12
    assert RECORDING.fullmatch(row.file)
    assert (library.root / row.file).is_file()


def test_same_sound_is_stored_once_with_its_first_name(database: Database, library: SoundLibrary, beep: bytes) -> None:
    first = upload(database, library, beep, "First")
    second = upload(database, library, beep, "Second")
    assert (second.file, second.name) == (first.file, "First")
    assert len(list_rows(database, Recording)) == 1


def test_names_are_cleaned_and_default_to_the_file_name(database: Database, library: SoundLibrary, beep: bytes) -> None:
    assert upload(database, library, beep, "", original_name="greeting.wav").name == "greeting.wav"
    other = write_sound(library.root / "other.wav", tone(0.4, 700)).read_bytes()
    row = upload(database, library, other, "x\x00\u202e" * 300)
    assert (row.name, row.original_name) == ("x" * 80, "x" * 200)


def test_original_name_tells_the_raw_format(database: Database, library: SoundLibrary, beep: bytes) -> None:
    raw = beep[44:]
    assert upload(database, library, raw, "Hold the line", original_name="hold.sln").name == "Hold the line"
    with pytest.raises(SoundError):
        upload(database, library, raw, "Hold the line")


@pytest.mark.parametrize("is_silent", [False, True])
def test_refused_upload_leaves_nothing(
    database: Database, library: SoundLibrary, tmp_path: Path, is_silent: bool
) -> None:
    content = write_sound(tmp_path / "silence.wav", silence(1)).read_bytes() if is_silent else b"no sound at all"
    with pytest.raises(SoundError):
        upload(database, library, content)
    assert list_rows(database, Recording) == []
    assert list((library.root / "uploads").iterdir()) == []


# -- the list -------------------------------------------------------------------------------------------------------


def test_list_is_searched_sorted_and_paged(
    database: Database, library: SoundLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("Zebra", "apple", "Mango")):
        values: dict[str, Any] = {"seconds": 10.0 - number, "loudness": -20.0 - number, "original_name": f"{name}.mp3"}
        create_recording(database, f"uploads/{number}.wav", name=name, **values)

    def names(**options: Any) -> list[str]:
        return [row.name for row in recordings.list_recordings(database, library, **options).rows]

    assert names() == ["apple", "Mango", "Zebra"]
    assert names(sort=RecordingSort.LENGTH) == names(sort=RecordingSort.LOUDNESS) == ["Mango", "apple", "Zebra"]
    assert names(search="AN") == ["Mango"]
    assert names(search="A.MP3") == ["Zebra"]
    monkeypatch.setattr(recordings, "PAGE_SIZE", 2)
    first, second = (recordings.list_recordings(database, library, page=page) for page in (1, 2))
    assert ([row.name for row in first.rows], first.has_more) == (["apple", "Mango"], True)
    assert ([row.name for row in second.rows], second.has_more) == (["Zebra"], False)
    nothing = recordings.list_recordings(database, library, search="pear")
    assert (nothing.rows, nothing.library_is_empty) == ([], False)


def test_rows_without_measures_are_measured_once(
    database: Database, library: SoundLibrary, beep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the rows that the migration made."""
    file = upload(database, library, beep, "B").file
    with database.write() as session:
        row = session.get_one(Recording, file)
        row.seconds = row.loudness = None
    create_recording(database, MISSING, name="A")
    first, second = recordings.list_recordings(database, library).rows
    assert (first.file, first.seconds) == (MISSING, None)
    assert second.seconds == pytest.approx(0.5, abs=0.05)
    assert reload(database, second).loudness == second.loudness is not None
    read: list[str] = []

    def read_missing(path: Path) -> Clip:
        read.append(path.name)
        raise FileNotFoundError(path)

    monkeypatch.setattr(recordings, "read_clip", read_missing)
    recordings.list_recordings(database, library)
    assert read == [Path(MISSING).name]


# -- rename ---------------------------------------------------------------------------------------------------------


def test_rename(database: Database) -> None:
    row = create_recording(database, MISSING)
    recordings.rename(database, row.file, "  صدای جدید ", now=NOW)
    assert reload(database, row).name == "صدای جدید"
    with pytest.raises(NotFound):
        recordings.rename(database, "uploads/unknown.wav", "x", now=NOW)


@pytest.mark.parametrize(("name", "code"), [("  ", "required"), ("x" * 81, "too_long"), ("a\x00b", "characters")])
def test_invalid_names_are_refused(database: Database, name: str, code: str) -> None:
    row = create_recording(database, MISSING)
    with pytest.raises(Invalid) as caught:
        recordings.rename(database, row.file, name, now=NOW)
    assert caught.value.errors == {"name": code}
    assert reload(database, row).name == "Recording"


# -- use and deletion -----------------------------------------------------------------------------------------------


def test_uses_are_listed(database: Database, library: SoundLibrary, beep: bytes) -> None:
    file = upload(database, library, beep).file
    create_recording(database, MISSING)
    module_id = use_in_module(database, library, file)
    set_digit(database, "fa", "7", file, NOW)
    expected = {file: [Use("intro", "Sales", module_id), Use("7", language="fa")]}
    assert recordings.list_uses(database) == recordings.list_uses(database, file) == expected
    assert recordings.list_uses(database, MISSING) == {}


@pytest.mark.parametrize("is_digit", [True, False])
def test_recording_in_use_is_not_deleted(
    database: Database, library: SoundLibrary, beep: bytes, is_digit: bool
) -> None:
    row = upload(database, library, beep)
    if is_digit:
        set_digit(database, "en", "0", row.file, NOW)
    else:
        use_in_module(database, library, row.file)
    with pytest.raises(Invalid) as caught:
        delete(database, library, row.file)
    assert caught.value.errors == {"file": "in_use"}
    assert (library.root / reload(database, row).file).is_file()


def test_recording_is_deleted_with_its_file(database: Database, library: SoundLibrary, beep: bytes) -> None:
    row = upload(database, library, beep)
    set_digit(database, "en", "0", row.file, NOW)
    set_digit(database, "en", "0", None, NOW)
    delete(database, library, row.file)
    assert list_rows(database, Recording) == []
    assert not (library.root / row.file).exists()
    with pytest.raises(NotFound):
        delete(database, library, row.file)
    assert upload(database, library, beep).file == row.file


def test_recording_whose_file_is_missing_can_be_deleted(database: Database, library: SoundLibrary) -> None:
    create_recording(database, MISSING)
    delete(database, library, MISSING)
    assert list_rows(database, Recording) == []


def test_other_files_are_never_deleted(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    (tmp_path / "treasure").write_text("gold")
    for name in ("../treasure", str(tmp_path / "treasure")):
        create_recording(database, name)
        delete(database, library, name)
    assert (tmp_path / "treasure").read_text() == "gold"


def test_recording_stays_if_its_file_cannot_be_removed(database: Database, library: SoundLibrary) -> None:
    row = create_recording(database, MISSING)
    (library.root / MISSING).mkdir()  # even root cannot unlink a folder
    with pytest.raises(OSError):
        delete(database, library, MISSING)
    assert reload(database, row).file == MISSING


# -- at the same moment ---------------------------------------------------------------------------------------------


def outcome(action: Callable[[], object]) -> Callable[[], str]:
    """Return a function that does the action and returns "done" or the error."""

    def run() -> str:
        try:
            action()
        except (Invalid, NotFound) as error:
            return str(error)
        return "done"

    return run


def test_same_sound_from_several_people_is_stored_once(database: Database, library: SoundLibrary, beep: bytes) -> None:
    rows = run_at_once([lambda: upload(database, library, beep) for _ in range(4)])
    assert {row.file for row in rows} == {row.file for row in list_rows(database, Recording)}
    assert len(list_rows(database, Recording)) == 1


def test_recording_is_either_used_by_a_module_or_deleted(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    for turn in range(ROUNDS):
        file = upload(database, library, beep).file
        code = f"*6{turn:03}"
        used, deleted = run_at_once(
            [
                outcome(lambda: use_in_module(database, library, file, code)),  # noqa: B023
                outcome(lambda: delete(database, library, file)),  # noqa: B023
            ]
        )
        codes = [row.code for row in list_rows(database, Module)]
        if used == "done":
            assert deleted == "file: in_use"
            assert code in codes
            assert (library.root / file).is_file()
            with database.write() as session:
                session.delete(session.scalars(select(Module).where(Module.code == code)).one())
        else:
            assert (used, deleted) == ("prompt_intro: no_file", "done")
            assert code not in codes
            assert list_rows(database, Recording) == []


def test_recording_is_either_used_by_a_digit_or_deleted(database: Database, library: SoundLibrary, beep: bytes) -> None:
    for _ in range(ROUNDS):
        file = upload(database, library, beep).file
        used, deleted = run_at_once(
            [
                outcome(lambda: set_digit(database, "fa", "3", file, NOW)),  # noqa: B023
                outcome(lambda: delete(database, library, file)),  # noqa: B023
            ]
        )
        if used == "done":
            assert deleted == "file: in_use"
            assert (library.root / file).is_file()
            set_digit(database, "fa", "3", None, NOW)
        else:
            assert (used, deleted) == (file, "done")
            assert list_rows(database, DigitRecording) == []


def test_row_and_file_stay_together(database: Database, library: SoundLibrary, beep: bytes) -> None:
    """The same sound is uploaded and deleted: afterwards both exist, or neither."""
    for _ in range(ROUNDS):
        file = upload(database, library, beep).file
        run_at_once([lambda: upload(database, library, beep), lambda: delete(database, library, file)])  # noqa: B023
        assert (library.root / file).exists() == bool(list_rows(database, Recording))


@pytest.mark.parametrize("losses", [1, recordings.MAX_TRIES])
def test_file_is_deleted_before_its_row_is_stored(
    database: Database, library: SoundLibrary, beep: bytes, monkeypatch: pytest.MonkeyPatch, losses: int
) -> None:
    made: list[Clip] = []
    convert = library.convert

    def convert_and_lose(*arguments: Any) -> Clip:
        made.append(convert(*arguments))
        if len(made) <= losses:
            made[-1].path.unlink()
        return made[-1]

    monkeypatch.setattr(library, "convert", convert_and_lose)
    if losses < recordings.MAX_TRIES:
        row = upload(database, library, beep)
        assert len(made) == losses + 1
        assert (library.root / row.file).is_file()
        return
    with pytest.raises(SoundError) as caught:
        upload(database, library, beep)
    assert caught.value.code == "lost"
    assert list_rows(database, Recording) == []


def test_two_modules_with_the_same_new_file_are_both_saved(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    """From two browsers, when the file has no row yet."""
    clip = library.convert(io.BytesIO(beep), "beep.wav")
    file = clip.path.relative_to(library.root).as_posix()
    run_at_once([partial(use_in_module, database, library, file, code) for code in ("*1", "*2")])
    assert [row.file for row in list_rows(database, Prompt)] == [file, file]
    assert len(list_rows(database, Recording)) == 1


def test_digit_is_set_by_several_people(database: Database) -> None:
    files = [f"uploads/{number}{'0' * 63}.wav" for number in range(4)]
    for file in files:
        create_recording(database, file)
    run_at_once([partial(set_digit, database, "fa", "7", file, NOW) for file in files])
    (row,) = list_rows(database, DigitRecording)
    assert row.file in files
