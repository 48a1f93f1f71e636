"""What a module does, in plain words: for every combination that matters, in whole sentences."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain.policy import LineState
from app.services.pbx.directory import Directory, Extension, ModuleName
from app.services.prompts.input import PromptInput
from app.store.database import Database
from app.web.locale import use_locale
from app.web.modules.summary import duration, sentences
from tests.support.factories import create_line, create_module, make_module_input
from tests.web.pages import Visitor

HERE = Directory(
    extensions={
        "101": Extension("101", "Sara", LineState.FREE),
        "102": Extension("102", "", LineState.FREE),
        "103": Extension("103", "<b>Omid</b>", LineState.FREE),
    },
    queues={"800": 2},
    modules={"*5002": ModuleName(2, "*5002", "Night", True)},
)
FROM_101 = (
    "As soon as 101 (Sara) is free and has rested 10 seconds, Bazang rings it, says whose request it is, and after"
)
MISSED = "A phone that is not taken up within 20 seconds, or puts it off with key 2, is left alone for 1 minute."
TRIED = "If the customer does not answer within 40 seconds, it is tried 2 more times, 5 minutes apart."
ENDS = "Afterwards the call ends, and so it does for whoever leaves nothing, or cannot."


@pytest.fixture(autouse=True)
def _english(app: Flask) -> Iterator[None]:
    with app.test_request_context(), use_locale("en"):
        yield


def told(**fields: Any) -> list[str]:
    return [sentence.striptags() for sentence in sentences(make_module_input(**fields), HERE)]


def test_a_module_as_it_is_made() -> None:
    assert told() == [
        "A caller to *5001 who reaches nobody at 101 (Sara) hears the introduction and can press 1 to be called back "
        "on their own number, or 2 to leave another.",
        f"{FROM_101} key 1 dials the customer.",
        MISSED,
        TRIED,
        ENDS,
    ]


def test_what_is_not_filled_in_is_asked_for() -> None:
    asked = ["Give it a code and say for whom it is; what happens to a caller is told here then."]
    assert told(code="") == told(targets=()) == asked


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"silent": True}, "hears nothing; the number they call from is noted at once."),
        ({"prompts": {"intro": PromptInput("none")}}, "hears no introduction, but can press 1"),
        ({"automatic": False}, "until somebody presses “Call now” there."),
        ({"min_wait": 130}, "Bazang waits at least 2 minutes and 10 seconds, so that"),
        ({"rest": 0}, "As soon as 101 (Sara) is free, Bazang rings it"),
        ({"targets": ("102",)}, "As soon as extension 102 is free"),
        ({"targets": ("101", "102", "109")}, "reaches nobody at 101 (Sara), extension 102 or extension 109 hears"),
        ({"targets": ("101", "102")}, "As soon as that extension is free and has rested 10 seconds, Bazang rings it"),
        ({"targets": ("101", "102"), "rest": 0}, "As soon as that extension is free, Bazang rings it"),
        ({"targets": ("101", "102")}, "for whoever dialled *5001 itself any of them does."),
        (
            {"target_kind": "queue", "targets": ("800",)},
            "As soon as a member of queue 800 is free and has rested 10 seconds, and no caller waits there",
        ),
        (
            {"target_kind": "queue", "targets": ("800",), "rest": 0},
            "As soon as a member of queue 800 is free and no caller",
        ),
        ({"retries": 0}, "the request has failed; it is not tried again."),
        ({"retries": 1}, "it is tried once more, 5 minutes later."),
        ({"retries": 3, "retry_pause": 3600}, "it is tried 3 more times, 1 hour apart."),
        (
            {"agent_ring": 25, "agent_pause": 90},
            "within 25 seconds, or puts it off with key 2, is left alone for 1 minute and 30",
        ),
        (
            {"next_kind": "queue", "next_code": "800"},
            "Afterwards the caller goes to queue 800; for whoever leaves nothing",
        ),
        (
            {"error_kind": "extension", "error_code": "101"},
            "Afterwards the call ends; whoever leaves nothing, or cannot, goes to 101 (Sara), also while Bazang itself",
        ),
        (
            {"next_kind": "module", "next_code": "*5002", "error_kind": "custom", "error_code": "ivr,s,1"},
            "the module “Night” (*5002); whoever leaves nothing, or cannot, goes to the place ivr,s,1 of the exchange",
        ),
        ({"next_kind": "extension", "next_code": ""}, "goes to a place that is not chosen yet"),
        ({"expire_after": 72 * 3600}, "A request that nobody could settle within 72 hours expires."),
        ({"active": False}, "switched off: the call of everybody who comes to *5001 ends at once."),
        (
            {"active": False, "error_kind": "queue", "error_code": "800"},
            "switched off: everybody who comes to *5001 goes to queue 800 at once.",
        ),
    ],
)
def test_what_is_chosen_is_told(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in " | ".join(told(**fields))


def test_a_module_that_calls_by_hand_rings_nobody() -> None:
    assert not any("As soon as" in sentence or "it is tried" in sentence for sentence in told(automatic=False))


def test_names_do_nothing_but_stand_there() -> None:
    given = make_module_input(targets=("103", "101"))
    assert "&lt;b&gt;Omid&lt;/b&gt;" in sentences(given, HERE)[0]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (60, "1 minute"),
        (3600, "1 hour"),
        (5400, "1 hour and 30 minutes"),
        (3661, "1 hour and 1 minute and 1 second"),
    ],
)
def test_durations_are_said(seconds: int, said: str) -> None:
    assert duration(seconds) == said


# -- as the form asks for it ------------------------------------------------------------------------------------------


def test_the_form_is_told_of_as_it_stands(admin: Visitor, database: Database) -> None:
    create_line(database, "101", name="Sara")
    create_module(database, name="Night", code="*5002")
    fields = admin.get("/modules/new").fields()
    assert "Give it a code" in admin.press("/modules/summary", fields).main
    fields |= {"extensions": ["101"], "rest": ["۱۵"], "next_kind": ["module"], "next_code": ["*5002"], "name": [""]}
    said = admin.press("/modules/summary", fields).main
    assert "reaches nobody at 101 (Sara)" in said and "rested 15 seconds" in said and "“Night” (*5002)" in said
    assert "Give it a code" in admin.press("/modules/summary", {}).main


@pytest.mark.parametrize("wrong", [{"rest": "ten"}, {"language": "de"}, {"next_kind": "moon"}, {"target_kind": "moon"}])
def test_nonsense_breaks_nothing(admin: Visitor, wrong: dict[str, str]) -> None:
    fields = admin.get("/modules/new").fields() | {"targets": ["101"]}
    admin.press("/modules/summary", fields | {name: [value] for name, value in wrong.items()})
