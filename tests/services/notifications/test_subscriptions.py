"""The browsers of users, and the key of the office."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from app.config import Settings
from app.services import users
from app.services.errors import Invalid, NotFound
from app.services.modules import transfer
from app.services.notifications import keys, preferences, subscriptions
from app.services.notifications.preferences import PreferencesInput
from app.services.notifications.subscriptions import MOST_BROWSERS, NO_CONTACT, contact_of
from app.store.database import Database
from app.store.models import PushSubscription, Setting
from script.office.database import make_settings
from tests.support.factories import NOW, run_at_once
from tests.support.notified import add_browser
from tests.support.push_service import HOST, encode, make_subscription

GIVEN = make_subscription()


def add_user(database: Database, name: str) -> int:
    return users.create(database, name, "correct horse", "operator", NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "https://192.168.1.1/"),
        ("p256dh", ""),
        ("p256dh", "é"),
        ("p256dh", encode(b"\x04" + b"\x01" * 64)),  # no point of the curve
        ("p256dh", GIVEN.p256dh * 2),
        ("auth", ""),
        ("auth", encode(b"short")),
    ],
)
def test_keys_that_are_none_and_other_addresses_are_refused(
    database: Database, office: Settings, field: str, value: str
) -> None:
    user = add_user(database, "omid")
    with pytest.raises(Invalid) as raised:
        add_browser(database, office, user, replace(GIVEN, **{field: value}), NOW)
    assert raised.value.errors.keys() == {field}


def test_browser_belongs_to_the_last_user_and_keeps_its_row_after_a_new_log_in(
    database: Database, office: Settings
) -> None:
    omid, lena = add_user(database, "omid"), add_user(database, "lena")
    first = add_browser(database, office, omid, GIVEN, NOW)
    assert add_browser(database, office, omid, GIVEN, NOW) == first
    second = add_browser(database, office, lena, GIVEN, NOW)
    assert subscriptions.list_browsers(database, omid, NOW) == []
    assert [found.id for found in subscriptions.list_browsers(database, lena, NOW)] == [second]
    with pytest.raises(NotFound):
        subscriptions.remove(database, omid, second)
    with pytest.raises(NotFound):
        subscriptions.ask_for_test(database, omid, second, NOW)


def test_user_has_so_many_browsers_at_most(database: Database, office: Settings) -> None:
    user = add_user(database, "omid")
    for number in range(MOST_BROWSERS + 2):
        add_browser(database, office, user, replace(GIVEN, endpoint=f"https://{HOST}/{number}"), NOW)
    with database.read() as session:
        kept = session.scalars(select(PushSubscription.endpoint).order_by(PushSubscription.id)).all()
    assert kept == [f"https://{HOST}/{number}" for number in range(2, MOST_BROWSERS + 2)]


@pytest.mark.parametrize(
    ("host", "contact"),
    [
        ("calls.example.org:8443", "https://calls.example.org"),
        ("pbx", NO_CONTACT),
        ("[::1]:80", NO_CONTACT),
        ("a b.org", NO_CONTACT),
    ],
)
def test_contact_is_the_panel_if_it_has_a_domain(host: str, contact: str) -> None:
    assert contact_of(host) == contact


def test_key_is_made_once_stored_encrypted_and_never_exported(database: Database, office: Settings) -> None:
    found = run_at_once([lambda: keys.private_key(database, office)] * 4)
    assert len(set(found)) == 1
    with database.read() as session:
        stored = session.get_one(Setting, keys.PRIVATE_KEY).value
    assert stored.startswith("encrypted:") and found[0] not in stored
    assert keys.PRIVATE_KEY not in str(transfer.export_settings(database))
    assert len(keys.public_key(database, office)) == 87


def test_key_that_cannot_be_decrypted_is_replaced_with_all_that_depends_on_it(
    database: Database, office: Settings
) -> None:
    before = keys.private_key(database, office)
    add_browser(database, office, add_user(database, "omid"), GIVEN, NOW)
    other = make_settings(office.data_dir, secret_key="another key of the office")
    assert keys.private_key(database, other) not in ("", before)
    assert keys.private_key(database, other) == keys.private_key(database, other)
    with database.read() as session:
        assert session.scalars(select(PushSubscription)).all() == []


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (PreferencesInput(["arrived", "test"]), {"kinds"}),
        (PreferencesInput([], "20:00", ""), {"quiet_until"}),
        (PreferencesInput([], "", "8:00"), {"quiet_from"}),
        (PreferencesInput([], "24:00", "8"), {"quiet_from", "quiet_until"}),
    ],
)
def test_preferences_are_checked(database: Database, given: PreferencesInput, fields: set[str]) -> None:
    with pytest.raises(Invalid) as raised:
        preferences.save(database, 1, given)
    assert raised.value.errors.keys() == fields
