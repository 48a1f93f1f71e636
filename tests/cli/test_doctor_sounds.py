"""Who can read our sounds, as the permissions say and as Asterisk says."""

import os
from pathlib import Path, PurePosixPath

import pytest

from app.audio.library import SPEECH, SoundLibrary
from app.config import Settings
from app.doctor import sounds
from app.doctor.sounds import Answer
from app.domain.file_access import Identity
from app.domain.findings import Finding, Level
from app.paths import find_closed, find_user
from app.telephony.sound_check import Readable
from script.office.database import make_settings

NOBODY = Identity(65533, frozenset({65533}))


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = SoundLibrary(tmp_path / "prompts").root / SPEECH / "a.wav"
    path.write_bytes(b"RIFF")
    return path


def make(tmp_path: Path, **values: object) -> Settings:
    return make_settings(tmp_path / "data", prompts_dir=tmp_path / "prompts", **values)


def answered(settings: Settings, sound: Path, readable: Readable, seen: Path | None = None) -> Finding:
    (finding,) = sounds.report(settings, {sound: Answer(readable, PurePosixPath(seen or sound))})
    return finding


def test_every_closed_folder_and_the_file_are_found(tmp_path: Path, sound: Path) -> None:
    def closed(who: Identity | None = NOBODY) -> list[Path]:
        return [path for path in find_closed(sound, who) if path.is_relative_to(tmp_path / "prompts")]

    assert closed() == []
    sound.chmod(0o600)
    sound.parent.chmod(0o700)
    assert closed() == closed(None) == [sound.parent, sound]
    assert closed(Identity(os.getuid(), frozenset({os.getgid()}))) == []
    sound.parent.chmod(0o711)
    assert closed() == [sound]
    assert find_closed(sound.parent, NOBODY) == [path for path in find_closed(sound, NOBODY) if path != sound]


def test_users_of_this_machine() -> None:
    root = find_user("root")
    assert root is not None and root.user == 0 and 0 in root.groups
    assert find_user("no such user") is None


@pytest.mark.parametrize("user", [None, NOBODY])
def test_without_an_answer_the_permissions_count(
    tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch, user: Identity | None
) -> None:
    settings, closed = make(tmp_path), False
    monkeypatch.setattr(sounds, "find_user", lambda name: user)
    monkeypatch.setattr(sounds, "find_closed", lambda path, who: [sound] if path == sound and closed else [])
    (fine,) = sounds.report(settings, {})
    name = "the user asterisk" if user else "other users, such as Asterisk's,"
    assert fine.level is Level.OK and f"{name} can read our sounds" in fine.text and "ACLs" in fine.text
    closed = True
    (finding,) = sounds.report(settings, {sound: Answer(Readable.UNKNOWN, PurePosixPath(sound))})
    assert finding.level is Level.WARNING and f"{name} cannot read {sound}. Callers hear nothing" in finding.text
    assert finding.fix == f"Run: `chmod a+r {sound}`, or change BAZANG_PROMPTS_DIR."


def test_folder_that_cannot_be_looked_at(tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, who: object) -> list[Path]:
        raise PermissionError(f"{path}: not yours")

    monkeypatch.setattr(sounds, "find_closed", refuse)
    (finding,) = sounds.report(make(tmp_path), {})
    assert finding.level is Level.WARNING and "not yours" in finding.text and finding.fix


def test_answer_of_asterisk_counts(tmp_path: Path, sound: Path) -> None:
    settings = make(tmp_path)
    sound.parent.chmod(0o700)
    assert answered(settings, sound, Readable.YES).level is Level.OK
    finding = answered(settings, sound, Readable.MISSING, sound.parent)
    assert f"Asterisk cannot enter {sound.parent}" in finding.text
    assert finding.fix == f"Run: `chmod o+x {sound.parent}`"
    sound.chmod(0o600)
    finding = answered(settings, sound, Readable.CLOSED)
    assert f"Asterisk cannot read {sound}" in finding.text and finding.fix == f"Run: `chmod a+r {sound}`"
    sound.chmod(0o644)
    assert "getfacl" in answered(settings, sound, Readable.CLOSED).fix, "the permissions are not why"


def test_asterisk_has_the_folder_elsewhere(tmp_path: Path, sound: Path) -> None:
    settings = make(tmp_path, asterisk_prompts_dir="/mnt/prompts")
    finding = answered(settings, sound, Readable.MISSING, Path("/mnt"))
    assert "does not find our sounds in /mnt/prompts. Callers hear nothing" in finding.text
    assert str(settings.prompts_path) in finding.fix and "BAZANG_ASTERISK_PROMPTS_DIR" in finding.fix


def test_newest_sound_of_each_kind_is_asked_about(tmp_path: Path, sound: Path) -> None:
    settings = make(tmp_path)
    older = sound.with_name("b.wav")
    older.write_bytes(b"RIFF")
    os.utime(older, (0, 0))
    upload = tmp_path / "prompts/uploads/c.wav"
    upload.write_bytes(b"RIFF")
    assert sounds.newest(settings) == [sound, upload]
