"""Who has a number: the office's contacts, and what another program knows."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, literal, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.text import search_key
from app.store.models import Contact, ContactNumber, LookedUpName
from app.store.search import contains, without_nul


def names_of(session: Session, numbers: Collection[str]) -> dict[str, str]:
    """Return the names of those of these normalized numbers that are known, in one query.

    The office's own contacts go before what another program said.
    """
    wanted = {number for number in numbers if number}
    if not wanted:
        return {}
    looked_up = select(LookedUpName.number, LookedUpName.name, literal(0).label("own"))
    own = select(ContactNumber.number, Contact.name, literal(1).label("own"))
    query = union_all(
        looked_up.where(LookedUpName.number.in_(wanted), LookedUpName.name != ""),
        own.join(Contact, Contact.id == ContactNumber.contact_id).where(ContactNumber.number.in_(wanted)),
    )
    rows = sorted(session.execute(query), key=lambda row: int(row.own))
    return {row.number: row.name for row in rows}


def belongs_to(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return a condition: the column's number is that of somebody whose name or organisation contains the text."""
    contacts = select(ContactNumber.number).join(Contact, Contact.id == ContactNumber.contact_id)
    looked_up = select(LookedUpName.number).where(contains(LookedUpName.name, text))
    return or_(column.in_(contacts.where(is_named(text))), column.in_(looked_up))


def is_named(text: str) -> ColumnElement[bool]:
    """Return a condition on contacts: the name or the organisation contains the text, as `search_key` compares it."""
    return Contact.search_key.contains(search_key(without_nul(text)), autoescape=True)
