"""The figures are sent to who knows the token."""

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from app.config import ConfigError, Settings, load_settings
from app.services.monitoring import figures
from script.office.database import make_settings
from tests.support.rows import for_each
from tests.web.pages import Visitor

TOKEN = "0123456789abcdef-secret"


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return make_settings(settings.data_dir, **getattr(request, "param", {"metrics_token": TOKEN}))


@pytest.mark.parametrize("settings", [{}], indirect=True)
@pytest.mark.parametrize("header", [None, "", "Bearer ", f"Bearer {TOKEN}"])
def test_there_are_no_figures_without_a_token_in_the_environment(
    app: Flask, admin: Visitor, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for client in (app.test_client(), admin.client):
        assert client.get("/metrics", headers=headers).status_code == 404


@for_each(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer é\udc80",
        "\x00",
    ],
)
def test_a_wrong_token_gets_nothing(app: Flask, admin: Visitor, header: str) -> None:
    for client in (app.test_client(), admin.client):  # nor does the cookie of an administrator
        answer = client.get("/metrics", environ_overrides={"HTTP_AUTHORIZATION": header})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "bazang_" not in answer.text


def test_the_right_token_gets_valid_figures_by_any_host_name(app: Flask) -> None:
    answer = app.test_client().get("/metrics", "http://panel.monitoring", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type == figures.CONTENT_TYPE
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert "bazang_worker_up" in {family.name for family in text_string_to_metric_families(answer.text)}


def test_many_who_ask_are_one_look_at_the_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []

    def render(*_: object) -> str:
        looks.append(1)
        return "bazang_database_up 1.0\n"

    monkeypatch.setattr(figures, "render", render)
    for _ in range(50):
        app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert len(looks) == 1


@pytest.mark.parametrize("token", ["short", "fifteen-letters", "with a space in it", "ünicode-characters-1", "x" * 201])
def test_a_token_that_can_be_guessed_or_not_sent_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("BAZANG_METRICS_TOKEN", token)
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert "BAZANG_METRICS_TOKEN" in str(refused.value)
    assert token not in str(refused.value)


def test_no_page_shows_the_token(app: Flask, admin: Visitor) -> None:
    assert TOKEN not in admin.get("/settings/machine").source
