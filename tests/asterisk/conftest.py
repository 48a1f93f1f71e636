"""A small office on a real Asterisk, with the worker as a separate process."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from app.audio.library import LOCKS, SPEECH, SoundLibrary
from app.audio.prompt_texts import age_text, default_text
from app.services.prompts.voice import AGENT_RATE
from app.worker.announcements import AGENT_KEYS
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.database import build_database
from script.office.warm_worker import prepare_workers
from tests.asterisk.office import Office


class OpenOffice(Protocol):
    """Opens an office. See the fixture `open_office`."""

    def __call__(
        self,
        prepare: Callable[[Bazang], object] = ...,
        setup: OfficeSetup | None = None,
        *,
        phones: tuple[str, ...] = ...,
        work: bool = True,
        **environment: str | None,
    ) -> AbstractAsyncContextManager[Office]: ...


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prompts folder for all offices of this process. It contains the agents' prompts; others are added as needed.

    Each process has its own folder, because tests count the recordings in its inbox. The synthesized speech in it is
    shared by all processes of a run.
    """
    folder = tmp_path_factory.mktemp("prompts")
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = tmp_path_factory.getbasetemp().parent
        for name in (SPEECH, LOCKS):
            (run / name).mkdir(exist_ok=True)
            (folder / name).symlink_to(run / name)
    library = SoundLibrary(folder)
    for digit in "0123456789":
        library.synthesize(digit, "en")
    for text in (*"0123456789", *(default_text(key, "en") for key in AGENT_KEYS), age_text(0, "en")):
        library.synthesize(text, "en", rate=AGENT_RATE)
    return folder


@pytest.fixture(scope="session")
def office_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database that the migrations built."""
    return build_database(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="session")
def warm_workers(prompts: Path) -> None:
    """Workers are forked from a process that has rehearsed their work."""
    prepare_workers(prompts)


@pytest.fixture
def open_office(
    asterisk_version: int, tmp_path: Path, prompts: Path, office_database: Path, warm_workers: None
) -> OpenOffice:
    """Open an office: `async with open_office(prepare) as office`.

    `prepare` stores modules and scenarios before Asterisk starts. `work`: start the worker. `environment`: additional
    settings, as for `Bazang`. Any answered call counts as a talk, unless `prepare` sets a shortest one.
    """

    @asynccontextmanager
    async def opened(
        prepare: Callable[[Bazang], object] = lambda bazang: None,
        setup: OfficeSetup | None = None,
        *,
        phones: tuple[str, ...] = ("101", "102"),
        work: bool = True,
        **environment: str | None,
    ) -> AsyncIterator[Office]:
        database = None if "DATABASE_URL" in environment else office_database
        bazang = Bazang(
            asterisk_version,
            tmp_path / "office",
            setup,
            prompts=prompts,
            database=database,
            warm_start=True,
            **environment,
        )
        bazang.min_talk(0)
        prepare(bazang)
        await bazang.prepare_prompts()
        async with bazang:
            trunk = await bazang.asterisk.trunk()
            office = Office(bazang, trunk, {number: await bazang.asterisk.phone(number) for number in phones})
            if work:
                await bazang.start_worker()
            try:
                yield office
            except BaseException:
                print(bazang.describe())
                raise
            finally:
                await bazang.abandon()

    return opened
