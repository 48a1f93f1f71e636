"""The pages of extensions and queues: the lists, the scenarios, and the lines of the dialplan."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.domain.dialplan_names import queue_extension
from app.domain.pbx_product import Product
from app.domain.policy import LineState
from app.domain.routing import Destination, DestinationKind, Situation
from app.services.pbx import queue_names
from app.services.pbx.module_destinations import store_destinations
from app.services.pbx.product import store_product
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, Prompt, QueueMemberRow, QueueRow, QueueScenario
from app.web.wording import error
from script.office.database import make_settings
from tests.support.factories import create_line, create_module, create_running_service, store
from tests.support.rows import for_each
from tests.web.pages import Page, Visitor, rows

MODULE = Destination("module", "*5001")


def extension(database: Database) -> ExtensionScenario | None:
    with database.read() as session:
        return session.get(ExtensionScenario, "101")


def queue(database: Database) -> QueueScenario | None:
    with database.read() as session:
        return session.get(QueueScenario, "800")


def commands(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(command.kind, command.actor) for command in session.scalars(select(Command))]


# -- the lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/extensions", "/queues"])
def test_empty_list_has_no_search(admin: Visitor, path: str) -> None:
    page = admin.get(path)
    assert page.has("div", class_="nothing") and not page.has("input", name="q")


@pytest.mark.parametrize("state", LineState)
def test_extension_is_listed_with_its_state(admin: Visitor, database: Database, state: LineState) -> None:
    create_line(database, "101", name="Sara", state=state.value)
    (row,) = rows(admin.get("/extensions"))
    assert row.startswith("101 Sara ") and row.endswith(" – – – – Edit")


def test_extension_with_a_scenario_is_listed_without_a_report(admin: Visitor, database: Database) -> None:
    create_line(database, "102")
    destinations = {"busy_kind": "module", "busy_code": "*5001", "no_answer_kind": "extension", "no_answer_code": "102"}
    store(database, ExtensionScenario(extension="101", **destinations))
    first, second = rows(admin.get("/extensions"))
    assert first == "101 unknown extension 102 call request module *5001 hang up – Edit"
    assert second.startswith("102 free")


def test_extension_is_listed_with_its_modules(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    create_module(database, name="Sales", targets=["101", "102"])
    create_module(database, name="Night", targets=["101"], active=False)
    create_module(database, name="Support", target_kind="queue", targets=["101"])
    (row,) = rows(admin.get("/extensions"))
    assert "Sales, Night (inactive)" in row and "Support" not in row


def test_queue_is_listed_with_members_and_waiting_callers(admin: Visitor, database: Database) -> None:
    create_module(database, name="Sales", code="*5001", target_kind="queue", targets=["800"])
    create_line(database, "101", name="Sara", state="in_call")
    store(database, QueueRow(name="800", live_callers=2))
    store(database, QueueMemberRow(queue="800", extension="101"))
    store(database, QueueMemberRow(queue="800", extension="102", name="Omid", paused=True, penalty=3))
    store(database, QueueScenario(queue="810", failed_kind="module", failed_code="*5001"))
    expected = [
        "800 101 Sara in a call 102 Omid unknown paused penalty 3 The PBX does not report this state. "
        "Technical details Add to extensions.conf: exten => 102,hint,PJSIP/102 2 – Sales Edit",
        "810 not reported nobody 0 call request module *5001 after 60 seconds – Edit",
    ]
    assert rows(admin.get("/queues")) == expected
    assert rows(admin.ask("/queues/rows")) == expected
    assert rows(admin.ask("/queues/rows?q=omid")) == expected[:1]
    assert rows(admin.get("/queues", q="nobody")) == []


def test_queue_whose_name_cannot_be_used_is_listed_with_the_reason(admin: Visitor, database: Database) -> None:
    store(database, QueueRow(name="sales/1"))
    (row,) = rows(admin.get("/queues"))
    assert row.startswith("sales/1 Bazang cannot use this name. Use letters, digits, spaces,") and "Edit" not in row


@pytest.mark.parametrize("typed", ["پشتیباني", "فنى", "۲"])
def test_queue_with_a_persian_name_is_found(admin: Visitor, database: Database, typed: str) -> None:
    store(database, QueueRow(name="پشتیبانی\u200cفنی 2"))
    store(database, QueueRow(name="800"))
    (row,) = rows(admin.get("/queues", q=typed))
    assert row.startswith("پشتیبانی")


def test_extensions_are_searched_by_number_and_name(admin: Visitor, database: Database) -> None:
    create_line(database, "101", name="Sara")
    create_line(database, "102", name="امید")
    for typed, found in (("sar", "101"), ("۱۰۲", "102"), ("امید", "102")):
        for page in (admin.get("/extensions", q=typed), admin.ask(f"/extensions/rows?q={typed}")):
            (row,) = rows(page)
            assert row.startswith(found)
    assert rows(admin.get("/extensions", q="nobody")) == []


@pytest.mark.parametrize(
    ("path", "typed", "target"),
    [
        ("/extensions", {"number": " ۱۰۳ "}, "/extensions/103"),
        ("/extensions", {"number": "*50#"}, "/extensions/*50%23"),
        ("/queues", {"name": "۸۰۰"}, "/queues/800"),
        ("/queues", {"name": " sales "}, "/queues/sales"),
        ("/queues", {"name": "sales team"}, "/queues/sales%20team"),
        ("/queues", {"name": "صف ۲"}, "/queues/%D8%B5%D9%81%20%DB%B2"),
    ],
)
def test_extension_or_queue_is_opened_by_typing_it(
    admin: Visitor, path: str, typed: dict[str, Any], target: str
) -> None:
    answer = admin.get(f"{path}/open", 302, **typed)
    assert answer.response.headers["Location"] == target
    admin.follow(answer)


@pytest.mark.parametrize("typed", ["", "a,b", "1/2", "../queues", "x" * 81])
def test_typing_something_else_leads_back(admin: Visitor, typed: str) -> None:
    for path, name in (("/extensions", "number"), ("/queues", "name")):
        answer = admin.get(f"{path}/open?{urlencode({name: typed})}", 302)
        assert answer.response.headers["Location"] == path
        assert admin.follow(answer).message


@pytest.mark.parametrize("path", ["/extensions", "/extensions/rows", "/extensions/101", "/queues", "/queues/800"])
def test_states_without_connection_have_a_warning(admin: Visitor, database: Database, path: str) -> None:
    create_line(database, "101")
    store(database, QueueRow(name="800"))
    get = admin.ask if path.endswith("rows") else admin.get
    assert "There is no connection to the PBX" in get(path).main
    create_running_service(database)
    assert "There is no connection to the PBX" not in get(path).main


# -- the scenario of an extension -------------------------------------------------------------------------------------


def test_new_scenario_starts_with_the_module_that_serves_its_target(admin: Visitor, database: Database) -> None:
    store(database, QueueRow(name="800"))
    create_module(database, code="*5000", targets=["103"])
    create_module(database, code="*5001", targets=["101"], active=False)
    create_module(database, code="*5002", targets=["101", "102"])
    create_module(database, code="*5003", target_kind="queue", targets=["800"])
    page = admin.get("/extensions/101")
    assert "This is a proposal." in page.main
    admin.submit(page, "/extensions/101")
    saved = extension(database)
    assert saved is not None
    assert {saved.no_answer, saved.busy, saved.unavailable} == {Destination("module", "*5002")}
    assert "This is a proposal." not in admin.get("/extensions/101").main
    assert admin.get("/extensions/109").fields()["no_answer_kind"] == ["module:*5000"]
    admin.submit(admin.get("/queues/800"), "/queues/800")
    saved_queue = queue(database)
    assert saved_queue is not None and saved_queue.failed == Destination("module", "*5003")


def test_scenario_of_an_extension_is_saved(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    page = admin.get("/extensions/101")
    assert page.fields()["ring"] == ["25"]
    changes: dict[str, Any] = {
        "same": None,
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
    assert saved.no_answer == MODULE
    assert saved.busy == Destination("queue", "800")
    assert saved.unavailable == Destination("custom", "ivr-1,s,1")
    assert commands(database) == [("write_dialplan", "sara")]
    shown = {name: values[0] for name, values in admin.get("/extensions/101").fields().items()}
    assert (shown["no_answer_kind"], shown["unavailable_kind"]) == ("module:*5001", "custom:ivr-1,s,1")
    assert (shown["busy_kind"], shown["busy_code"]) == ("queue", "800"), "the PBX has not reported this queue"
    admin.submit(admin.get("/extensions/101"), "/extensions/101", busy_kind="")
    saved = extension(database)
    assert saved is not None and saved.busy == Destination()


def test_same_destination_for_all_situations(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    typed = {"same": "y", "no_answer_kind": "module", "no_answer_code": "*5001", "busy_kind": "extension"}
    admin.submit(admin.get("/extensions/101"), "/extensions/101", **typed)
    saved = extension(database)
    assert saved is not None and saved.no_answer == saved.busy == saved.unavailable == MODULE
    assert "same" in admin.get("/extensions/101").fields()


@for_each(
    ("typed", "field", "code"),
    [
        ({"ring": "4"}, "ring", "range"),
        ({"ring": "long"}, "ring", "whole_number"),
        ({"busy_kind": "extension"}, "busy_code", "required"),
        ({"busy_kind": "extension", "busy_code": "101"}, "busy_code", "cycle"),
        ({"unavailable_kind": "moon", "unavailable_code": "1"}, "unavailable_code", "choice"),
    ],
)
def test_error_of_an_extension_stands_beside_its_field(
    admin: Visitor, database: Database, typed: dict[str, Any], field: str, code: str
) -> None:
    others = {"no_answer_kind": "extension", "no_answer_code": "109"}
    page = admin.submit(admin.get("/extensions/101"), "/extensions/101", 422, **(others | typed))
    assert page.error(field) == error(code)
    assert [element.get("id") for element in page.all(class_="invalid-feedback")] == [f"{field}-error"]
    shown = {name: values[0] for name, values in page.fields().items()}
    expected = {name: value for name, value in (others | typed).items() if value != "moon"}
    assert {name: shown[name] for name in expected} == expected
    assert extension(database) is None and commands(database) == []


# -- the scenario of a queue ------------------------------------------------------------------------------------------


def test_scenario_of_a_queue_is_saved(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    page = admin.get("/queues/800")
    assert (page.fields()["max_wait"], page.fields()["wrapup"]) == (["60"], ["0"])
    changes = {"max_wait": "۱۲۰", "wrapup": "15", "failed_kind": "module", "failed_code": "*5001"}
    page = admin.follow(admin.submit(page, "/queues/800", **changes))
    assert page.message.startswith("The scenario is saved.")
    saved = queue(database)
    assert saved is not None and (saved.max_wait, saved.wrapup, saved.failed) == (120, 15, MODULE)
    assert commands(database) == [("write_dialplan", "sara")]
    admin.submit(admin.get("/queues/800"), "/queues/800", failed_kind="")
    saved = queue(database)
    assert saved is not None and (saved.wrapup, saved.failed) == (15, Destination())


def test_scenario_of_a_queue_whose_name_is_no_extension(admin: Visitor, database: Database) -> None:
    path, name = f"/queues/{quote('فروش ۲ تهران')}", "فروش ۲ تهران"
    admin.follow(admin.submit(admin.get(path), path, max_wait="90"))
    with database.read() as session:
        assert session.get_one(QueueScenario, name).max_wait == 90
    assert copyable(admin.get(path))[0] == f"bazang-queues,{queue_extension(name)},1"
    admin.submit(admin.get(f"{path}/delete"), f"{path}/delete")


def test_queue_that_the_pbx_takes_for_another_is_explained(admin: Visitor, database: Database) -> None:
    store(database, QueueScenario(queue="a-b"))
    page = admin.submit(admin.get("/queues/ab"), "/queues/ab", 422, max_wait="90")
    assert "Queue: The PBX would take this name for that of another queue" in page.main
    store(database, QueueScenario(queue="ab"))  # as an older version allowed
    with database.read() as session:
        location = f"bazang-queues,{queue_names.extension_of(session, 'ab')},1"
    page = admin.get("/queues/ab")
    assert copyable(page)[0] == location
    assert "takes this name for that of queue a-b" in page.main
    assert ["queue a-b" in row for row in rows(admin.get("/queues"))] == [False, True]


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"max_wait": "4"}, "max_wait"),
        ({"wrapup": ""}, "wrapup"),
        ({"failed_kind": "queue", "failed_code": "800"}, "failed_code"),
    ],
)
def test_error_of_a_queue_stands_beside_its_field(
    admin: Visitor, database: Database, typed: dict[str, Any], field: str
) -> None:
    page = admin.submit(admin.get("/queues/800"), "/queues/800", 422, **({"max_wait": "90"} | typed))
    assert page.error(field)
    shown = {name: values[0] for name, values in page.fields().items()}
    assert {name: shown[name] for name in typed} == typed
    assert queue(database) is None


@pytest.mark.parametrize("path", ["/extensions/101", "/queues/800"])
def test_scenario_is_deleted_after_a_confirmation(admin: Visitor, database: Database, path: str) -> None:
    store(database, ExtensionScenario(extension="101", busy_kind="extension", busy_code="102"))
    store(database, QueueScenario(queue="800", failed_kind="extension", failed_code="102"))
    assert admin.get(path).has("a", href=f"{path}/delete")
    page = admin.get(f"{path}/delete")
    assert "extension 102" in page.main
    admin.submit(page, f"{path}/delete")
    assert (extension(database) if "extensions" in path else queue(database)) is None
    assert commands(database) == [("write_dialplan", "sara")]
    admin.get(f"{path}/delete", 404)
    admin.post(f"{path}/delete", status=404)
    assert not admin.get(path).has("a", href=f"{path}/delete")


# -- the lines of the dialplan ----------------------------------------------------------------------------------------

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

; Removed at 1793692800
[bazang-queues](+)
exten => 800,2,Answer()
"""
LINES_OF_101 = """[bazang-extensions]
exten => 101,hint,PJSIP/101
exten => 101,1,Goto(bazang-extension-101,s,1)

[bazang-extension-101]
exten => s,1,Set(BAZANG_WANTED=101)
 same => n,Hangup()"""
LINES_OF_800 = "[bazang-queues]\nexten => 800,1,Answer()\n same => n,Queue(800,,,,60)"


def write_dialplan(settings: Settings) -> None:
    settings.dialplan_path.parent.mkdir(parents=True, exist_ok=True)
    settings.dialplan_path.write_text(DIALPLAN)


def copyable(page: Page) -> list[str | None]:
    return [button.get("data-copy") for button in page.all("button") if button.get("data-copy")]


def test_lines_of_the_dialplan_are_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    write_dialplan(settings)
    create_running_service(database, dialplan_running="abc")
    for path, lines in (("/extensions/101", LINES_OF_101), ("/queues/800", LINES_OF_800)):
        page = admin.get(path)
        assert "".join(page.one("pre").itertext()) == lines
        assert "older" not in page.main
    assert "The dialplan has nothing for it yet." in admin.get("/extensions/109").main


def test_lines_for_the_pbx_can_be_copied(admin: Visitor) -> None:
    assert copyable(admin.get("/extensions/101")) == [
        "bazang-extensions,101,1",
        "include => bazang-extensions",
        "exten => 101,1,Goto(bazang-extensions,101,1)",
    ]
    assert copyable(admin.get("/queues/800")) == ["bazang-queues,800,1", "include => bazang-queues"]


def test_missing_dialplan_has_a_warning(admin: Visitor) -> None:
    page = admin.get("/queues/800")
    assert "The dialplan file cannot be read:" in page.main and not page.has("pre")


def test_outdated_dialplan_has_a_warning(admin: Visitor, database: Database, settings: Settings) -> None:
    write_dialplan(settings)
    create_running_service(database, dialplan_running="another")
    assert "The PBX does not run this dialplan yet." in admin.get("/extensions/101").main
    admin.submit(admin.get("/extensions/101"), "/extensions/101", ring="30")
    with database.write() as session:
        for command in session.scalars(select(Command)):
            command.created_at = datetime.now(UTC) + timedelta(seconds=2)
    assert "This is older than the last change." in admin.get("/extensions/101").main


# -- FreePBX ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def freepbx(app: Flask) -> None:
    settings = app.extensions["bazang"]["settings"]
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, pbx_profile="freepbx")


@pytest.mark.parametrize("path", ["/extensions/101", "/queues/800"])
def test_freepbx_page_has_the_custom_destination(admin: Visitor, database: Database, freepbx: None, path: str) -> None:
    assert admin.get(path).has("a", href="/modules/new")
    create_module(database, name="Sales", code="*5001")
    create_module(database, name="Night", code="*5002")
    page = admin.get(path)
    assert copyable(page) == ["bazang-modules,*5001,1", "Bazang Sales"]
    assert len(page.all("ol", class_="instructions")) == 1 and "Apply Config" in page.main
    assert ("switch voicemail off" in page.main) == path.startswith("/extensions")
    assert copyable(admin.get(path, module="*5002")) == ["bazang-modules,*5002,1", "Bazang Night"]
    admin.post(path, {"ring": "30", "max_wait": "60"}, 200)
    assert extension(database) is None and queue(database) is None


def test_freepbx_queue_asks_for_a_wrapup_time_that_the_pbx_does_not_tell(
    admin: Visitor, database: Database, freepbx: None
) -> None:
    create_module(database)
    store(database, QueueRow(name="800"))
    admin.submit(admin.get("/queues/800"), "/queues/800", wrapup="15")
    stored = queue(database)
    assert stored is not None and stored.wrapup == 15
    assert "wrap-up time is saved" in admin.get("/queues").message
    assert admin.get("/queues/800").fields()["wrapup"] == ["15"]
    assert "out of range" in admin.post("/queues/800", {"wrapup": "4000"}, 422).main
    with database.write() as session:
        session.get_one(QueueRow, "800").wrapup = 30
    page = admin.get("/queues/800")
    assert "30 seconds, read from the PBX" in page.main and not page.has("input", name="wrapup")


def test_freepbx_pages_show_which_destinations_are_set(admin: Visitor, database: Database, freepbx: None) -> None:
    create_module(database, name="Sales", code="*5001", targets=["101"])
    create_module(database, name="Support", code="*5002", target_kind="queue", targets=["800"])
    for number in ("101", "102"):
        create_line(database, number)
    store(database, QueueRow(name="800"))
    assert "missing" not in admin.get("/extensions").main, "nothing is known yet"
    store_destinations(
        database,
        {
            (DestinationKind.EXTENSION, "101", Situation.NO_ANSWER): "*5001",
            (DestinationKind.EXTENSION, "101", Situation.BUSY): "*5001",
        },
    )
    first, second = rows(admin.get("/extensions"))
    assert "done *5001 done *5001 missing Sales" in first
    assert "– – – –" in second, "no module is for 102"
    assert "no answer done *5001 busy done *5001 unavailable missing" in admin.get("/extensions/101").main
    (row,) = rows(admin.get("/queues"))
    assert "missing" in row and "Failed-call destination: missing" in admin.get("/queues/800").main
    store_destinations(database, {(DestinationKind.QUEUE, "800", "failed"): "*5002"})
    assert "Failed-call destination: done *5002" in admin.get("/queues/800").main
    store_destinations(database, None)
    assert "missing" not in admin.get("/queues").main


def test_queue_page_says_how_the_offer_is_set_up(admin: Visitor, database: Database, settings: Settings) -> None:
    assert "queues.conf" not in admin.get("/queues/800").main
    create_module(database, name="Support", code="*5002", target_kind="queue", targets=["800"], offer_key="4")
    sound = f"{settings.asterisk_prompts_dir}/offers/module-1"
    lines = ["context=bazang-offer-1", f"periodic-announce={sound}", "periodic-announce-frequency=60"]
    page = admin.get("/queues/800")
    assert "\n".join(lines) in copyable(page)
    assert "done" not in page.main and "missing" not in page.main, "nothing is known yet"
    store_destinations(database, None, {})
    assert "by key 4. missing" in admin.get("/queues/800").main
    store_destinations(database, None, {"800": "*5002"})
    assert "by key 4. done" in admin.get("/queues/800").main
    store(database, Prompt(module_id=1, key="offer", mode="none"))
    assert "context=bazang-offer-1" in copyable(admin.get("/queues/800"))
    assert "queues.conf" not in admin.get("/queues/801").main


def test_freepbx_page_of_a_queue_has_the_steps_of_the_offer(admin: Visitor, database: Database, freepbx: None) -> None:
    create_module(database, name="Sales", code="*5001", target_kind="queue", targets=["800"])
    assert "IVR" not in admin.get("/queues/800").main
    create_module(database, name="Support", code="*5002", target_kind="queue", targets=["800"], offer_key="4")
    page = admin.get("/queues/800")
    assert "IVR Break Out Menu" in page.main and "enter the key 4" in page.main and "60 seconds" in page.main
    assert page.has("a", href="/modules/2/prompts/offer.wav?download=1")
    assert "has the right “config”" in page.main
    store_destinations(database, {}, {"800": "*5002"})
    page = admin.get("/queues/800")
    assert "by key 4. done" in page.main and "has the right “config”" not in page.main
    assert "IVR" not in admin.get("/queues/801").main


WORDS = {  # by product: words that must stand on the pages of an extension and of a queue, and words that must not
    None: ({"Connectivity → Extensions", "PBX Configuration", "Target", "On FreePBX and Issabel"}, set()),
    Product.FREEPBX: ({"Connectivity → Extensions", "PBX Configuration", "On FreePBX and Issabel"}, set()),
    Product.FREEPBX_16: (
        {"Applications → Extensions", "Admin → Custom Destinations", "“Target”", "“Return”", "tab “Advanced”"},
        {"Connectivity", "Issabel", "PBX Configuration"},
    ),
    Product.FREEPBX_17: (
        {"Connectivity → Extensions", "Admin → Custom Destinations", "“Target”", "“Return”", "Applications → Queues"},
        {"Applications → Extensions", "Issabel", "PBX Configuration"},
    ),
    Product.ISSABEL: (
        {"PBX → PBX Configuration → Extensions", "“Custom Destination”", "On Issabel", "set “Status” to “Disabled”"},
        {"FreePBX", "Connectivity", "Applications", "Admin →", "“Target”", "“Return”", "tab “"},
    ),
}


@pytest.mark.parametrize("product", WORDS)
def test_steps_have_the_words_of_the_product(
    admin: Visitor, database: Database, freepbx: None, product: Product | None
) -> None:
    create_module(database)
    if product is not None:
        store_product(database, product)
    text = admin.get("/extensions/101").main + admin.get("/queues/800").main
    wanted, unwanted = WORDS[product]
    assert {word for word in wanted if word not in text} == set()
    assert {word for word in unwanted if word in text} == set()
