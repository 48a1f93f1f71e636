"""The list of contacts, and one of them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain import numbers
from app.domain.contacts import ContactData
from app.domain.text import displayable
from app.services.errors import NotFound
from app.store import pbx_state
from app.store.contacts import is_named
from app.store.database import Database
from app.store.models import Contact, ContactNumber
from app.store.search import has_digits

PER_PAGE = 50
LONGEST_SEARCH = 80
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class ListedContact:
    """A contact as it is shown. `numbers` are written as in the office's country."""

    id: int
    name: str
    organisation: str
    numbers: tuple[str, ...]
    note: str
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True)
class ContactPage:
    """One page of the list. `total` is that of all pages; if a page after the last was requested, this is the last."""

    contacts: Sequence[ListedContact]
    total: int
    page: int
    pages: int


def load_page(database: Database, text: str = "", *, page: int = 1, per_page: int = PER_PAGE) -> ContactPage:
    """Return the contacts with this name, organisation or number, or a part of it, by their names."""
    with database.read() as session:
        conditions = _conditions(text)
        total = session.scalar(select(func.count()).select_from(Contact).where(*conditions)) or 0
        pages = max(1, -(-total // per_page))
        page = min(max(page, 1), pages)
        return ContactPage(_find(session, conditions, per_page, (page - 1) * per_page), total, page, pages)


def find(session: Session, text: str, at_most: int) -> list[ListedContact]:
    """Return the first contacts that have this name, organisation or number."""
    return _find(session, _conditions(text), at_most, 0)


def _find(session: Session, conditions: Sequence[ColumnElement[bool]], limit: int, offset: int) -> list[ListedContact]:
    query = select(Contact).where(*conditions).order_by(Contact.search_key, Contact.id).limit(limit).offset(offset)
    rows = session.scalars(query).all()
    of_contacts = numbers_of(session, [row.id for row in rows])
    region = pbx_state.office_region(session)
    return [_listed(row, of_contacts.get(row.id, ()), region) for row in rows]


def _conditions(text: str) -> list[ColumnElement[bool]]:
    text = displayable(text, LONGEST_SEARCH)
    if not text:
        return []
    if _LETTER.search(text) or not _DIGIT.search(text):
        return [is_named(text)]
    return [Contact.id.in_(select(ContactNumber.contact_id).where(has_digits(ContactNumber.number, text)))]


def numbers_of(session: Session, ids: Collection[int]) -> Mapping[int, tuple[str, ...]]:
    """Return the normalized numbers of these contacts."""
    found: dict[int, tuple[str, ...]] = {}
    query = select(ContactNumber.contact_id, ContactNumber.number).where(ContactNumber.contact_id.in_(ids))
    for contact, number in session.execute(query.order_by(ContactNumber.number)):
        found[contact] = (*found.get(contact, ()), number)
    return found


def load_all(session: Session) -> dict[int, ContactData]:
    """Return all contacts by their ids, in the order of their names."""
    of_contacts: dict[int, list[str]] = {}
    for contact, number in session.execute(
        select(ContactNumber.contact_id, ContactNumber.number).order_by(ContactNumber.number)
    ):
        of_contacts.setdefault(contact, []).append(number)
    columns = (Contact.id, Contact.name, Contact.organisation, Contact.note)
    rows = session.execute(select(*columns).order_by(Contact.search_key, Contact.id))
    return {
        row.id: ContactData(row.name, row.organisation, tuple(of_contacts.get(row.id, ())), row.note) for row in rows
    }


def load(database: Database, contact_id: int) -> ListedContact:
    """Return a contact. Raises NotFound."""
    with database.read() as session:
        row = session.get(Contact, contact_id)
        if row is None:
            raise NotFound(f"contact {contact_id}")
        own = numbers_of(session, [contact_id]).get(contact_id, ())
        return _listed(row, own, pbx_state.office_region(session))


def _listed(row: Contact, own: Sequence[str], region: str) -> ListedContact:
    written = tuple(numbers.national(number, region) for number in own)
    return ListedContact(row.id, row.name, row.organisation, written, row.note, row.updated_at, row.updated_by)
