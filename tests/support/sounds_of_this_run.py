"""Sounds that are made once in this run, whichever process of it wants them.

To speak a text takes two child processes. The tests in tests/audio are about them; to others it matters only that the
sound is there. A finished sound is named by all that it was made from, so its name says whether it is the same.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.audio import cache
from app.audio.clip import Clip, read_clip
from app.audio.convert import write_whole


def shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a folder that all processes of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def finished_sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory, "finished-sounds")


@pytest.fixture(autouse=True)
def _sounds_of_this_run(finished_sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a sound that was made before, and make it as ever where there is none."""
    for maker in ("speak", "convert"):
        monkeypatch.setattr(cache, maker, _remembering(getattr(cache, maker), finished_sounds))


def _remembering(make: Callable[..., Clip], folder: Path) -> Callable[..., Clip]:
    def make_or_take(*arguments: Any, out: Path, **options: Any) -> Clip:
        known = folder / f"{out.parent.name}-{out.name}"
        if known.exists():
            with write_whole(out) as temporary:  # with the faults of a folder that nobody may write
                shutil.copyfile(known, temporary)
                clip = read_clip(temporary)
            return replace(clip, path=out)
        clip = make(*arguments, out=out, **options)
        with write_whole(known) as temporary:
            shutil.copyfile(out, temporary)
        return clip

    return make_or_take
