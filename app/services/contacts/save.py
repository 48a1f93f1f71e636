"""Add, change and delete contacts by hand."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import contacts, numbers
from app.domain.contacts import ContactData
from app.domain.text import is_displayable
from app.services import audit
from app.services.audit import AuditAction
from app.services.contacts.list import numbers_of
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Contact, ContactNumber


@dataclass(frozen=True)
class ContactInput:
    """What a user types. `numbers`: one a line, or with semicolons or commas between them."""

    name: str
    organisation: str = ""
    numbers: str = ""
    note: str = ""


def add(database: Database, settings: Settings, given: ContactInput, *, actor: str, now: datetime) -> int:
    """Add a contact and return its id. Raises Invalid."""
    return _save(database, settings, None, given, actor=actor, now=now)


def change(
    database: Database, settings: Settings, contact_id: int, given: ContactInput, *, actor: str, now: datetime
) -> None:
    """Change a contact. Raises NotFound and Invalid."""
    _save(database, settings, contact_id, given, actor=actor, now=now)


def _save(
    database: Database,
    settings: Settings,
    contact_id: int | None,
    given: ContactInput,
    *,
    actor: str,
    now: datetime,
) -> int:
    try:
        with database.write() as session:
            row = None if contact_id is None else session.get(Contact, contact_id, with_for_update=True)
            if row is None and contact_id is not None:
                raise NotFound(f"contact {contact_id}")
            before = ContactData("") if row is None else as_data(session, row)
            data = _check(session, settings, contact_id, given)
            saved = store(session, row, data, actor=actor, now=now)
            changed = audit.changes(_in_words(before), _in_words(data))
            if changed:
                audit.record(session, actor, AuditAction.CONTACT_SAVED, data.name, changed, now)
            return saved
    except IntegrityError:  # another transaction has given one of the numbers to a contact
        raise Invalid({"numbers": ErrorCode.OF_CONTACT}) from None


def _check(session: Session, settings: Settings, contact_id: int | None, given: ContactInput) -> ContactData:
    """Return the contact that was typed. Raises Invalid."""
    name, organisation, note = given.name.strip(), given.organisation.strip(), given.note.strip()
    found, others = contacts.read_numbers([given.numbers], store_settings.number_plan(session, settings))
    errors = check_line("name", name, contacts.LONGEST_NAME, required=True)
    errors |= check_line("organisation", organisation, contacts.LONGEST_ORGANISATION)
    if len(note) > contacts.LONGEST_NOTE:
        errors["note"] = ErrorCode.TOO_LONG
    elif not all(is_displayable(line) for line in note.splitlines()):
        errors["note"] = ErrorCode.CHARACTERS
    if others:
        errors["numbers"] = ErrorCode.NUMBER
    elif not found:
        errors["numbers"] = ErrorCode.REQUIRED
    elif len(found) > contacts.MOST_NUMBERS:
        errors["numbers"] = ErrorCode.TOO_MANY
    elif session.scalar(
        select(func.count()).where(ContactNumber.number.in_(found), ContactNumber.contact_id != (contact_id or 0))
    ):
        errors["numbers"] = ErrorCode.OF_CONTACT
    if contact_id is None and (session.scalar(select(func.count(Contact.id))) or 0) >= contacts.MOST:
        errors.setdefault("name", ErrorCode.CONTACTS_FULL)
    if errors:
        raise Invalid(errors)
    return ContactData(name, organisation, found, note)


def store(session: Session, row: Contact | None, data: ContactData, *, actor: str, now: datetime) -> int:
    """Store a contact, a new one if `row` is None. Return its id."""
    if row is None:
        row = Contact(created_at=now)
        session.add(row)
    row.name, row.organisation, row.note = data.name, data.organisation, data.note
    row.search_key = contacts.search_text(data.name, data.organisation)
    row.updated_at, row.updated_by = now, actor[:80]
    session.flush()
    stored = set(session.scalars(select(ContactNumber.number).where(ContactNumber.contact_id == row.id)))
    gone, new = stored - set(data.numbers), [number for number in data.numbers if number not in stored]
    if gone:
        session.execute(delete(ContactNumber).where(ContactNumber.number.in_(gone)))
    if new:
        session.execute(insert(ContactNumber), [{"number": number, "contact_id": row.id} for number in new])
    return row.id


def remove(database: Database, contact_id: int, *, actor: str, now: datetime) -> str:
    """Delete a contact and return its name. Raises NotFound."""
    with database.write() as session:
        row = session.get(Contact, contact_id)
        if row is None:
            raise NotFound(f"contact {contact_id}")
        name = row.name
        session.execute(delete(ContactNumber).where(ContactNumber.contact_id == contact_id))
        session.delete(row)
        audit.record(session, actor, AuditAction.CONTACT_DELETED, name, {}, now)  # the log keeps no more of it
    return name


def as_data(session: Session, row: Contact) -> ContactData:
    """Return a stored contact."""
    own = numbers_of(session, [row.id]).get(row.id, ())
    return ContactData(row.name, row.organisation, own, row.note)


def _in_words(data: ContactData) -> dict[str, str]:
    """Return a contact as the audit log has it."""
    written = "; ".join(numbers.national(number, "") for number in data.numbers)
    return {"name": data.name, "organisation": data.organisation, "numbers": written, "note": data.note}
