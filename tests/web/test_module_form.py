"""Adding, changing, duplicating and deleting a module by its form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.audio.prompts import PROMPT_KEYS, default_text
from app.config import Settings
from app.services import modules, users
from app.services.modules import ModuleInput
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, Module, QueueScenario
from tests.support.factories import create_line, create_module, create_request, reload, store
from tests.web.pages import Page, Visitor, text

NEW = "/modules/new"
GOOD: Mapping[str, Any] = {"name": "Sales", "code": "*5001", "targets": "101"}


def add(admin: Visitor, status: int = 302, **changes: Any) -> Page:
    """Fill in the form for a new module as somebody would, and send it."""
    return admin.submit(admin.get(NEW), NEW, status, **(dict(GOOD) | changes))


def stored(database: Database, module_id: int = 1) -> ModuleInput:
    with database.read() as session:
        return modules.load(session, module_id)


def count(database: Database) -> int:
    with database.read() as session:
        return len(session.scalars(select(Module)).all())


def commands(database: Database) -> list[Command]:
    with database.read() as session:
        return list(session.scalars(select(Command)))


# -- adding -----------------------------------------------------------------------------------------------------------


def test_a_name_a_code_and_an_extension_are_enough(admin: Visitor, database: Database) -> None:
    page = admin.follow(add(admin))
    assert page.message.startswith("The module is saved.")
    saved = stored(database)
    expected = ModuleInput(
        name="Sales",
        code="*5001",
        target_kind="extension",
        targets=("101",),
        next_kind="hangup",
        error_kind="hangup",
        language="en",
        prompts=saved.prompts,
    )
    assert saved == expected, "what the form starts with is what a module is without saying"
    assert {prompt.mode for prompt in saved.prompts.values()} == {"speech"}
    assert {prompt.text for prompt in saved.prompts.values()} == {""}, "the default text, should it be bettered later"


def test_saving_has_the_dialplan_written(admin: Visitor, database: Database) -> None:
    add(admin)
    assert [(c.kind, c.actor) for c in commands(database)] == [("write_dialplan", "sara")]


def test_every_field_is_stored(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5000")
    typed = {
        "name": "فروش «ویژه»",
        "code": "*5001#",
        "active": None,
        "silent": "y",
        "language": "fa",
        "target_kind": "queue",
        "queue": "800",
        "next_kind": "module",
        "next_code": "*5000",
        "error_kind": "custom",
        "error_code": "from-internal,s,1",
        "automatic": None,
        "min_wait": "00:02:10",
        "rest": "15",
        "retries": "4",
        "retry_pause": "01:00:00",
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
    assert (saved.target_kind, saved.targets) == ("queue", ("800",))
    assert (saved.next_kind, saved.next_code) == ("module", "*5000")
    assert (saved.error_kind, saved.error_code) == ("custom", "from-internal,s,1")
    assert (saved.min_wait, saved.rest, saved.retries, saved.retry_pause) == (130, 15, 4, 3600)
    assert (saved.agent_pause, saved.agent_ring, saved.customer_ring, saved.expire_after) == (90, 25, 50, 72 * 3600)
    assert saved.caller_id == "+982112345678"
    assert saved.prompts["intro"].mode == "none"
    assert saved.prompts["is"].text == "است"
    page = admin.get("/modules/2")
    again = {name: values[-1] for name, values in page.fields().items()}
    shown = {name: value for name, value in typed.items() if value is not None}
    assert {name: again.get(name) for name in shown} == shown, "and shown again as it was typed"
    assert "active" not in again and "automatic" not in again


def test_persian_digits_are_digits(admin: Visitor, database: Database) -> None:
    typed = {
        "code": "*۵۰۰۱",
        "targets": "۱۰۱، ۱۰۲",
        "rest": "۱۵",
        "min_wait": "۰۰:۰۲:۱۰",
        "caller_id": "۰۲۱۱۲۳۴۵۶۷۸",
        "next_kind": "extension",
        "next_code": "٢٠٠",
    }
    add(admin, **typed)
    saved = stored(database)
    assert (saved.code, saved.targets, saved.rest, saved.min_wait) == ("*5001", ("101", "102"), 15, 130)
    assert (saved.caller_id, saved.next_code) == ("02112345678", "200")


@pytest.mark.parametrize(
    "typed", ["101,102", "101 102", "101، 102", "101;102", " 101,, 102 ", "101\t102", "101,102,101"]
)
def test_extensions_are_typed_with_any_separator(admin: Visitor, database: Database, typed: str) -> None:
    add(admin, targets=typed)
    assert stored(database).targets == ("101", "102")


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("00:02:10", 130), ("02:10", 130), ("130", 130), ("2:10", 130), ("0", 0), ("24:00:00", 86400), (" 1:00 ", 60)],
)
def test_durations_are_typed_in_short_as_well(admin: Visitor, database: Database, typed: str, seconds: int) -> None:
    add(admin, min_wait=typed)
    assert stored(database).min_wait == seconds
    assert admin.get("/modules/1").fields()["min_wait"] == [
        f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    ]


def test_extensions_that_the_exchange_reports_are_ticked(admin: Visitor, database: Database) -> None:
    create_line(database, "101", name="Sara")
    create_line(database, "102")
    page = admin.get(NEW)
    boxes = {box.get("value") for box in page.all("input", type="checkbox", name="extensions")}
    assert boxes == {"101", "102"}
    add(admin, extensions=["102", "101"], targets="103, 102")
    assert stored(database).targets == ("102", "101", "103")
    again = admin.get("/modules/1").fields()
    assert (again["extensions"], again["targets"]) == (["101", "102", "103"], [""])


def test_an_extension_that_is_gone_from_the_exchange_stays_ticked(admin: Visitor, database: Database) -> None:
    create_module(database, targets=["101", "109"])
    create_line(database, "101")
    page = admin.get("/modules/1")
    assert page.fields()["extensions"] == ["101", "109"]
    admin.submit(page, "/modules/1", name="Renamed")
    assert stored(database).targets == ("101", "109")


def test_a_code_that_is_not_needed_is_not_kept(admin: Visitor, database: Database) -> None:
    add(admin, next_kind="hangup", next_code="left from before")
    assert stored(database).next_code == ""


# -- what is wrong ----------------------------------------------------------------------------------------------------

NEEDED = "This is needed."
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "name", NEEDED),
    ({"name": "   "}, "name", NEEDED),
    ({"name": "x" * 81}, "name", "This is too long."),
    ({"name": "a\u202eb"}, "name", "There are characters in it that cannot be shown."),
    ({"code": ""}, "code", NEEDED),
    ({"code": "5001a"}, "code", "Digits, * and # only."),
    ({"code": "1" * 21}, "code", "Digits, * and # only."),
    ({"code": "*5000"}, "code", "This is taken already."),
    ({"language": "de"}, "language", "Choose one of the list."),
    ({"targets": ""}, "targets", NEEDED),
    ({"targets": "10a"}, "targets", "Digits, * and # only."),
    ({"target_kind": "nobody"}, "target_kind", "Choose one of the list."),
    ({"target_kind": "queue", "queue": ""}, "queue", NEEDED),
    ({"target_kind": "queue", "queue": "sales team"}, "queue", "Digits, * and # only."),
    ({"min_wait": "soon"}, "min_wait", "Write it as hours:minutes:seconds."),
    ({"min_wait": ""}, "min_wait", "Write it as hours:minutes:seconds."),
    ({"min_wait": "00:61:00"}, "min_wait", "Write it as hours:minutes:seconds."),
    ({"min_wait": "1:2:3:4"}, "min_wait", "Write it as hours:minutes:seconds."),
    ({"min_wait": "24:00:01"}, "min_wait", "This is out of range."),
    ({"min_wait": "-1"}, "min_wait", "Write it as hours:minutes:seconds."),
    ({"min_wait": "²"}, "min_wait", "Write it as hours:minutes:seconds."),
    ({"min_wait": "9" * 30}, "min_wait", "Write it as hours:minutes:seconds."),
    ({"rest": "ten"}, "rest", "Write a whole number."),
    ({"rest": ""}, "rest", "Write a whole number."),
    ({"rest": "1.5"}, "rest", "Write a whole number."),
    ({"rest": "²"}, "rest", "Write a whole number."),
    ({"rest": "9" * 30}, "rest", "Write a whole number."),
    ({"rest": "3601"}, "rest", "This is out of range."),
    ({"retries": "21"}, "retries", "This is out of range."),
    ({"retry_pause": "9"}, "retry_pause", "This is out of range."),
    ({"agent_pause": "4"}, "agent_pause", "This is out of range."),
    ({"agent_ring": "121"}, "agent_ring", "This is out of range."),
    ({"customer_ring": "9"}, "customer_ring", "This is out of range."),
    ({"expire_after": "2161:00:00"}, "expire_after", "This is out of range."),
    ({"caller_id": "the office"}, "caller_id", "This is no telephone number."),
    ({"next_kind": "extension"}, "next_code", NEEDED),
    ({"next_kind": "extension", "next_code": "10a"}, "next_code", "Digits, * and # only."),
    ({"next_kind": "custom", "next_code": "ivr"}, "next_code", "Write it as context,extension,priority."),
    ({"next_kind": "module", "next_code": "*5009"}, "next_code", "There is no module with this code."),
    ({"next_kind": "moon"}, "next_kind", "Choose one of the list."),
    ({"error_kind": "queue"}, "error_code", NEEDED),
    ({"error_kind": "queue", "error_code": "sales,s,1"}, "error_code", "Digits, * and # only."),
    ({"error_kind": "module", "error_code": "*5001"}, "error_code", "There is no module with this code."),
    ({"error_kind": ""}, "error_kind", "Choose one of the list."),
]


def test_a_fault_stands_beside_its_field_and_all_else_is_kept(
    admin: Visitor, database: Database, subtests: pytest.Subtests
) -> None:
    """Nothing is stored, so the same form serves for each fault."""
    create_module(database, code="*5000")
    others = {"name": "فروش", "targets": "101, 102", "rest": "17", "min_wait": "1:30", "prompt_intro_text": "Hello"}
    form = admin.get(NEW)
    for typed, field, message in WRONG:
        with subtests.test(str(typed)):
            sent = dict(GOOD) | others | typed
            page = admin.submit(form, NEW, 422, **sent)
            assert page.error(field) == message
            wrong = [element.get("id", "")[:-6] for element in page.all() if element.get("id", "").endswith("-error")]
            assert wrong == [field], "nothing else is wrong"
            assert page.has("div", class_="alert-danger")
            kept = {name: values[-1] for name, values in page.fields().items()}
            offered = {name: value for name, value in sent.items() if value not in ("de", "nobody", "moon", "")}
            assert {name: kept.get(name) for name in offered if name != field} == {
                n: v for n, v in offered.items() if n != field
            }
            control = page.all(id=field)
            if control and control[0].tag == "input":
                assert kept[field] == typed.get(field, ""), "what was wrong is there to be corrected"
                assert control[0].get("aria-invalid") == "true"
            assert count(database) == 1 and commands(database) == []


def test_everything_that_is_wrong_is_said_at_once(admin: Visitor) -> None:
    page = add(admin, 422, name="", code="x", targets="", rest="x", next_kind="queue", prompt_intro_mode="file")
    wrong = {element.get("id", "")[:-6] for element in page.all() if element.get("id", "").endswith("-error")}
    assert wrong == {"name", "code", "targets", "rest", "next_code", "prompt_intro"}


def test_ticks_are_kept(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    create_line(database, "102")
    page = add(admin, 422, name="", active=None, automatic=None, silent="y", extensions=["102"], targets="103")
    kept = page.fields()
    assert kept["extensions"] == ["102"] and kept["targets"] == ["103"] and "silent" in kept
    assert "active" not in kept and "automatic" not in kept


def test_a_form_sent_empty_breaks_nothing(admin: Visitor, database: Database) -> None:
    page = admin.post(NEW, {}, 422)
    assert page.error("name") == NEEDED
    assert count(database) == 0


@pytest.mark.parametrize("name", ["درخواست‌های فروش", "پاسخ‌گویی"])
def test_a_name_may_have_half_spaces(admin: Visitor, database: Database, name: str) -> None:
    add(admin, name=name)
    assert stored(database).name == name


def test_faults_are_told_in_persian_too(app: Flask, admin: Visitor, database: Database) -> None:
    users.set_locale(database, 1, "fa")
    page = Visitor(app, 1, locale="fa").post(NEW, {"name": ""}, 422)
    assert page.error("name") == "این مورد لازم است."


# -- changing ---------------------------------------------------------------------------------------------------------


def test_a_module_is_changed(admin: Visitor, database: Database) -> None:
    module = create_module(database, code="*5001", prompts=[])
    admin.submit(admin.get("/modules/1"), "/modules/1", name="Support", rest="20")
    changed = reload(database, module)
    assert (changed.name, changed.rest, changed.code) == ("Support", 20, "*5001")
    assert changed.created_at == module.created_at
    assert count(database) == 1


def test_sending_a_form_as_it_is_changes_nothing(admin: Visitor, database: Database) -> None:
    add(admin, prompt_intro_text="Hello", prompt_is_mode="none", next_kind="extension", next_code="101", min_wait="90")
    before = stored(database)
    admin.submit(admin.get("/modules/1"), "/modules/1")
    assert stored(database) == before


def test_a_code_that_others_lead_to_stays(admin: Visitor, database: Database) -> None:
    create_module(database, name="First", code="*5001", next_kind="module", next_code="*5002")
    create_module(database, name="Second", code="*5002")
    page = admin.submit(admin.get("/modules/2"), "/modules/2", 422, code="*5003")
    assert page.error("code") == "Something still points at this module."


def test_callers_do_not_go_round(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001", next_kind="module", next_code="*5002")
    create_module(database, code="*5002")
    page = admin.submit(admin.get("/modules/2"), "/modules/2", 422, error_kind="module", error_code="*5001")
    assert page.error("error_code") == "Callers would go round in a circle."


def test_a_module_that_is_deleted_meanwhile_is_not_found(admin: Visitor, database: Database) -> None:
    create_module(database)
    page = admin.get("/modules/1")
    modules.delete(database, 1, datetime.now(UTC))
    admin.submit(page, "/modules/1", 404)


def test_a_module_that_is_deleted_in_this_instant_is_told_and_nothing_typed_is_lost(
    admin: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.follow(add(admin))
    save = modules.save

    def save_too_late(*args: Any, **kwargs: Any) -> int:
        modules.delete(database, 1, datetime.now(UTC))
        return save(*args, **kwargs)

    form = admin.get("/modules/1")
    monkeypatch.setattr(modules, "save", save_too_late)
    page = admin.submit(form, "/modules/1", 422, name="Sales and service")
    assert "Somebody has just deleted this module, so nothing was saved." in page.source
    assert page.fields()["name"] == ["Sales and service"]
    assert count(database) == 0


# -- a code -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("taken", "proposed"), [([], "*5001"), (["*5001", "*5002"], "*5003"), (["*5002"], "*5001")])
def test_a_free_code_is_proposed(admin: Visitor, database: Database, taken: list[str], proposed: str) -> None:
    for code in taken:
        create_module(database, code=code)
    assert admin.get(NEW).fields()["code"] == [proposed]


# -- duplicating ------------------------------------------------------------------------------------------------------


def test_a_copy_starts_with_all_but_the_code_which_is_the_next_free_one(admin: Visitor, database: Database) -> None:
    add(admin, rest="17", prompt_intro_text="Hello", prompt_is_mode="none", target_kind="queue", queue="800")
    page = admin.get("/modules/new?copy=1")
    fields = page.fields()
    assert (fields["name"], fields["code"], fields["rest"]) == (["Copy of Sales"], ["*5002"], ["17"])
    admin.submit(page, "/modules/new?copy=1")
    first, second = stored(database, 1), stored(database, 2)
    assert (second.rest, second.prompts, second.targets) == (first.rest, first.prompts, first.targets)


def test_a_copy_of_a_long_name_fits(admin: Visitor, database: Database) -> None:
    create_module(database, name="x" * 80)
    assert len(admin.get("/modules/new?copy=1").fields()["name"][0]) == 80


# -- deleting ---------------------------------------------------------------------------------------------------------


def test_deleting_asks_first_and_tells_of_open_requests(admin: Visitor, database: Database) -> None:
    module = create_module(database, name="Sales", code="*5001")
    request = create_request(database, module)
    create_request(database, module, number="+989350000000", status="done")
    page = admin.get("/modules/1/delete")
    assert text(page.one("h1")) == "Delete “Sales” (*5001)?"
    assert "1 request is still open. It stays among the pending requests" in page.main
    assert count(database) == 1
    page = admin.follow(admin.submit(page, "/modules/1/delete"))
    assert page.message == "The module is deleted."
    assert count(database) == 0
    assert reload(database, request).module_id is None
    assert [(c.kind, c.actor) for c in commands(database)] == [("write_dialplan", "sara")]


def test_what_is_pointed_at_is_not_deleted(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001")
    create_module(database, name="<b>Night</b>", code="*5002", next_kind="module", next_code="*5001")
    create_line(database, "101", name="Sara")
    ways = {"busy_kind": "module", "busy_code": "*5001", "no_answer_kind": "module", "no_answer_code": "*5001"}
    store(database, ExtensionScenario(extension="101", **ways))
    store(database, QueueScenario(queue="800", failed_kind="module", failed_code="*5001"))
    for page in (admin.get("/modules/1/delete"), admin.post("/modules/1/delete", status=422)):
        assert [text(item) for item in page.one("ul", class_="pointing").iter("li")] == [
            "<b>Night</b> (next destination)",
            "101 Sara (no answer, busy)",
            "queue 800 (failed-call destination)",
        ]
        assert [link.get("href") for link in page.one("ul", class_="pointing").iter("a")] == [
            "/modules/2",
            "/extensions/101",
            "/queues/800",
        ]
        assert not list(page.one("main").iter("button"))
    assert count(database) == 2


def test_deleting_twice_is_not_found(admin: Visitor, database: Database) -> None:
    create_module(database)
    admin.post("/modules/1/delete")
    admin.post("/modules/1/delete", status=404)


# -- too much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("where", [NEW, "/modules/1"])
def test_a_file_beyond_all_measure_is_refused_in_words(
    app: Flask, admin: Visitor, database: Database, where: str, guarded: bool
) -> None:
    create_module(database)
    app.config["WTF_CSRF_ENABLED"] = guarded  # the token lies in the form that nobody reads to its end
    claimed = {"CONTENT_TYPE": "multipart/form-data; boundary=part", "CONTENT_LENGTH": str(25 * 1024 * 1024)}
    response = admin.client.post(where, data=b"--part", environ_overrides=claimed)
    assert "20 MB" in admin._look(response, 413, None).main


def test_the_office_without_an_exchange_can_still_type(admin: Visitor, settings: Settings) -> None:
    page = admin.get(NEW)
    assert not page.has("input", type="checkbox", name="extensions")
    assert page.has("input", name="targets")
    texts = {key: page.one(id=f"prompt_{key}_text").text for key in PROMPT_KEYS}
    assert {key: (value or "").strip() for key, value in texts.items()} == {
        k: default_text(k, "en") for k in PROMPT_KEYS
    }


def test_an_older_form_switches_nothing_on(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    form = admin.get("/modules/1")
    modules.set_active(database, 1, False, datetime.now(UTC))
    admin.submit(form, "/modules/1", name="Other")
    assert (stored(database).name, stored(database).active) == ("Other", False)
    admin.submit(admin.get("/modules/1"), "/modules/1", active="y")
    assert stored(database).active
