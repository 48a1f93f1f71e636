"""Which product manages the PBX, as its dialplan says, and the settings that fit it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.config import CONTEXTS, Settings
from app.domain.pbx_connection import Asked
from app.domain.pbx_product import Product
from app.services.settings import office
from app.store import settings as store
from app.store.database import Database
from app.store.settings import PbxSettings

_PRODUCT = "pbx_product"  # a stored value: what the worker found when it was last connected
# Contexts in which phones usually dial out; the first one is that of FreePBX and Issabel.
USUAL_OUTBOUND = (
    *("from-internal", "outbound", "outgoing", "outbound-calls", "dial-out", "internal", "from-phones", "phones"),
    *("users", "local", "longdistance", "default"),
)


@dataclass(frozen=True)
class Proposal:
    """Settings for the product that was found, because others are in force.

    `fixed`: the environment gives the profile, so it can't be changed in the panel.
    """

    product: Product
    outbound_context: str
    fixed: bool

    @property
    def profile(self) -> str:
        return self.product.profile


def store_product(database: Database, product: Product | None) -> None:
    """Store what was found; None: it is another PBX, of which nothing is known yet."""
    with database.write() as session:
        store.write_setting(session, _PRODUCT, "" if product is None else product.value)


def load_product(stored: Mapping[str, str]) -> Product | None:
    """Return the product that the worker found when it was last connected. `stored`: the result of `read_all`."""
    found = stored.get(_PRODUCT, "")
    return Product(found) if found in set(Product) else None


def store_contexts(database: Database, contexts: Iterable[str]) -> None:
    """Store the contexts that a connection test has found, for choosing."""
    with database.write() as session:
        store.write_setting(session, store.PBX_CONTEXTS, " ".join(contexts))


def load_contexts(stored: Mapping[str, str]) -> tuple[str, ...]:
    """Return the contexts that the last connection test has found. `stored`: the result of `read_all`."""
    return tuple(stored.get(store.PBX_CONTEXTS, "").split())


def questions(
    database: Database, settings: Settings, contexts: Iterable[str] = (), *, everything: bool = True
) -> Asked:
    """Return what a connection test asks about the dialplan: the contexts in force, `contexts`, and the usual ones.

    Without `everything`, the contexts that were found before count instead of a new list.
    """
    with database.read() as session:
        stored = store.read_all(session)
        pbx = store.pbx(session, settings, stored)
    found = load_contexts(stored)
    here = office.load(database, settings)
    example = office.dialled_example(here.region, here.outbound_format, here.outbound_prefix)
    names = ("extension_context", "queue_context")
    usual = (CONTEXTS[profile][name] for profile in CONTEXTS for name in names)
    return Asked(
        _distinct((*contexts, pbx.extension_context, pbx.queue_context, *usual)),
        _distinct((pbx.outbound_context, *USUAL_OUTBOUND, *found)),
        "" if example is None else example[1],
        everything or not found,
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(name) for name in names if name))


def propose(
    settings: Settings, pbx: PbxSettings, product: Product | None, outbound: tuple[str, ...] | None = None
) -> Proposal | None:
    """Return settings for the product if the PBX settings are for another one.

    `outbound`: the contexts in which customers can be dialled, as in ConnectionReport.
    """
    if product is None or product.profile == pbx.pbx_profile:
        return None
    usual = CONTEXTS[product.profile]["outbound_context"]
    wanted = [pbx.outbound_context, usual, *(outbound or ())]
    dialling = [context for context in wanted if context in (outbound or ())]
    context = dialling[0] if dialling else usual or pbx.outbound_context
    return Proposal(product, context, settings.from_environment("pbx_profile"))
