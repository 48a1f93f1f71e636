"""Calls of the studio on a real exchange: recorded by phone, tried out, and whatever may go wrong with that."""

from __future__ import annotations

import asyncio
import math
import wave
from array import array
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from app.domain.studio import FINAL, Failure, State
from app.services import studio
from app.services.studio import StudioView
from app.store.models import Recording
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene
from tests.support.phone import Call
from tests.support.sound import RATE, ulaw

TEXT = "Our office is closed today."


def speech(seconds: float = 2.0) -> array[int]:
    """Something that rises and falls as speech does, and is like nothing else."""
    count = int(seconds * RATE)
    return array(
        "h",
        (
            round(9000 * abs(math.sin(math.pi * i / RATE * 1.5)) * math.sin(2 * math.pi * (300 + i / 40) * i / RATE))
            for i in range(count)
        ),
    )


def envelope(samples: array[int], piece: int = 400) -> list[float]:
    """Return the loudness of each 50 ms."""
    return [
        math.sqrt(sum(s * s for s in samples[i : i + piece]) / piece) for i in range(0, len(samples) - piece + 1, piece)
    ]


def alike(heard: array[int], spoken: array[int]) -> float:
    """Return how much two sounds rise and fall together (1: exactly), wherever the one begins in the other."""
    return max(
        correlation(envelope(heard[shift:]), envelope(spoken)) for shift in range(0, min(4000, len(heard) // 2), 100)
    )


def correlation(one: list[float], other: list[float]) -> float:
    length = min(len(one), len(other))
    one, other = one[:length], other[:length]
    mine, yours = sum(one) / length, sum(other) / length
    both = sum((a - mine) * (b - yours) for a, b in zip(one, other, strict=True))
    return both / math.sqrt(sum((a - mine) ** 2 for a in one) * sum((b - yours) ** 2 for b in other))


def read(path: Path) -> array[int]:
    with wave.open(str(path), "rb") as file:
        return array("h", file.readframes(file.getnframes()))


def ask(scene: Scene, extension: str = "101", name: str = "Closed", language: str = "en") -> str:
    asked = {"extension": extension, "language": language, "actor": "sara", "now": datetime.now(UTC)}
    return studio.ask_recording(scene.bazang.database, name=name, text=TEXT, **asked)  # type: ignore[arg-type]


def ask_test(scene: Scene, extension: str = "101", language: str = "en") -> str:
    return studio.ask_test(
        scene.bazang.database, extension=extension, language=language, actor="sara", now=datetime.now(UTC)
    )


async def becomes(scene: Scene, call: str, state: State, timeout: float = 20) -> StudioView:
    def there() -> StudioView | None:
        view = studio.load(scene.bazang.database, call)
        assert view.state is state or view.state not in FINAL, f"{view}\n{scene.bazang.describe()}"
        return view if view.state is state else None

    return await scene.bazang.until(there, timeout, f"the studio call is {state}")


async def fails(scene: Scene, call: str, failure: Failure, timeout: float = 20) -> None:
    view = await becomes(scene, call, State.FAILED, timeout)
    assert view.detail == failure.value, scene.bazang.describe()
    assert recordings(scene) == []
    await nothing_left(scene)


async def nothing_left(scene: Scene) -> None:
    """Return when no file lies in the inbox and the exchange has no call any more."""
    inbox = scene.bazang.settings.prompts_path / "inbox"
    await scene.bazang.until(lambda: not list(inbox.iterdir()), 5, "the inbox is empty")
    async with asyncio.timeout(10):
        while "0 active channels" not in await scene.bazang.asterisk.cli("core show channels count"):
            pass


def recordings(scene: Scene) -> list[Recording]:
    with scene.bazang.database.read() as session:
        return list(session.scalars(select(Recording)))


async def say(scene: Scene, ring: Call, sound: array[int], call: str) -> None:
    """Wait for the tone, speak, and press hash."""
    await becomes(scene, call, State.RECORDING)
    heard = len(ring.rtp.received)
    await scene.hears(ring, "studio_say")
    tone = ulaw(read(scene.bazang.settings.prompts_path / "tone.wav"))[:1600]
    await scene.bazang.until(lambda: tone[400:1200] in bytes(ring.rtp.received[heard:]), 20, "the tone")
    await scene.bazang.until(lambda: len(list(inbox(scene).iterdir())) == 1, 5, "it is being recorded")
    ring.rtp.speak(ulaw(sound))
    await asyncio.sleep(len(sound) / RATE + 0.2)  # speaking takes its time
    await ring.press("#")


def inbox(scene: Scene) -> Path:
    return scene.bazang.settings.prompts_path / "inbox"


async def test_a_text_spoken_by_phone_is_kept_as_it_was_spoken(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        call = ask(scene)
        ring = await scene.phones["101"].next_call()
        assert ring.remote == "Bazang"
        await becomes(scene, call, State.RINGING)
        await ring.answer()
        await say(scene, ring, speech(), call)
        await becomes(scene, call, State.LISTENING)
        await scene.hears(ring, "studio_choose")
        await ring.press("1")
        view = await becomes(scene, call, State.KEPT)
        await scene.hears(ring, "studio_kept")
        await ring.wait_ended()
        (row,) = recordings(scene)
        assert (row.file, row.name, row.origin, row.created_by) == (view.file, "Closed", "phone", "sara")
        kept = read(scene.bazang.settings.prompts_path / row.file)
        assert abs(len(kept) / RATE - 2.0) < 0.4
        assert alike(kept, speech()) > 0.95
        await nothing_left(scene)
