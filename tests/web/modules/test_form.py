"""Add, change, duplicate and delete modules by the form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.audio.prompt_texts import PROMPT_KEYS, default_text
from app.domain.routing import Destination
from app.services.modules import save
from app.services.modules.input import ModuleInput
from app.services.modules.list import load_module
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, Module, QueueScenario
from app.web.wording import error
from tests.support.factories import create_line, create_module, create_request, reload, store
from tests.web.pages import Page, Visitor, text

NEW = "/modules/new"
VALID: Mapping[str, Any] = {"name": "Sales", "code": "*5001", "targets": "101"}


def add(admin: Visitor, status: int = 302, **changes: Any) -> Page:
    """Fill in and submit the form for a new module."""
    return admin.submit(admin.get(NEW), NEW, status, **(dict(VALID) | changes))


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


# -- add --------------------------------------------------------------------------------------------------------------


def test_form_starts_with_the_defaults_of_a_module(admin: Visitor, database: Database) -> None:
    page = admin.follow(add(admin))
    assert page.message.startswith("The module is saved.")
    saved = stored(database)
    expected = ModuleInput("Sales", "*5001", "extension", ("101",), language="en", prompts=saved.prompts)
    assert saved == expected
    assert {(prompt.mode, prompt.text) for prompt in saved.prompts.values()} == {("speech", "")}
    assert commands(database) == [("write_dialplan", "sara")]


def test_every_field_is_stored_and_shown_again(admin: Visitor, database: Database) -> None:
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
    assert saved.next == Destination("module", "*5000")
    assert saved.error == Destination("custom", "from-internal,s,1")
    assert (saved.min_wait, saved.rest, saved.retries, saved.retry_pause) == (130, 15, 4, 3600)
    assert (saved.agent_pause, saved.agent_ring, saved.customer_ring, saved.expire_after) == (90, 25, 50, 72 * 3600)
    assert saved.caller_id == "+982112345678"
    assert saved.prompts["intro"].mode == "none"
    assert saved.prompts["is"].text == "است"
    shown = {name: values[-1] for name, values in admin.get("/modules/2").fields().items()}
    expected = {name: value for name, value in typed.items() if value is not None}
    assert {name: shown.get(name) for name in expected} == expected
    assert "active" not in shown and "automatic" not in shown


def test_persian_digits_are_accepted(admin: Visitor, database: Database) -> None:
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
    assert (saved.caller_id, saved.next) == ("02112345678", Destination("extension", "200"))


@pytest.mark.parametrize("typed", ["101,102", " 101،, 102 ", "101;102", "101\t102 101"])
def test_extensions_can_have_any_separator(admin: Visitor, database: Database, typed: str) -> None:
    add(admin, targets=typed)
    assert stored(database).targets == ("101", "102")


@pytest.mark.parametrize(("typed", "seconds"), [("02:10", 130), ("130", 130), (" 2:10 ", 130), ("24:00:00", 86400)])
def test_durations_can_be_short(admin: Visitor, database: Database, typed: str, seconds: int) -> None:
    add(admin, min_wait=typed)
    assert stored(database).min_wait == seconds
    shown = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    assert admin.get("/modules/1").fields()["min_wait"] == [shown]


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
    ({"target_kind": "queue", "queue": "sales team"}, "queue", "code"),
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
    ({"expire_after": "2161:00:00"}, "expire_after", "range"),
    ({"caller_id": "the office"}, "caller_id", "number"),
    ({"next_kind": "extension"}, "next_code", "required"),
    ({"next_kind": "custom", "next_code": "ivr"}, "next_code", "custom"),
    ({"next_kind": "moon"}, "next_kind", "choice"),
    ({"error_kind": "module", "error_code": "*5001"}, "error_code", "no_module"),
    ({"error_kind": ""}, "error_kind", "choice"),
]


@pytest.mark.parametrize(
    ("typed", "field", "code"),
    INVALID,
    ids=[f"{field}-{'-'.join(map(str, typed.values()))[:20]}" for typed, field, _ in INVALID],
)
def test_error_stands_beside_its_field_and_the_form_keeps_the_rest(
    admin: Visitor, database: Database, typed: dict[str, Any], field: str, code: str
) -> None:
    create_module(database, code="*5000")
    others = {"name": "فروش", "targets": "101, 102", "rest": "17", "min_wait": "1:30", "prompt_intro_text": "Hello"}
    page = add(admin, 422, **(others | typed))
    assert page.error(field) == error(code)
    assert error_fields(page) == [field]
    assert page.has("div", class_="alert-danger")
    shown = {name: values[-1] for name, values in page.fields().items()}
    not_offered = ("de", "nobody", "moon", "")
    expected = {n: v for n, v in (dict(VALID) | others | typed).items() if v not in not_offered and n != field}
    assert {name: shown.get(name) for name in expected} == expected
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
