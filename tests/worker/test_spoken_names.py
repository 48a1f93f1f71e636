"""The names that callers say: kept, replaced, found and deleted."""

from __future__ import annotations  # array[int] is for readers and checkers only

import asyncio
import os
import time
from array import array
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from app.audio.clip import read_clip
from app.audio.spoken_names import LONGEST
from app.config import Settings
from app.store.database import Database
from app.store.models import CallRequest, SpokenName
from app.worker.background import BackgroundTasks
from app.worker.prompts import PromptStore
from app.worker.recording_inbox import RecordingInbox
from app.worker.spoken_names import ORPHAN_SECONDS, SpokenNames
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
