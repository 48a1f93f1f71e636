"""Voices on a real Asterisk: the module's, the office's, recorded digits, and changes while the worker runs."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from app.audio.clip import Clip
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import default_text
from app.services.prompts import digits, phone_calls, recordings, voice
from app.services.prompts.recordings import Origin
from app.services.prompts.sounds import make_digit_clips, make_module_clips
from app.store.models import Command, Recording
from app.store.settings import Speech
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from script.office.sound import RATE, find, read_ulaw
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene
from tests.audio.sounds import tone, write_sound


async def hears_clip(scene: Scene, call: Call, clip: Clip) -> None:
    """Wait until the beginning of a clip was heard."""
    beginning = read_ulaw(clip.path)[: RATE // 3]
    await scene.bazang.until(
        lambda: find(bytes(call.rtp.received), beginning).share > 0.8, PATIENCE, f"{clip.path.name} is heard"
    )


async def commands_are_done(scene: Scene) -> None:
    """Wait until the worker has answered all commands."""

    def no_command_is_open() -> bool:
        with scene.bazang.database.read() as session:
            return session.scalar(select(Command).where(Command.done_at.is_(None))) is None

    await scene.bazang.until(no_command_is_open, PATIENCE, "all commands are done")


@pytest.mark.asterisk(22)
async def test_caller_hears_the_modules_voice_and_recorded_digits(stage: Stage, tmp_path: Path) -> None:
    stored: list[Recording] = []

    def prepare(bazang: Bazang) -> None:
        module_id = bazang.module(voice="en-us+m3", rate=180, pitch=30)
        library = SoundLibrary(bazang.settings.prompts_path)
        make_module_clips(bazang.database, library, module_id)
        make_digit_clips(library, "en", Speech("en-us+m3", 180, 30), {})
        with write_sound(tmp_path / "nine.wav", tone(0.6, 600)).open("rb") as stream:
            stored.append(
                recordings.store_upload(bazang.database, library, stream, "nine.wav", Origin.UPLOAD, datetime.now(UTC))
            )
        digits.set_digit(bazang.database, "en", "9", stored[0].file, datetime.now(UTC))

    async with stage(prepare, phones=()) as scene:
        library = SoundLibrary(scene.bazang.settings.prompts_path)

        async def says(text: str) -> None:
            clip = await asyncio.to_thread(library.synthesize, text, "en", "en-us+m3", 180, 30)
            await hears_clip(scene, call, clip)

        call = await scene.knock("*5001")
        await says(default_text("intro", "en"))
        await call.press("2")
        await says(default_text("enter_number", "en"))
        await call.press("09351112233#")
        await says("0")
        await hears_clip(scene, call, recordings.read_recording(library, stored[0].file))
        await says("3")


@pytest.mark.asterisk(22)
async def test_agent_hears_a_voice_that_was_chosen_while_the_worker_runs(stage: Stage) -> None:
    async with stage(lambda bazang: bazang.module(), phones=("101",)) as scene:
        await commands_are_done(scene)
        voice.save(scene.bazang.database, "en", Speech("en+m1", 200), datetime.now(UTC))
        await commands_are_done(scene)
        scene.wish(target="101")
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        library = SoundLibrary(scene.bazang.settings.prompts_path)
        await hears_clip(scene, ring, library.synthesize(default_text("agent_intro", "en"), "en", "en+m1", 200))
        await hears_clip(scene, ring, library.synthesize(default_text("agent_keys", "en"), "en", "en+m1", 200))


@pytest.mark.asterisk(22)
async def test_phone_call_uses_the_offices_voice(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        database, speech = scene.bazang.database, Speech("en-us+m3", 180, 30)
        voice.save(database, "en", speech, datetime.now(UTC))
        library = SoundLibrary(scene.bazang.settings.prompts_path)
        clip = await asyncio.to_thread(
            voice.synthesize_with_fallback, library, default_text("phone_call_test", "en"), "en", speech
        )
        phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=datetime.now(UTC))
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await hears_clip(scene, ring, clip)
