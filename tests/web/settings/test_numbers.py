"""The page with the number policy."""

from itertools import product

import pytest
from flask import Flask

from app.config import Settings
from app.domain.number_kinds import NumberKind
from app.domain.number_policy import Rule, Source, Verdict
from app.domain.numbers import ascii_digits
from app.services.settings import numbers
from app.store.database import Database
from app.web import wording
from app.web.locale import use_locale
from app.web.verdicts import explain_verdict
from tests.support.factories import create_line, create_module, create_request, create_running_service
from tests.support.rows import for_each
from tests.web.pages import Page, Visitor, text

PATH = "/settings/numbers"


def add(admin: Visitor, form: str, status: int = 302, **typed: str) -> Page:
    page = admin.get(PATH)
    return admin.post(f"{PATH}/{form}", page.fields(page.form(action=f"{PATH}/{form}")) | typed, status)


def test_kinds_are_saved(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get(PATH)
    ordinary = ["landline", "mobile", "voip", "national", "toll_free"]
    assert page.fields(page.form(id="kinds"))["typed_kinds"] == ordinary
    given = {"kinds": ["landline", "mobile", "shared_cost"], "typed_kinds": ["landline"]}
    page = admin.follow(admin.post(PATH, given))
    assert {name: page.fields(page.form(id="kinds"))[name] for name in given} == given
    page = admin.post(PATH, {"kinds": ["landline"], "typed_kinds": ["mobile"]}, 422)
    assert page.error("typed_kinds") == wording.error("stricter")
    assert page.fields(page.form(id="kinds"))["typed_kinds"] == ["mobile"]
    assert "shared cost" in admin.get("/log").main


def test_countries_and_prefixes_are_added_and_removed(admin: Visitor, database: Database, settings: Settings) -> None:
    assert "No other country is allowed." in admin.get(PATH).main
    page = admin.follow(add(admin, "countries", country="GB", country_typed="y", country_note="<b>our branch</b>"))
    assert "United Kingdom" in page.main and "<b>our branch</b>" in page.main
    page = admin.follow(add(admin, "prefixes", prefix="۰۹۱۲", prefix_kind="refuse"))
    assert "+98912" in page.main and "refused" in page.main
    page = admin.follow(add(admin, "prefixes", prefix="+4930", prefix_kind="allow"))
    assert "allowed, but not if typed" in page.main and "allowed, also if typed" in page.main
    for rule in numbers.load(database, settings)[1]:
        admin.follow(admin.post(f"{PATH}/{rule.id}/remove"))
        admin.post(f"{PATH}/{rule.id}/remove", {}, 404)
    assert "No other country is allowed." in admin.get(PATH).main
    log = admin.get("/log").main
    assert "The rule for numbers of +98912 was added." in log and "+4930 was removed." in log


def test_faults_are_shown_beside_their_fields(admin: Visitor) -> None:
    page = add(admin, "countries", 422, country="IR", country_note="x" * 201)
    assert (page.error("country"), page.error("country_note")) == (wording.error("choice"), wording.error("too_long"))
    page = add(admin, "prefixes", 422, prefix="0", prefix_kind="x", prefix_note="a\u202eb")
    assert page.error("prefix") == wording.error("prefix")
    assert (page.error("prefix_kind"), page.error("prefix_note")) == (
        wording.error("choice"),
        wording.error("characters"),
    )
    assert page.fields(page.form(id="add-prefix"))["prefix"] == ["0"]


@for_each(
    ("number", "source", "words"),
    [
        ("۰۹۱۲۱۲۳۴۵۶۷", "typed", "It may be called. The number belongs to Iran and is of the kind “mobile”."),
        ("+442071838750", "caller_id", "It is not called. It belongs to United Kingdom."),
        ("110", "panel", "It is an emergency number."),
        ("+449061234567", "typed", "It is of the kind “premium rate”."),
        ("", "typed", "Enter a number."),
        ("+881612345678", "x", "of the kind “satellite”"),
    ],
)
def test_trial_says_which_rule_decides(admin: Visitor, number: str, source: str, words: str) -> None:
    given = {"number": number, "source": source}
    assert words in text(admin.press(f"{PATH}/try", given).root)
    page = admin.post(f"{PATH}/try", given, 200)
    assert words in text(page.one(id="verdict"))
    assert page.fields(page.form(id="try-number"))["number"] == [ascii_digits(number)]


@pytest.mark.parametrize("locale", ["en", "fa"])
def test_every_rule_has_a_sentence(app: Flask, locale: str) -> None:
    with app.test_request_context(), use_locale(locale):
        for rule, source in product(Rule, Source):
            for verdict in (Verdict(rule), Verdict(rule, "+4420", "001", NumberKind.SATELLITE, "+44")):
                assert str(explain_verdict(verdict, source)).endswith(".")


def test_number_that_may_not_be_called_waits_with_the_reason(admin: Visitor, database: Database) -> None:
    create_running_service(database, region="IR")
    create_line(database)
    create_request(database, create_module(database), target="101", number="+449061234567")
    page = admin.get("/requests")
    assert "the number may not be called. It is of the kind “premium rate”." in page.main
    assert "00449061234567" in page.main
