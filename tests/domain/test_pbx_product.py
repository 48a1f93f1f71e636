"""Which product manages a PBX, from what its dialplan shows."""

import pytest

from app.config import CONTEXTS
from app.domain.pbx_product import FREEPBX_GLOBALS, GENERATED, Evidence, Product, recognize


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(()), Product.ASTERISK),
        (Evidence(GENERATED[:1], FREEPBX_GLOBALS, {"Gosub"}), Product.ASTERISK),  # a context of this name by hand
        (Evidence((), FREEPBX_GLOBALS), Product.ASTERISK),
        (Evidence(GENERATED, (), {"Macro", "Set"}), Product.ISSABEL),
        (Evidence(GENERATED), Product.ISSABEL),
        (Evidence(GENERATED, FREEPBX_GLOBALS, {"Macro", "Gosub"}), Product.FREEPBX_16),
        (Evidence(GENERATED, FREEPBX_GLOBALS[:1], {"Gosub", "Set"}), Product.FREEPBX_17),
        (Evidence(GENERATED, FREEPBX_GLOBALS), Product.FREEPBX),
    ],
)
def test_product_is_recognized(evidence: Evidence, expected: Product) -> None:
    assert recognize(evidence) is expected


@pytest.mark.parametrize("product", Product)
def test_each_product_has_a_profile(product: Product) -> None:
    assert product.profile in CONTEXTS
    assert (product.profile == "asterisk") == (product is Product.ASTERISK)
