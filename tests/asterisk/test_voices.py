"""Voices on a real Asterisk: of a module, of the office, recorded digits, and changes while the worker runs."""

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
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office
from tests.audio.sounds import tone, write_sound


async def wait_for_clip(office: Office, call: Call, clip: Clip) -> None:
    """Wait until a call has received the beginning of a clip."""
    beginning = read_ulaw(clip.path)[: RATE // 3]
    await office.bazang.until(
        lambda: find(bytes(call.rtp.received), beginning).share > 0.8, PATIENCE, f"{clip.path.name} is heard"
    )


async def wait_until_commands_done(office: Office) -> None:
    """Wait until the worker has answered all commands."""

    def no_command_is_open() -> bool:
        with office.bazang.database.read() as session:
            return session.scalar(select(Command).where(Command.done_at.is_(None))) is None

    await office.bazang.until(no_command_is_open, PATIENCE, "all commands are done")


@pytest.mark.asterisk(22)
async def test_caller_hears_the_modules_voice_and_recorded_digits(open_office: OpenOffice, tmp_path: Path) -> None:
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

    async with open_office(prepare, phones=()) as office:
        library = SoundLibrary(office.bazang.settings.prompts_path)

        async def wait_for_text(text: str) -> None:
            clip = await asyncio.to_thread(library.synthesize, text, "en", "en-us+m3", 180, 30)
            await wait_for_clip(office, call, clip)

        call = await office.call_in("*5001")
        await wait_for_text(default_text("intro", "en"))
        await call.press("2")
        await wait_for_text(default_text("enter_number", "en"))
        await call.press("09351112233#")
        await wait_for_text("0")  # a digit is recorded, so the number is read digit by digit
        await wait_for_clip(office, call, recordings.read_recording(library, stored[0].file))
        await wait_for_text("3")


@pytest.mark.asterisk(22)
async def test_agent_hears_a_voice_that_was_chosen_while_the_worker_ran(open_office: OpenOffice) -> None:
    async with open_office(lambda bazang: bazang.module(), phones=("101",)) as office:
        await wait_until_commands_done(office)
        voice.save(office.bazang.database, "en", Speech("en+m1", 230), datetime.now(UTC))
        await wait_until_commands_done(office)
        office.add_request(target="101")
        agent_call = await office.phones["101"].next_call()
        await agent_call.answer()
        library = SoundLibrary(office.bazang.settings.prompts_path)
        await wait_for_clip(
            office, agent_call, library.synthesize(default_text("agent_intro", "en"), "en", "en+m1", 230)
        )
        await wait_for_clip(
            office, agent_call, library.synthesize(default_text("agent_keys", "en"), "en", "en+m1", 230)
        )


async def test_key_1_interrupts_the_announcement_from_its_first_word_on(open_office: OpenOffice) -> None:
    async with open_office(lambda bazang: bazang.module(), phones=("101",)) as office:
        request = office.add_request(target="101")
        agent_call = await office.phones["101"].next_call()
        await agent_call.answer()
        await office.bazang.until(lambda: bool(agent_call.rtp.received), PATIENCE, "the agent hears something")
        await agent_call.press("1")
        await office.wait_for_step(request, "customer_dialled")
        assert len(agent_call.rtp.received) / RATE < 3, "it was not interrupted: it takes about 8 seconds"


@pytest.mark.asterisk(22)
async def test_phone_call_uses_the_offices_voice(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",)) as office:
        database, speech = office.bazang.database, Speech("en-us+m3", 180, 30)
        voice.save(database, "en", speech, datetime.now(UTC))
        library = SoundLibrary(office.bazang.settings.prompts_path)
        clip = await asyncio.to_thread(
            voice.synthesize_with_fallback, library, default_text("phone_call_test", "en"), "en", speech
        )
        phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=datetime.now(UTC))
        agent_call = await office.phones["101"].next_call()
        await agent_call.answer()
        await wait_for_clip(office, agent_call, clip)
