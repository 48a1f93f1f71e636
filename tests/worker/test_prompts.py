"""The worker's sounds: they are made before they are needed, and have Asterisk's paths."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.audio.clip import Clip, SpeechError
from app.audio.library import OFFERS, WHILE_DOWN, SoundLibrary
from app.audio.prompt_texts import OPEN_KEYS, PROMPT_KEYS, age_text, default_text, fill_in
from app.audio.spoken_numbers import group_text, number_groups
from app.config import Settings
from app.domain.dial_order import AnnouncementOrder, Confirmation
from app.services.modules.save import set_active
from app.services.prompts import recordings, voice
from app.services.prompts.digits import set_digit
from app.services.prompts.recordings import Origin
from app.services.prompts.sounds import make_module_clips
from app.services.sounds import adopt
from app.store.database import Database
from app.store.models import Module, Prompt, Recording
from app.store.settings import Speech, write_setting
from app.telephony.dialer import CustomerSounds
from app.worker import module_prompts
from app.worker import prompts as prompts_module
from app.worker.prompts import MOST_NEEDED, UNUSED_AGE, PromptStore
from script.office.database import make_settings
from script.office.patience import PATIENCE
from script.office.server_database import new_database, open_server_database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, create_module, create_request, make_order, store
from tests.support.sounds import SPEECH_SECONDS, quick_conversion, quick_sounds

__all__ = ["quick_conversion", "quick_sounds"]
pytestmark = pytest.mark.usefixtures("quick_sounds")
ASTERISK_FOLDER = "/var/lib/asterisk/sounds/bazang"
NUMBER = "09121234567"
AGENT_KEYS = default_text("agent_keys", "en")
ALL_PIECES = 1 + len(NUMBER) + 3 + 1 + 1  # the intro, the digits with pauses between their groups, the age, the keys


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips, shared by all tests of this file, which others interrupt."""
    return tmp_path_factory.mktemp("prompts")


@pytest.fixture
def office(tmp_path: Path, prompts: Path) -> Settings:
    return make_settings(tmp_path, prompts_dir=prompts, asterisk_prompts_dir=f"{ASTERISK_FOLDER}/", default_locale="en")


@pytest.fixture
def sounds(office: Settings, database: Database) -> PromptStore:
    return PromptStore(office, database)


def speech_name(sounds: PromptStore, text: str, language: str = "en", *speech: Any) -> str:
    """Return the name of a spoken text for Asterisk. `speech`: voice, rate and pitch."""
    return f"{ASTERISK_FOLDER}/speech/{sounds.library.speech_path(text, language, *speech).stem}"


def recording_name(file: str) -> str:
    return f"{ASTERISK_FOLDER}/{file.removesuffix('.wav')}"


def announcement(sounds: PromptStore, age: timedelta = timedelta(0), language: str = "en") -> list[str]:
    """Return the agent's announcement for a request of this age."""
    return list(sounds.agent_prompt(make_order(registered_at=NOW - age, language=language), NOW))


def announcement_names(
    sounds: PromptStore, minutes: int = 0, voice_name: str = "", *, grouped: bool = False
) -> list[str]:
    """Return what an announcement consists of. `grouped`: a clip for each group of the number, else for each digit."""

    def name(text: str) -> str:
        return speech_name(sounds, text, "en", voice_name, voice.AGENT_RATE)

    number: list[str] = []
    for group in number_groups(NUMBER):
        number += [f"{ASTERISK_FOLDER}/pause"] if number and not grouped else []
        number += [name(group_text(group, "en"))] if grouped else [name(digit) for digit in group]
    return [name(default_text("agent_intro", "en")), *number, name(age_text(minutes, "en")), name(AGENT_KEYS)]


# -- names ----------------------------------------------------------------------------------------------------------


def test_path_of_a_file_for_asterisk(sounds: PromptStore, prompts: Path, tmp_path: Path, database: Database) -> None:
    assert sounds.asterisk_path(prompts / "uploads/abc.wav") == f"{ASTERISK_FOLDER}/uploads/abc"
    default = PromptStore(make_settings(tmp_path), database)
    assert default.asterisk_path(tmp_path / "prompts/speech/abc.wav") == f"{tmp_path}/prompts/speech/abc"


# -- the agent's announcement ---------------------------------------------------------------------------------------


async def test_announcement_of_a_waiting_request(sounds: PromptStore, database: Database) -> None:
    module, age = create_module(database, language="en"), timedelta(minutes=7, seconds=5)
    create_request(database, module, registered_at=NOW - age)
    assert announcement(sounds, age) == []
    assert not sounds.prepared
    await sounds.prepare(NOW)
    assert sounds.prepared
    for minutes in (7, 8):  # the age in a minute is prepared, too
        names = announcement(sounds, age + timedelta(minutes=minutes - 7))
        assert names == announcement_names(sounds, minutes, grouped=True)
        for name in names:
            assert (sounds.library.root / name.removeprefix(f"{ASTERISK_FOLDER}/")).with_suffix(".wav").is_file()


async def test_agent_who_confirms_by_answering_hears_of_no_keys(sounds: PromptStore) -> None:
    await sounds.prepare(NOW)
    order = make_order(registered_at=NOW, language="en", agent_confirms=Confirmation.ANSWER)
    assert sounds.agent_prompt(order, NOW) == announcement_names(sounds)[:-1]


async def test_number_is_read_in_groups_soon_after_its_registration(sounds: PromptStore, database: Database) -> None:
    module = create_module(database, language="en")
    await sounds.prepare(NOW)
    assert announcement(sounds) == announcement_names(sounds)
    sounds.expect(module.id, NUMBER)
    async with asyncio.timeout(PATIENCE):
        while announcement(sounds) != announcement_names(sounds, grouped=True):  # noqa: ASYNC110 - made by a thread
            await asyncio.sleep(0.01)


async def test_numbers_are_not_spoken_while_callers_come(sounds: PromptStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthesis would take the processor from callers, also if it has begun before they came."""
    made, begun, may_end = list[str](), threading.Event(), threading.Event()

    def make(_module: int, number: str) -> None:
        made.append(number)
        begun.set()
        may_end.wait(PATIENCE)

    async def wait_for(numbers: list[str]) -> None:
        async with asyncio.timeout(PATIENCE):
            while made != numbers or sounds._making is not None:  # noqa: ASYNC110 - made by a thread
                await asyncio.sleep(0.01)

    monkeypatch.setattr(prompts_module, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(sounds._announcements, "expect", make)
    for number in ("1", "2"):
        sounds.expect(1, number)
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    monkeypatch.setattr(prompts_module, "QUIET_SECONDS", 10 * PATIENCE)
    sounds.expect(1, "3")
    may_end.set()
    await wait_for(["1"])
    monkeypatch.setattr(prompts_module, "QUIET_SECONDS", 0.0)
    sounds.expect(1, "4")
    await wait_for(["1", "2", "3", "4"])


async def test_many_orders_at_once_wait_for_no_number(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second before the phones of many agents ring would be too long. The orders are sent in their order."""
    create_module(database, language="en")
    await sounds.prepare(NOW)
    may_make, sent = threading.Event(), list[int]()
    monkeypatch.setattr(prompts_module, "NUMBER_SECONDS", PATIENCE)
    monkeypatch.setattr(sounds._announcements, "make_number", lambda *_: may_make.wait(PATIENCE))

    async def send(number: int) -> None:
        await sounds.prepare_number(make_order(language="en", spoken=f"0912{number:07}"))
        sent.append(number)

    try:
        few = [asyncio.create_task(send(number)) for number in range(MOST_NEEDED)]
        await asyncio.sleep(0.01)
        assert sent == [], "a few numbers are waited for"
        async with asyncio.timeout(PATIENCE / 2):
            await asyncio.gather(*few, *(send(number) for number in range(MOST_NEEDED, 20)))
    finally:
        may_make.set()
    assert sent == list(range(20))


async def test_number_of_a_request_that_is_dialled_at_once(sounds: PromptStore, database: Database) -> None:
    create_module(database, language="en")
    await sounds.prepare(NOW)
    await sounds.prepare_number(make_order(language="en"))
    assert announcement(sounds) == announcement_names(sounds, grouped=True)


async def test_office_chooses_what_agents_hear_first(sounds: PromptStore, database: Database) -> None:
    create_request(database, create_module(database, language="en"), registered_at=NOW)
    await sounds.prepare(NOW)
    *number, age, keys = announcement_names(sounds, grouped=True)
    for first, expected in (
        (AnnouncementOrder.NUMBER, [*number, "name", age, keys]),
        (AnnouncementOrder.WAIT, [age, *number, "name", keys]),
        (AnnouncementOrder.NAME, ["name", *number, age, keys]),
    ):
        order = make_order(registered_at=NOW, language="en", spoken_name="name", announced_first=first)
        assert sounds.agent_prompt(order, NOW) == expected
        without = make_order(registered_at=NOW, language="en", announced_first=first)
        assert sounds.agent_prompt(without, NOW) == [file for file in expected if file != "name"]


async def test_question_is_ready_before_the_first_call(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create_module(database, language="en")
    module = create_module(database, language="en", asks_customer=True, office_name="Sepehr")
    made: list[tuple[int, bool]] = []

    def note(database: Database, library: SoundLibrary, module_id: int) -> Mapping[str, Clip | None]:
        made.append((module_id, sounds.prepared))
        return make_module_clips(database, library, module_id)

    monkeypatch.setattr(module_prompts, "make_module_clips", note)
    order = make_order(module=module.id, asks_customer=True)
    assert sounds.customer_sounds(order).question == "" and "is not asked" in caplog.text
    await sounds.prepare(NOW)
    assert made == [(module.id, False), (1, True)]
    question, greeting, apology = (
        speech_name(sounds, fill_in(default_text(key, "en"), "Sepehr"))
        for key in ("ask_customer", "greet_customer", "apology")
    )
    assert sounds.customer_sounds(order) == CustomerSounds(question)
    assert sounds.customer_sounds(replace(order, asks_customer=False)) == CustomerSounds()
    assert sounds.customer_sounds(replace(order, customer_first=True)) == CustomerSounds(question, greeting, apology)
    heard = sounds.agent_prompt(replace(order, customer_first=True, language="en"), NOW)
    for file, key in ((heard[0], "agent_intro_waiting"), (heard[-1], "agent_keys_waiting")):
        assert file == speech_name(sounds, default_text(key, "en"), "en", "", voice.AGENT_RATE)
    sounds.reset()
    assert sounds.customer_sounds(order).question, "the old one until the new one is made"


async def test_no_caller_waits_for_the_sounds_of_another_module(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = create_module(database, language="en"), create_module(database, language="en")
    released = threading.Event()

    def make(database: Database, library: SoundLibrary, module_id: int) -> Mapping[str, Clip | None]:
        if module_id == slow.id:
            assert released.wait(PATIENCE)
        return make_module_clips(database, library, module_id)

    monkeypatch.setattr(module_prompts, "make_module_clips", make)
    preparing = asyncio.ensure_future(sounds.prepare(NOW))
    try:
        async with asyncio.timeout(PATIENCE / 2):
            view = await sounds.load_module(quick.id)
        assert view is not None and view.prompts["intro"] is not None
        assert sounds.were_made([quick.id]) and not sounds.were_made([quick.id, slow.id])
    finally:
        released.set()
        await preparing
    assert sounds.were_made([quick.id, slow.id])


async def test_module_whose_sounds_cannot_be_made_holds_nothing_up(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = create_module(database, language="en")

    def fail(*_: object) -> Mapping[str, Clip | None]:
        raise SpeechError("speech_failed")

    monkeypatch.setattr(module_prompts, "make_module_clips", fail)
    await sounds.prepare(NOW)
    assert sounds.were_made([module.id])


async def test_offer_has_a_file_that_keeps_its_name(sounds: PromptStore, database: Database) -> None:
    folder = sounds.library.root / OFFERS
    queue: dict[str, Any] = {"target_kind": "queue", "targets": ("800",), "language": "en"}
    offered, _ = create_module(database, **queue, offer_key="4"), create_module(database, **queue)
    create_module(database, offer_key="4")  # of an extension
    await sounds.prepare(NOW)
    (file,) = folder.iterdir()
    spoken = sounds.library.synthesize(fill_in(default_text("offer", "en"), "", "4"), "en")
    assert (file.name, file.read_bytes()) == (f"module-{offered.id}.wav", spoken.path.read_bytes())
    assert file.stat().st_mode & 0o777 == 0o644
    with database.write() as session:
        session.get_one(Module, offered.id).offer_key = "5"
    sounds.reset()
    await sounds.prepare(NOW)
    assert file.read_bytes() != spoken.path.read_bytes()
    with database.write() as session:
        session.get_one(Module, offered.id).offer_key = ""
    sounds.reset()
    await sounds.prepare(NOW)
    assert list(folder.iterdir()) == []


async def test_sounds_that_the_dialplan_plays_alone_keep_their_names(sounds: PromptStore, database: Database) -> None:
    folder = sounds.library.root / WHILE_DOWN
    module = create_module(database, language="en", keeps_while_down=True)
    create_module(database, language="en")
    store(database, Prompt(module_id=module.id, key="before_success", mode="none"))
    await sounds.prepare(NOW)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    spoken = {
        f"module-{module.id}-{key}.wav": sounds.library.synthesize(default_text(key, "en"), "en").path.read_bytes()
        for key in ("intro", "after_success")
    }
    assert files == spoken
    with database.write() as session:
        session.get_one(Module, module.id).silent = True
    sounds.reset()
    await sounds.prepare(NOW)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "later"])
async def test_no_call_without_the_question_of_a_module_that_is_saved_while_sounds_are_made(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    module = create_module(database, language="en", asks_customer=True)
    order = make_order(module=module.id, asks_customer=True)
    saved: list[str] = []

    def make(database: Database, library: SoundLibrary, module_id: int) -> Mapping[str, Clip | None]:
        clips = make_module_clips(database, library, module_id)
        if not saved:
            saved.append("Press 1.")
            store(database, Prompt(module_id=module_id, key="ask_customer", mode="speech", text=saved[0]))
            sounds.reset()
        return clips

    if not first:
        await sounds.prepare(NOW)
        assert sounds.prepared
        sounds.reset()
        assert not sounds.prepared
    monkeypatch.setattr(module_prompts, "make_module_clips", make)
    await sounds.prepare(NOW)
    assert saved and not sounds.prepared
    assert sounds.customer_sounds(order).question, "for a call that is being dialled"
    await sounds.prepare(NOW)
    assert sounds.prepared
    assert sounds.customer_sounds(order).question == speech_name(sounds, saved[0])


async def test_pieces_that_are_not_prepared_are_left_out(sounds: PromptStore) -> None:
    await sounds.prepare(NOW)
    names = announcement(sounds, timedelta(hours=5))
    assert len(names) == ALL_PIECES - 1
    assert speech_name(sounds, age_text(5 * 60, "en"), "en", "", voice.AGENT_RATE) not in names
    assert announcement(sounds, language="fa") == []


async def test_request_of_a_deleted_module_is_announced_in_the_offices_language(
    tmp_path: Path, prompts: Path, database: Database
) -> None:
    """The language of the settings page has precedence over the environment's default."""
    settings = make_settings(tmp_path, prompts_dir=prompts, asterisk_prompts_dir=ASTERISK_FOLDER)
    assert settings.default_locale == "fa"
    with database.write() as session:
        write_setting(session, "locale", "en")
    create_request(database, registered_at=NOW - timedelta(minutes=9))
    sounds = PromptStore(settings, database)
    await sounds.prepare(NOW)
    age = speech_name(sounds, age_text(9, "en"), "en", "", voice.AGENT_RATE)
    assert age in announcement(sounds, timedelta(minutes=9))


async def test_piece_that_cannot_be_made_is_left_out_until_it_can(
    sounds: PromptStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    synthesize, failing = sounds.library.synthesize, {"1"}

    def fail(text: str, *options: Any) -> Clip:
        if text in failing:
            raise SpeechError("speech_failed")
        return synthesize(text, *options)

    monkeypatch.setattr(sounds.library, "synthesize", fail)
    await sounds.prepare(NOW)
    assert len(announcement(sounds)) == ALL_PIECES - NUMBER.count("1")
    assert "'1'" in caplog.text
    failing.clear()
    await sounds.prepare(NOW)
    assert len(announcement(sounds)) == ALL_PIECES


# -- modules --------------------------------------------------------------------------------------------------------


async def test_module_for_the_dialogue(sounds: PromptStore, database: Database) -> None:
    module = create_module(database, name="Sales", code="*5001", language="en", silent=True, active=False)
    store(database, Prompt(module_id=module.id, key="after_success", mode="none"))
    view = await sounds.load_module(module.id)
    assert view is not None
    assert (view.id, view.name, view.code) == (module.id, "Sales", "*5001")
    assert (view.active, view.silent, view.language) == (False, True, "en")
    assert set(view.prompts) == {*PROMPT_KEYS, *OPEN_KEYS, "intro_other", "after_success_closed"}
    assert view.prompts["after_success"] is None
    intro = view.prompts["intro"]
    assert intro is not None
    assert (intro.path, intro.seconds) == (speech_name(sounds, default_text("intro", "en")), SPEECH_SECONDS)
    assert {digit: sound.path for digit, sound in view.digits.items()} == {
        digit: speech_name(sounds, digit) for digit in "0123456789"
    }
    assert await sounds.load_module(4711) is None


class SlowPrompts:
    """Stands in for make_module_clips(). `started`: it was called; `allowed`: it may return."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started, self.allowed, self.count = threading.Event(), threading.Event(), 0
        monkeypatch.setattr(module_prompts, "make_module_clips", self)

    def __call__(self, *_: object) -> Mapping[str, Clip | None]:
        self.count += 1
        self.started.set()
        assert self.allowed.wait(PATIENCE)
        return {}


async def test_callers_at_once_share_the_prompts(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = create_module(database, language="en")
    slow = SlowPrompts(monkeypatch)
    loading = asyncio.gather(*[sounds.load_module(module.id) for _ in range(4)])
    await asyncio.to_thread(slow.started.wait, PATIENCE)
    slow.allowed.set()
    views = await loading
    assert slow.count == 1
    assert views[0] is not None and all(view == views[0] for view in views)


async def test_module_that_changes_while_its_prompts_are_made_is_made_again(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = create_module(database, name="Old", language="en")
    slow = SlowPrompts(monkeypatch)
    before = asyncio.create_task(sounds.load_module(module.id))
    await asyncio.to_thread(slow.started.wait, PATIENCE)
    with database.write() as session:
        session.get_one(Module, module.id).name = "New"
    sounds.reset()
    slow.allowed.set()
    old, new = await before, await sounds.load_module(module.id)
    assert old is not None and new is not None
    assert (old.name, new.name) == ("New", "New")  # the present one, with old sounds
    assert slow.count == 2


async def test_prompts_are_made_once_until_a_reset(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = create_module(database, language="en")
    slow = SlowPrompts(monkeypatch)
    slow.allowed.set()
    await sounds.prepare(NOW)
    await sounds.load_module(module.id)
    assert slow.count == 1
    sounds.reset()
    await sounds.prepare(NOW)
    assert slow.count == 2


async def test_missing_folder_is_logged(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = create_module(database, language="en")

    def fail(*_: object) -> Clip:
        raise FileNotFoundError("prompts")

    monkeypatch.setattr(sounds.library, "synthesize", fail)
    await sounds.prepare(NOW)
    assert f"module {module.id}" in caplog.text


async def test_state_of_a_module_holds_at_once(sounds: PromptStore, database: Database) -> None:
    module = create_module(database, language="en")
    for active in (True, False, True):
        set_active(database, module.id, active, NOW)
        view = await sounds.load_module(module.id)
        assert view is not None and view.active is active


# -- voices and recorded digits -------------------------------------------------------------------------------------


def set_speech(database: Database, voice_name: str = "", rate: int | None = None) -> None:
    voice.save(database, "en", Speech(voice_name, rate), NOW)


def record(sounds: PromptStore, database: Database, folder: Path, hertz: float) -> str:
    """Store a recording and return its file."""
    with write_sound(folder / f"{hertz}.wav", tone(0.5, hertz)).open("rb") as stream:
        return recordings.store_upload(database, sounds.library, stream, "beep.wav", Origin.UPLOAD, NOW).file


async def test_module_and_office_have_their_own_voices(sounds: PromptStore, database: Database) -> None:
    set_speech(database, "en-us+m3", 170)
    module = create_module(database, language="en", voice="en+f1", pitch=40)
    await sounds.prepare(NOW)
    view = await sounds.load_module(module.id)
    assert view is not None
    enter_number = view.prompts["enter_number"]
    assert enter_number is not None
    assert enter_number.path == speech_name(sounds, default_text("enter_number", "en"), "en", "en+f1", 170, 40)
    assert view.digits["7"].path == speech_name(sounds, "7", "en", "en+f1", 170, 40)
    assert announcement(sounds) == announcement_names(sounds, voice_name="en-us+m3")


async def test_missing_voice_is_replaced_and_logged_once(
    sounds: PromptStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    set_speech(database, "piper:en_US-gone-low")
    for _ in range(3):
        await sounds.prepare(NOW)
    assert announcement(sounds) == announcement_names(sounds)
    assert caplog.text.count("piper:en_US-gone-low") == 1


@pytest.mark.parametrize("content", ["recording", None, b"RIFF and no more"])
async def test_recorded_digit_is_played_if_it_can_be(
    sounds: PromptStore, database: Database, tmp_path: Path, content: str | bytes | None
) -> None:
    module = create_module(database, language="en")
    file = record(sounds, database, tmp_path, 500)
    set_digit(database, "en", "9", file, NOW)
    set_digit(database, "fa", "1", file, NOW)
    path = sounds.library.root / file
    if content != "recording":
        path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    await sounds.prepare(NOW)
    view = await sounds.load_module(module.id)
    assert view is not None
    is_played = content == "recording"
    assert view.digits["9"].path == (recording_name(file) if is_played else speech_name(sounds, "9"))
    assert view.digits["1"].path == speech_name(sounds, "1")
    read = [sound.path for sound in await sounds.read_out(module.id, NUMBER)]
    assert read[:6] == [view.digits["0"].path, view.digits["9"].path, *read[2:4], f"{ASTERISK_FOLDER}/pause", read[2]]
    expected = announcement_names(sounds)
    heard = announcement(sounds)
    assert heard[2] == (recording_name(file) if is_played else expected[2])
    assert [*heard[:2], *heard[3:]] == [*expected[:2], *expected[3:]]


# -- changes --------------------------------------------------------------------------------------------------------


class Gate:
    """Blocks synthesis in one voice. `waiting`: a thread is blocked; `opened`: it may go on."""

    def __init__(self, sounds: PromptStore, monkeypatch: pytest.MonkeyPatch, voice_name: str) -> None:
        self.waiting, self.opened = threading.Event(), threading.Event()
        self._voice, self._synthesize = voice_name, sounds.library.synthesize
        monkeypatch.setattr(sounds.library, "synthesize", self)

    def __call__(self, text: str, language: str, voice_name: str, *options: Any) -> Clip:
        if voice_name == self._voice:
            self.waiting.set()
            assert self.opened.wait(PATIENCE)
        return self._synthesize(text, language, voice_name, *options)


async def test_agents_hear_the_old_voice_until_the_new_one_is_ready(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sounds.prepare(NOW)
    old = announcement(sounds)
    gate = Gate(sounds, monkeypatch, "en-us+m3")
    set_speech(database, "en-us+m3")
    sounds.reset()
    preparing = asyncio.create_task(sounds.prepare(NOW))
    await asyncio.to_thread(gate.waiting.wait, PATIENCE)
    assert announcement(sounds) == old
    gate.opened.set()
    await preparing
    assert announcement(sounds) == announcement_names(sounds, voice_name="en-us+m3")


async def test_callers_hear_the_old_voice_if_the_new_one_takes_long(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_prompts, "RENEWAL_SECONDS", 0.05)
    module = create_module(database, name="Old", language="en")
    old = await sounds.load_module(module.id)
    assert old is not None
    gate = Gate(sounds, monkeypatch, "en-us+m3")
    with database.write() as session:
        row = session.get_one(Module, module.id)
        row.name, row.active, row.voice = "New", False, "en-us+m3"
    for _ in range(2):
        sounds.reset()
        assert await sounds.load_module(module.id) == replace(old, name="New", active=False)
    gate.opened.set()
    monkeypatch.setattr(module_prompts, "RENEWAL_SECONDS", PATIENCE)
    new = await sounds.load_module(module.id)
    assert new is not None
    assert new.digits["7"].path == speech_name(sounds, "7", "en", "en-us+m3")


async def test_module_that_is_deleted_meanwhile_is_gone(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_prompts, "RENEWAL_SECONDS", 0.05)
    module = create_module(database, language="en")
    await sounds.load_module(module.id)
    slow = SlowPrompts(monkeypatch)
    sounds.reset()
    loading = asyncio.create_task(sounds.load_module(module.id))
    await asyncio.to_thread(slow.started.wait, PATIENCE)
    with database.write() as session:
        session.delete(session.get_one(Module, module.id))
    assert await sounds.load_module(module.id) is None
    slow.allowed.set()
    await loading


async def test_outdated_preparation_does_not_replace_newer_pieces(
    sounds: PromptStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(sounds, monkeypatch, "")
    outdated = asyncio.create_task(sounds.prepare(NOW))
    await asyncio.to_thread(gate.waiting.wait, PATIENCE)
    set_speech(database, "en-us+m3")
    sounds.reset()
    await sounds.prepare(NOW)
    new = announcement(sounds)
    assert new == announcement_names(sounds, voice_name="en-us+m3")
    gate.opened.set()
    await outdated
    assert announcement(sounds) == new


@pytest.mark.parametrize("change", ["voice", "digit", "module"])
async def test_change_is_found_without_a_command(
    sounds: PromptStore, database: Database, tmp_path: Path, change: str
) -> None:
    """The command may have expired while the worker was busy."""
    module = create_module(database, name="Old", language="en")
    await sounds.prepare(NOW)
    old, before = announcement(sounds), await sounds.load_module(module.id)
    if change == "voice":
        set_speech(database, "en-us+m3")
    elif change == "digit":
        set_digit(database, "en", "9", record(sounds, database, tmp_path, 530), NOW)
    else:
        with database.write() as session:
            row = session.get_one(Module, module.id)
            row.name, row.updated_at = "New", NOW + timedelta(seconds=1)
    await sounds.prepare(NOW)
    assert await sounds.load_module(module.id) != before
    assert (announcement(sounds) != old) is (change != "module")


async def test_old_pieces_stay_if_new_ones_cannot_be_made(sounds: PromptStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await sounds.prepare(NOW)
    old = announcement(sounds)

    def fail(*_: object) -> Clip:
        raise OSError("no space left")

    monkeypatch.setattr(sounds.library, "synthesize", fail)
    sounds.reset()
    await sounds.prepare(NOW)
    assert announcement(sounds) == old


# -- clean-up -------------------------------------------------------------------------------------------------------


def make_old(folder: Path) -> None:
    old = time.time() - 2 * UNUSED_AGE.total_seconds()
    for path in (folder / "speech").iterdir():
        os.utime(path, (old, old))


def list_speech(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "speech").iterdir()}


async def test_only_sounds_that_are_unused_for_days_are_removed(
    tmp_path: Path, prompts: Path, database: Database
) -> None:
    folder = shutil.copytree(prompts, tmp_path / "prompts")
    sounds = PromptStore(make_settings(tmp_path, asterisk_prompts_dir=ASTERISK_FOLDER, default_locale="en"), database)
    module = create_module(database, language="en")
    store(database, Prompt(module_id=module.id, key="intro", mode="speech", text="We are closed for lunch."))
    create_request(database, module, registered_at=NOW)
    await sounds.prepare(NOW)
    intro = sounds.library.speech_path("We are closed for lunch.", "en").stem
    announced = {Path(name).stem for name in announcement(sounds)}
    make_old(folder)
    unused = sounds.library.speech_path("Nobody plays this.", "en")
    shutil.copy(folder / "speech" / f"{intro}.wav", unused)
    os.utime(unused, (0, 0))
    assert sounds.remove_unused() > 0
    assert not unused.exists()
    assert {intro, *announced} <= list_speech(folder)

    with database.write() as session:
        session.get_one(Prompt, (module.id, "intro")).text = "We are back soon."
    sounds.reset()
    await sounds.prepare(NOW)
    sounds.remove_unused()
    assert intro in list_speech(folder), "a call may still play it"
    make_old(folder)
    sounds.remove_unused()
    assert list_speech(folder) & {intro, *announced} == announced
    assert sounds.library.speech_path("We are back soon.", "en").is_file()


def test_folder_that_cannot_be_cleaned_up_is_logged(
    sounds: PromptStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_age: timedelta) -> int:
        raise PermissionError("not ours")

    monkeypatch.setattr(sounds.library, "remove_unused", refuse)
    assert sounds.remove_unused() == 0
    assert "not ours" in caplog.text


# -- a recording that is not here -----------------------------------------------------------------------------------


async def test_recording_that_comes_late_is_played_then(
    postgres_url: str, postgres_template: str, office: Settings, tmp_path: Path
) -> None:
    """Until it is in the database, callers hear the default text."""
    other = SoundLibrary(tmp_path / "other")
    with new_database(postgres_url, postgres_template) as url, open_server_database(url) as served:
        module = create_module(served, language="en")
        clip = other.convert(write_sound(tmp_path / "late.wav", tone(0.6)))
        file = f"uploads/{clip.path.name}"
        with served.write() as session:
            session.add(Recording(file=file, name="late", origin="upload", created_at=NOW))
            session.flush()
            session.add(Prompt(module_id=module.id, key="intro", mode="file", file=file))
        sounds = PromptStore(office, served)
        await sounds.prepare(NOW)
        default = speech_name(sounds, default_text("intro", "en"))
        assert await intro(sounds, module.id) == default
        await sounds.prepare(NOW)
        assert await intro(sounds, module.id) == default
        adopt(served, other.root)  # on the machine that has it
        await sounds.prepare(NOW)
        assert await intro(sounds, module.id) == recording_name(file)


async def intro(sounds: PromptStore, module_id: int) -> str:
    view = await sounds.load_module(module_id)
    assert view is not None
    sound = view.prompts["intro"]
    assert sound is not None
    return sound.path
