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
from tests.support.rows import for_each
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
        "A phone that is not answered within 20 seconds does not ring again for 1 minute, and for longer with each "
        "further miss of the same request, up to 10 minutes. Key 2 does the same.",
        "If the customer does not answer within 40 seconds, Bazang calls 2 more times: after 5 minutes, then 15 "
        "minutes.",
        "If the customer was busy, the next call comes after 2 minutes.",
        "Phones ring by themselves in the office hours only.",
        "Outside these hours callers hear that the office is closed, and are offered a call when it opens. "
        "Open requests wait for the next opening.",
        "The call ends, with or without a request.",
        "A request that is not done within 168 hours expires.",
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
        (TWO, "If the caller dialled *5001 directly, any does. Of those that are free, the one rings that has had no"),
        (TWO | {"agent_order": "listed"}, "the first one rings in this order: 101, 102."),
        (TWO | {"agent_order": "in_turn"}, "the one rings whose last ring is longest ago."),
        (QUEUE_800 | {"preferred_for": 300}, "nobody else rings for the first 5 minutes."),
        (
            {"fallback_after": 600, "fallback": Destination("queue", "800")},
            "waited for 10 minutes, queue 800 may serve it, too.",
        ),
        (QUEUE_800, "served by the time they first called"),
        (QUEUE_800 | {"place": "callers_first"}, "those who called more than 30 minutes later"),
        (QUEUE_800 | {"place": "callers_first", "callers_lead": 0}, "as long as anyone waits there"),
        (QUEUE_800 | {"place": "share"}, "after 3 callers that were answered"),
        (QUEUE_800, "As soon as a member of queue 800 has been free for 10 seconds, Bazang rings"),
        (QUEUE_800 | {"rest": 0}, "As soon as a member of queue 800 is free, Bazang rings"),
        ({"retries": 0}, "within 40 seconds, the request fails."),
        ({"retries": 1}, "calls once more after 5 minutes."),
        ({"retries": 3, "retry_pauses": (3600,)}, "calls 3 more times, 1 hour apart."),
        ({"retries": 2, "retry_pauses": (3600, 3600, 60)}, "calls 2 more times, 1 hour apart."),
        ({"retries": 3}, "3 more times: after 5 minutes, then 15 minutes, 30 minutes. |"),
        (
            {"retries": 5, "retry_pauses": (60, 120)},
            "5 more times: after 1 minute, then 2 minutes. The last pause repeats. |",
        ),
        ({"busy_pause": 90}, "If the customer was busy, the next call comes after 1 minute and 30 seconds."),
        ({"agent_ring": 25, "agent_pause": 90}, "within 25 seconds does not ring again for 1 minute and 30"),
        ({"agent_pause": 600}, "does not ring again for 10 minutes. Key 2"),
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


@pytest.mark.parametrize("fields", [{"busy_pause": 0}, {"retries": 0}])
def test_summary_leaves_out_what_makes_no_difference(fields: dict[str, Any]) -> None:
    assert "was busy" not in " ".join(summary(**fields))


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


@for_each("invalid", [{"rest": "ten"}, {"language": "de"}, {"next_kind": "moon"}, {"target_kind": "moon"}])
def test_summary_of_an_invalid_form(admin: Visitor, invalid: dict[str, str]) -> None:
    fields = admin.get("/modules/new").fields() | {"targets": ["101"]}
    admin.press("/modules/summary", fields | {name: [value] for name, value in invalid.items()})


def test_choice_of_times_is_described() -> None:
    said = (
        "Key 1 registers the caller's own number, key 2 another number. With key 3 callers choose first when they are"
    )
    assert said in summary(offers_times=True)[0]
    assert summary(offers_times=True, quarter_limit=2)[0].endswith("at most 2 such calls in a quarter of an hour.")
    assert summary(offers_times=True, silent=True) == summary(silent=True)


def test_what_callers_hear_of_the_line_is_described() -> None:
    texts = [summary(tells_place=place, tells_wait=wait)[0] for place in (False, True) for wait in (False, True)]
    assert len(set(texts)) == 4
    assert summary(tells_place=True, tells_wait=True, silent=True) == summary(silent=True)


def test_question_for_the_name_is_described() -> None:
    assert summary(asks_name=True)[0].startswith(summary()[0]) and summary(asks_name=True) != summary()
    assert summary(asks_name=True, silent=True) == summary(silent=True)


def test_requests_while_bazang_does_not_run_are_described() -> None:
    (said,) = set(summary(keeps_while_down=True)) - set(summary())
    assert "takes key 1 only" in said
    (silent,) = set(summary(keeps_while_down=True, silent=True)) - set(summary(silent=True))
    assert "keeps the caller's own number" in silent


def test_offer_to_waiting_callers_is_described() -> None:
    queue = {"target_kind": "queue", "targets": ("800",)}
    (said,) = set(summary(**queue, offer_key="4", offer_after=90)) - set(summary(**queue))
    assert "1 minute and 30 seconds" in said and "key 4" in said
    assert summary(**queue, offer_key="4", offer_callers=2)[1].endswith(
        "2 callers wait already, those who come hear it at once."
    )
    both = summary(**queue, offer_key="*", offer_callers=2, offer_callers_per_agent=1)[1]
    assert "key * leads" in both
    assert both.endswith(
        "2 callers wait already, those who come hear it at once. If 1 caller for each agent who is logged in and not "
        "paused waits already, or no agent is left, those who come hear it at once."
    )
    assert summary(offer_key="4") == summary()


def test_confirmations_are_described() -> None:
    plain, confirmed = summary(), summary(agent_confirms="answer", asks_customer=True)
    assert "after key 1, dials" in " ".join(plain) and "are asked first" not in " ".join(plain)
    assert "and then dials" in " ".join(confirmed) and "are asked first" in " ".join(confirmed)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "As soon as 101 (Sara) has been free for 10 seconds, Bazang rings the customer. "),
        ({"rest": 0}, "As soon as 101 (Sara) is free, Bazang rings the customer. "),
        (QUEUE_800, "As soon as a member of queue 800 has been free for 10 seconds, Bazang rings the customer. "),
        (QUEUE_800 | {"rest": 0}, "As soon as a member of queue 800 is free, Bazang rings the customer. "),
        (
            {"targets": ("101", "102")},
            "As soon as that extension has been free for 10 seconds, Bazang rings the customer",
        ),
        ({"targets": ("101", "102"), "rest": 0}, "As soon as that extension is free, Bazang rings the customer. "),
        ({"agent_ring": 15}, "for at most 15 seconds, and is connected after key 1. If the agent does not come, "),
        ({"agent_confirms": "answer"}, "and is connected after the announcement. If the agent does not come, "),
    ],
)
def test_customer_who_is_rung_first_is_described(fields: dict[str, Any], said: str) -> None:
    text = " ".join(summary(customer_first=True, **fields))
    assert said in text and "Bazang rings it" not in text


def test_hours_are_described() -> None:
    own = summary(hours="sat 08:00-12:00, 13:00-17:00; sun 08:00-17:00; mon 08:00-17:00", holidays=True)
    assert own[5] == (
        "Phones ring by themselves in the module's own hours only (Monday: 08:00–17:00; Tuesday to Friday: closed; "
        "Saturday: 08:00–12:00, 13:00–17:00; Sunday: 08:00–17:00), and not on holidays."
    )
    whole = "; ".join(f"{day} 00:00-24:00" for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    assert "(every day: the whole day), also on holidays" in summary(hours=whole, holidays=False)[5]
    assert summary(holidays=False)[5].endswith("also on holidays.")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"outside": "offer"}, "Outside these hours callers are offered the same."),
        ({"outside": "decline"}, "and the call ends."),
        ({"outside": "decline", "error": Destination("queue", "800")}, "and the call goes to queue 800."),
        ({"stop_before": 600}, "For callers, the hours end 10 minutes earlier."),
        ({"at_closing": "expire"}, "What is open when the office closes expires."),
        ({"at_closing": "give_up"}, "was called and not reached are given up."),
    ],
)
def test_what_happens_outside_the_hours_is_described(fields: dict[str, Any], said: str) -> None:
    assert said in summary(**fields)[6]
