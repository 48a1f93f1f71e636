"""Sounds by clicking only: uploaded, dropped, recorded, spoken, chosen, put back; by phone on a real exchange; and the
proof of all of it, a new module whose caller hears the very sounds that were given."""

import re
import wave
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import default_text
from app.services import users
from app.services.modules.list import load_module
from app.services.prompts import recordings
from app.services.prompts.digits import load_digit_files
from app.services.prompts.recordings import Origin
from app.store.database import Database
from app.store.models import Prompt, Recording
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.sound import find, read_ulaw
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene
from tests.asterisk.test_phone_calls import say, speech
from tests.audio.sounds import RATE, likeness, read_samples, silence, tone, write_sound
from tests.browser.conftest import Meet
from tests.browser.panel import Loop, Person, serve, session_of
from tests.support.browsing import Browsers
from tests.support.factories import create_module
from tests.web.conftest import ADMINISTRATOR, PASSWORD

LOCALES = pytest.mark.parametrize("locale", ["fa", "en"])

# What a person reads in either language.
SAID = {
    "en": {
        "kept": "clearly audible",
        "no_sound": "not a known sound format",
        "no_microphone": "There is no microphone on this computer.",
        "refused": "The browser may not use the microphone.",
        "insecure": "only on pages with https",
        "wrong_language": "not in the language of the module",
        "in_use": "The recording is in use.",
        "deleted": "The recording is deleted.",
        "too_large": "20 MB",
    },
    "fa": {
        "kept": "رسا",
        "no_sound": "شناخته‌شده",
        "no_microphone": "میکروفون ندارد",
        "refused": "اجازه استفاده از میکروفون را ندارد",
        "insecure": "https",
        "wrong_language": "زبان",
        "in_use": "هنوز",
        "deleted": "حذف شد",
        "too_large": "۲۰",
    },
}


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears: a sound that rises and falls, again and again."""
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((speech(3.0) + silence(0.3)).tobytes())
    return path


@pytest.fixture(scope="session")
def talking_browsers(browsers: Browsers, spoken: Path) -> Iterator[Browsers]:
    """Chromium with a microphone into which somebody speaks, and which may be used."""
    talking = browsers.like(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={spoken}",
        "--autoplay-policy=no-user-gesture-required",
    )
    yield talking
    talking.close()


@pytest.fixture
def talker(talking_browsers: Browsers, address: str) -> Iterator[Person]:
    person = Person(talking_browsers.running(), address)
    yield person
    talking_browsers.close_context(person.context)
    assert person.complaints == []


def enter(app: Flask, database: Database, person: Person, locale: str, path: str = "/modules/new") -> Page:
    users.set_locale(database, 1, locale)
    page = person.take(session_of(app, 1, locale))
    page.goto(path)
    return page


def card(page: Page, key: str) -> Locator:
    return page.locator(f"[data-prompt={key}]")


def choose(page: Page, key: str, mode: str) -> Locator:
    card(page, key).locator(f"[data-mode][value={mode}]").check()
    return card(page, key)


def drop(page: Page, key: str, path: Path) -> None:
    """Drop a file on a card, as a person does from another window."""
    data = list(path.read_bytes())
    transfer = page.evaluate_handle(
        """([data, name]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(data)], name, { type: "audio/wav" }));
          return transfer;
        }""",
        [data, path.name],
    )
    for event in ("dragenter", "dragover", "drop"):
        card(page, key).dispatch_event(event, {"dataTransfer": transfer})


def watch_progress(page: Page) -> None:
    """Remember what every progress bar has said."""
    page.evaluate(
        """() => {
          window.texts = [];
          new MutationObserver(() => {
            for (const part of document.querySelectorAll("[data-progress]:not([hidden])")) {
              window.texts.push(part.querySelector("[data-progress-text]").textContent);
            }
          }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
        }"""
    )


def library(database: Database) -> list[Recording]:
    with database.read() as session:
        return list(session.scalars(select(Recording).order_by(Recording.created_at)))


def chosen(page: Page, key: str) -> str:
    return card(page, key).locator("[data-file-field]").input_value()


def fill_in(page: Page, code: str = "*5001") -> None:
    page.locator("#name").fill("Sales")
    page.locator("#code").fill(code)
    page.locator("#targets").fill("101")


# -- uploading --------------------------------------------------------------------------------------------------------


@LOCALES
def test_a_file_is_uploaded_by_a_button_with_progress(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = enter(app, database, person, locale)
    fill_in(page)
    intro = choose(page, "intro", "file")
    watch_progress(page)
    intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "welcome.wav", tone(60)))
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    expect(intro.locator(".recording")).to_contain_text(SAID[locale]["kept"])
    assert len(set(page.evaluate("window.texts"))) >= 2, "sent, then converted"
    (row,) = library(database)
    assert chosen(page, "intro") == row.file and row.origin == "upload"
    expect(page.locator("#name")).to_have_value("Sales")
    length = intro.locator("[data-player] audio").evaluate(
        "async (audio) => { await audio.play(); audio.pause(); return audio.duration; }"
    )
    assert 59 < length < 61
    page.locator(".form-end .btn-primary").click()
    with database.read() as session:
        assert load_module(session, 1).prompts["intro"].file == row.file


@LOCALES
def test_a_file_is_dropped_on_a_card(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = enter(app, database, person, locale)
    drop(page, "check_number", write_sound(tmp_path / "check.wav", tone(2)))
    expect(card(page, "check_number").locator(".recording")).to_contain_text("check.wav")
    expect(card(page, "check_number").locator("[data-mode][value=file]")).to_be_checked()
    assert [row.name for row in library(database)] == ["check.wav"]
    assert chosen(page, "intro") == ""


@LOCALES
def test_a_file_that_is_no_sound_is_told_beside_its_card_and_nothing_is_lost(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = enter(app, database, person, locale)
    fill_in(page)
    card(page, "intro").locator("[data-text]").fill("سلام. Hello.")
    letter = tmp_path / "letter.wav"
    letter.write_text("no sound")
    intro = choose(page, "intro", "file")
    intro.locator("[data-upload]").set_input_files(letter)
    expect(intro.locator("[data-error]")).to_contain_text(SAID[locale]["no_sound"])
    expect(page.locator("#name")).to_have_value("Sales")
    expect(intro.locator("[data-text]")).to_have_value("سلام. Hello.")
    drop(page, "intro", write_sound(tmp_path / "good.wav", tone(2)))
    expect(intro.locator(".recording")).to_contain_text("good.wav")
    expect(intro.locator("[data-error]")).to_be_hidden()
    assert [c for c in person.complaints if "422" not in c] == []
    person.complaints.clear()


@LOCALES
def test_a_file_that_is_too_large_is_told_before_it_is_sent(
    app: Flask, database: Database, person: Person, locale: str
) -> None:
    page = enter(app, database, person, locale)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    intro = choose(page, "intro", "file")
    page.evaluate("() => { document.getElementById('sound-texts').dataset.maxBytes = '1000'; }")
    intro.locator("[data-upload]").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 1001})
    expect(intro.locator("[data-error]")).to_contain_text(SAID[locale]["too_large"])
    assert not [url for url in sent if url.endswith("/take")]


def test_a_panel_that_is_away_is_told_and_the_file_can_be_sent_again(
    app: Flask, database: Database, person: Person, tmp_path: Path
) -> None:
    page = enter(app, database, person, "en")
    intro = choose(page, "intro", "file")
    sound = write_sound(tmp_path / "welcome.wav", tone(2))
    page.route("**/take", lambda route: route.abort())
    intro.locator("[data-upload]").set_input_files(sound)
    expect(intro.locator("[data-error]")).to_contain_text("The panel does not answer.")
    page.unroute("**/take")
    intro.locator("[data-upload]").set_input_files(sound)
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    person.complaints.clear()  # the browser notes what was broken off


def test_a_second_file_takes_the_place_of_one_that_is_still_sent(
    app: Flask, database: Database, person: Person, tmp_path: Path
) -> None:
    page = enter(app, database, person, "en")
    intro = choose(page, "intro", "file")
    page.route("**/take", lambda route: None, times=1)  # the first one hangs
    intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "first.wav", tone(2)))
    expect(intro.locator("[data-progress]")).to_be_visible()
    intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "second.wav", tone(2, 600)))
    expect(intro.locator(".recording")).to_contain_text("second.wav")
    expect(intro.locator("[data-progress]")).to_be_hidden()
    assert [row.name for row in library(database)] == ["second.wav"]
    person.complaints.clear()  # the browser notes what was broken off


def test_a_recording_is_uploaded_without_scripts(app: Flask, database: Database, meet: Meet, tmp_path: Path) -> None:
    page = enter(app, database, meet(java_script_enabled=False), "en", "/recordings/digits/en")
    digit = page.locator("#digit-7")
    digit.locator("summary").click()
    digit.locator("[data-upload]").set_input_files(write_sound(tmp_path / "seven.wav", tone(1)))
    digit.get_by_role("button", name="Upload").click()
    expect(digit.locator(".recording")).to_contain_text("seven.wav")
    digit.get_by_role("button", name="Use the voice again").click()
    expect(digit).to_contain_text("spoken by the voice")


# -- recording --------------------------------------------------------------------------------------------------------


@LOCALES
def test_a_prompt_is_recorded_in_the_browser(app: Flask, database: Database, talker: Person, locale: str) -> None:
    page = enter(app, database, talker, locale)
    intro = choose(page, "intro", "record")
    record(page, intro)
    intro.locator("[data-record-again]").click()
    stop_when_loud(page, intro)
    length = intro.locator("[data-recorded] audio")
    expect(length).to_be_visible()
    intro.locator("[data-save-recording]").click()
    expect(intro.locator(".recording")).to_be_visible()
    (row,) = library(database)
    assert row.origin == "browser" and row.seconds is not None and row.seconds > 0.8
    assert chosen(page, "intro") == row.file
    expect(intro.locator("[data-mode][value=record]")).to_be_checked()


def record(page: Page, place: Locator) -> None:
    place.locator("[data-record]").click()
    stop_when_loud(page, place)


def stop_when_loud(page: Page, place: Locator) -> None:
    """Stop when the meter has moved and more than a second is recorded."""
    meter, time = place.locator("meter"), place.locator("[data-time]")
    expect(meter).to_be_visible()
    page.wait_for_function(
        "(meter) => { window.most = Math.max(window.most ?? 0, meter.value); return window.most > 0.1; }",
        arg=meter.element_handle(),
    )
    page.wait_for_function("(time) => /[2۲-۹]$/.test(time.textContent)", arg=time.element_handle())
    place.locator("[data-record-stop]").click()
    expect(place.locator("[data-recorded] audio")).to_be_visible()


@LOCALES
@pytest.mark.parametrize(("error", "said"), [("NotFoundError", "no_microphone"), ("NotAllowedError", "refused")])
def test_a_microphone_that_is_not_there_or_not_allowed(
    app: Flask, database: Database, person: Person, locale: str, error: str, said: str
) -> None:
    person.context.add_init_script(
        f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{error}'));"
    )
    page = enter(app, database, person, locale)
    intro = choose(page, "intro", "record")
    intro.locator("[data-record]").click()
    expect(intro.locator("[data-error]")).to_contain_text(SAID[locale][said])
    expect(intro.locator("[data-ring]")).to_be_visible()


@LOCALES
def test_a_page_without_https_says_so_and_leads_to_the_phone(
    app: Flask, database: Database, person: Person, locale: str
) -> None:
    person.context.add_init_script(
        """Object.defineProperty(window, "isSecureContext", { value: false });
        Object.defineProperty(navigator, "mediaDevices", { value: undefined });"""
    )
    page = enter(app, database, person, locale)
    intro = choose(page, "intro", "record")
    intro.locator("[data-record]").click()
    expect(intro.locator("[data-error]")).to_contain_text(SAID[locale]["insecure"])
    expect(intro.locator("[data-extension]")).to_be_focused()


# -- texts, voices, the default ---------------------------------------------------------------------------------------


@LOCALES
def test_the_default_is_restored_and_that_is_undone(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = enter(app, database, person, locale)
    intro = card(page, "intro")
    text = intro.locator("[data-text]")
    text.fill("My own.")
    drop(page, "intro", write_sound(tmp_path / "welcome.wav", tone(2)))
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    file = chosen(page, "intro")
    intro.locator("[data-restore]").click()
    expect(text).to_have_value(default_text("intro", locale))
    expect(intro.locator("[data-mode][value=speech]")).to_be_checked()
    assert chosen(page, "intro") == ""
    expect(intro.locator("[data-undo]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(text).to_have_value("My own.")
    expect(intro.locator("[data-mode][value=file]")).to_be_checked()
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    assert chosen(page, "intro") == file
    expect(intro.locator("[data-undo]")).to_be_hidden()


@LOCALES
def test_the_voices_follow_the_language(app: Flask, database: Database, person: Person, locale: str) -> None:
    page = enter(app, database, person, locale)
    voices = "(voice) => [...voice.querySelectorAll('optgroup option')].map((one) => one.dataset.language)"
    assert set(page.locator("#voice").evaluate(voices)) == {locale}
    page.locator("#voice").select_option("fa+m3" if locale == "fa" else "en-us+m3")
    other = {"fa": "en", "en": "fa"}[locale]
    page.locator("#language").select_option(other)
    assert set(page.locator("#voice").evaluate(voices)) == {other}
    expect(page.locator("#voice")).to_have_value("")
    expect(card(page, "intro").locator("[data-text]")).to_have_value(default_text("intro", other))


@LOCALES
def test_a_voice_is_heard_before_it_is_saved(app: Flask, database: Database, person: Person, locale: str) -> None:
    page = enter(app, database, person, locale)
    page.locator("#rate").select_option("220")
    page.locator("#pitch").select_option("90")
    with page.expect_request("**/prompts/preview") as asked:
        page.locator("[data-sample]").click()
    sent = asked.value.post_data or ""
    assert "220" in sent and "90" in sent
    expect(page.locator(".voice-sample audio")).to_be_visible()


@LOCALES
@pytest.mark.parametrize("way", ["own", "other"])
def test_the_whole_dialogue_is_played(app: Flask, database: Database, person: Person, locale: str, way: str) -> None:
    page = enter(app, database, person, locale)
    page.locator(f"input[name=way][value={way}]").check()
    page.locator("[data-dialogue-play]").click()
    expect(page.locator("[data-dialogue] progress")).to_be_visible()
    audio = page.locator("[data-dialogue] > audio")
    expect(audio).to_be_visible()
    page.wait_for_function("(audio) => audio.currentTime > 0.2", arg=audio.element_handle())
    whole = audio.evaluate("(audio) => audio.duration")
    assert whole > 10
    card(page, "intro").locator("[data-text]").fill("سلام." if locale == "fa" else "Hello.")
    expect(page.locator("[data-dialogue-status]")).not_to_be_empty()  # what was made is of before
    page.locator("[data-dialogue-play]").click()
    page.wait_for_function(f"(audio) => !audio.hidden && audio.duration < {whole} - 2", arg=audio.element_handle())
    expect(page.locator("[data-dialogue-status]")).to_be_empty()


@LOCALES
def test_a_prompt_that_cannot_be_spoken_is_named_by_the_player(
    app: Flask, database: Database, person: Person, locale: str
) -> None:
    page = enter(app, database, person, locale)
    page.locator("#language").select_option("en")
    card(page, "intro").locator("[data-text]").fill("سلام")
    page.locator("[data-dialogue-play]").click()
    expect(page.locator("[data-dialogue-status]")).to_contain_text(SAID[locale]["wrong_language"])
    assert [c for c in person.complaints if "422" not in c] == []
    person.complaints.clear()


# -- the library and the digits ---------------------------------------------------------------------------------------


def keep(database: Database, app: Flask, path: Path, name: str) -> Recording:
    settings = app.extensions["bazang"]["settings"]
    with path.open("rb") as stream:
        return recordings.store_upload(
            database, SoundLibrary(settings.prompts_path), stream, name, Origin.UPLOAD, datetime.now(UTC), ADMINISTRATOR
        )


@LOCALES
def test_one_recording_of_the_library_is_chosen_in_a_card(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    keep(database, app, write_sound(tmp_path / "a.wav", tone(2)), "Welcome")
    row = keep(database, app, write_sound(tmp_path / "b.wav", tone(2, 600)), "خداحافظ")
    page = enter(app, database, person, locale)
    last = choose(page, "after_success", "file")
    last.locator("[data-open-library]").click()
    dialog = page.locator("#library-dialog")
    expect(dialog.locator("li")).to_have_count(2)
    dialog.locator("[data-library-search]").fill("خدا")
    expect(dialog.locator("li")).to_have_count(1)
    dialog.locator("[data-play]").click()
    expect(dialog.locator("[data-play] use")).to_have_attribute("href", re.compile("player-stop$"))
    dialog.locator("[data-choose-recording]").click()
    expect(dialog).to_be_hidden()
    expect(last.locator(".recording")).to_contain_text("خداحافظ")
    assert chosen(page, "after_success") == row.file


@LOCALES
def test_the_library_takes_renames_keeps_what_is_used_and_deletes(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = enter(app, database, person, locale, "/recordings")
    page.locator("#sound-name").fill("Welcome")
    page.locator("#upload").set_input_files(write_sound(tmp_path / "a.wav", tone(2)))
    row = page.locator("tbody tr")
    expect(row).to_contain_text("Welcome")
    (stored,) = library(database)
    row.locator("a[href$='/delete']").wait_for()
    row.locator(f"a[href='/recordings/{stored.file[8:72]}']").click()
    page.locator("#name").fill("خوشامد")
    page.locator("main .btn-primary").click()
    expect(row).to_contain_text("خوشامد")

    create_module(database, name="Sales")
    with database.write() as session:
        session.add(Prompt(module_id=1, key="intro", mode="file", file=stored.file))
    row.locator("a[href$='/delete']").click()
    expect(page.locator("main")).to_contain_text(SAID[locale]["in_use"])
    expect(page.locator("main")).to_contain_text("Sales")
    expect(page.locator(".btn-danger")).to_have_count(0)
    with database.write() as session:
        session.get_one(Prompt, (1, "intro")).mode, session.get_one(Prompt, (1, "intro")).file = "speech", None
    page.reload()
    page.locator(".btn-danger").click()
    expect(page.locator("#message")).to_contain_text(SAID[locale]["deleted"])
    assert library(database) == []


@LOCALES
def test_a_digit_is_recorded_and_given_back(app: Flask, database: Database, talker: Person, locale: str) -> None:
    page = enter(app, database, talker, locale, f"/recordings/digits/{locale}")
    digit = page.locator("#digit-3")
    digit.locator("summary").click()
    record(page, digit)
    digit.locator("[data-save-recording]").click()
    expect(digit.locator(".recording")).to_be_visible()
    assert set(load_digit_files(database, locale)) == {"3"}
    page.locator("#digit-3 button[name=back]").click()
    expect(digit.locator(".recording")).to_have_count(0)
    assert load_digit_files(database, locale) == {}


# -- on a real exchange -----------------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def administrator(bazang: Bazang) -> None:
    users.create(bazang.database, ADMINISTRATOR, PASSWORD, "administrator", datetime.now(UTC))


@pytest.mark.asterisk(22)
@LOCALES
@pytest.mark.long
def test_a_new_module_by_clicking_only_is_heard_by_its_caller(
    asterisk_version: int,
    stage: Stage,
    loop: Loop,
    talking_browsers: Browsers,
    tmp_path: Path,
    locale: str,
) -> None:
    """One prompt uploaded, two recorded (here and by phone), one spoken: the sound heard is the sound given."""
    opened = stage(administrator)
    scene: Scene = loop.run(opened.__aenter__(), 90)
    try:
        bazang = scene.bazang
        users.set_locale(bazang.database, 1, locale)
        with serve(bazang.app) as address:
            person = Person(talking_browsers.running(), address)
            page = person.take(session_of(bazang.app, 1, locale))
            page.goto("/modules/new")
            fill_in(page)
            page.locator("#language").select_option("en")
            intro = choose(page, "intro", "file")
            intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "intro.wav", speech(2.5)))
            expect(intro.locator(".recording")).to_be_visible()
            number = choose(page, "enter_number", "record")
            record(page, number)
            number.locator("[data-save-recording]").click()
            expect(number.locator(".recording")).to_be_visible()
            record_by_phone(page, loop, scene)
            card(page, "check_number").locator("[data-text]").fill("Is it right? Press 1, or 2 to try again.")
            page.locator(".form-end .btn-primary").click()
            expect(page.locator("#message .alert-success")).to_be_visible()
            assert person.complaints == []
            talking_browsers.close_context(person.context)
        loop.run(hear_it_all(scene), 120)
    finally:
        loop.run(opened.__aexit__(None, None, None), 60)


def record_by_phone(page: Page, loop: Loop, scene: Scene) -> None:
    """Ring 101 from a card, speak, and keep it; the card shows each step."""
    place = choose(page, "entered_number", "record")
    place.locator("[data-extension]").fill("۱۰۱")
    place.locator("[data-ring]").click()
    shown = place.locator("[data-phone-call] [data-state]")
    expect(shown).to_have_attribute("data-state", "ringing")
    ring = loop.run(scene.phones["101"].next_call())
    loop.run(ring.answer())
    expect(shown).to_have_attribute("data-state", "recording")
    call = str(shown.get_attribute("data-url")).rsplit("/", 1)[-1]
    loop.run(say(scene, ring, speech(2.0)[RATE // 4 :], call))
    expect(shown).to_have_attribute("data-state", "listening")
    loop.run(ring.press("1"))
    expect(shown).to_have_attribute("data-state", "kept")
    expect(place.locator(".recording")).to_be_visible()
    loop.run(ring.wait_ended())


async def hear_it_all(scene: Scene) -> None:
    bazang = scene.bazang
    with bazang.database.read() as session:
        saved = load_module(session, 1)
        origins = {row.file: row.origin for row in session.scalars(select(Recording))}
    files = {key: prompt.file for key, prompt in saved.prompts.items() if prompt.mode == "file"}
    assert {key: origins[file] for key, file in files.items()} == {
        "intro": "upload",
        "enter_number": "browser",
        "entered_number": "phone",
    }
    given = bazang.folder.parent / "intro.wav"
    assert likeness(read_samples(bazang.settings.prompts_path / files["intro"]), read_samples(given)) > 0.9
    await bazang.wait_for_dialplan()
    call = await scene.knock("*5001")
    await hears_file(scene, call, files["intro"])
    await call.press("2")
    await hears_file(scene, call, files["enter_number"])
    await call.press("09351112233#")
    await hears_file(scene, call, files["entered_number"])
    await scene.hears_text(call, "Is it right? Press 1, or 2 to try again.")
    await call.press("1")
    await bazang.until(
        lambda: [r.number for r in bazang.requests()] == ["+989351112233"], PATIENCE, "the request is stored"
    )
    await call.hang_up()


async def hears_file(scene: Scene, call: Any, file: str) -> None:
    """Return when a recording has been heard as good as whole."""
    sound = read_ulaw(scene.bazang.settings.prompts_path / file)
    await scene.bazang.until(lambda: find(bytes(call.rtp.received), sound).share > 0.9, PATIENCE, f"{file} is heard")
