"""What is proposed for the product that was found, and what a connection test asks to find it."""

import pytest

from app.config import Settings
from app.domain.pbx_product import Product
from app.services.pbx.product import Proposal, load_product, propose, questions, store_product
from app.store import settings as store
from app.store.database import Database
from script.office.database import make_settings


def in_force(database: Database, settings: Settings, **values: str) -> store.PbxSettings:
    """Store these settings, and return the PBX settings in force."""
    with database.write() as session:
        for name, value in values.items():
            store.write_setting(session, name, value)
        return store.pbx(session, settings)


@pytest.mark.parametrize(
    ("profile", "context", "product", "outbound", "expected"),
    [
        ("asterisk", "", None, None, None),
        ("asterisk", "", Product.ASTERISK, (), None),
        ("freepbx", "", Product.ISSABEL, (), None),
        ("asterisk", "", Product.FREEPBX_17, None, "from-internal"),
        ("asterisk", "typo", Product.ISSABEL, ("from-internal",), "from-internal"),
        ("asterisk", "mine", Product.FREEPBX, ("from-internal", "mine"), "mine"),
        ("asterisk", "typo", Product.FREEPBX_16, (), "from-internal"),
        ("freepbx", "", Product.ASTERISK, None, "from-internal"),
        ("freepbx", "", Product.ASTERISK, ("outbound",), "outbound"),
        ("freepbx", "mine", Product.ASTERISK, (), "mine"),
    ],
)
def test_settings_are_proposed_for_another_product(
    database: Database,
    settings: Settings,
    profile: str,
    context: str,
    product: Product | None,
    outbound: tuple[str, ...] | None,
    expected: str | None,
) -> None:
    """A context in which customers can be dialled is kept. Otherwise it is the usual one, if that dials."""
    pbx = in_force(database, settings, pbx_profile=profile, outbound_context=context)
    found = propose(settings, pbx, product, outbound)
    if product is None or expected is None:
        assert found is None
    else:
        assert found == Proposal(product, expected, fixed=False)


def test_profile_of_the_environment_is_fixed(database: Database, settings: Settings) -> None:
    given = make_settings(settings.data_dir, pbx_profile="asterisk")
    found = propose(given, in_force(database, given), Product.ISSABEL)
    assert found is not None and found.fixed


def test_contexts_in_force_and_the_usual_ones_are_asked_for(database: Database, settings: Settings) -> None:
    in_force(database, settings, outbound_context="mine", queue_context="lines", region="DE", outbound_prefix="9")
    asked = questions(database, settings, ("typed", "lines", ""))
    assert asked.contexts == ("typed", "lines", "bazang-extensions", "bazang-queues", "from-did-direct", "ext-queues")
    assert asked.outbound[:2] == ("mine", "from-internal") and len(set(asked.outbound)) == len(asked.outbound)
    assert asked.number.startswith("901")


def test_unknown_products_of_other_versions_are_none(database: Database, settings: Settings) -> None:
    in_force(database, settings, pbx_product="freepbx99")
    with database.read() as session:
        assert load_product(store.read_all(session)) is None
    store_product(database, Product.ISSABEL)
    with database.read() as session:
        assert load_product(store.read_all(session)) is Product.ISSABEL
