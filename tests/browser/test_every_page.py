"""No page escapes the tests that look at pages."""

from flask import Flask
from werkzeug.exceptions import HTTPException

from app.web.assets import FILES as STATIC_FILES
from tests.browser import looks, test_looks, test_setup_looks
from tests.web.test_everywhere import all_rules

ALL_LOOKS = (test_looks, test_setup_looks)

# Addresses that show no page of their own.
PARTS = {
    "by_phone.state",
    "extensions.rows",
    "live.common",
    "live.keys",
    "mine.rows",
    "missed.rows",
    "notifications.browsers",
    "overview.body",
    "overview.wallboard_body",
    "places.code",
    "places.said",
    "queues.rows",
    "recordings.chosen",
    "recordings.readout",
    "recordings.shelf",
    "requests.menu",
    "requests.rows",
    "requests.show_rows",
    "settings.dialled",
    "settings.webhook_messages",
}
FILES = {
    "browser.manifest",
    "browser.service_worker",
    "contacts.export_csv",
    "monitoring.alive",
    "monitoring.metrics",
    "monitoring.ready",
    "prompts.default_prompt",
    "prompts.prompt",
    "recordings.all_digits",
    "recordings.all_sets",
    "recordings.download_set",
    "recordings.sound",
    "report.csv",
    "report.xlsx",
    "requests.spoken_name",
    *STATIC_FILES,
}
# Pages that a test of these modules reaches in another way than by `open_path` at the top.
REACHED = {"auth.code", "auth.log_in", "contacts.preview", "setup.called", "setup.exchange_step", "setup.index"}
# They need PostgreSQL, or a provider of log-ins. Other tests open them, but nobody looks.
NOT_LOOKED_AT = {"settings.exchange_removal", "links.new"}
REDIRECTIONS = {
    "provider.start",
    "provider.link",
    "provider.back",
    "extensions.open_typed",
    "queues.open_typed",
    "requests.home",
}


def test_every_page_is_looked_at(app: Flask) -> None:
    assert ALL_LOOKS
    adapter = app.url_map.bind("localhost")
    seen = set()
    for path in looks.OPENED:
        try:
            seen.add(adapter.match(path.partition("?")[0])[0])
        except HTTPException:
            assert path == "/nothing"
    pages = {rule.endpoint for rule in all_rules() if "GET" in (rule.methods or ())}
    assert sorted(pages - PARTS - FILES - REACHED - REDIRECTIONS - NOT_LOOKED_AT - seen) == []


def test_exceptions_exist(app: Flask) -> None:
    assert sorted((PARTS | FILES | REACHED | REDIRECTIONS | NOT_LOOKED_AT) - app.view_functions.keys()) == []
