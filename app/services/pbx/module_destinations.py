"""Which extensions and queues lead their callers to which module, as the PBX says."""

from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.domain.routing import DestinationKind
from app.store.database import Database
from app.store.models import PbxDestination
from app.store.settings import read_setting, write_setting

# Stored settings: "1" if the PBX let us read them.
_READ, _OFFERS_READ = "pbx_destinations_read", "pbx_offers_read"
_OFFER = "offer"  # the situation of callers who leave a queue by a key


def store_destinations(
    database: Database,
    found: Mapping[tuple[DestinationKind, str, str], str] | None,
    offers: Mapping[str, str] | None = None,
) -> None:
    """Replace what is stored by the codes of modules by kind, owner and situation. None: they could not be read.

    `offers` are those to which callers can leave a queue by a key, by queue. None: they could not be read.
    """
    offered = {(DestinationKind.QUEUE, queue, _OFFER): code for queue, code in (offers or {}).items()}
    with database.write() as session:
        session.execute(delete(PbxDestination))
        for (kind, owner, situation), code in {**(found or {}), **offered}.items():
            if len(owner) <= 80 and len(code) <= 20:
                session.add(PbxDestination(kind=kind.value, owner=owner, situation=situation, code=code))
        write_setting(session, _READ, "" if found is None else "1")
        write_setting(session, _OFFERS_READ, "" if offers is None else "1")


def load_offers(session: Session) -> dict[str, str] | None:
    """Return the module to which callers can leave each queue by a key; None if the PBX has not let us read it."""
    if not read_setting(session, _OFFERS_READ):
        return None
    query = select(PbxDestination).where(PbxDestination.situation == _OFFER)
    return {row.owner: row.code for row in session.scalars(query)}


def load_destinations(session: Session, kind: DestinationKind) -> dict[str, dict[str, str]] | None:
    """Return the codes of modules by owner and situation; None if the PBX has not let us read them."""
    if not read_setting(session, _READ):
        return None
    found: dict[str, dict[str, str]] = {}
    for row in session.scalars(select(PbxDestination).where(PbxDestination.kind == kind.value)):
        found.setdefault(row.owner, {})[row.situation] = row.code
    return found
