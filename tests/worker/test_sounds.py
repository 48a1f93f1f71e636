"""The sounds of the dialogue and of the agent's leg: ready before they are needed, named as Asterisk sees them."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.audio.clip import Clip, SpeechError
from app.audio.prompts import PROMPT_KEYS, age_text, default_text
from app.config import Settings
from app.domain.orders import Order
from app.store.database import Database
from app.store.models import Module, Prompt
from app.store.settings import write_setting
from app.worker import sounds as made_by
from app.worker.sounds import Sounds
from tests.support.factories import create_module, create_request, make_settings, store

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
def sounds(office: Settings, database: Database) -> Sounds:
    return Sounds(office, database)


def name_of(sounds: Sounds, text: str, language: str = "en") -> str:
    """Return the name by which Asterisk plays a text."""
    path = sounds.library.spoken_path(text, language)
    return f"{SEEN_AS}/speech/{path.stem}"


def make_order(registered_at: datetime, *, language: str = "en", spoken: str = "09121234567") -> Order:
    return Order(
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


def test_a_file_is_named_as_asterisk_sees_it(sounds: Sounds, prompts: Path) -> None:
    assert sounds.name(prompts / "uploads/abc.wav") == f"{SEEN_AS}/uploads/abc"


def test_without_a_view_of_its_own_asterisk_sees_what_we_see(tmp_path: Path, database: Database) -> None:
    sounds = Sounds(make_settings(tmp_path), database)
    assert sounds.name(tmp_path / "prompts/speech/abc.wav") == f"{tmp_path}/prompts/speech/abc"


# The agent's leg


async def test_the_agent_hears_whose_request_it_is_and_how_old(sounds: Sounds, database: Database) -> None:
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


async def test_the_next_minutes_age_is_ready_before_it_is_needed(sounds: Sounds, database: Database) -> None:
    now = datetime.now(UTC)
    request = create_request(database, create_module(database, language="en"), registered_at=now)
    await sounds.prepare()
    for minutes in (0, 1):
        prompt = sounds.agent_prompt(make_order(request.registered_at), now + timedelta(minutes=minutes, seconds=1))
        assert name_of(sounds, age_text(minutes, "en")) in prompt


def test_what_is_not_ready_is_left_out_and_nobody_waits(sounds: Sounds) -> None:
    assert list(sounds.agent_prompt(make_order(datetime.now(UTC)), datetime.now(UTC))) == []


async def test_an_age_that_nobody_prepared_is_left_out(sounds: Sounds, database: Database) -> None:
    now = datetime.now(UTC)
    await sounds.prepare()
    prompt = sounds.agent_prompt(make_order(now - timedelta(hours=5)), now)
    assert len(prompt) == 1 + 11 + 1
    assert name_of(sounds, age_text(5 * 60, "en")) not in prompt


async def test_a_language_that_nobody_speaks_here_is_silent(sounds: Sounds) -> None:
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
    sounds = Sounds(settings, database)
    await sounds.prepare()
    order = make_order(now - timedelta(minutes=9))
    assert name_of(sounds, age_text(9, "en")) in sounds.agent_prompt(order, now)


class Refusing:
    """Refuses to speak some texts and counts what is asked of it."""

    def __init__(self, sounds: Sounds, *texts: str) -> None:
        self.texts, self._spoken = set(texts), sounds.library.spoken

    def __call__(self, text: str, language: str) -> Clip:
        if text in self.texts:
            raise SpeechError("speech_failed")
        return self._spoken(text, language)


async def test_one_piece_that_cannot_be_spoken_costs_no_more_than_itself(
    sounds: Sounds, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    speech = Refusing(sounds, "1")
    monkeypatch.setattr(sounds.library, "spoken", speech)
    await sounds.prepare()
    prompt = sounds.agent_prompt(make_order(now), now)
    assert len(prompt) == 1 + 11 - 2 + 1 + 1  # the number has two ones
    assert "'1' cannot be spoken" in caplog.text
    speech.texts.clear()  # such as a disk that was full
    await sounds.prepare()
    assert len(sounds.agent_prompt(make_order(now), now)) == 14


# The module


async def test_a_module_as_the_dialogue_needs_it(sounds: Sounds, database: Database) -> None:
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


async def test_a_module_that_never_was_is_none(sounds: Sounds) -> None:
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
    sounds: Sounds, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = create_module(database, language="en")
    slow = SlowPrompts(monkeypatch)
    asking = asyncio.gather(*[sounds.module(module.id) for _ in range(4)])
    await asyncio.to_thread(slow.begun.wait, PATIENCE)
    slow.allowed.set()
    views = await asking
    assert slow.made == 1
    assert all(view is views[0] for view in views)
    assert await sounds.module(module.id) is views[0]


async def test_a_module_that_is_changed_while_its_view_is_made_is_made_again(
    sounds: Sounds, database: Database, monkeypatch: pytest.MonkeyPatch
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
    sounds: Sounds, database: Database, monkeypatch: pytest.MonkeyPatch
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
    sounds: Sounds, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create_module(database, language="en")

    def gone(*_: object) -> Clip:
        raise FileNotFoundError("prompts")

    monkeypatch.setattr(sounds.library, "spoken", gone)
    await sounds.prepare()
    assert "a prompt cannot be made" in caplog.text
