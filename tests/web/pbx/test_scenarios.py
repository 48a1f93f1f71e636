"""The pages of extensions and queues: what the exchange reports, and where callers go whom nobody served."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.domain.policy import LineState
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, QueueMemberRow, QueueRow, QueueScenario
from script.office.database import make_settings
from tests.support.factories import create_line, create_module, create_running_service, store
from tests.web.pages import Page, Visitor, rows

# -- extensions -------------------------------------------------------------------------------------------------------


def extension(database: Database, number: str = "101") -> ExtensionScenario | None:
    with database.read() as session:
        return session.get(ExtensionScenario, number)


def queue(database: Database, name: str = "800") -> QueueScenario | None:
    with database.read() as session:
        return session.get(QueueScenario, name)


def commands(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(command.kind, command.actor) for command in session.scalars(select(Command))]


def test_the_exchange_has_told_of_nothing(admin: Visitor) -> None:
    assert "The exchange has told of no extension yet." in admin.get("/extensions").main
    assert "The exchange has told of no queue yet." in admin.get("/queues").main


@pytest.mark.parametrize("state", LineState)
def test_an_extension_is_listed_with_its_state(admin: Visitor, database: Database, state: LineState) -> None:
    create_line(database, "101", name="Sara", state=state.value)
    (row,) = rows(admin.get("/extensions"))
    assert row.startswith("101 Sara ") and row.endswith(" – – – – Edit")


def test_extensions_with_a_scenario_are_listed_even_if_the_exchange_does_not_know_them(
    admin: Visitor, database: Database
) -> None:
    create_line(database, "102")
    ways = {"busy_kind": "module", "busy_code": "*5001", "no_answer_kind": "extension", "no_answer_code": "102"}
    store(database, ExtensionScenario(extension="101", **ways))
    first, second = rows(admin.get("/extensions"))
    assert first == "101 unknown extension 102 call request module *5001 hang up – Edit"
    assert second.startswith("102 free")


@pytest.mark.parametrize(("typed", "page"), [("103", "103"), ("۱۰۳", "103"), (" 103 ", "103"), ("*50#", "*50%23")])
def test_an_extension_is_typed_by_hand(admin: Visitor, typed: str, page: str) -> None:
    answer = admin.get("/extensions/open", 302, number=typed)
    assert answer.response.headers["Location"] == f"/extensions/{page}"
    admin.follow(answer)


@pytest.mark.parametrize("typed", ["", "10a", "1/2", "../queues", "1" * 21])
def test_what_is_no_extension_is_told(admin: Visitor, typed: str) -> None:
    page = admin.follow(admin.get("/extensions/open", 302, number=typed))
    assert page.message == "Use digits, * and # only."


def test_a_scenario_is_saved(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    page = admin.get("/extensions/101")
    assert page.fields()["ring"] == ["25"]
    changes = {
        "ring": "۳۰",
        "no_answer_kind": "module",
        "no_answer_code": "*۵۰۰۱",
        "busy_kind": "queue",
        "busy_code": "800",
        "unavailable_kind": "custom",
        "unavailable_code": "ivr-1,s,1",
    }
    page = admin.follow(admin.submit(page, "/extensions/101", **changes))
    assert page.message.startswith("The scenario is saved.")
    saved = extension(database)
    assert saved is not None and saved.ring == 30
    assert (saved.no_answer_kind, saved.no_answer_code) == ("module", "*5001")
    assert (saved.busy_kind, saved.busy_code) == ("queue", "800")
    assert (saved.unavailable_kind, saved.unavailable_code) == ("custom", "ivr-1,s,1")
    assert commands(database) == [("write_dialplan", "sara")]
    again = {name: values[0] for name, values in admin.get("/extensions/101").fields().items()}
    assert again["no_answer_code"] == "*5001" and again["unavailable_kind"] == "custom"


def test_a_way_is_taken_back(admin: Visitor, database: Database) -> None:
    store(database, ExtensionScenario(extension="101", busy_kind="extension", busy_code="102"))
    admin.submit(admin.get("/extensions/101"), "/extensions/101", busy_kind="")
    saved = extension(database)
    assert saved is not None and (saved.busy_kind, saved.busy_code) == ("", "")


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        ({"ring": "4"}, "ring", "This is out of range. Enter another value."),
        ({"ring": "long"}, "ring", "Enter a whole number."),
        ({"busy_kind": "extension"}, "busy_code", "This field is required."),
        (
            {"busy_kind": "extension", "busy_code": "101"},
            "busy_code",
            "Callers would come back here again and again. Choose another destination.",
        ),
        (
            {"busy_kind": "module", "busy_code": "*5009"},
            "busy_code",
            "There is no module with this code. Check the code. Check the code.",
        ),
        (
            {"no_answer_kind": "custom", "no_answer_code": "ivr"},
            "no_answer_code",
            "Enter context,extension,priority.",
        ),
        ({"unavailable_kind": "moon", "unavailable_code": "1"}, "unavailable_code", "Choose an item from the list."),
    ],
)
def test_a_fault_stands_beside_its_field(
    admin: Visitor, database: Database, typed: dict[str, Any], field: str, message: str
) -> None:
    others = {"no_answer_kind": "extension", "no_answer_code": "109"}
    page = admin.submit(admin.get("/extensions/101"), "/extensions/101", 422, **(others | typed))
    assert page.error(field) == message
    kept = {name: values[0] for name, values in page.fields().items()}
    expected = {name: value for name, value in (others | typed).items() if value != "moon"}
    assert {name: kept[name] for name in expected} == expected
    assert extension(database) is None and commands(database) == []


# -- queues -----------------------------------------------------------------------------------------------------------


def test_queues_are_listed_with_members_and_waiting_callers(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001", target_kind="queue", targets=["800"])
    create_line(database, "101", name="Sara", state="in_call")
    store(database, QueueRow(name="800", live_callers=2))
    store(database, QueueMemberRow(queue="800", extension="101"))
    store(database, QueueMemberRow(queue="800", extension="102", name="Omid", paused=True, penalty=3))
    store(database, QueueScenario(queue="810", failed_kind="module", failed_code="*5001"))
    expected = [
        "800 101 Sara in a call 102 Omid unknown paused penalty 3 2 – Sales Edit",
        "810 not reported nobody 0 call request module *5001 after 60 seconds – Edit",
    ]
    assert rows(admin.get("/queues")) == expected
    assert rows(admin.ask("/queues/rows")) == expected
    assert rows(admin.ask("/queues/rows?q=omid")) == expected[:1]
    assert "No queue matches." in admin.get("/queues", q="nobody").main


def test_a_queues_destination_is_saved(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    page = admin.get("/queues/800")
    assert (page.fields()["max_wait"], page.fields()["wrapup"]) == (["60"], ["0"])
    changes = {"max_wait": "۱۲۰", "wrapup": "15", "failed_kind": "module", "failed_code": "*5001"}
    page = admin.follow(admin.submit(page, "/queues/800", **changes))
    assert page.message.startswith("The queue's destination is saved.")
    saved = queue(database)
    assert saved is not None
    assert (saved.max_wait, saved.wrapup, saved.failed_kind, saved.failed_code) == (120, 15, "module", "*5001")
    assert commands(database) == [("write_dialplan", "sara")]
    admin.submit(admin.get("/queues/800"), "/queues/800", failed_kind="")
    saved = queue(database)
    assert saved is not None and (saved.failed_kind, saved.failed_code) == ("", "")


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        ({"max_wait": "4"}, "max_wait", "This is out of range. Enter another value."),
        ({"wrapup": "3601"}, "wrapup", "This is out of range. Enter another value."),
        ({"wrapup": ""}, "wrapup", "Enter a whole number."),
        (
            {"failed_kind": "queue", "failed_code": "800"},
            "failed_code",
            "Callers would come back here again and again. Choose another destination.",
        ),
        ({"failed_kind": "extension", "failed_code": ""}, "failed_code", "This field is required."),
    ],
)
def test_a_fault_of_a_queue_stands_beside_its_field(
    admin: Visitor, database: Database, typed: dict[str, Any], field: str, message: str
) -> None:
    page = admin.submit(admin.get("/queues/800"), "/queues/800", 422, **({"max_wait": "90"} | typed))
    assert page.error(field) == message
    kept = {name: values[0] for name, values in page.fields().items()}
    assert {name: kept[name] for name in typed} == typed
    assert queue(database) is None


@pytest.mark.parametrize(("typed", "page"), [("800", "800"), ("۸۰۰", "800"), (" sales ", "sales")])
def test_a_queue_is_typed_by_hand(admin: Visitor, typed: str, page: str) -> None:
    answer = admin.get("/queues/open", 302, name=typed)
    assert answer.response.headers["Location"] == f"/queues/{page}"
    admin.follow(answer)


@pytest.mark.parametrize("typed", ["", "sales team", "../modules"])
def test_what_is_no_queue_is_told(admin: Visitor, typed: str) -> None:
    page = admin.follow(admin.get("/queues/open", 302, name=typed))
    assert page.message == "Use letters, digits, dots, dashes and underscores only."


# -- what the pages tell ----------------------------------------------------------------------------------------------


def test_extensions_are_searched_by_number_and_name(admin: Visitor, database: Database) -> None:
    create_line(database, "101", name="Sara")
    create_line(database, "102", name="امید")
    for wanted, found in (("sar", "101"), ("۱۰۲", "102"), ("امید", "102")):
        for page in (admin.get("/extensions", q=wanted), admin.ask(f"/extensions/rows?q={wanted}")):
            (row,) = rows(page)
            assert row.startswith(found)
    assert "No extension matches." in admin.get("/extensions", q="nobody").main


@pytest.mark.parametrize("path", ["/extensions", "/extensions/rows", "/extensions/101", "/queues", "/queues/800"])
def test_out_of_reach_the_states_are_said_to_be_old(admin: Visitor, database: Database, path: str) -> None:
    create_line(database, "101")
    store(database, QueueRow(name="800"))
    get = admin.ask if path.endswith("rows") else admin.get
    assert "The exchange is out of reach now" in get(path).main
    create_running_service(database)
    assert "The exchange is out of reach now" not in get(path).main


def test_an_extension_tells_which_modules_are_for_it(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    create_module(database, name="Sales", targets=["101", "102"])
    create_module(database, name="Night", targets=["101"], active=False)
    create_module(database, name="Support", target_kind="queue", targets=["101"])
    (row,) = rows(admin.get("/extensions"))
    assert "Sales, Night (switched off)" in row and "Support" not in row


def test_the_same_for_all_three_is_taken_from_the_first(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    page = admin.get("/extensions/101")
    typed = {"same": "y", "no_answer_kind": "module", "no_answer_code": "*5001", "busy_kind": "extension"}
    admin.submit(page, "/extensions/101", **typed)
    saved = extension(database)
    assert saved is not None
    assert {saved.no_answer_code, saved.busy_code, saved.unavailable_code} == {"*5001"}
    assert "same" in admin.get("/extensions/101").fields()


@pytest.mark.parametrize("path", ["/extensions/101", "/queues/800"])
def test_a_scenario_is_deleted_after_a_question(admin: Visitor, database: Database, path: str) -> None:
    store(database, ExtensionScenario(extension="101", busy_kind="extension", busy_code="102"))
    store(database, QueueScenario(queue="800", failed_kind="extension", failed_code="102"))
    assert admin.get(path).has("a", href=f"{path}/delete")
    page = admin.get(f"{path}/delete")
    assert "extension 102" in page.main
    page = admin.follow(admin.submit(page, f"{path}/delete"))
    assert page.message.endswith("is deleted.")
    assert (extension(database) if "extensions" in path else queue(database)) is None
    assert commands(database) == [("write_dialplan", "sara")]
    admin.get(f"{path}/delete", 404)
    admin.post(f"{path}/delete", status=404)
    assert not admin.get(path).has("a", href=f"{path}/delete")


# -- the dialplan that results ----------------------------------------------------------------------------------------


DIALPLAN = """; Revision abc
[bazang-modules]
exten => 101,1,Goto(elsewhere,s,1)

[bazang-extensions]
exten => 101,hint,PJSIP/101
exten => 101,1,Goto(bazang-extension-101,s,1)
exten => 1010,1,Goto(bazang-extension-1010,s,1)

[bazang-extension-101]
exten => s,1,Set(BAZANG_WANTED=101)
 same => n,Hangup()

[bazang-queues]
exten => 800,1,Answer()
 same => n,Queue(800,,,,60)
exten => 801,1,Answer()
"""
OF_101 = """[bazang-extensions]
exten => 101,hint,PJSIP/101
exten => 101,1,Goto(bazang-extension-101,s,1)

[bazang-extension-101]
exten => s,1,Set(BAZANG_WANTED=101)
 same => n,Hangup()"""
OF_800 = "[bazang-queues]\nexten => 800,1,Answer()\n same => n,Queue(800,,,,60)"


def write_dialplan(settings: Settings) -> None:
    settings.dialplan_path.parent.mkdir(parents=True, exist_ok=True)
    settings.dialplan_path.write_text(DIALPLAN)


def dialplan_of(page: Page) -> str:
    return "".join(page.one("pre").itertext())


def test_the_lines_of_the_dialplan_are_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    write_dialplan(settings)
    create_running_service(database, dialplan_running="abc")
    for path, lines in (("/extensions/101", OF_101), ("/queues/800", OF_800)):
        page = admin.get(path)
        assert dialplan_of(page) == lines
        assert "older" not in page.main
    assert "Nothing stands in the dialplan for it yet" in admin.get("/extensions/109").main


def test_what_callers_must_get_to_is_ready_to_copy(admin: Visitor) -> None:
    copied = [
        button.get("data-copy") for button in admin.get("/extensions/101").all("button") if button.get("data-copy")
    ]
    assert copied == [
        "bazang-extensions,101,1",
        "include => bazang-extensions",
        "exten => 101,1,Goto(bazang-extensions,101,1)",
    ]


@pytest.mark.parametrize("path", ["/extensions/101", "/queues/800"])
def test_a_dialplan_that_is_not_there_is_told(admin: Visitor, path: str) -> None:
    page = admin.get(path)
    assert "There is no dialplan that can be read here yet" in page.main and not page.has("pre")


def test_a_dialplan_that_is_older_is_told(admin: Visitor, database: Database, settings: Settings) -> None:
    write_dialplan(settings)
    create_running_service(database, dialplan_running="another")
    assert "does not run this dialplan yet" in admin.get("/extensions/101").main
    admin.submit(admin.get("/extensions/101"), "/extensions/101", ring="30")
    with database.write() as session:
        for command in session.scalars(select(Command)):
            command.created_at = datetime.now(UTC) + timedelta(seconds=2)
    assert "This is older than what was saved last" in admin.get("/extensions/101").main


# -- where the exchange has pages of its own --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/extensions/101", "/queues/800"])
def test_on_freepbx_the_page_names_the_custom_destination(
    app: Flask, admin: Visitor, database: Database, path: str
) -> None:
    create_module(database, name="Sales", code="*5001")
    settings = app.extensions["bazang"]["settings"]
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, pbx_profile="freepbx")
    create_module(database, name="Night", code="*5002")
    page = admin.get(path)
    assert copied(page) == ["bazang-modules,*5001,1", "Bazang Sales"]
    page = admin.get(path, module="*5002")
    assert copied(page) == ["bazang-modules,*5002,1", "Bazang Night"]
    assert len(page.all("ol", class_="walk")) == 1 and "Apply Config" in page.main
    admin.post(path, {"ring": "30", "max_wait": "60"}, 200)
    assert extension(database) is None and queue(database) is None


def copied(page: Page) -> list[str | None]:
    return [button.get("data-copy") for button in page.all("button") if button.get("data-copy")]


@pytest.mark.parametrize("path", ["/extensions/101", "/queues/800"])
def test_on_freepbx_without_a_module_one_is_to_be_added(app: Flask, admin: Visitor, path: str) -> None:
    settings = app.extensions["bazang"]["settings"]
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, pbx_profile="freepbx")
    assert admin.get(path).has("a", href="/modules/new")
