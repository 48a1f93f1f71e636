"""The inbox of recordings by phone."""

import os
import stat
import time
from pathlib import Path

import pytest

from app.config import Settings
from app.domain.phone_calls import CallFailure
from app.worker.recording_inbox import RecordingInbox
from tests.audio.sounds import silence, tone, write_sound


@pytest.fixture
def inbox(office: Settings) -> RecordingInbox:
    inbox = RecordingInbox(office)
    inbox.create()
    return inbox


@pytest.fixture
def folder(office: Settings, inbox: RecordingInbox) -> Path:
    return office.prompts_path / "inbox"


def test_other_users_can_add_files_but_not_list_them(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1733


def test_recordings_are_checked(inbox: RecordingInbox, folder: Path) -> None:
    write_sound(folder / "good.wav", tone(0.4))
    write_sound(folder / "short.wav", tone(0.2))
    write_sound(folder / "silent.wav", silence(1))
    (folder / "broken.wav").write_bytes(b"")
    results = {name: inbox.check(name) for name in ("good", "short", "silent", "broken", "missing")}
    assert results == {
        "good": None,
        "short": CallFailure.NOTHING_RECORDED,
        "silent": CallFailure.SILENCE_ONLY,
        "broken": CallFailure.NOTHING_RECORDED,
        "missing": CallFailure.CANNOT_WRITE,
    }


def test_link_is_not_followed(inbox: RecordingInbox, folder: Path) -> None:
    (folder / "link.wav").symlink_to("/etc/passwd")
    with pytest.raises(OSError):
        inbox.open("link")


def test_old_files_are_removed_except_for_those_in_use(inbox: RecordingInbox, folder: Path) -> None:
    used = inbox.new_name()
    for name in ("old", used, "new"):
        (folder / f"{name}.wav").touch()
    for name in ("old", used):
        os.utime(folder / f"{name}.wav", (time.time() - 7200,) * 2)
    inbox.remove_old(3600)
    assert {path.stem for path in folder.iterdir()} == {used, "new"}
    inbox.remove(used)
    inbox.remove("missing")
    assert {path.stem for path in folder.iterdir()} == {"new"}
