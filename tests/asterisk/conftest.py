"""A small office on a real Asterisk, with our own worker as a process of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import age_text, default_text
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from tests.asterisk.scene import Scene

Stage = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthesized sounds for all offices of this process: the agents' prompts now, the rest when they are needed.

    Each process has its own folder, because tests count the recordings in its inbox.
    """
    folder = tmp_path_factory.mktemp("prompts")
    library = SoundLibrary(folder)
    for digit in "0123456789":
        library.synthesize(digit, "en")
    for text in (default_text("agent_intro", "en"), default_text("agent_keys", "en"), age_text(0, "en")):
        library.synthesize(text, "en")
    return folder


@pytest.fixture
def stage(asterisk_version: int, tmp_path: Path, prompts: Path) -> Stage:
    """Open an office: `async with stage(prepare=…) as scene`. `prepare` stores modules and scenarios."""

    @asynccontextmanager
    async def open_office(
        prepare: Callable[[Bazang], object] = lambda bazang: None,
        setup: OfficeSetup | None = None,
        *,
        phones: tuple[str, ...] = ("101", "102"),
        work: bool = True,
        **environment: str | None,
    ) -> AsyncIterator[Scene]:
        bazang = Bazang(asterisk_version, tmp_path / "office", setup, prompts=prompts, **environment)
        prepare(bazang)
        async with bazang:
            trunk = await bazang.asterisk.trunk()
            scene = Scene(bazang, trunk, {number: await bazang.asterisk.phone(number) for number in phones})
            if work:
                await bazang.start_worker()
            try:
                yield scene
            except BaseException:
                print(bazang.describe())
                raise

    return open_office
