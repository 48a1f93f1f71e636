"""Add, change, duplicate and delete modules by the form."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.audio.prompt_texts import PROMPT_KEYS, default_text
from app.domain.routing import Destination
from app.services import users
from app.services.modules import save
from app.services.modules.input import ModuleInput
from app.services.modules.list import load_module
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, Module, QueueScenario
from app.web.wording import error
from tests.support.factories import create_line, create_module, create_request, reload, store
from tests.support.rows import for_each
from tests.web.modules.adding import NEW, VALID, untouched_fields
from tests.web.modules.adding import add_module as add
from tests.web.pages import Page, Visitor, child, text

OFF_AT_FIRST = ("offers_times", "tells_place", "tells_wait", "asks_name", "keeps_while_down")


def stored(database: Database, module_id: int = 1) -> ModuleInput:
    with database.read() as session:
        return load_module(session, module_id)


def count(database: Database) -> int:
    with database.read() as session:
        return len(session.scalars(select(Module)).all())


def commands(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(command.kind, command.actor) for command in session.scalars(select(Command))]


def error_fields(page: Page) -> list[str]:
    ids = [element.get("id", "") for element in page.all()]
    return [id_.removesuffix("-error") for id_ in ids if id_.endswith("-error")]


def folded_prompts(page: Page) -> dict[str, bool]:
    """Return whether each prompt is folded, by key."""
    prompts = {card.get("data-prompt", ""): card for card in page.all("fieldset", class_="prompt")}
    return {key: child(card, "details").get("open") is None for key, card in prompts.items()}


# -- add --------------------------------------------------------------------------------------------------------------


def test_form_starts_with_the_defaults_of_a_module(admin: Visitor, database: Database) -> None:
    page = admin.follow(add(admin))
    assert page.message.startswith("The module is saved.")
    saved = stored(database)
    expected = ModuleInput("Sales", "*5001", "extension", ("101",), language="en", prompts=saved.prompts)
    assert saved == expected
    assert not any(getattr(saved, name) for name in OFF_AT_FIRST)
    assert {(prompt.mode, prompt.text) for prompt in saved.prompts.values()} == {("speech", "")}
    assert commands(database) == [("write_dialplan", "sara")]


def test_prompts_are_folded_to_lines_that_say_which_sound_they_have(admin: Visitor, database: Database) -> None:
    page = admin.get(NEW)
    assert folded_prompts(page) == dict.fromkeys(PROMPT_KEYS, True)
    add(admin, prompt_check_number_mode="none", prompt_is_text="is it")
    page = admin.get("/modules/1")
    lines = [text(line) for line in page.all("summary", class_="prompt-line")]
    assert lines[4:6] == ["5 end of the number text to speech is it Change", "6 check the number don't play Change"]
    heard = [link.get("href", "") for link in page.all("a", class_="prompt-play") if link.get("hidden") is None]
    assert heard == [f"/modules/1/prompts/{key}.wav" for key in PROMPT_KEYS if key != "check_number"]


def test_prompt_with_an_error_is_open(admin: Visitor) -> None:
    folded = folded_prompts(add(admin, 422, prompt_before_success_mode="file"))
    assert [key for key, is_folded in folded.items() if not is_folded] == ["before_success"]


def test_every_field_is_stored_and_shown_again(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5000")
    typed = {
        "name": "فروش «ویژه»",
        "code": "*5001#",
        "active": None,
        "silent": "y",
        "language": "fa",
        "target_kind": "queue",
        "queue": "فروش ۲",
        "next_kind": "module",
        "next_code": "*5000",
        "error_kind": "custom",
        "error_code": "from-internal,s,1",
        "automatic": None,
        "min_wait": "00:02:10",
        "rest": "15",
        "retries": "4",
        "retry_pauses": "5, 15, 0:30",
        "busy_pause": "2",
        "agent_pause": "90",
        "agent_ring": "25",
        "customer_ring": "50",
        "expire_after": "72:00:00",
        "caller_id": "+982112345678",
        "prompt_intro_mode": "none",
        "prompt_is_text": "است",
    }
    add(admin, **typed)
    saved = stored(database, 2)
    assert (saved.name, saved.code) == ("فروش «ویژه»", "*5001#")
    assert (saved.active, saved.silent, saved.automatic, saved.language) == (False, True, False, "fa")
    assert (saved.target_kind, saved.targets) == ("queue", ("فروش ۲",))
    assert saved.next == Destination("module", "*5000")
    assert saved.error == Destination("custom", "from-internal,s,1")
    assert (saved.min_wait, saved.rest, saved.retries) == (130, 15, 4)
    assert (saved.retry_pauses, saved.busy_pause) == ((300, 900, 30), 120)
    assert (saved.agent_pause, saved.agent_ring, saved.customer_ring, saved.expire_after) == (90, 25, 50, 72 * 3600)
    assert saved.caller_id == "+982112345678"
    assert saved.prompts["intro"].mode == "none"
    assert saved.prompts["is"].text == "است"
    shown = {name: values[-1] for name, values in admin.get("/modules/2").fields().items()}
    # What is in the directory now is shown as a choice.
    chosen = {"next_kind": "module:*5000", "next_code": "", "error_kind": "custom:from-internal,s,1", "error_code": ""}
    expected = {name: value for name, value in (typed | chosen).items() if value is not None}
    assert {name: shown.get(name) for name in expected} == expected
    assert "active" not in shown and "automatic" not in shown


def test_choice_of_the_agent_is_stored_and_shown_again(admin: Visitor, database: Database) -> None:
    fallback = {"fallback_after": "10", "fallback_kind": "queue", "fallback_code": "800"}
    choice = {"agent_order": "listed", "list_order": "103 109 ۱۰۱", "preferred_for": "5"}
    add(admin, targets="101, 102, 103", **choice, **fallback)
    saved = stored(database)
    assert (saved.targets, saved.agent_order) == (("103", "101", "102"), "listed")
    assert (saved.preferred_for, saved.fallback_after, saved.fallback) == (300, 600, Destination("queue", "800"))
    admin.submit(admin.get("/modules/1"), "/modules/1", 302)
    assert stored(database) == saved


def test_persian_digits_are_accepted(admin: Visitor, database: Database) -> None:
    typed = {
        "code": "*۵۰۰۱",
        "targets": "۱۰۱، ۱۰۲",
        "rest": "۱۵",
        "min_wait": "۰۰:۰۲:۱۰",
        "retry_pauses": "۵، ۱۵،۳۰",
        "busy_pause": "۲",
        "caller_id": "۰۲۱۱۲۳۴۵۶۷۸",
        "next_kind": "extension",
        "next_code": "٢٠٠",
    }
    add(admin, **typed)
    saved = stored(database)
    assert (saved.code, saved.targets, saved.rest, saved.min_wait) == ("*5001", ("101", "102"), 15, 130)
    assert (saved.caller_id, saved.next) == ("02112345678", Destination("extension", "200"))
    assert (saved.retry_pauses, saved.busy_pause) == ((300, 900, 1800), 120)


@pytest.mark.parametrize(
    ("pauses", "targets", "wait", "seconds"),
    [
        ("5,15", "101,102", "02:10", 130),
        (" 5،، 15 ", " 101،, 102 ", "130", 130),
        ("5;15", "101;102", " 2:10 ", 130),
        ("5\t15 ", "101\t102 101", "24:00:00", 86400),
        ("5؛ 15", "101؛ 102", "0", 0),
        ("5:00 15:00", "101 102", "1:00:00", 3600),
    ],
)
def test_lists_can_have_any_separator_and_durations_can_be_short(
    admin: Visitor, database: Database, pauses: str, targets: str, wait: str, seconds: int
) -> None:
    add(admin, retry_pauses=pauses, busy_pause="", targets=targets, min_wait=wait)
    saved = stored(database)
    assert (saved.retry_pauses, saved.busy_pause) == ((300, 900), 0)
    assert (saved.targets, saved.min_wait) == (("101", "102"), seconds)
    shown = admin.get("/modules/1").fields()
    assert (shown["retry_pauses"], shown["busy_pause"]) == (["5, 15"], [""])
    assert shown["min_wait"] == [f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"]


def test_pauses_are_shown_in_the_digits_of_the_reader(app: Flask, database: Database) -> None:
    create_module(database, retry_pauses=[300, 900, 90], busy_pause=120)
    users.set_locale(database, 1, "fa")
    shown = Visitor(app, 1, locale="fa").get("/modules/1").fields()
    assert (shown["retry_pauses"], shown["busy_pause"]) == (["۵، ۱۵، ۱:۳۰"], ["۲"])


def test_reported_extensions_can_be_ticked(admin: Visitor, database: Database) -> None:
    create_line(database, "101", name="Sara")
    create_line(database, "102")
    boxes = {box.get("value") for box in admin.get(NEW).all("input", type="checkbox", name="extensions")}
    assert boxes == {"101", "102"}
    add(admin, extensions=["102", "101"], targets="103, 102")
    assert stored(database).targets == ("102", "101", "103")
    shown = admin.get("/modules/1").fields()
    assert (shown["extensions"], shown["targets"]) == (["101", "102", "103"], [""]), "103 is not reported, but ticked"


def test_form_works_without_reported_extensions(admin: Visitor) -> None:
    page = admin.get(NEW)
    assert not page.has("input", type="checkbox", name="extensions")
    assert page.has("input", name="targets")
    texts = {key: (page.one(id=f"prompt_{key}_text").text or "").strip() for key in PROMPT_KEYS}
    assert texts == {key: default_text(key, "en") for key in PROMPT_KEYS}


def test_code_of_a_hang_up_is_not_stored(admin: Visitor, database: Database) -> None:
    add(admin, next_kind="hangup", next_code="101")
    assert stored(database).next == Destination("hangup")


@pytest.mark.parametrize(("taken", "suggested"), [([], "*5001"), (["*5001", "*5002"], "*5003"), (["*5002"], "*5001")])
def test_free_code_is_suggested(admin: Visitor, database: Database, taken: list[str], suggested: str) -> None:
    for code in taken:
        create_module(database, code=code)
    assert admin.get(NEW).fields()["code"] == [suggested]


# -- errors -----------------------------------------------------------------------------------------------------------

INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "name", "required"),
    ({"name": "   "}, "name", "required"),
    ({"name": "x" * 81}, "name", "too_long"),
    ({"code": ""}, "code", "required"),
    ({"code": "*5000"}, "code", "taken"),
    ({"language": "de"}, "language", "choice"),
    ({"targets": ""}, "targets", "required"),
    ({"target_kind": "nobody"}, "target_kind", "choice"),
    ({"target_kind": "queue", "queue": ""}, "queue", "required"),
    ({"target_kind": "queue", "queue": "sales, service"}, "queue", "queue_name"),
    ({"next_kind": "queue", "next_code": "a|b"}, "next_code", "queue_name"),
    ({"min_wait": ""}, "min_wait", "duration"),
    ({"min_wait": "00:61:00"}, "min_wait", "duration"),
    ({"min_wait": "1:2:3:4"}, "min_wait", "duration"),
    ({"min_wait": "-1"}, "min_wait", "duration"),
    ({"min_wait": "²"}, "min_wait", "duration"),
    ({"min_wait": "9" * 30}, "min_wait", "duration"),
    ({"rest": ""}, "rest", "whole_number"),
    ({"rest": "1.5"}, "rest", "whole_number"),
    ({"rest": "²"}, "rest", "whole_number"),
    ({"rest": "9" * 30}, "rest", "whole_number"),
    ({"retry_pauses": ""}, "retry_pauses", "pauses"),
    ({"retry_pauses": "5, soon"}, "retry_pauses", "pauses"),
    ({"retry_pauses": "0"}, "retry_pauses", "pauses"),
    ({"retry_pauses": "5 0.5"}, "retry_pauses", "pauses"),
    ({"retry_pauses": "-5"}, "retry_pauses", "pauses"),
    ({"retry_pauses": "1:60"}, "retry_pauses", "pauses"),
    ({"retry_pauses": "10081"}, "retry_pauses", "pauses"),
    ({"retry_pauses": "9" * 30}, "retry_pauses", "pauses"),
    ({"retry_pauses": "1 " * 11}, "retry_pauses", "pauses"),
    ({"busy_pause": "soon"}, "busy_pause", "minutes"),
    ({"busy_pause": "0:05"}, "busy_pause", "range"),
    ({"busy_pause": "10081"}, "busy_pause", "range"),
    ({"expire_after": "2161:00:00"}, "expire_after", "range"),
    ({"caller_id": "the office"}, "caller_id", "number"),
    ({"next_kind": "extension"}, "next_code", "required"),
    ({"next_kind": "custom", "next_code": "ivr"}, "next_code", "custom"),
    ({"next_kind": "moon"}, "next_kind", "choice"),
    ({"error_kind": "module", "error_code": "*5001"}, "error_code", "no_module"),
    ({"error_kind": ""}, "error_kind", "choice"),
]


# Fields whose errors depend on each other.
TOGETHER = {
    "target_kind": "targets",
    "queue": "targets",
    "next_kind": "next_code",
    "error_kind": "error_code",
    "busy_pause": "retry_pauses",
}
OTHERS = {"name": "فروش", "targets": "101, 102", "rest": "17", "min_wait": "1:30", "prompt_intro_text": "Hello"}


def rounds() -> list[list[tuple[dict[str, Any], str, str]]]:
    """Return all cases in few lists, in each of which no field occurs twice."""
    found: list[list[tuple[dict[str, Any], str, str]]] = []
    count: Counter[str] = Counter()
    for case in INVALID:
        group = TOGETHER.get(case[1], case[1])
        if count[group] == len(found):
            found.append([])
        found[count[group]].append(case)
        count[group] += 1
    return found


def test_errors_stand_beside_their_fields_and_the_form_keeps_the_rest(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5000")
    form = admin.get(NEW)
    for cases in rounds():
        typed = {name: value for given, _, _ in cases for name, value in given.items()}
        page = admin.submit(form, NEW, 422, **(VALID | OTHERS | typed))
        assert {field: page.error(field) for field in error_fields(page)} == {
            field: error(code) for _, field, code in cases
        }
        assert page.has("div", class_="alert-danger")
        shown = {name: values[-1] for name, values in page.fields().items()}
        not_offered = ("de", "nobody", "moon", "")
        expected = {n: v for n, v in (VALID | OTHERS | typed).items() if v not in not_offered}
        assert {name: shown.get(name) for name in expected} == expected
        for _, field, _ in cases:
            control = page.all(id=field)
            if control and control[0].tag == "input":
                assert shown[field] == typed.get(field, "")
                assert control[0].get("aria-invalid") == "true"
    assert count(database) == 1 and commands(database) == []


def test_all_errors_are_shown_at_once(admin: Visitor) -> None:
    page = add(admin, 422, name="", code="x", targets="", rest="x", next_kind="queue", prompt_intro_mode="file")
    assert set(error_fields(page)) == {"name", "code", "targets", "rest", "next_code", "prompt_intro"}


def test_form_with_errors_keeps_its_ticks(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    create_line(database, "102")
    page = add(admin, 422, name="", active=None, automatic=None, silent="y", extensions=["102"], targets="103")
    shown = page.fields()
    assert shown["extensions"] == ["102"] and shown["targets"] == ["103"] and "silent" in shown
    assert "active" not in shown and "automatic" not in shown


def test_empty_form_is_refused(admin: Visitor, database: Database) -> None:
    assert admin.post(NEW, {}, 422).error("name") == error("required")
    assert count(database) == 0


def test_name_can_have_half_spaces(admin: Visitor, database: Database) -> None:
    add(admin, name="درخواست‌های فروش")
    assert stored(database).name == "درخواست‌های فروش"


# -- change -----------------------------------------------------------------------------------------------------------


def test_module_is_changed(admin: Visitor, database: Database) -> None:
    module = create_module(database, code="*5001", prompts=[])
    admin.submit(admin.get("/modules/1"), "/modules/1", name="Support", rest="20")
    changed = reload(database, module)
    assert (changed.name, changed.rest, changed.code) == ("Support", 20, "*5001")
    assert changed.created_at == module.created_at
    assert count(database) == 1


def test_submitting_an_unchanged_form_changes_nothing(admin: Visitor, database: Database) -> None:
    add(admin, prompt_intro_text="Hello", prompt_is_mode="none", next_kind="extension", next_code="101", min_wait="90")
    before = stored(database)
    admin.submit(admin.get("/modules/1"), "/modules/1")
    assert stored(database) == before


def test_code_with_references_cannot_be_changed(admin: Visitor, database: Database) -> None:
    create_module(database, name="First", code="*5001", next_kind="module", next_code="*5002")
    create_module(database, name="Second", code="*5002")
    page = admin.submit(admin.get("/modules/2"), "/modules/2", 422, code="*5003")
    assert page.error("code") == error("in_use")


def test_destination_cannot_lead_back(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001", next_kind="module", next_code="*5002")
    create_module(database, code="*5002")
    page = admin.submit(admin.get("/modules/2"), "/modules/2", 422, error_kind="module", error_code="*5001")
    assert page.error("error_code") == error("cycle")


def test_changing_a_deleted_module_is_not_found(admin: Visitor, database: Database) -> None:
    create_module(database)
    page = admin.get("/modules/1")
    save.delete_module(database, 1, datetime.now(UTC))
    admin.submit(page, "/modules/1", 404)


def test_form_is_kept_if_the_module_is_deleted_while_it_is_saved(
    admin: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(admin)
    save_module = save.save_module

    def delete_first(*args: Any, **kwargs: Any) -> int:
        save.delete_module(database, 1, datetime.now(UTC))
        return save_module(*args, **kwargs)

    form = admin.get("/modules/1")
    monkeypatch.setattr(save, "save_module", delete_first)
    page = admin.submit(form, "/modules/1", 422, name="Sales and service")
    assert "someone else has just deleted this module" in page.main
    assert page.fields()["name"] == ["Sales and service"]
    assert count(database) == 0


def test_form_does_not_replace_what_somebody_else_has_saved_since(admin: Visitor, database: Database) -> None:
    add(admin)
    first, second = admin.get("/modules/1"), admin.get("/modules/1")
    admin.submit(first, "/modules/1", name="Sales and service")
    page = admin.submit(second, "/modules/1", 422, retries="7")
    assert "has been changed since you opened this page" in page.main
    assert page.fields()["retries"] == ["7"]
    assert (stored(database).name, stored(database).retries) == ("Sales and service", 2)
    admin.submit(page, "/modules/1")  # knowing that
    assert stored(database).retries == 7 and stored(database).name != "Sales and service"


def test_older_form_does_not_switch_the_module_on(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    form = admin.get("/modules/1")
    save.set_active(database, 1, False, datetime.now(UTC))
    admin.submit(form, "/modules/1", name="Other")
    assert (stored(database).name, stored(database).active) == ("Other", False)
    admin.submit(admin.get("/modules/1"), "/modules/1", active="y")
    assert stored(database).active


# -- duplicate --------------------------------------------------------------------------------------------------------


def test_copy_starts_with_the_same_values_and_a_free_code(admin: Visitor, database: Database) -> None:
    add(admin, rest="17", prompt_intro_text="Hello", prompt_is_mode="none", target_kind="queue", queue="800")
    page = admin.get("/modules/new?copy=1")
    fields = page.fields()
    assert (fields["name"], fields["code"], fields["rest"]) == (["Copy of Sales"], ["*5002"], ["17"])
    admin.submit(page, "/modules/new?copy=1")
    first, second = stored(database, 1), stored(database, 2)
    assert (second.rest, second.prompts, second.targets) == (first.rest, first.prompts, first.targets)


def test_copy_of_a_long_name_is_cut(admin: Visitor, database: Database) -> None:
    create_module(database, name="x" * 80)
    assert len(admin.get("/modules/new?copy=1").fields()["name"][0]) == 80


# -- delete -----------------------------------------------------------------------------------------------------------


def test_module_is_deleted_after_a_confirmation(admin: Visitor, database: Database) -> None:
    module = create_module(database, name="Sales", code="*5001")
    request = create_request(database, module)
    create_request(database, module, number="+989350000000", status="done")
    page = admin.get("/modules/1/delete")
    assert text(page.one("h1")) == "Delete “Sales” (*5001)?"
    assert "1 request is still open." in page.main
    assert count(database) == 1
    admin.submit(page, "/modules/1/delete")
    assert count(database) == 0
    assert reload(database, request).module_id is None
    assert commands(database) == [("write_dialplan", "sara")]
    admin.post("/modules/1/delete", status=404)


def test_module_with_references_cannot_be_deleted(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001")
    create_module(database, name="<b>Night</b>", code="*5002", next_kind="module", next_code="*5001")
    create_line(database, "101", name="Sara")
    destinations = {"busy_kind": "module", "busy_code": "*5001", "no_answer_kind": "module", "no_answer_code": "*5001"}
    store(database, ExtensionScenario(extension="101", **destinations))
    store(database, QueueScenario(queue="800", failed_kind="module", failed_code="*5001"))
    for page in (admin.get("/modules/1/delete"), admin.post("/modules/1/delete", status=422)):
        references = page.one("ul", class_="references")
        assert [text(item) for item in references.iter("li")] == [
            "<b>Night</b> (next destination)",
            "101 Sara (no answer, busy)",
            "queue 800 (failed-call destination)",
        ]
        links = [link.get("href") for link in references.iter("a")]
        assert links == ["/modules/2", "/extensions/101", "/queues/800"]
        assert not list(page.one("main").iter("button"))
    assert count(database) == 2


# -- uploads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_csrf", [False, True])
@pytest.mark.parametrize("path", [NEW, "/modules/1"])
def test_upload_that_is_too_large_is_refused(
    app: Flask, admin: Visitor, database: Database, path: str, with_csrf: bool
) -> None:
    create_module(database)
    app.config["WTF_CSRF_ENABLED"] = with_csrf  # the token is in the form, which is not read to its end
    headers = {"CONTENT_TYPE": "multipart/form-data; boundary=part", "CONTENT_LENGTH": str(25 * 1024 * 1024)}
    response = admin.client.post(path, data=b"--part", environ_overrides=headers)
    assert "20 MB" in admin.check(response, 413, None).main


# -- office hours -----------------------------------------------------------------------------------------------------


def test_own_hours_are_stored_only_if_they_are_switched_on(admin: Visitor, database: Database) -> None:
    hours = {"hours_sat": "8-12, 13-17", "hours_fri": ""}
    admin.follow(add(admin, **hours))
    assert stored(database).hours == "", "those of the office"
    outside = {"outside": "decline", "stop_before": "10:00", "at_closing": "give_up", "holidays": None}
    admin.follow(add(admin, code="*5002", own_hours="y", **hours, **outside))
    saved = stored(database, 2)
    assert saved.hours.endswith("thu 00:00-24:00; sat 08:00-12:00, 13:00-17:00; sun 00:00-24:00")
    assert (saved.outside, saved.stop_before, saved.at_closing, saved.holidays) == ("decline", 600, "give_up", False)
    page = admin.get("/modules/2")
    shown = page.fields(page.form(id="module-form"))
    assert (shown["hours_sat"], shown["hours_fri"]) == (["08:00-12:00, 13:00-17:00"], [""])
    assert (shown["own_hours"], shown["at_closing"]) == (["y"], ["give_up"])
    log = admin.get("/log").main
    assert "Own office hours" in log and "Friday: closed" in log


def test_place_in_line_is_stored(admin: Visitor, database: Database) -> None:
    queue = {"target_kind": "queue", "queue": "800"}
    admin.follow(add(admin, **queue, place="callers_first", callers_lead="45", callers_share="5"))
    saved = stored(database)
    assert (saved.place, saved.callers_lead, saved.callers_share) == ("callers_first", 2700, 5)
    page = add(admin, 422, code="*5002", **queue, place="last", callers_share="0")
    assert (page.error("place"), page.error("callers_share")) == (error("choice"), error("range"))


def test_offer_to_waiting_callers_is_stored(admin: Visitor, database: Database) -> None:
    queue = {"target_kind": "queue", "queue": "800"}
    given = {"offer_after": "90", "offer_callers": "3", "offer_callers_per_agent": "2"}
    admin.follow(add(admin, **queue, offer_key="*", **given))
    saved = stored(database)
    assert (saved.offer_key, saved.offer_after, saved.offer_callers, saved.offer_callers_per_agent) == ("*", 90, 3, 2)
    assert "* (star)" in admin.get("/modules/1").main
    wrong = {"offer_after": "9", "offer_callers": "1000", "offer_callers_per_agent": "100"}
    page = add(admin, 422, code="*5002", **queue, offer_key="#", **wrong)
    assert page.error("offer_key") == error("offered")
    assert {page.error(name) for name in wrong} == {error("range")}


def test_what_is_off_at_first_is_stored_and_shown(admin: Visitor, database: Database) -> None:
    assert not untouched_fields(admin).keys() & {*OFF_AT_FIRST}
    add(admin, **(dict.fromkeys(OFF_AT_FIRST, "y") | {"tells_place": None, "quarter_limit": "3"}))
    saved = stored(database)
    assert [name for name in OFF_AT_FIRST if not getattr(saved, name)] == ["tells_place"]
    shown = admin.get("/modules/1").fields()
    assert [name for name in OFF_AT_FIRST if name not in shown] == ["tells_place"]
    assert (saved.quarter_limit, shown["quarter_limit"]) == (3, ["3"])
    assert add(admin, 422, quarter_limit="101").error("quarter_limit") == error("range")


def test_wrong_hours_are_shown_beside_their_day(admin: Visitor, database: Database) -> None:
    page = add(admin, 422, own_hours="y", hours_mon="8", outside="sleep", stop_before="99:00:00")
    assert (page.error("hours_mon"), count(database)) == (error("hours"), 0)
    assert page.one("input", name="hours_mon").get("value") == "8"
    page = add(admin, 422, outside="sleep", stop_before="99:00:00")
    assert (page.error("outside"), page.error("stop_before")) == (error("choice"), error("range"))


# -- confirmation -----------------------------------------------------------------------------------------------------


def test_confirmations_are_stored(admin: Visitor, database: Database) -> None:
    given = {"agent_confirms": "answer", "asks_customer": "y", "customer_first": "y", "office_name": "Sepehr"}
    admin.follow(add(admin, **given))
    saved = stored(database)
    assert (saved.agent_confirms, saved.asks_customer, saved.office_name) == ("answer", True, "Sepehr")
    assert saved.customer_first
    page = admin.get("/modules/1")
    shown = page.fields(page.form(id="module-form"))
    assert {name: shown[name] for name in given} == {name: [value] for name, value in given.items()}
    assert "Asks the customer" in admin.get("/log").main


@for_each(
    ("fields", "field", "code"),
    [
        ({"agent_confirms": "smile"}, "agent_confirms", "choice"),
        ({"asks_customer": "y"}, "office_name", "required"),
        ({"customer_first": "y"}, "office_name", "required"),
        ({"asks_customer": "y", "prompt_ask_customer_text": "{name}!"}, "office_name", "required"),
        ({"office_name": "x" * 81}, "office_name", "too_long"),
        ({"asks_customer": "y", "prompt_ask_customer_mode": "none"}, "prompt_ask_customer", "no_question"),
    ],
)
def test_wrong_confirmations_are_shown_at_their_field(
    admin: Visitor, database: Database, fields: dict[str, str], field: str, code: str
) -> None:
    page = add(admin, 422, **fields)
    assert (page.error(field), count(database)) == (error(code), 0)


def test_customer_is_asked_without_a_name_if_the_question_has_none(admin: Visitor, database: Database) -> None:
    admin.follow(add(admin, asks_customer="y", prompt_ask_customer_text="Press 1, 2 or 9."))
    assert stored(database).asks_customer


def test_name_that_the_voice_cannot_read_is_shown_at_the_question(admin: Visitor, database: Database) -> None:
    page = add(admin, 422, language="en", asks_customer="y", office_name="سپهر")
    assert "not in the language of the module" in page.error("prompt_ask_customer")
