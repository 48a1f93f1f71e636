"""The names that callers say: kept, replaced, found and deleted."""

from __future__ import annotations  # array[int] is for readers and checkers only

import asyncio
import os
import time
from array import array
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from app.audio.clip import read_clip
from app.audio.spoken_names import LONGEST
from app.config import Settings
from app.services.requests import spoken_names as service
from app.store.database import Database
from app.store.models import CallRequest, SpokenName
from app.worker import spoken_names as worker_names
from app.worker.background import BackgroundTasks
from app.worker.prompts import PromptStore
from app.worker.recording_inbox import RecordingInbox
from app.worker.spoken_names import ORPHAN_SECONDS, SpokenNames, StandbyCare
from script.office.patience import PATIENCE
from tests.audio.sounds import silence, tone, write_sound
from tests.support.factories import NOW, create_request, history_of, make_order
from tests.support.sounds import quick_conversion

__all__ = ["quick_conversion"]
KEPT = timedelta(days=30)  # after the end of the request
pytestmark = pytest.mark.usefixtures("quick_conversion")


@pytest.fixture
def names(office: Settings, database: Database) -> SpokenNames:
    inbox = RecordingInbox(office)
    inbox.create()
    return SpokenNames(database, PromptStore(office, database), inbox, tasks=BackgroundTasks())


@pytest.fixture
def request_id(database: Database) -> int:
    return create_request(database).id


def files(office: Settings, folder: str = "names") -> list[Path]:
    return list((office.prompts_path / folder).iterdir())


async def say(names: SpokenNames, office: Settings, request: int, samples: array[int] | None) -> str:
    """Record a name as Asterisk does, None: not at all. Return the file that the agent hears."""
    recording = names.new_recording(request)
    if samples is not None:
        write_sound(office.prompts_path / "inbox" / f"{recording.path.rpartition('/')[2]}.wav", samples)
    names.keep(recording)
    found = await names.find(request)
    assert not files(office, "inbox")
    return found


async def test_name_is_kept_and_announced_between_number_and_age(
    names: SpokenNames, office: Settings, database: Database, request_id: int
) -> None:
    found = await say(names, office, request_id, tone(1.0))
    (path,) = files(office)
    assert found == f"{office.asterisk_prompts_dir}/names/{path.stem}"
    assert 0.9 < read_clip(path).seconds < 1.3
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o711)
    assert [entry.event for entry in history_of(database, request_id)] == ["name_said"]
    sounds = PromptStore(office, database)
    assert sounds.agent_prompt(make_order(spoken_name=found), NOW) == [found], "the other pieces are not made yet"


async def test_newer_name_replaces_the_older_one(names: SpokenNames, office: Settings, request_id: int) -> None:
    first = await say(names, office, request_id, tone(1.0))
    second = await say(names, office, request_id, tone(1.5))
    assert first != second
    assert [path.stem for path in files(office)] == [second.rpartition("/")[2]]


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(None, id="nothing"),
        pytest.param(silence(4), id="silence"),
        pytest.param(silence(2) + tone(0.1) + silence(1), id="a click"),
        pytest.param(tone(LONGEST + 10), id="too long"),
    ],
)
async def test_what_is_no_name_is_not_kept_and_replaces_none(
    names: SpokenNames, office: Settings, request_id: int, samples: array[int] | None
) -> None:
    said = await say(names, office, request_id, tone(1.0))
    assert await say(names, office, request_id, samples) == said
    assert len(files(office)) == 1


async def test_link_in_place_of_the_recording_is_not_followed(
    names: SpokenNames, office: Settings, request_id: int, tmp_path: Path
) -> None:
    secret = write_sound(tmp_path / "secret.wav", tone(1.0))
    recording = names.new_recording(request_id)
    (office.prompts_path / "inbox" / f"{recording.path.rpartition('/')[2]}.wav").symlink_to(secret)
    names.keep(recording)
    assert await names.find(request_id) == ""
    assert secret.exists()


async def test_call_waits_for_the_name_that_is_being_said(
    names: SpokenNames, office: Settings, request_id: int
) -> None:
    recording = names.new_recording(request_id)
    finding = asyncio.ensure_future(names.find(request_id))
    other = create_request(names._database, number="+989350000002").id
    assert await names.find(other) == "", "another request does not wait"
    assert not finding.done()
    write_sound(office.prompts_path / "inbox" / f"{recording.path.rpartition('/')[2]}.wav", tone(1.0))
    names.keep(recording)
    async with asyncio.timeout(PATIENCE):
        assert (await finding).startswith(f"{office.asterisk_prompts_dir}/names/")


async def test_name_without_a_request_is_dropped(names: SpokenNames, office: Settings) -> None:
    assert await say(names, office, 99, tone(1.0)) == ""
    assert files(office) == []


async def test_names_are_deleted_after_the_request_and_files_without_one(
    names: SpokenNames, office: Settings, database: Database
) -> None:
    requests = [create_request(database, number=f"+98912000000{number}").id for number in range(4)]
    said = [await say(names, office, request, tone(1.0)) for request in requests]
    with database.write() as session:
        for request, ended in zip(requests, (NOW - KEPT, NOW - KEPT + timedelta(minutes=1), None, None), strict=True):
            session.get_one(CallRequest, request).done_at = ended
        session.execute(delete(SpokenName).where(SpokenName.request_id == requests[3]))
    for path in files(office):
        os.utime(path, (time.time() - ORPHAN_SECONDS - 60,) * 2)
    young = write_sound(office.prompts_path / "names" / f"{'0' * 32}.wav", tone(1.0))
    assert names.delete_old(NOW) == 2
    assert {path.stem for path in files(office)} == {said[1].rpartition("/")[2], said[2].rpartition("/")[2], young.stem}
    with database.write() as session:
        session.execute(delete(CallRequest).where(CallRequest.id == requests[1]))
    assert names.delete_old(NOW) == 1, "a request that is deleted takes its name along"


class Away:
    """A database that is away for who wants to store a name, until `is_back`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_back, self._save = False, service.save
        monkeypatch.setattr(service, "save", self.save)
        monkeypatch.setattr(worker_names, "PAUSES", (0.01,))

    def save(self, *arguments: Any, **options: Any) -> str:
        if not self.is_back:
            raise OperationalError("INSERT", {}, Exception("the server closed the connection"))
        return self._save(*arguments, **options)


async def test_name_is_kept_while_the_database_is_away(
    names: SpokenNames, office: Settings, database: Database, request_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(monkeypatch)
    assert await say(names, office, request_id, tone(1.0)) == "", "the call does not wait for it"
    file, note = sorted(files(office), key=lambda path: path.suffix, reverse=True)
    assert note.name == f"{file.stem}.{request_id}"
    os.utime(file, (time.time() - ORPHAN_SECONDS - 60,) * 2)
    assert names.delete_old(NOW) == 0, "it is no orphan"
    away.is_back = True
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*names._tasks._tasks)
    assert (await names.find(request_id)).rpartition("/")[2] == file.stem
    assert files(office) == [file]


async def test_next_worker_stores_what_the_last_one_could_not(
    names: SpokenNames, office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (create_request(database, number=f"+98912000000{number}").id for number in range(2))
    away = Away(monkeypatch)
    for request in (first, first, second):
        assert await say(names, office, request, tone(1.0)) == ""
    await names._tasks.cancel()  # the worker ends
    away.is_back = True
    newer = await say(names, office, second, tone(1.5))
    later = SpokenNames(database, PromptStore(office, database), RecordingInbox(office), tasks=BackgroundTasks())
    await later.recover()
    assert await later.find(second) == newer, "what is recovered does not replace a name"
    found = await later.find(first)
    assert found
    assert {path.stem for path in files(office)} == {path.rpartition("/")[2] for path in (newer, found)}


async def test_file_whose_name_is_no_longer_there_is_not_announced(
    names: SpokenNames, office: Settings, request_id: int
) -> None:
    await say(names, office, request_id, tone(1.0))
    for path in files(office):
        path.unlink()
    assert await names.find(request_id) == ""


async def test_standby_removes_names_that_were_deleted_since_it_led(
    names: SpokenNames, office: Settings, database: Database
) -> None:
    requests = [create_request(database, number=f"+98912000000{number}").id for number in range(2)]
    kept, gone = [await say(names, office, request, tone(1.0)) for request in requests]
    for path in files(office):
        os.utime(path, (time.time() - ORPHAN_SECONDS - 60,) * 2)
    with database.write() as session:
        session.execute(delete(CallRequest).where(CallRequest.id == requests[1]))
    care = StandbyCare(database, office.prompts_path)
    care.turn()
    await asyncio.to_thread(care.work.join)
    assert [path.stem for path in files(office)] == [kept.rpartition("/")[2]], gone
    first = care.work
    care.turn()
    assert care.work is first, "the next look is an hour later"
