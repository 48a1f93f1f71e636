"""Sounds in a browser: upload, record, synthesize, choose and restore them; and record by phone on a real PBX."""

import re
import wave
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

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
from script.office.patience import PATIENCE
from script.office.phone import Call
from script.office.sound import find, read_ulaw
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office
from tests.asterisk.test_phone_calls import record_sound, speech
from tests.audio.sounds import RATE, likeness, read_samples, silence, tone, write_sound
from tests.browser.conftest import OpenBrowser, add_administrator
from tests.browser.panel import Loop, Person, serve, session_cookie
from tests.support.browsing import Browsers
from tests.support.factories import create_module
from tests.web.conftest import ADMINISTRATOR

LOCALES = pytest.mark.parametrize("locale", ["fa", "en"])

# Parts of the texts in the panel.
TEXTS = {
    "en": {
        "good_volume": "clearly audible",
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
        "good_volume": "رسا",
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
    """The sound of the browser's fake microphone. Its volume rises and falls. The browser repeats it."""
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((speech(3.0) + silence(0.3)).tobytes())
    return path


@pytest.fixture(scope="session")
def talking_browsers(browsers: Browsers, spoken: Path) -> Iterator[Browsers]:
    """Chromium with permission to use a fake microphone."""
    talking = browsers.with_arguments(
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
    assert person.errors == []


def open_page(app: Flask, database: Database, person: Person, locale: str, path: str = "/modules/new") -> Page:
    """Open a page as an administrator with this language."""
    users.set_locale(database, 1, locale)
    page = person.open_session(session_cookie(app, 1, locale))
    page.goto(path)
    return page


def card(page: Page, key: str) -> Locator:
    """Unfold a prompt. Return its card."""
    card = page.locator(f"[data-prompt={key}]")
    if card.locator("> details").get_attribute("open") is None:
        card.locator("> details > summary").click()
    return card


def choose_mode(page: Page, key: str, mode: str) -> Locator:
    """Choose the mode of a prompt. Return its card."""
    card(page, key).locator(f"[data-mode][value={mode}]").check()
    return card(page, key)


def drop(page: Page, key: str, path: Path) -> None:
    """Drop a file on a card, as from another window."""
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
    """Collect the texts of all progress bars in `window.texts`."""
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


def load_library(database: Database) -> list[Recording]:
    with database.read() as session:
        return list(session.scalars(select(Recording).order_by(Recording.created_at)))


def chosen_file(page: Page, key: str) -> str:
    """Return the file that is chosen in the card of a prompt."""
    return card(page, key).locator("[data-file-field]").input_value()


def fill_required_fields(page: Page, code: str = "*5001") -> None:
    page.locator("#name").fill("Sales")
    page.locator("#code").fill(code)
    page.locator("#targets").fill("101")


# -- the lines --------------------------------------------------------------------------------------------------------


def test_line_of_a_prompt_says_and_plays_what_the_form_has(
    app: Flask, database: Database, talker: Person, tmp_path: Path
) -> None:
    page = open_page(app, database, talker, "en")
    intro = page.locator("[data-prompt=intro]")
    expect(page.locator(".prompt-body:visible")).to_have_count(0)
    expect(intro.locator("> details > summary")).to_contain_text(
        "text to speech Nobody can answer", use_inner_text=True
    )
    with page.expect_response("**/preview") as heard:
        intro.locator("[data-listen]").click()
    assert heard.value.ok and "intro" in (heard.value.request.post_data or "")
    expect(intro.locator("[data-listen] use")).to_have_attribute("href", re.compile("#player-stop$"))
    intro.locator("[data-listen]").click()
    expect(intro.locator("[data-listen] use")).to_have_attribute("href", re.compile("#player-play$"))
    drop(page, "intro", write_sound(tmp_path / "welcome.wav", tone(2)))
    expect(intro.locator("[data-now-kind]")).to_have_text("uploaded")
    expect(intro.locator("[data-now-what]")).to_have_text("welcome.wav")
    choose_mode(page, "intro", "none")
    expect(intro.locator("[data-now-kind]")).to_have_text("don't play")
    expect(intro.locator("[data-listen]")).to_be_hidden()
    page.goto("/modules/new#prompt_is")
    expect(page.locator("#prompt_is .prompt-body")).to_be_visible()


# -- uploading --------------------------------------------------------------------------------------------------------


@LOCALES
def test_file_is_uploaded_with_progress(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = open_page(app, database, person, locale)
    fill_required_fields(page)
    intro = choose_mode(page, "intro", "file")
    watch_progress(page)
    intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "welcome.wav", tone(60)))
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    expect(intro.locator(".recording")).to_contain_text(TEXTS[locale]["good_volume"])
    assert len(set(page.evaluate("window.texts"))) >= 2, "progress of the upload and of the conversion"
    (row,) = load_library(database)
    assert chosen_file(page, "intro") == row.file and row.origin == "upload"
    expect(page.locator("#name")).to_have_value("Sales")
    length = intro.locator("[data-player] audio").evaluate(
        "async (audio) => { await audio.play(); audio.pause(); return audio.duration; }"
    )
    assert 59 < length < 61
    page.locator(".form-end .btn-primary").click()
    with database.read() as session:
        assert load_module(session, 1).prompts["intro"].file == row.file


@LOCALES
def test_file_is_uploaded_by_dropping_it_on_a_card(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = open_page(app, database, person, locale)
    drop(page, "check_number", write_sound(tmp_path / "check.wav", tone(2)))
    expect(card(page, "check_number").locator(".recording")).to_contain_text("check.wav")
    expect(card(page, "check_number").locator("[data-mode][value=file]")).to_be_checked()
    assert [row.name for row in load_library(database)] == ["check.wav"]
    assert chosen_file(page, "intro") == ""


@LOCALES
def test_file_that_is_no_sound_shows_an_error_and_keeps_the_form(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = open_page(app, database, person, locale)
    fill_required_fields(page)
    card(page, "intro").locator("[data-text]").fill("سلام. Hello.")
    letter = tmp_path / "letter.wav"
    letter.write_text("no sound")
    intro = choose_mode(page, "intro", "file")
    intro.locator("[data-upload]").set_input_files(letter)
    expect(intro.locator("[data-error]")).to_contain_text(TEXTS[locale]["no_sound"])
    expect(page.locator("#name")).to_have_value("Sales")
    expect(intro.locator("[data-text]")).to_have_value("سلام. Hello.")
    drop(page, "intro", write_sound(tmp_path / "good.wav", tone(2)))
    expect(intro.locator(".recording")).to_contain_text("good.wav")
    expect(intro.locator("[data-error]")).to_be_hidden()
    person.ignore_errors("422")


@LOCALES
def test_file_that_is_too_large_shows_an_error_and_is_not_sent(
    app: Flask, database: Database, person: Person, locale: str
) -> None:
    page = open_page(app, database, person, locale)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    intro = choose_mode(page, "intro", "file")
    page.evaluate("() => { document.getElementById('sound-texts').dataset.maxBytes = '1000'; }")
    intro.locator("[data-upload]").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 1001})
    expect(intro.locator("[data-error]")).to_contain_text(TEXTS[locale]["too_large"])
    assert not [url for url in sent if url.endswith("/take")]


def test_file_can_be_sent_again_after_the_panel_did_not_answer(
    app: Flask, database: Database, person: Person, tmp_path: Path
) -> None:
    page = open_page(app, database, person, "en")
    intro = choose_mode(page, "intro", "file")
    sound = write_sound(tmp_path / "welcome.wav", tone(2))
    page.route("**/take", lambda route: route.abort())
    intro.locator("[data-upload]").set_input_files(sound)
    expect(intro.locator("[data-error]")).to_contain_text("The panel does not answer.")
    page.unroute("**/take")
    intro.locator("[data-upload]").set_input_files(sound)
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    person.errors.clear()  # about the aborted request


def test_second_file_replaces_one_that_is_still_being_sent(
    app: Flask, database: Database, person: Person, tmp_path: Path
) -> None:
    page = open_page(app, database, person, "en")
    intro = choose_mode(page, "intro", "file")
    page.route("**/take", lambda route: None, times=1)  # the first one hangs
    intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "first.wav", tone(2)))
    expect(intro.locator("[data-progress]")).to_be_visible()
    intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "second.wav", tone(2, 600)))
    expect(intro.locator(".recording")).to_contain_text("second.wav")
    expect(intro.locator("[data-progress]")).to_be_hidden()
    assert [row.name for row in load_library(database)] == ["second.wav"]
    person.errors.clear()  # about the aborted request


def test_recording_of_a_digit_is_uploaded_without_javascript(
    app: Flask, database: Database, open_browser: OpenBrowser, tmp_path: Path
) -> None:
    page = open_page(app, database, open_browser(java_script_enabled=False), "en", "/recordings/digits/en")
    digit = page.locator("#digit-7")
    digit.locator("summary").click()
    digit.locator("[data-upload]").set_input_files(write_sound(tmp_path / "seven.wav", tone(1)))
    digit.get_by_role("button", name="Upload").click()
    expect(digit.locator(".recording")).to_contain_text("seven.wav")
    digit.get_by_role("button", name="Use the voice again").click()
    expect(digit).to_contain_text("spoken by the voice")


# -- recording --------------------------------------------------------------------------------------------------------


@LOCALES
def test_prompt_is_recorded_in_the_browser(app: Flask, database: Database, talker: Person, locale: str) -> None:
    page = open_page(app, database, talker, locale)
    intro = choose_mode(page, "intro", "record")
    record(page, intro)
    intro.locator("[data-record-again]").click()
    stop_when_loud(page, intro)
    expect(intro.locator("[data-recorded] audio")).to_be_visible()
    intro.locator("[data-save-recording]").click()
    expect(intro.locator(".recording")).to_be_visible()
    (row,) = load_library(database)
    assert row.origin == "browser" and row.seconds is not None and row.seconds > 0.8
    assert chosen_file(page, "intro") == row.file
    expect(intro.locator("[data-mode][value=record]")).to_be_checked()


def record(page: Page, place: Locator) -> None:
    place.locator("[data-record]").click()
    stop_when_loud(page, place)


def stop_when_loud(page: Page, place: Locator) -> None:
    """Stop the recording when the meter has moved and two seconds or more are recorded."""
    meter, time = place.locator("meter"), place.locator("[data-time]")
    expect(meter).to_be_visible()
    page.wait_for_function(
        "(meter) => { window.peak = Math.max(window.peak ?? 0, meter.value); return window.peak > 0.1; }",
        arg=meter.element_handle(),
    )
    page.wait_for_function("(time) => /[2۲-۹]$/.test(time.textContent)", arg=time.element_handle())
    place.locator("[data-record-stop]").click()
    expect(place.locator("[data-recorded] audio")).to_be_visible()


@LOCALES
@pytest.mark.parametrize(("error", "text"), [("NotFoundError", "no_microphone"), ("NotAllowedError", "refused")])
def test_missing_or_blocked_microphone_shows_an_error(
    app: Flask, database: Database, person: Person, locale: str, error: str, text: str
) -> None:
    person.context.add_init_script(
        f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{error}'));"
    )
    page = open_page(app, database, person, locale)
    intro = choose_mode(page, "intro", "record")
    intro.locator("[data-record]").click()
    expect(intro.locator("[data-error]")).to_contain_text(TEXTS[locale][text])
    expect(intro.locator("[data-ring]")).to_be_visible()


@LOCALES
def test_page_without_https_suggests_recording_by_phone(
    app: Flask, database: Database, person: Person, locale: str
) -> None:
    person.context.add_init_script(
        """Object.defineProperty(window, "isSecureContext", { value: false });
        Object.defineProperty(navigator, "mediaDevices", { value: undefined });"""
    )
    page = open_page(app, database, person, locale)
    intro = choose_mode(page, "intro", "record")
    intro.locator("[data-record]").click()
    expect(intro.locator("[data-error]")).to_contain_text(TEXTS[locale]["insecure"])
    expect(intro.locator("[data-extension]")).to_be_focused()


# -- texts and voices -------------------------------------------------------------------------------------------------


@LOCALES
def test_restored_default_can_be_undone(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = open_page(app, database, person, locale)
    intro = card(page, "intro")
    text = intro.locator("[data-text]")
    text.fill("My own.")
    drop(page, "intro", write_sound(tmp_path / "welcome.wav", tone(2)))
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    file = chosen_file(page, "intro")
    intro.locator("[data-restore]").click()
    expect(text).to_have_value(default_text("intro", locale))
    expect(intro.locator("[data-mode][value=speech]")).to_be_checked()
    assert chosen_file(page, "intro") == ""
    expect(intro.locator("[data-undo]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(text).to_have_value("My own.")
    expect(intro.locator("[data-mode][value=file]")).to_be_checked()
    expect(intro.locator(".recording")).to_contain_text("welcome.wav")
    assert chosen_file(page, "intro") == file
    expect(intro.locator("[data-undo]")).to_be_hidden()


@LOCALES
def test_voices_follow_the_language_of_the_module(app: Flask, database: Database, person: Person, locale: str) -> None:
    page = open_page(app, database, person, locale)
    voices = "(voice) => [...voice.querySelectorAll('optgroup option')].map((one) => one.dataset.language)"
    assert set(page.locator("#voice").evaluate(voices)) == {locale}
    page.locator("#voice").select_option("fa+m3" if locale == "fa" else "en-us+m3")
    other = {"fa": "en", "en": "fa"}[locale]
    page.locator("#language").select_option(other)
    assert set(page.locator("#voice").evaluate(voices)) == {other}
    expect(page.locator("#voice")).to_have_value("")
    expect(card(page, "intro").locator("[data-text]")).to_have_value(default_text("intro", other))


@LOCALES
def test_voice_sample_uses_the_unsaved_rate_and_pitch(
    app: Flask, database: Database, person: Person, locale: str
) -> None:
    page = open_page(app, database, person, locale)
    page.locator("#rate").select_option("220")
    page.locator("#pitch").select_option("90")
    with page.expect_request("**/prompts/preview") as request:
        page.locator("[data-sample]").click()
    sent = request.value.post_data or ""
    assert "220" in sent and "90" in sent
    expect(page.locator(".voice-sample audio")).to_be_visible()


@LOCALES
@pytest.mark.parametrize("way", ["own", "other"])
def test_dialogue_player_plays_all_prompts_and_notices_changes(
    app: Flask, database: Database, person: Person, locale: str, way: str
) -> None:
    page = open_page(app, database, person, locale)
    page.locator(f"input[name=way][value={way}]").check()
    page.locator("[data-dialogue-play]").click()
    expect(page.locator("[data-dialogue] progress")).to_be_visible()
    audio = page.locator("[data-dialogue] > audio")
    expect(audio).to_be_visible()
    page.wait_for_function("(audio) => audio.currentTime > 0.2", arg=audio.element_handle())
    whole = audio.evaluate("(audio) => audio.duration")
    assert whole > 10
    card(page, "intro").locator("[data-text]").fill("سلام." if locale == "fa" else "Hello.")
    expect(page.locator("[data-dialogue-status]")).not_to_be_empty()  # it says that the prompts have changed
    page.locator("[data-dialogue-play]").click()
    page.wait_for_function(f"(audio) => !audio.hidden && audio.duration < {whole} - 2", arg=audio.element_handle())
    expect(page.locator("[data-dialogue-status]")).to_be_empty()


@LOCALES
def test_dialogue_player_shows_why_a_prompt_cannot_be_synthesized(
    app: Flask, database: Database, person: Person, locale: str
) -> None:
    page = open_page(app, database, person, locale)
    page.locator("#language").select_option("en")
    card(page, "intro").locator("[data-text]").fill("سلام")
    page.locator("[data-dialogue-play]").click()
    expect(page.locator("[data-dialogue-status]")).to_contain_text(TEXTS[locale]["wrong_language"])
    person.ignore_errors("422")


# -- the library and the digits ---------------------------------------------------------------------------------------


def store_recording(database: Database, app: Flask, path: Path, name: str) -> Recording:
    settings = app.extensions["bazang"]["settings"]
    with path.open("rb") as stream:
        return recordings.store_upload(
            database, SoundLibrary(settings.prompts_path), stream, name, Origin.UPLOAD, datetime.now(UTC), ADMINISTRATOR
        )


@LOCALES
def test_recording_is_chosen_from_the_library_in_a_card(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    store_recording(database, app, write_sound(tmp_path / "a.wav", tone(2)), "Welcome")
    row = store_recording(database, app, write_sound(tmp_path / "b.wav", tone(2, 600)), "خداحافظ")
    page = open_page(app, database, person, locale)
    last = choose_mode(page, "after_success", "file")
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
    assert chosen_file(page, "after_success") == row.file


@LOCALES
def test_recording_is_uploaded_renamed_and_deleted_when_it_is_not_in_use(
    app: Flask, database: Database, person: Person, tmp_path: Path, locale: str
) -> None:
    page = open_page(app, database, person, locale, "/recordings")
    page.locator("#sound-name").fill("Welcome")
    page.locator("#upload").set_input_files(write_sound(tmp_path / "a.wav", tone(2)))
    row = page.locator("tbody tr")
    expect(row).to_contain_text("Welcome")
    (stored,) = load_library(database)
    row.locator("a[href$='/delete']").wait_for()
    row.locator(f"a[href='/recordings/{stored.file[8:72]}']").click()
    page.locator("#name").fill("خوشامد")
    page.locator("main .btn-primary").click()
    expect(row).to_contain_text("خوشامد")

    create_module(database, name="Sales")
    with database.write() as session:
        session.add(Prompt(module_id=1, key="intro", mode="file", file=stored.file))
    row.locator("a[href$='/delete']").click()
    expect(page.locator("main")).to_contain_text(TEXTS[locale]["in_use"])
    expect(page.locator("main")).to_contain_text("Sales")
    expect(page.locator(".btn-danger")).to_have_count(0)
    with database.write() as session:
        session.get_one(Prompt, (1, "intro")).mode, session.get_one(Prompt, (1, "intro")).file = "speech", None
    page.reload()
    page.locator(".btn-danger").click()
    expect(page.locator("#message")).to_contain_text(TEXTS[locale]["deleted"])
    assert load_library(database) == []


@LOCALES
def test_digit_is_recorded_and_reset_to_the_voice(app: Flask, database: Database, talker: Person, locale: str) -> None:
    page = open_page(app, database, talker, locale, f"/recordings/digits/{locale}")
    digit = page.locator("#digit-3")
    digit.locator("summary").click()
    record(page, digit)
    digit.locator("[data-save-recording]").click()
    expect(digit.locator(".recording")).to_be_visible()
    assert set(load_digit_files(database, locale)) == {"3"}
    page.locator("#digit-3 button[name=back]").click()
    expect(digit.locator(".recording")).to_have_count(0)
    assert load_digit_files(database, locale) == {}


# -- with a real PBX --------------------------------------------------------------------------------------------------


@pytest.mark.asterisk(22)
@LOCALES
@pytest.mark.long
def test_caller_hears_the_sounds_that_were_uploaded_recorded_and_synthesized(
    asterisk_version: int,
    open_office: OpenOffice,
    loop: Loop,
    talking_browsers: Browsers,
    tmp_path: Path,
    locale: str,
) -> None:
    """One prompt is uploaded, one recorded in the browser, one recorded by phone, and one synthesized."""
    with loop.enter(open_office(add_administrator)) as office:
        bazang = office.bazang
        users.set_locale(bazang.database, 1, locale)
        with serve(bazang.app) as address:
            person = Person(talking_browsers.running(), address)
            page = person.open_session(session_cookie(bazang.app, 1, locale))
            page.goto("/modules/new")
            fill_required_fields(page)
            page.locator("#language").select_option("en")
            intro = choose_mode(page, "intro", "file")
            intro.locator("[data-upload]").set_input_files(write_sound(tmp_path / "intro.wav", speech(2.5)))
            expect(intro.locator(".recording")).to_be_visible()
            number = choose_mode(page, "enter_number", "record")
            record(page, number)
            number.locator("[data-save-recording]").click()
            expect(number.locator(".recording")).to_be_visible()
            record_by_phone(page, loop, office)
            card(page, "check_number").locator("[data-text]").fill("Is it right? Press 1, or 2 to try again.")
            page.locator(".form-end .btn-primary").click()
            expect(page.locator("#message .alert-success")).to_be_visible()
            assert person.errors == []
            talking_browsers.close_context(person.context)
        loop.run(check_dialogue(office), 120)


def record_by_phone(page: Page, loop: Loop, office: Office) -> None:
    """Record a prompt at phone 101. The card must show each step."""
    place = choose_mode(page, "entered_number", "record")
    place.locator("[data-extension]").fill("۱۰۱")
    place.locator("[data-ring]").click()
    shown = place.locator("[data-phone-call] [data-state]")
    expect(shown).to_have_attribute("data-state", "ringing")
    sip_call = loop.run(office.phones["101"].next_call())
    loop.run(sip_call.answer())
    expect(shown).to_have_attribute("data-state", "recording")
    call = str(shown.get_attribute("data-url")).rsplit("/", 1)[-1]
    loop.run(record_sound(office, sip_call, speech(2.0)[RATE // 4 :], call))
    expect(shown).to_have_attribute("data-state", "listening")
    loop.run(sip_call.press("1"))
    expect(shown).to_have_attribute("data-state", "kept")
    expect(place.locator(".recording")).to_be_visible()
    loop.run(sip_call.wait_ended())


async def check_dialogue(office: Office) -> None:
    """Check the stored recordings, then call the module and check that the caller hears them."""
    bazang = office.bazang
    with bazang.database.read() as session:
        saved = load_module(session, 1)
        origins = {row.file: row.origin for row in session.scalars(select(Recording))}
    files = {key: prompt.file for key, prompt in saved.prompts.items() if prompt.mode == "file"}
    assert {key: origins[file] for key, file in files.items()} == {
        "intro": "upload",
        "enter_number": "browser",
        "entered_number": "phone",
    }
    uploaded = bazang.folder.parent / "intro.wav"
    assert likeness(read_samples(bazang.settings.prompts_path / files["intro"]), read_samples(uploaded)) > 0.9
    await bazang.wait_for_dialplan()
    call = await office.call_in("*5001")
    await wait_for_file(office, call, files["intro"])
    await call.press("2")
    await wait_for_file(office, call, files["enter_number"])
    await call.press("09351112233#")
    await wait_for_file(office, call, files["entered_number"])
    await office.wait_for_text(call, "Is it right? Press 1, or 2 to try again.")
    await call.press("1")
    await bazang.until(
        lambda: [r.number for r in bazang.requests()] == ["+989351112233"], PATIENCE, "the request is stored"
    )
    await call.hang_up()


async def wait_for_file(office: Office, call: Call, file: str) -> None:
    """Wait until a call has received at least 90 % of a recording."""
    sound = read_ulaw(office.bazang.settings.prompts_path / file)
    await office.bazang.until(lambda: find(bytes(call.rtp.received), sound).share > 0.9, PATIENCE, f"{file} is heard")
