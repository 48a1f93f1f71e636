"""The office's own sounds, on SQLite and on PostgreSQL: kept once, kept as long as something plays them."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.services import commands
from app.services.errors import Invalid, NotFound
from app.services.modules import save as modules
from app.services.prompts import recordings
from app.services.prompts.input import PromptInput
from app.services.prompts.recordings import (
    FILE_PATTERN,
    Use,
    delete,
    list_recordings,
    list_uses,
    rename,
    set_digit,
    store_upload,
)
from app.store.database import Database
from app.store.models import Command, DigitRecording, Module, Prompt, Recording
from script.office.database import open_database
from tests.audio.sounds import silence, tone, write_sound
from tests.support.factories import NOW, at_once, create_recording, make_module_input, reload
from tests.support.server_database import migrated_database, new_database, open_server_database

LOST = f"uploads/{'0' * 64}.wav"
ROUNDS = 12  # of works that meet in the same instant


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What each test's database is a copy of."""
    if request.param == "sqlite":
        yield request.getfixturevalue("built_database")
        return
    server = request.getfixturevalue("postgres_url")
    with migrated_database(server, tmp_path_factory.mktemp("template")) as name:
        yield server, name


@pytest.fixture
def database(template: Any, tmp_path: Path) -> Iterator[Database]:
    if isinstance(template, Path):
        opened = open_database(Path(shutil.copy(template, tmp_path / "bazang.sqlite3")))
        yield opened
        opened.engine.dispose()
        return
    with new_database(*template) as url, open_server_database(url) as opened:
        yield opened


@pytest.fixture
def library(tmp_path: Path) -> SoundLibrary:
    return SoundLibrary(tmp_path / "prompts")


@pytest.fixture(scope="module")
def beep(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_sound(tmp_path_factory.mktemp("beep") / "beep.wav", tone(0.5)).read_bytes()


def keep(
    database: Database, library: SoundLibrary, content: bytes, name: str = "beep.wav", **options: Any
) -> Recording:
    return store_upload(database, library, io.BytesIO(content), name, "upload", NOW, **options)


def choose(database: Database, library: SoundLibrary, file: str, code: str = "*5001", key: str = "intro") -> int:
    """Save a module that plays a recording."""
    given = make_module_input(code=code, prompts={key: PromptInput("file", "", file, "beep.wav")})
    return modules.save(database, given, NOW, library=library)


def outcome(work: Callable[[], object]) -> Callable[[], str]:
    """Do it, and tell what was said: "done", or why not."""

    def do() -> str:
        try:
            work()
        except (Invalid, NotFound) as error:
            return str(error)
        return "done"

    return do


def all_rows(database: Database, kind: Any) -> list[Any]:
    with database.read() as session:
        return list(session.scalars(select(kind)))


# Keeping


def test_a_strangers_file_becomes_a_recording(database: Database, library: SoundLibrary, beep: bytes) -> None:
    row = keep(database, library, beep, "Good morning", original_name="morning.wav", actor="sara")
    assert reload(database, row).name == row.name == "Good morning"
    assert (row.original_name, row.origin, row.created_by, row.created_at) == ("morning.wav", "upload", "sara", NOW)
    assert row.seconds == pytest.approx(0.5, abs=0.05)
    assert row.loudness is not None
    assert -25 < row.loudness < -12
    assert FILE_PATTERN.fullmatch(row.file)
    assert (library.root / row.file).is_file()


def test_the_same_sound_is_kept_once_under_its_first_name(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    first = keep(database, library, beep, "First")
    again = keep(database, library, beep, "Second")
    assert (again.file, again.name) == (first.file, "First")
    assert len(all_rows(database, Recording)) == 1


def test_without_a_name_it_is_called_like_its_file(database: Database, library: SoundLibrary, beep: bytes) -> None:
    assert keep(database, library, beep, "", original_name="greeting.wav").name == "greeting.wav"
    other = write_sound(library.root / "other.wav", tone(0.4, 700)).read_bytes()
    row = keep(database, library, other, "x\x00\u202e" * 300)
    assert (row.name, row.original_name) == ("x" * 80, "x" * 200)


def test_a_name_tells_what_a_file_without_a_head_is(database: Database, library: SoundLibrary, beep: bytes) -> None:
    raw = beep[44:]
    assert keep(database, library, raw, "Hold the line", original_name="hold.sln").name == "Hold the line"
    with pytest.raises(SoundError):
        keep(database, library, raw, "Hold the line")


@pytest.mark.parametrize("is_silent", [False, True])
def test_what_is_no_sound_leaves_nothing(
    database: Database, library: SoundLibrary, tmp_path: Path, is_silent: bool
) -> None:
    content = write_sound(tmp_path / "silence.wav", silence(1)).read_bytes() if is_silent else b"no sound at all"
    with pytest.raises(SoundError):
        keep(database, library, content)
    assert all_rows(database, Recording) == []
    assert list((library.root / "uploads").iterdir()) == []


def test_many_hands_bring_the_same_sound_at_once(database: Database, library: SoundLibrary, beep: bytes) -> None:
    rows = at_once([lambda: keep(database, library, beep) for _ in range(4)])
    assert {row.file for row in rows} == {row.file for row in all_rows(database, Recording)}
    assert len(all_rows(database, Recording)) == 1


# Naming


def test_a_recording_gets_another_name(database: Database, library: SoundLibrary, beep: bytes) -> None:
    row = keep(database, library, beep)
    rename(database, row.file, "  صدای جدید ")
    assert reload(database, row).name == "صدای جدید"


@pytest.mark.parametrize(
    ("name", "code"), [("", "required"), ("  ", "required"), ("x" * 81, "too_long"), ("a\x00b", "characters")]
)
def test_a_bad_name_is_told(database: Database, name: str, code: str) -> None:
    row = create_recording(database, LOST)
    with pytest.raises(Invalid) as caught:
        rename(database, row.file, name)
    assert caught.value.errors == {"name": code}
    assert reload(database, row).name == "Recording"


def test_what_is_not_there_has_no_name(database: Database) -> None:
    with pytest.raises(NotFound):
        rename(database, LOST, "x")


# Use


def test_what_plays_a_recording_is_told(database: Database, library: SoundLibrary, beep: bytes) -> None:
    file = keep(database, library, beep).file
    create_recording(database, LOST)
    module_id = choose(database, library, file)
    set_digit(database, "fa", "7", file, NOW)
    with database.read() as session:
        expected = {file: [Use("intro", "Sales", module_id), Use("7", language="fa")]}
        assert list_uses(session) == list_uses(session, file) == expected
        assert list_uses(session, LOST) == {}
        assert recordings.list_digits(session, "fa") == {"7": file}
        assert recordings.list_digits(session, "en") == {}


@pytest.mark.parametrize("digit", [True, False])
def test_a_recording_in_use_is_not_deleted(database: Database, library: SoundLibrary, beep: bytes, digit: bool) -> None:
    row = keep(database, library, beep)
    if digit:
        set_digit(database, "en", "0", row.file, NOW)
    else:
        choose(database, library, row.file)
    with pytest.raises(Invalid) as caught:
        delete(database, library, row.file)
    assert caught.value.errors == {"file": "in_use"}
    assert (library.root / reload(database, row).file).is_file()


def test_a_recording_is_deleted_with_its_file_and_may_come_again(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    row = keep(database, library, beep)
    set_digit(database, "en", "0", row.file, NOW)
    set_digit(database, "en", "0", None, NOW)
    delete(database, library, row.file)
    assert all_rows(database, Recording) == []
    assert not (library.root / row.file).exists()
    with pytest.raises(NotFound):
        delete(database, library, row.file)
    assert keep(database, library, beep).file == row.file


def test_one_whose_file_is_lost_can_be_deleted(database: Database, library: SoundLibrary) -> None:
    create_recording(database, LOST)
    delete(database, library, LOST)
    assert all_rows(database, Recording) == []


def test_no_strange_file_is_ever_deleted(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    (tmp_path / "treasure").write_text("gold")
    for name in ("../treasure", str(tmp_path / "treasure")):
        create_recording(database, name)
        delete(database, library, name)
    assert (tmp_path / "treasure").read_text() == "gold"


def test_where_the_file_cannot_be_removed_the_recording_stays(database: Database, library: SoundLibrary) -> None:
    row = create_recording(database, LOST)
    (library.root / LOST).mkdir()  # also for root something that cannot be unlinked
    with pytest.raises(OSError):
        delete(database, library, LOST)
    assert reload(database, row).file == LOST


# In the same instant


def test_whoever_chooses_what_is_being_deleted_is_told_or_has_it(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    said = set()
    for turn in range(ROUNDS):
        file = keep(database, library, beep).file
        code = f"*6{turn:03}"
        chosen, deleted = at_once(
            [
                outcome(lambda: choose(database, library, file, code)),  # noqa: B023
                outcome(lambda: delete(database, library, file)),  # noqa: B023
            ]
        )
        said.add((chosen, deleted))
        there = [row.code for row in all_rows(database, Module)]
        if chosen == "done":
            assert deleted == "file: in_use"
            assert code in there
            assert (library.root / file).is_file()
            with database.write() as session:
                session.delete(session.scalars(select(Module).where(Module.code == code)).one())
        else:
            assert (chosen, deleted) == ("prompt_intro: no_file", "done")
            assert code not in there
            assert all_rows(database, Recording) == []
    assert said <= {("done", "file: in_use"), ("prompt_intro: no_file", "done")}


def test_a_digit_that_chooses_what_is_being_deleted_is_told_or_has_it(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    for _ in range(ROUNDS):
        file = keep(database, library, beep).file
        chosen, deleted = at_once(
            [
                outcome(lambda: set_digit(database, "fa", "3", file, NOW)),  # noqa: B023
                outcome(lambda: delete(database, library, file)),  # noqa: B023
            ]
        )
        if chosen == "done":
            assert deleted == "file: in_use"
            assert (library.root / file).is_file()
            set_digit(database, "fa", "3", None, NOW)
        else:
            assert (chosen, deleted) == (file, "done")
            assert all_rows(database, DigitRecording) == []


def test_whoever_brings_what_is_being_deleted_has_it_whole(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    """Either it is there with its file, or deleted after it came: never a recording without its sound."""
    for _ in range(ROUNDS):
        file = keep(database, library, beep).file
        at_once([lambda: keep(database, library, beep), lambda: delete(database, library, file)])  # noqa: B023
        assert (library.root / file).exists() == bool(all_rows(database, Recording))


def test_a_sound_deleted_between_its_making_and_its_keeping_is_made_again(
    database: Database, library: SoundLibrary, beep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Clip] = []
    uploaded = library.convert

    def lose_the_first(*arguments: Any) -> Clip:
        made.append(uploaded(*arguments))
        if len(made) == 1:
            made[0].path.unlink()
        return made[-1]

    monkeypatch.setattr(library, "convert", lose_the_first)
    row = keep(database, library, beep)
    assert len(made) == 2
    assert (library.root / row.file).is_file()


def test_a_sound_that_is_deleted_again_and_again_is_told(
    database: Database, library: SoundLibrary, beep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = library.convert

    def lose(*arguments: Any) -> Clip:
        clip = uploaded(*arguments)
        clip.path.unlink()
        return clip

    monkeypatch.setattr(library, "convert", lose)
    with pytest.raises(SoundError) as caught:
        keep(database, library, beep)
    assert caught.value.code == "lost"
    assert all_rows(database, Recording) == []


def test_two_modules_with_the_same_new_file_are_both_saved(
    database: Database, library: SoundLibrary, beep: bytes
) -> None:
    """As from two browsers: neither has a row for it yet."""
    clip = library.convert(io.BytesIO(beep), "beep.wav")
    file = clip.path.relative_to(library.root).as_posix()
    at_once([lambda code=code: choose(database, library, file, code) for code in ("*1", "*2")])  # type: ignore[misc]
    assert [row.file for row in all_rows(database, Prompt)] == [file, file]
    assert len(all_rows(database, Recording)) == 1


# Digits


def test_the_telephone_service_is_told_of_a_digit(database: Database, library: SoundLibrary, beep: bytes) -> None:
    file = keep(database, library, beep).file
    set_digit(database, "fa", "7", file, NOW, actor="sara")
    (command,) = all_rows(database, Command)
    assert (command.kind, command.actor) == (commands.WRITE_DIALPLAN, "sara")


@pytest.mark.parametrize(("language", "digit"), [("fa", "x"), ("fa", "10"), ("fa", ""), ("fa", "۷"), ("de", "7")])
def test_only_digits_are_set(database: Database, language: str, digit: str) -> None:
    create_recording(database, LOST)
    with pytest.raises(NotFound):
        set_digit(database, language, digit, LOST, NOW)
    assert all_rows(database, DigitRecording) == []


def test_a_digit_is_set_to_what_there_is_only(database: Database) -> None:
    with pytest.raises(NotFound):
        set_digit(database, "fa", "7", LOST, NOW)


def test_a_digit_set_by_several_at_once_is_set(database: Database) -> None:
    files = [f"uploads/{number}{'0' * 63}.wav" for number in range(4)]
    for file in files:
        create_recording(database, file)
    at_once([lambda file=file: set_digit(database, "fa", "7", file, NOW) for file in files])  # type: ignore[misc]
    (row,) = all_rows(database, DigitRecording)
    assert row.file in files


# Measures and cleaning


def test_what_was_never_measured_is_measured_once(
    database: Database, library: SoundLibrary, beep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the rows that the migration made."""
    file = keep(database, library, beep, "B").file
    with database.write() as session:
        row = session.get_one(Recording, file)
        row.seconds = row.loudness = None
    create_recording(database, LOST, name="A")
    first, second = list_recordings(database, library)
    assert (first.file, first.seconds) == (LOST, None)
    assert second.seconds == pytest.approx(0.5, abs=0.05)
    assert reload(database, second).loudness == second.loudness is not None
    read: list[str] = []
    monkeypatch.setattr(recordings, "read_clip", lambda path: read.append(path.name) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list_recordings(database, library)
    assert read == [Path(LOST).name]
