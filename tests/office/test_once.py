"""The demonstration that plays once says in words why it ended early."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from script.office import once


class OfficeThatStandsStill:
    """An office of which nothing is heard."""

    asterisk = SimpleNamespace(build=SimpleNamespace(version="22.0.0"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


async def stand_still(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def standing_still(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_folder: Path, _secrets: dict[str, str], **_options: Any) -> OfficeThatStandsStill:
        return OfficeThatStandsStill()

    monkeypatch.setattr(once, "build_office", build)
    monkeypatch.setattr(once, "configure_office", lambda *_, **__: None)
    monkeypatch.setattr(once, "_play", stand_still)
    monkeypatch.setattr(once, "START_LIMIT", 0.01)


async def test_machine_that_is_too_slow_is_named(standing_still: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert await once.play_once() == 1
    printed = capsys.readouterr()
    assert printed.err == f"{once.TOO_SLOW}\n"
    assert json.loads(printed.out) == {"prompts_heard": False, "asterisk": "22.0.0"}


async def test_time_that_ran_out_within_a_scene_is_a_fault(
    standing_still: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: object) -> None:
        raise TimeoutError("the phone did not ring")

    monkeypatch.setattr(once, "_play", fail)
    monkeypatch.setattr(once, "START_LIMIT", 60)
    assert await once.play_once() == 1
    assert "the phone did not ring" in capsys.readouterr().err
