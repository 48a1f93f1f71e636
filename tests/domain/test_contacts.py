import pytest

from app.domain import contacts
from app.domain.contacts import Action, ContactData, Fault, Planned, Reason, Row, plan_import, read_numbers
from app.domain.numbers import NumberPlan

PLAN = NumberPlan("IR", "021", frozenset({"101"}))
MOBILE, LANDLINE, OTHER = "+989121234567", "+982188776655", "+989127654321"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0912 123 4567", MOBILE),
        ("98912 123 4567", MOBILE),
        ("+98 (912) 123-4567", MOBILE),
        ("00989121234567", MOBILE),
        ("۰۹۱۲۱۲۳۴۵۶۷", MOBILE),
        ("88776655", LANDLINE),
        ("021-88776655", LANDLINE),
        ("021-88776655 ext. 12", LANDLINE),
        ("02188776655x12", LANDLINE),
        ("02188776655#12", LANDLINE),
        ("۰۲۱۸۸۷۷۶۶۵۵ داخلی ۱۲", LANDLINE),
        ("02188776655 داخلي: 12", LANDLINE),
        ("tel:+98-21-88776655;ext=12", LANDLINE),
        ("101", "101"),
    ],
)
def test_numbers_are_read_in_all_forms(text: str, number: str) -> None:
    assert read_numbers([text], PLAN) == ((number,), ())


def test_several_numbers_of_a_text() -> None:
    texts = ["09121234567; 021-88776655 ext 3 ::: 98912 765 4321", "abc\n0912 123 4567؛12"]
    assert read_numbers(texts, PLAN) == ((MOBILE, LANDLINE, OTHER), ("abc", "12"))


def test_search_text_has_name_and_organisation() -> None:
    assert contacts.search_text("علي كريمي", "Pars") == "علیکریمی pars"
    assert contacts.search_text("Sara", "") == "sara"


def row(name: str, *numbers: str, place: int = 1, organisation: str = "", note: str = "") -> Row:
    return Row(place, ContactData(name, organisation, numbers, note))


def plan(rows: list[Row], **existing: ContactData) -> list[tuple[Action, ContactData, tuple[Fault, ...]]]:
    planned = plan_import(rows, {int(key[1:]): data for key, data in existing.items()})
    return [(each.action, each.data, each.faults) for each in planned]


def test_new_contact_is_added() -> None:
    given = row("Sara", MOBILE, organisation="Pars", note="VIP")
    assert plan_import([given], {}) == [Planned(given, Action.ADDED, given.data, (), None, -1)]


def test_same_import_again_changes_nothing() -> None:
    sara = ContactData("Sara", "Pars", (LANDLINE, MOBILE), "VIP")
    assert plan([row("Sara", MOBILE)], c7=sara) == [(Action.UNCHANGED, sara, ())]


def test_a_row_completes_its_contact() -> None:
    sara = ContactData("Sara", "", (MOBILE,), "old")
    (found,) = plan([row("sara", MOBILE, LANDLINE, organisation="Pars", note="new")], c7=sara)
    assert found == (Action.CHANGED, ContactData("sara", "Pars", (MOBILE, LANDLINE), "new"), ())


def test_name_and_organisation_are_the_same_contact_with_a_new_number() -> None:
    sara = ContactData("Sara", "Pars", (MOBILE,))
    given = [row("سارا", OTHER, organisation="پارس"), row("SARA", LANDLINE, organisation="pars")]
    added, changed = plan(given, c7=sara)
    assert added[0] is Action.ADDED
    assert changed == (Action.CHANGED, ContactData("SARA", "pars", (MOBILE, LANDLINE)), ())


def test_name_alone_is_not_the_same_contact() -> None:
    assert plan([row("Sara", OTHER)], c7=ContactData("Sara", "", (MOBILE,)))[0][0] is Action.ADDED


def test_number_with_another_name_renames_the_contact() -> None:
    renamed = ContactData("Sara Ahmadi", "", (MOBILE,))
    sara = ContactData("Sara", "", (MOBILE,))
    assert plan([row("Sara Ahmadi", MOBILE)], c7=sara) == [(Action.CHANGED, renamed, ())]
    first, second = plan([row("Sara Ahmadi", MOBILE), row("Omid", MOBILE)], c7=sara)
    assert (first[0], second[0]) == (Action.CHANGED, Action.LEFT_OUT), "only one of the rows renames it"


@pytest.mark.parametrize("turned", [False, True])
def test_shared_number_stays_with_its_contact(turned: bool) -> None:
    """Two people of a company have its number. Importing their file again and again changes nothing."""
    sara, omid = row("Sara", LANDLINE, MOBILE, place=1), row("Omid", LANDLINE, OTHER, place=2)
    stored = {1: ContactData("Sara", "", (LANDLINE, MOBILE)), 2: ContactData("Omid", "", (OTHER,))}
    planned = {each.row.place: each for each in plan_import([omid, sara] if turned else [sara, omid], stored)}
    assert {each.action for each in planned.values()} == {Action.UNCHANGED}
    assert planned[2].faults == (Fault(Reason.TAKEN, LANDLINE),)


def test_row_that_has_only_the_number_of_another_row_is_left_out() -> None:
    first, second = plan([row("Sara", LANDLINE), row("Omid", LANDLINE)], c7=ContactData("Sara", "", (LANDLINE,)))
    assert first[0] is Action.UNCHANGED
    assert second[0] is Action.LEFT_OUT and second[2] == (Fault(Reason.TAKEN, LANDLINE),)
    first, second = plan([row("Sara", LANDLINE), row("Omid", LANDLINE)])
    assert (first[0], second[0]) == (Action.ADDED, Action.LEFT_OUT)


def test_rows_of_one_new_contact_are_joined() -> None:
    planned = plan_import([row("Sara", MOBILE), row("Sara", MOBILE, LANDLINE), row("Sara", LANDLINE, OTHER)], {})
    assert [each.action for each in planned] == [Action.ADDED, Action.JOINED, Action.JOINED]
    assert planned[-1].data == ContactData("Sara", "", (MOBILE, LANDLINE, OTHER))
    assert len({each.key for each in planned}) == 1


@pytest.mark.parametrize(("given", "reason"), [(row("", MOBILE), Reason.NO_NAME), (row("Sara"), Reason.NO_NUMBER)])
def test_incomplete_rows_are_left_out(given: Row, reason: Reason) -> None:
    assert plan([given]) == [(Action.LEFT_OUT, given.data, (Fault(reason),))]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(f"+98912{number:07}" for number in range(contacts.MOST_NUMBERS + 1))
    ((_, data, faults),) = plan([row("Sara", *many)])
    assert data.numbers == many[:-1] and faults == (Fault(Reason.TOO_MANY_NUMBERS, many[-1]),)
    monkeypatch.setattr(contacts, "MOST", 1)
    planned = plan([row("Sara", MOBILE), row("Omid", OTHER)])
    assert [each[0] for each in planned] == [Action.ADDED, Action.LEFT_OUT]
    assert planned[1][2] == (Fault(Reason.FULL),)
