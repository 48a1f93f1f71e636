"""A set of recordings as one zip file."""

import io
import zipfile
from array import array
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import select

from app.audio.convert import MAX_BYTES
from app.audio.library import UPLOADS, SoundLibrary
from app.audio.prompt_texts import default_text
from app.services.errors import NotFound
from app.services.prompts import recording_set, recordings
from app.services.prompts.digits import load_digit_files
from app.services.prompts.recording_set import BadSet, export_set, import_set, list_parts, remove_from_set, set_keys
from app.services.prompts.sounds import make_module_clips
from app.store.database import Database
from app.store.models import AuditEntry, Recording
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, create_module
from tests.support.sounds import quick_conversion, quick_sounds

__all__ = ["quick_conversion", "quick_sounds"]
pytestmark = pytest.mark.usefixtures("quick_sounds")


def sound(tmp_path: Path, hertz: float) -> bytes:
    return write_sound(tmp_path / f"{hertz}.wav", tone(0.5, hertz)).read_bytes()


def make_zip(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name) if compression == zipfile.ZIP_STORED else name, content)
    file.seek(0)
    return file


def files_of(database: Database) -> dict[str, str]:
    return {part.key: part.file for part in list_parts(database, "en") if part.file}


def test_set_has_all_texts_without_names_and_keys_of_a_module() -> None:
    assert {"offer", "ask_customer", "greet_customer"}.isdisjoint(set_keys("fa"))
    assert set(set_keys("fa")) - set(set_keys("en")) == {"is"}
    assert {"intro", "intro_other", "agent_keys", "say_name", "apology"} <= set(set_keys("en"))


def test_set_is_played_and_comes_back_as_it_was(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    module = create_module(database, language="en")
    persian = create_module(database, language="fa")
    names = {"studio/Intro.wav": 300, "digits/7.wav": 400, "withdrawn.wav": 500}
    given = {name: sound(tmp_path, hertz) for name, hertz in names.items()}
    others = {"texts.txt": b"x", "__MACOSX/._intro.wav": b"x", "studio/.DS_Store": b"x", "studio/": b""}
    assert import_set(database, library, make_zip(given | others), "en", NOW, actor="sara") == 3
    stored = files_of(database)
    assert set(stored) == {"intro", "withdrawn", "7"} and load_digit_files(database, "en") == {"7": stored["7"]}
    clips = make_module_clips(database, library, module.id)
    for key in ("intro", "withdrawn"):
        assert clips[key] == recordings.read_recording(library, stored[key])
    assert clips["intro_other"] is not None, "it belongs to the intro of the set"
    spoken = library.speech_path(default_text("after_success", "en"), "en")
    assert clips["after_success"] is not None and clips["after_success"].path == spoken
    spoken = library.speech_path(default_text("intro", "fa"), "fa")
    in_persian = make_module_clips(database, library, persian.id)["intro"]
    assert in_persian is not None and in_persian.path == spoken

    exported = io.BytesIO()
    export_set(database, library, "en", exported)
    with zipfile.ZipFile(exported) as archive:
        assert set(archive.namelist()) == {"texts.txt", "intro.wav", "withdrawn.wav", "7.wav"}
        texts = archive.read("texts.txt").decode()
        assert f"intro.wav: {default_text('intro', 'en')}\n" in texts and "0.wav: 0\n" in texts
    remove_from_set(database, "en", "intro", NOW)
    remove_from_set(database, "en", "7", NOW)
    assert set(files_of(database)) == {"withdrawn"}
    exported.seek(0)
    assert import_set(database, library, exported, "en", NOW) == 3
    assert set(files_of(database)) == set(stored)
    assert recordings.list_uses(database)[files_of(database)["7"]][0].key == "7"
    with database.read() as session:
        changes = [entry.detail["recorded"] for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.id))]
    assert changes == [[0, 3], [3, 2], [2, 1], [1, 3]]


def test_set_of_an_unknown_language_or_key(database: Database, library: SoundLibrary) -> None:
    for call in (
        lambda: list_parts(database, "de"),
        lambda: import_set(database, library, io.BytesIO(), "de", NOW),
        lambda: remove_from_set(database, "en", "is", NOW),
    ):
        with pytest.raises(NotFound):
            call()


def test_lost_recording_of_a_text_is_spoken(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    module = create_module(database, language="en")
    import_set(database, library, make_zip({"intro.wav": sound(tmp_path, 300)}), "en", NOW)
    (library.root / files_of(database)["intro"]).unlink()
    clip = make_module_clips(database, library, module.id)["intro"]
    assert clip is not None and clip.path == library.speech_path(default_text("intro", "en"), "en")


BAD_FILES = {
    "../intro.wav": "unsafe_name",
    "/etc/intro.wav": "unsafe_name",
    "a/../../1.wav": "unsafe_name",
    "..\\..\\2.wav": "unsafe_name",
    "C:\\3.wav": "unsafe_name",
    "holiday.wav": "unknown_name",
    "is.wav": "unknown_name",  # not spoken in English
    "4.txt": "not_audio",
    "5.wav": "silence_only",
    "other/6.wav": "twice",
    "8.wav": "too_large",
}


def test_each_bad_file_is_named_and_nothing_is_stored(
    database: Database, library: SoundLibrary, tmp_path: Path
) -> None:
    good = sound(tmp_path, 300)
    silence = write_sound(tmp_path / "silence.wav", array("h", bytes(16_000))).read_bytes()
    contents = {"4.txt": b"no sound", "5.wav": silence, "8.wav": bytes(MAX_BYTES + 1)}
    files = {"6.wav": good, "7.wav": good} | {name: contents.get(name, good) for name in BAD_FILES}
    with pytest.raises(BadSet) as caught:
        import_set(database, library, make_zip(files), "en", NOW)
    refused = {fault.name: fault.code for fault in caught.value.faults}
    assert refused == {name.replace("\\", "/"): code for name, code in BAD_FILES.items()}
    assert files_of(database) == {} and list((library.root / UPLOADS).iterdir()) == []
    with database.read() as session:
        assert session.scalars(select(Recording)).all() == []
    assert not (tmp_path.parent / "intro.wav").exists()


def encrypted(content: bytes) -> bytes:
    """Mark the first file of a zip as encrypted, in both of its headers."""
    changed = bytearray(content)
    changed[6] |= 1
    changed[changed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def damaged(content: bytes) -> bytes:
    """Change a byte of the first file's data, so that its checksum is wrong."""
    changed = bytearray(content)
    changed[100] ^= 0xFF
    return bytes(changed)


def test_bad_zip_files_are_refused(
    database: Database, library: SoundLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_zip({"1.wav": sound(tmp_path, 300)}, zipfile.ZIP_STORED).getvalue()
    bomb = make_zip({f"{digit}.wav": bytes(MAX_BYTES) for digit in range(10)})
    monkeypatch.setattr(recording_set, "MOST_BYTES_IN_ALL", 3 * MAX_BYTES)
    for content, name, code in (
        (b"", "", "no_zip"),
        (b"RIFF and no zip", "", "no_zip"),
        (good[:-30], "", "no_zip"),
        (make_zip({}).getvalue(), "", "no_files"),
        (make_zip({f"{number}.wav": b"" for number in range(201)}).getvalue(), "", "too_many_files"),
        (bomb.getvalue(), "", "too_large_in_all"),
        (encrypted(good), "1.wav", "encrypted"),
        (damaged(good), "1.wav", "damaged"),
    ):
        with pytest.raises(BadSet) as caught:
            import_set(database, library, io.BytesIO(content), "en", NOW)
        assert [(fault.name, fault.code) for fault in caught.value.faults] == [(name, code)]
