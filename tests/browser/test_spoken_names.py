"""The page of a request plays the name that its caller said."""

import pytest
from flask import Flask
from playwright.sync_api import expect

from app.config import Settings
from app.services.requests.spoken_names import save
from app.store.database import Database
from tests.audio.sounds import tone, write_sound
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import count_loads, session_cookie
from tests.support.factories import NOW, create_module, create_request, create_running_service

PLAY = "async (audio) => { await audio.play(); audio.pause(); return audio.duration; }"


def test_name_appears_and_is_played(
    app: Flask, database: Database, settings: Settings, open_browser: OpenBrowser
) -> None:
    create_running_service(database)
    request = create_request(database, create_module(database))
    page = open_browser().open_session(session_cookie(app, 1, "en"), f"/requests/{request.id}")
    loads = count_loads(page)
    player = page.locator("#request-detail audio")
    (settings.prompts_path / "names").mkdir(parents=True)
    for letter, seconds in (("a", 1.0), ("b", 2.0)):
        file = f"names/{letter * 32}.wav"
        write_sound(settings.prompts_path / file, tone(seconds))
        save(database, settings.prompts_path, request.id, file, NOW)
        expect(player).to_have_attribute("src", f"/requests/{request.id}/name.wav?file=names/{letter * 32}.wav")
        assert player.evaluate(PLAY) == pytest.approx(seconds, abs=0.1), "the newer name replaces the older one"
    assert loads() == 0
