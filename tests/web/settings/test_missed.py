"""The page with the rules for missed calls."""

from app.domain.missed_calls import Target
from app.services.missed import rules
from app.store.database import Database
from app.store.missed_calls import MissedCallSettings
from app.store.settings import write_setting
from app.web import wording
from tests.support.factories import create_module
from tests.web.pages import Page, Visitor, rows

PATH = "/settings/missed"


def save(admin: Visitor, page: Page, status: int = 302, **typed: str) -> Page:
    fields = page.fields(page.form(id="add-rule")) | {name: [value] for name, value in typed.items()}
    return admin.post(f"{PATH}/rules", fields, status)


def test_rule_is_added_changed_and_removed(admin: Visitor, database: Database) -> None:
    module = create_module(database, name="Desk", targets=["101"])
    page = admin.get(PATH)
    assert "No missed calls are listed." in page.main
    page = admin.follow(save(admin, page, code="۱۰۱", module=str(module.id), minutes="15"))
    (row,) = rows(page)
    assert "extension 101" in row and "Desk" in row and "15 minutes" in row
    page = admin.get(PATH, target="101")
    fields = page.fields(page.form(id="add-rule"))
    assert (fields["kind"], fields["code"], fields["module"]) == (["extension"], ["101"], [str(module.id)])
    page = admin.follow(save(admin, page, module="", minutes="0"))
    assert "never" in rows(page)[0] and "the first module" in rows(page)[0]
    (listed,) = rules.load_rules(database)
    admin.follow(admin.post(f"{PATH}/rules/{listed.rule.id}/remove"))
    assert rules.load_rules(database) == []
    admin.post(f"{PATH}/rules/{listed.rule.id}/remove", status=404)
    log = admin.get("/log").main
    assert "How missed calls of 101 are listed was saved." in log and "are no longer listed" in log


def test_queue_is_added(admin: Visitor, database: Database) -> None:
    page = admin.get(PATH, target="queue:support")
    save(admin, page)
    assert [each.rule.target for each in rules.load_rules(database)] == [Target(True, "support")]


def test_wrong_rule_is_shown_again(admin: Visitor, database: Database) -> None:
    module = create_module(database, targets=["102"])
    page = admin.get(PATH)
    for typed, errors in (
        ({"code": "sara"}, {"code": "code"}),
        ({"code": "101", "minutes": "1441"}, {"minutes": "range"}),
        ({"code": "101", "minutes": "x"}, {"minutes": "whole_number"}),
        ({"code": "101", "module": str(module.id)}, {"module": "choice"}),
        ({"code": "101", "module": "x"}, {"module": "choice"}),
    ):
        shown = save(admin, page, 422, **typed)
        for name in ("code", "minutes", "module"):
            assert shown.error(name) == (wording.error(errors[name]) if name in errors else ""), typed
    assert rules.load_rules(database) == []


def test_times_are_saved(admin: Visitor, database: Database) -> None:
    page = admin.get(PATH)
    times = page.form(id="times")
    assert (page.fields(times)["look_back"], page.fields(times)["kept"]) == (["24"], ["90"])
    admin.follow(admin.post(PATH, {"look_back": "48", "kept": "30"}))
    assert rules.load_settings(database) == MissedCallSettings(48, 30)
    page = admin.post(PATH, {"look_back": "0", "kept": "x"}, 422)
    assert (page.error("look_back"), page.error("kept")) == ("", wording.error("whole_number"))
    page = admin.post(PATH, {"look_back": "0", "kept": "30"}, 422)
    assert page.error("look_back") == wording.error("range")
    assert rules.load_settings(database) == MissedCallSettings(48, 30)


def test_pages_of_extensions_and_queues_lead_here(admin: Visitor, database: Database) -> None:
    for profile in ("asterisk", "freepbx"):
        with database.write() as session:
            write_setting(session, "pbx_profile", profile)
        assert admin.get("/extensions/101").has("a", href=f"{PATH}?target=101#add-rule")
        assert admin.get("/queues/support").has("a", href=f"{PATH}?target=queue:support#add-rule")
