"""The summary of a module in plain words."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain.policy import LineState
from app.domain.routing import Destination
from app.services.pbx.directory import Directory, Extension, ModuleName
from app.services.prompts.input import PromptInput
from app.store.database import Database
from app.web.locale import use_locale
from app.web.modules.summary import format_duration, summarise
from tests.support.factories import create_line, create_module, make_module_input
from tests.web.pages import Visitor

DIRECTORY = Directory(
    extensions={
        "101": Extension("101", "Sara", LineState.FREE),
        "102": Extension("102", "", LineState.FREE),
        "103": Extension("103", "<b>Omid</b>", LineState.FREE),
    },
    queues={"800": 2},
    modules={"*5002": ModuleName(2, "*5002", "Night", True)},
)
QUEUE_800 = {"target_kind": "queue", "targets": ("800",)}
TWO = {"targets": ("101", "102")}


@pytest.fixture(autouse=True)
def _english(app: Flask) -> Iterator[None]:
    with app.test_request_context(), use_locale("en"):
        yield


def summary(**fields: Any) -> list[str]:
    return [paragraph.striptags() for paragraph in summarise(make_module_input(**fields), DIRECTORY)]


def test_summary_of_a_plain_module() -> None:
    assert summary() == [
        "A caller who gets no answer from 101 (Sara) comes to *5001 and hears the introduction. "
        "Key 1 registers the caller's own number, key 2 another number.",
        "As soon as 101 (Sara) has been free for 10 seconds, Bazang rings it. "
        "Bazang announces the request and, after key 1, dials the customer.",
        "A phone that is not answered within 20 seconds does not ring again for 1 minute. Key 2 does the same.",
        "If the customer does not answer within 40 seconds, Bazang calls 2 more times, 5 minutes apart.",
        "The call ends, with or without a request.",
    ]


def test_missing_code_or_targets_are_asked_for() -> None:
    (asked,) = summary(code="")
    assert asked.startswith("Enter a code")
    assert summary(targets=()) == [asked]


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"silent": True}, "hears nothing."),
        ({"prompts": {"intro": PromptInput("none")}}, "hears no introduction."),
        ({"automatic": False}, "No phone rings automatically."),
        ({"min_wait": 130}, "at least 2 minutes and 10 seconds,"),
        ({"rest": 0}, "As soon as 101 (Sara) is free,"),
        ({"targets": ("102",)}, "As soon as extension 102 has been"),
        ({"targets": ("101", "102", "109")}, "from 101 (Sara), extension 102 or extension 109 comes"),
        (TWO, "As soon as that extension has been free for 10 seconds,"),
        (TWO | {"rest": 0}, "As soon as that extension is free,"),
        (TWO, "If the caller dialled *5001 directly,"),
        (QUEUE_800, "As soon as a member of queue 800 has been free for 10 seconds and no caller"),
        (QUEUE_800 | {"rest": 0}, "As soon as a member of queue 800 is free and no caller"),
        ({"retries": 0}, "within 40 seconds, the request fails."),
        ({"retries": 1}, "calls once more after 5 minutes."),
        ({"retries": 3, "retry_pause": 3600}, "calls 3 more times, 1 hour apart."),
        ({"agent_ring": 25, "agent_pause": 90}, "within 25 seconds does not ring again for 1 minute and 30"),
        (
            {"next": Destination("queue", "800")},
            "After the request the call goes to queue 800. Without a request it ends.",
        ),
        (
            {"error": Destination("extension", "101")},
            "After the request the call ends. Without a request it goes to 101 (Sara),",
        ),
        (
            {"next": Destination("module", "*5002"), "error": Destination("custom", "ivr,s,1")},
            "goes to the module “Night” (*5002). Without a request it goes to ivr,s,1 on the PBX,",
        ),
        ({"next": Destination("extension")}, "goes to a destination that is not chosen yet"),
        ({"expire_after": 72 * 3600}, "within 72 hours expires."),
        ({"active": False}, "inactive: calls to *5001 end at once."),
        (
            {"active": False, "error": Destination("queue", "800")},
            "inactive: calls to *5001 go to queue 800 at once.",
        ),
    ],
)
def test_summary_follows_the_fields(fields: dict[str, Any], part: str) -> None:
    assert part in " | ".join(summary(**fields))


def test_manual_module_has_no_automatic_calls_in_its_summary() -> None:
    text = " ".join(summary(automatic=False))
    assert "As soon as" not in text and "more times" not in text


def test_names_are_escaped() -> None:
    given = make_module_input(targets=("103", "101"))
    assert "&lt;b&gt;Omid&lt;/b&gt;" in summarise(given, DIRECTORY)[0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (60, "1 minute"),
        (5400, "1 hour and 30 minutes"),
        (3661, "1 hour and 1 minute and 1 second"),
    ],
)
def test_durations_in_words(seconds: int, words: str) -> None:
    assert format_duration(seconds) == words


# -- by HTMX ----------------------------------------------------------------------------------------------------------


def test_form_loads_the_summary_of_what_is_typed(admin: Visitor, database: Database) -> None:
    create_line(database, "101", name="Sara")
    create_module(database, name="Night", code="*5002")
    fields = admin.get("/modules/new").fields()
    assert "Enter a code" in admin.press("/modules/summary", fields).main
    fields |= {"extensions": ["101"], "rest": ["۱۵"], "next_kind": ["module"], "next_code": ["*5002"], "name": [""]}
    text = admin.press("/modules/summary", fields).main
    assert "from 101 (Sara)" in text and "15 seconds" in text and "“Night” (*5002)" in text
    assert "Enter a code" in admin.press("/modules/summary", {}).main


@pytest.mark.parametrize(
    "invalid", [{"rest": "ten"}, {"language": "de"}, {"next_kind": "moon"}, {"target_kind": "moon"}]
)
def test_summary_of_an_invalid_form(admin: Visitor, invalid: dict[str, str]) -> None:
    fields = admin.get("/modules/new").fields() | {"targets": ["101"]}
    admin.press("/modules/summary", fields | {name: [value] for name, value in invalid.items()})
