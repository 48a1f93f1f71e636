"""The sounds of the dialogue and of the agent's leg: ready before they are needed, named as Asterisk sees them."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.audio.clip import Clip, SpeechError
from app.audio.prompt_texts import PROMPT_KEYS, age_text, default_text
from app.config import Settings
from app.domain.dial_order import DialOrder
from app.services.modules import save as modules
from app.services.prompts import recordings
from app.services.prompts import voice as speech
from app.store.database import Database
from app.store.models import Module, Prompt
from app.store.settings import Speech, write_setting
from app.worker import prompts as made_by
from app.worker.prompts import UNUSED, PromptStore
from script.office.database import make_settings
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, create_module, create_request, store

SEEN_AS = "/var/lib/asterisk/sounds/bazang"
PATIENCE = 30.0  # seconds


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished sounds, made once for all tests here."""
    return tmp_path_factory.mktemp("prompts")


@pytest.fixture
def office(tmp_path: Path, prompts: Path) -> Settings:
    return make_settings(tmp_path, prompts_dir=prompts, asterisk_prompts_dir=f"{SEEN_AS}/", default_locale="en")


@pytest.fixture
def sounds(office: Settings, database: Database) -> PromptStore:
    return PromptStore(office, database)


def name_of(sounds: PromptStore, text: str, language: str = "en", *manner: Any) -> str:
    """Return the name by which Asterisk plays a text; `manner`: voice, rate and pitch."""
    path = sounds.library.speech_path(text, language, *manner)
    return f"{SEEN_AS}/speech/{path.stem}"


def make_order(registered_at: datetime, *, language: str = "en", spoken: str = "09121234567") -> DialOrder:
    return DialOrder(
        attempt="a1",
        request_id=1,
        agent="101",
        devices="PJSIP/101",
        hint_context="hints",
        number="+989121234567",
        dialled=spoken,
        internal_devices="",
        language=language,
        caller_id="",
        outbound_context="outbound",
        agent_ring=20,
        customer_ring=40,
        registered_at=registered_at,
        spoken=spoken,
    )


# Names


def test_a_file_is_named_as_asterisk_sees_it(sounds: PromptStore, prompts: Path) -> None:
    assert sounds.name(prompts / "uploads/abc.wav") == f"{SEEN_AS}/uploads/abc"


def test_without_a_view_of_its_own_asterisk_sees_what_we_see(tmp_path: Path, database: Database) -> None:
    sounds = PromptStore(make_settings(tmp_path), database)
    assert sounds.name(tmp_path / "prompts/speech/abc.wav") == f"{tmp_path}/prompts/speech/abc"


# The agent's leg


async def test_the_agent_hears_whose_request_it_is_and_how_old(sounds: PromptStore, database: Database) -> None:
    now = datetime.now(UTC)
    module = create_module(database, language="en")
    request = create_request(database, module, registered_at=now - timedelta(minutes=7, seconds=5))
    await sounds.prepare()
    prompt = sounds.agent_prompt(make_order(request.registered_at), now)
    texts = [
        default_text("agent_intro", "en"),
        *"09121234567",
        age_text(7, "en"),
        default_text("agent_keys", "en"),
    ]
    assert list(prompt) == [name_of(sounds, text) for text in texts]
    for name in prompt:
        assert (sounds.library.root / name.removeprefix(f"{SEEN_AS}/")).with_suffix(".wav").is_file()


async def test_the_next_minutes_age_is_ready_before_it_is_needed(sounds: PromptStore, database: Database) -> None:
    now = datetime.now(UTC)
    request = create_request(database, create_module(database, language="en"), registered_at=now)
    await sounds.prepare()
    for minutes in (0, 1):
        prompt = sounds.agent_prompt(make_order(request.registered_at), now + timedelta(minutes=minutes, seconds=1))
        assert name_of(sounds, age_text(minutes, "en")) in prompt


def test_what_is_not_ready_is_left_out_and_nobody_waits(sounds: PromptStore) -> None:
    assert list(sounds.agent_prompt(make_order(datetime.now(UTC)), datetime.now(UTC))) == []


async def test_an_age_that_nobody_prepared_is_left_out(sounds: PromptStore, database: Database) -> None:
    now = datetime.now(UTC)
    await sounds.prepare()
    prompt = sounds.agent_prompt(make_order(now - timedelta(hours=5)), now)
    assert len(prompt) == 1 + 11 + 1
    assert name_of(sounds, age_text(5 * 60, "en")) not in prompt


async def test_a_language_that_nobody_speaks_here_is_silent(sounds: PromptStore) -> None:
    await sounds.prepare()
    now = datetime.now(UTC)
    assert list(sounds.agent_prompt(make_order(now, language="fa"), now)) == []


async def test_the_request_of_a_deleted_module_is_told_in_the_offices_language(
    tmp_path: Path, prompts: Path, database: Database
) -> None:
    """The panel's choice of a language counts, not what the environment's default is."""
    settings = make_settings(tmp_path, prompts_dir=prompts, asterisk_prompts_dir=SEEN_AS)
    assert settings.default_locale == "fa"
    with database.write() as session:
        write_setting(session, "locale", "en")
    now = datetime.now(UTC)
    create_request(database, registered_at=now - timedelta(minutes=9))
    sounds = PromptStore(settings, database)
    await sounds.prepare()
    order = make_order(now - timedelta(minutes=9))
    assert name_of(sounds, age_text(9, "en")) in sounds.agent_prompt(order, now)


class Refusing:
    """Refuses to speak some texts and counts what is asked of it."""

    def __init__(self, sounds: PromptStore, *texts: str) -> None:
        self.texts, self._spoken = set(texts), sounds.library.synthesize

    def __call__(self, text: str, *manner: Any) -> Clip:
        if text in self.texts:
            raise SpeechError("speech_failed")
        return self._spoken(text, *manner)


async def test_one_piece_that_cannot_be_spoken_costs_no_more_than_itself(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    speech = Refusing(sounds, "1")
    monkeypatch.setattr(sounds.library, "synthesize", speech)
    await sounds.prepare()
    prompt = sounds.agent_prompt(make_order(now), now)
    assert len(prompt) == 1 + 11 - 2 + 1 + 1  # the number has two ones
    assert "'1' cannot be spoken" in caplog.text
    speech.texts.clear()  # such as a disk that was full
    await sounds.prepare()
    assert len(sounds.agent_prompt(make_order(now), now)) == 14


# The module


async def test_a_module_as_the_dialogue_needs_it(sounds: PromptStore, database: Database) -> None:
    module = create_module(database, name="Sales", code="*5001", language="en", silent=True, active=False)
    store(database, Prompt(module_id=module.id, key="after_success", mode="none"))
    view = await sounds.module(module.id)
    assert view is not None
    assert (view.id, view.name, view.code) == (module.id, "Sales", "*5001")
    assert (view.active, view.silent, view.language) == (False, True, "en")
    assert set(view.prompts) == {*PROMPT_KEYS, "intro_other"}
    assert view.prompts["after_success"] is None
    intro = view.prompts["intro"]
    assert intro is not None
    assert intro.path == name_of(sounds, default_text("intro", "en"))
    assert intro.seconds > 2
    assert {digit: sound.path for digit, sound in view.digits.items()} == {
        digit: name_of(sounds, digit) for digit in "0123456789"
    }


async def test_a_module_that_never_was_is_none(sounds: PromptStore) -> None:
    assert await sounds.module(4711) is None


class SlowPrompts:
    """Makes a module's prompts when it is allowed to; tells when it has begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.allowed, self.made = threading.Event(), threading.Event(), 0
        monkeypatch.setattr(made_by, "prompt_sounds", self)

    def __call__(self, *_: object) -> Mapping[str, Clip | None]:
        self.made += 1
        self.begun.set()
        assert self.allowed.wait(PATIENCE)
        return {}


async def test_several_callers_at_once_wait_for_one_making(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = create_module(database, language="en")
    slow = SlowPrompts(monkeypatch)
    asking = asyncio.gather(*[sounds.module(module.id) for _ in range(4)])
    await asyncio.to_thread(slow.begun.wait, PATIENCE)
    slow.allowed.set()
    views = await asking
    assert slow.made == 1
    assert all(view is views[0] for view in views)
    assert await sounds.module(module.id) == views[0]


async def test_a_module_that_is_changed_while_its_view_is_made_is_made_again(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked before the change gets what was; whoever asks after it must not get that any more."""
    module = create_module(database, name="Old", language="en")
    slow = SlowPrompts(monkeypatch)
    before = asyncio.create_task(sounds.module(module.id))
    await asyncio.to_thread(slow.begun.wait, PATIENCE)
    with database.write() as session:
        session.get_one(Module, module.id).name = "New"
    sounds.forget()
    slow.allowed.set()
    old, new = await before, await sounds.module(module.id)
    assert old is not None and new is not None
    assert (old.name, new.name) == ("Old", "New")
    assert replace(old, name="New") == new
    assert slow.made == 2


async def test_what_was_made_once_is_not_made_again_until_it_is_forgotten(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = create_module(database, language="en")
    slow = SlowPrompts(monkeypatch)
    slow.allowed.set()
    await sounds.prepare()
    await sounds.module(module.id)
    assert slow.made == 1
    sounds.forget()
    await sounds.prepare()
    assert slow.made == 2


async def test_a_folder_that_is_gone_ends_no_preparation(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create_module(database, language="en")

    def gone(*_: object) -> Clip:
        raise FileNotFoundError("prompts")

    monkeypatch.setattr(sounds.library, "synthesize", gone)
    await sounds.prepare()
    assert "a prompt cannot be made" in caplog.text


# Who speaks


def set_speech(database: Database, voice: str = "", rate: int | None = None, pitch: int | None = None) -> None:
    speech.save(database, "en", Speech(voice, rate, pitch), NOW)


def record(sounds: PromptStore, database: Database, folder: Path, hertz: float) -> str:
    """Keep a recording and return its file."""
    with write_sound(folder / f"{hertz}.wav", tone(0.5, hertz)).open("rb") as stream:
        return recordings.store_upload(database, sounds.library, stream, "beep.wav", "upload", NOW).file


def announced(sounds: PromptStore) -> list[str]:
    now = datetime.now(UTC)
    return list(sounds.agent_prompt(make_order(now), now))


async def test_a_module_speaks_in_its_own_voice_and_the_office_announces_in_its_own(
    sounds: PromptStore, database: Database
) -> None:
    set_speech(database, "en-us+m3", 170)
    module = create_module(database, language="en", voice="en+f1", pitch=40)
    await sounds.prepare()
    view = await sounds.module(module.id)
    assert view is not None
    enter_number = view.prompts["enter_number"]
    assert enter_number is not None
    assert enter_number.path == name_of(sounds, default_text("enter_number", "en"), "en", "en+f1", 170, 40)
    assert view.digits["7"].path == name_of(sounds, "7", "en", "en+f1", 170, 40)
    texts = [default_text("agent_intro", "en"), *"09121234567", age_text(0, "en"), default_text("agent_keys", "en")]
    assert announced(sounds) == [name_of(sounds, text, "en", "en-us+m3", 170) for text in texts]


async def test_a_voice_that_is_not_there_costs_nobody_a_word(
    sounds: PromptStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    set_speech(database, "piper:en_US-gone-low")
    module = create_module(database, language="en", voice="fa+m3")  # its language was changed
    await sounds.prepare()
    view = await sounds.module(module.id)
    assert view is not None
    assert view.digits["7"].path == name_of(sounds, "7")
    assert len(announced(sounds)) == 14
    assert "fa+m3 does not speak en" in caplog.text
    assert "no voice piper:en_US-gone-low" in caplog.text


async def test_a_recorded_digit_is_read_out(sounds: PromptStore, database: Database, tmp_path: Path) -> None:
    module = create_module(database, language="en")
    file = record(sounds, database, tmp_path, 500)
    recordings.set_digit(database, "en", "9", file, NOW)
    recordings.set_digit(database, "fa", "1", file, NOW)
    await sounds.prepare()
    view = await sounds.module(module.id)
    assert view is not None
    assert view.digits["9"].path == f"{SEEN_AS}/{file.removesuffix('.wav')}"
    assert view.digits["9"].seconds == pytest.approx(0.5, abs=0.05)
    assert view.digits["1"].path == name_of(sounds, "1")
    assert announced(sounds)[1:4] == [name_of(sounds, "0"), view.digits["9"].path, name_of(sounds, "1")]


@pytest.mark.parametrize("content", [None, b"", b"RIFF and no more"])
async def test_a_recorded_digit_that_cannot_be_played_is_spoken(
    sounds: PromptStore, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    module = create_module(database, language="en")
    file = record(sounds, database, tmp_path, 510)
    recordings.set_digit(database, "en", "9", file, NOW)
    (sounds.library.root / file).unlink()
    if content is not None:
        (sounds.library.root / file).write_bytes(content)
    await sounds.prepare()
    view = await sounds.module(module.id)
    assert view is not None
    assert view.digits["9"].path == name_of(sounds, "9")
    assert name_of(sounds, "9") in announced(sounds)
    assert "the recording of 9 (en) cannot be played" in caplog.text


class Gate:
    """Lets the library speak in one voice only when it is opened; tells when somebody waits before it."""

    def __init__(self, sounds: PromptStore, monkeypatch: pytest.MonkeyPatch, voice: str) -> None:
        self.waiting, self.opened = threading.Event(), threading.Event()
        self._voice, self._spoken = voice, sounds.library.synthesize
        monkeypatch.setattr(sounds.library, "synthesize", self)

    def __call__(self, text: str, language: str, voice: str, *manner: Any) -> Clip:
        if voice == self._voice:
            self.waiting.set()
            assert self.opened.wait(PATIENCE)
        return self._spoken(text, language, voice, *manner)


async def test_while_a_new_voice_is_made_agents_hear_the_former_one(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sounds.prepare()
    former = announced(sounds)
    assert len(former) == 14
    gate = Gate(sounds, monkeypatch, "en-us+m3")
    set_speech(database, "en-us+m3")
    sounds.forget()
    making = asyncio.create_task(sounds.prepare())
    await asyncio.to_thread(gate.waiting.wait, PATIENCE)
    assert announced(sounds) == former
    gate.opened.set()
    await making
    assert set(announced(sounds)) & set(former) == set()
    assert announced(sounds)[1] == name_of(sounds, "0", "en", "en-us+m3")


async def test_while_a_new_voice_is_made_for_long_callers_hear_the_former_one(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_by, "RENEWAL_SECONDS", 0.05)
    module = create_module(database, name="Old", language="en")
    former = await sounds.module(module.id)
    assert former is not None
    gate = Gate(sounds, monkeypatch, "en-us+m3")
    with database.write() as session:
        row = session.get_one(Module, module.id)
        row.name, row.active, row.voice = "New", False, "en-us+m3"
    for _ in range(2):
        sounds.forget()
        assert await sounds.module(module.id) == replace(former, name="New", active=False)
    gate.opened.set()
    monkeypatch.setattr(made_by, "RENEWAL_SECONDS", PATIENCE)
    new = await sounds.module(module.id)
    assert new is not None
    assert new.digits["7"].path == name_of(sounds, "7", "en", "en-us+m3")


async def test_a_module_that_is_deleted_meanwhile_is_gone(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_by, "RENEWAL_SECONDS", 0.05)
    module = create_module(database, language="en")
    await sounds.module(module.id)
    slow = SlowPrompts(monkeypatch)
    sounds.forget()
    asking = asyncio.create_task(sounds.module(module.id))
    await asyncio.to_thread(slow.begun.wait, PATIENCE)
    with database.write() as session:
        session.delete(session.get_one(Module, module.id))
    assert await sounds.module(module.id) is None
    slow.allowed.set()
    await asking


async def test_what_was_begun_before_a_change_never_takes_the_place_of_what_came_after(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(sounds, monkeypatch, "")
    before = asyncio.create_task(sounds.prepare())
    await asyncio.to_thread(gate.waiting.wait, PATIENCE)
    set_speech(database, "en-us+m3")
    sounds.forget()
    await sounds.prepare()
    after = announced(sounds)
    assert after[1] == name_of(sounds, "0", "en", "en-us+m3")
    gate.opened.set()
    await before
    assert announced(sounds) == after


async def test_a_digit_that_changes_is_read_out_so_at_the_next_call(
    sounds: PromptStore, database: Database, tmp_path: Path
) -> None:
    module = create_module(database, language="en")
    file = record(sounds, database, tmp_path, 520)
    heard = []
    for chosen in (None, file, None):
        recordings.set_digit(database, "en", "9", chosen, NOW)
        sounds.forget()
        await sounds.prepare()
        view = await sounds.module(module.id)
        assert view is not None
        assert announced(sounds)[2] == view.digits["9"].path
        heard.append(view.digits["9"].path)
    recorded = f"{SEEN_AS}/{file.removesuffix('.wav')}"
    assert heard == [name_of(sounds, "9"), recorded, name_of(sounds, "9")]


@pytest.mark.parametrize("change", ["voice", "digit", "module"])
async def test_a_change_that_nobody_told_of_is_seen(
    sounds: PromptStore, database: Database, tmp_path: Path, change: str
) -> None:
    """As when the command to do so expired, since the service was busy with something else."""
    module = create_module(database, name="Old", language="en")
    await sounds.prepare()
    former, before = announced(sounds), await sounds.module(module.id)
    if change == "voice":
        set_speech(database, "en-us+m3")
    elif change == "digit":
        recordings.set_digit(database, "en", "9", record(sounds, database, tmp_path, 530), NOW)
    else:
        with database.write() as session:
            row = session.get_one(Module, module.id)
            row.name, row.updated_at = "New", NOW + timedelta(seconds=1)
    await sounds.prepare()
    assert await sounds.module(module.id) != before
    assert (announced(sounds) != former) is (change != "module")


async def test_what_cannot_be_made_anew_stays_as_it_was(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sounds.prepare()
    former = announced(sounds)

    def full(*_: object) -> Clip:
        raise OSError("no space left")

    monkeypatch.setattr(sounds.library, "synthesize", full)
    sounds.forget()
    await sounds.prepare()
    assert announced(sounds) == former


async def test_a_voice_that_is_amiss_is_not_told_with_every_look(
    sounds: PromptStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    set_speech(database, "piper:en_US-gone-low")
    for _ in range(3):
        await sounds.prepare()
    assert caplog.text.count("piper:en_US-gone-low") == 1


async def test_a_module_that_is_switched_takes_the_next_caller_accordingly(
    sounds: PromptStore, database: Database
) -> None:
    module = create_module(database, language="en")
    for active in (True, False, True):
        modules.set_active(database, module.id, active, NOW)
        view = await sounds.module(module.id)
        assert view is not None and view.active is active


# Tidying up


def make_old(folder: Path) -> None:
    old = time.time() - 2 * UNUSED.total_seconds()
    for path in (folder / "speech").iterdir():
        os.utime(path, (old, old))


def speech_in(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "speech").iterdir()}


async def test_what_may_be_played_stays_and_what_is_played_no_more_goes_after_days(
    tmp_path: Path, prompts: Path, database: Database
) -> None:
    folder = shutil.copytree(prompts, tmp_path / "prompts")
    sounds = PromptStore(make_settings(tmp_path, asterisk_prompts_dir=SEEN_AS, default_locale="en"), database)
    module = create_module(database, language="en")
    store(database, Prompt(module_id=module.id, key="intro", mode="speech", text="We are closed for lunch."))
    create_request(database, module, registered_at=datetime.now(UTC))
    await sounds.prepare()
    spoken = sounds.library.speech_path("We are closed for lunch.", "en").stem
    told = {Path(name).stem for name in sounds.agent_prompt(make_order(datetime.now(UTC)), datetime.now(UTC))}
    make_old(folder)
    stray = sounds.library.speech_path("Nobody plays this.", "en")
    shutil.copy(folder / "speech" / f"{spoken}.wav", stray)
    os.utime(stray, (0, 0))
    assert sounds.tidy() > 0
    assert not stray.exists()
    assert {spoken, *told} <= speech_in(folder)

    with database.write() as session:
        session.get_one(Prompt, (module.id, "intro")).text = "We are back soon."
    sounds.forget()
    await sounds.prepare()
    sounds.tidy()
    assert spoken in speech_in(folder), "a call may still be playing it"
    make_old(folder)
    sounds.tidy()
    assert speech_in(folder) & {spoken, *told} == told
    assert sounds.library.speech_path("We are back soon.", "en").is_file()


def test_a_folder_that_cannot_be_tidied_stops_nothing(sounds: PromptStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_older_than: timedelta) -> int:
        raise PermissionError("not ours")

    monkeypatch.setattr(sounds.library, "remove_unused", refuse)
    assert sounds.tidy() == 0
