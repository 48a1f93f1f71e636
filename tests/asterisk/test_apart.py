"""Panel and worker whose folders are apart, as on two machines: nothing is shared but the database."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.domain.phone_calls import CallState
from app.services import users
from app.services.modules.list import load_module
from app.services.modules.save import save_module
from app.services.prompts.input import PromptInput
from app.services.sounds import open_library
from script.office.database import make_settings
from script.office.hearing import PromptListener
from script.office.patience import PATIENCE
from script.office.server_database import new_database
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ONE_VERSION
from tests.asterisk.test_phone_calls import answer_next_call, create_call, record_sound, speech, wait_for_state
from tests.asterisk.test_spoken_names import find_name, hear_as_agent, prepare, say, wait_for_recording
from tests.audio.sounds import read_samples, write_sound


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_database(postgres_url, postgres_template) as url:
        yield url


class Panel:
    """The panel of another machine. `root`: its folder of the prompts."""

    def __init__(self, folder: Path, url: str) -> None:
        settings = make_settings(folder, database_url=url, default_locale="en")
        self.root = settings.prompts_path
        self.app = create_app(settings)
        self.app.config["WTF_CSRF_ENABLED"] = False
        self.database = self.app.extensions["bazang"]["database"]
        users.create(self.database, "Sara", "a long password", "administrator", datetime.now(UTC), locale="en")
        self.library = open_library(settings, self.database)
        self.client: FlaskClient = self.app.test_client()
        answer = self.client.post("/login", data={"name": "Sara", "password": "a long password"})
        assert answer.status_code == 302

    def close(self) -> None:
        self.database.engine.dispose()

    def upload(self, file: Path) -> str:
        """Upload a sound on the page of the library. Return the new file below the folder."""
        with file.open("rb") as stream:
            answer = self.client.post("/recordings/take", data={"sound": (stream, file.name)})
        assert answer.status_code == 200, answer.text
        (uploaded,) = (self.root / "uploads").iterdir()
        return f"uploads/{uploaded.name}"

    def let_play(self, module_id: int, key: str, file: str) -> None:
        """Let a module play a recording, as its page does."""
        with self.database.read() as session:
            module = load_module(session, module_id)
        prompts = {**module.prompts, key: PromptInput("file", "", file, "hello.wav")}
        given = replace(module, prompts=prompts)
        save_module(self.database, given, datetime.now(UTC), module_id=module_id, library=self.library)

    def hear(self, path: str) -> bytes:
        answer = self.client.get(path, buffered=True)
        assert (answer.status_code, answer.mimetype) == (200, "audio/wav")
        return bytes(answer.data)


@ONE_VERSION
async def test_panel_and_worker_share_nothing_but_the_database(
    open_office: OpenOffice, url: str, tmp_path: Path
) -> None:
    """What is uploaded in the panel is played to callers, and the panel plays the name that a caller says."""
    async with open_office(prepare, ENDS, phones=("101",), DATABASE_URL=url) as office:
        root = office.bazang.settings.prompts_path
        with closing(await asyncio.to_thread(Panel, tmp_path / "panel", url)) as panel:
            sound = write_sound(tmp_path / "hello.wav", speech(2.5))
            file = await asyncio.to_thread(panel.upload, sound)
            await asyncio.to_thread(panel.let_play, 1, "intro", file)
            await office.bazang.until((root / file).is_file, PATIENCE, "the worker has got the recording")
            assert (root / file).stat().st_mode & 0o777 == 0o644

            call = await office.call_in("*5001")
            assert await PromptListener(call).hears(panel.root / file, PATIENCE), office.bazang.describe()
            await wait_for_recording(office, call)
            await say(office, call, 1.5)
            await call.press("#")
            await office.wait_for_key(call, "1")  # of the next destination
            name = await find_name(office)
            assert await asyncio.to_thread(panel.hear, "/requests/1/name.wav") == name.read_bytes()
            assert not (panel.root / "names").exists(), "it would outlive its deletion on the worker's machine"

            # A worker on a third machine takes over.
            await office.bazang.kill_worker()
            copy = Path(shutil.copy(name, tmp_path / "name.wav"))
            (root / file).unlink()
            name.unlink()
            await call.hang_up()
            await office.bazang.start_worker()
            await hear_as_agent(office, copy)
            assert read_samples(name) == read_samples(copy)
            assert (root / file).read_bytes() == (panel.root / file).read_bytes()


@ONE_VERSION
async def test_panel_plays_what_was_recorded_by_phone(open_office: OpenOffice, url: str, tmp_path: Path) -> None:
    async with open_office(phones=("101",), DATABASE_URL=url) as office:
        call_id = create_call(office)
        call = await answer_next_call(office)
        await record_sound(office, call, speech(), call_id)
        await wait_for_state(office, call_id, CallState.CHOOSING)
        await office.wait_for_prompt(call, "phone_call_choice")
        await call.press("1")
        view = await wait_for_state(office, call_id, CallState.SAVED)
        assert view.file is not None
        digest = view.file.removeprefix("uploads/").removesuffix(".wav")
        with closing(await asyncio.to_thread(Panel, tmp_path / "panel", url)) as panel:
            heard = await asyncio.to_thread(panel.hear, f"/recordings/{digest}.wav")
        assert heard == (office.bazang.settings.prompts_path / view.file).read_bytes()
