"""Import contacts from a file: it is read and kept for its user, shown as a preview, and then stored or dropped.

Contacts are stored some at a time, so that callers who register meanwhile do not wait. An import that ends halfway is
completed by another one: what is stored already stays as it is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import contacts
from app.domain.contacts import Action, ContactData, Fault, Planned, Reason, Row, plan_import
from app.domain.numbers import NumberPlan
from app.domain.text import displayable
from app.services import audit
from app.services.audit import AuditAction
from app.services.contacts import files
from app.services.contacts.files import Column, Table
from app.services.contacts.list import load_all
from app.services.errors import ErrorCode, Invalid, NotFound
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Base, Contact, ContactImport, ContactNumber

KEPT = timedelta(days=1)  # a file that nobody has stored
BATCH = 500  # contacts in a transaction
_CONTACTS, _NUMBERS = (Base.metadata.tables[model.__tablename__] for model in (Contact, ContactNumber))


@dataclass(frozen=True)
class Preview:
    """What an import would change. `unreadable`: cards that were left out."""

    file_name: str
    table: Table
    planned: Sequence[Planned]
    counts: Mapping[Action, int]

    @property
    def stores_something(self) -> bool:
        return bool(self.counts[Action.ADDED] or self.counts[Action.CHANGED])


def upload(database: Database, settings: Settings, user_id: int, file_name: str, content: bytes, now: datetime) -> None:
    """Read a file and keep it for the user, in the place of another one. Raises Invalid for the field `file`."""
    plan = _number_plan(database, settings)
    table = files.read_table(content, plan)
    stored = _to_json(table, files.to_rows(table, plan))
    with database.write() as session:
        session.execute(delete(ContactImport).where(ContactImport.user_id == user_id))
        name = displayable(file_name, 120)
        session.add(ContactImport(user_id=user_id, file_name=name, content=stored, created_at=now))


def choose_columns(
    database: Database, settings: Settings, user_id: int, columns: Sequence[str], *, has_titles: bool
) -> None:
    """Say what the columns of the user's file are. Raises NotFound and Invalid for the field `columns`."""
    with database.read() as session:
        table = _to_table(_get(session, user_id).content)
    if len(columns) != len(table.columns) or not set(columns) <= set(Column):
        raise Invalid({"columns": ErrorCode.CHOICE})
    table = replace(table, columns=tuple(map(Column, columns)), has_titles=has_titles)
    stored = _to_json(table, files.to_rows(table, _number_plan(database, settings)))
    with database.write() as session:
        _get(session, user_id).content = stored


def load_preview(database: Database, user_id: int) -> Preview:
    """Return what the user's file would change now. Raises NotFound."""
    with database.read() as session:
        row = _get(session, user_id)
        planned = plan_import(_to_rows(row.content), load_all(session))
        counts = Counter(each.action for each in planned)
        return Preview(row.file_name, _to_table(row.content), planned, counts)


def drop(database: Database, user_id: int) -> None:
    """Forget the user's file."""
    with database.write() as session:
        session.execute(delete(ContactImport).where(ContactImport.user_id == user_id))


def store(database: Database, user_id: int, *, actor: str, now: datetime) -> Mapping[Action, int]:
    """Store the contacts of the user's file. Return what became of its rows. Raises NotFound."""
    found = load_preview(database, user_id)
    # The last row of a contact has what all its rows say.
    last = {each.key: each for each in found.planned if each.action is not Action.LEFT_OUT}
    changing = {each.key for each in found.planned if each.action in (Action.ADDED, Action.CHANGED)}
    with database.write() as session:
        detail = {action.value: number for action, number in sorted(found.counts.items())}
        audit.record(session, actor, AuditAction.CONTACTS_IMPORTED, found.file_name, detail, now)
    storing = (each for key, each in last.items() if key in changing)
    while some := list(islice(storing, BATCH)):
        with database.write() as session:
            _store_some(session, some, actor, now)
    drop(database, user_id)
    return found.counts


def _store_some(session: Session, some: Sequence[Planned], actor: str, now: datetime) -> None:
    """Store some contacts. A number that another contact has got since the plan was made stays there."""
    wanted = [number for each in some for number in each.data.numbers]
    rows = session.execute(
        select(ContactNumber.number, ContactNumber.contact_id).where(ContactNumber.number.in_(wanted))
    )
    owners = {row.number: row.contact_id for row in rows}
    known = {each.contact_id for each in some if each.contact_id is not None}
    there = set(session.scalars(select(Contact.id).where(Contact.id.in_(known))))
    values = {"updated_by": actor[:80], "updated_at": now}
    changed = [each for each in some if each.contact_id in there]
    if changed:
        columns = ("name", "organisation", "note", "search_key", *values)
        statement = update(_CONTACTS).where(_CONTACTS.c.id == bindparam("contact_id"))
        statement = statement.values({name: bindparam(f"new_{name}") for name in columns})
        parameters = [
            {f"new_{name}": value for name, value in (_columns(each.data) | values).items()}
            | {"contact_id": each.contact_id}
            for each in changed
        ]
        session.connection().execute(statement, parameters)
    new = [each for each in some if each.contact_id is None and any(n not in owners for n in each.data.numbers)]
    ids: list[int] = []
    if new:
        added = insert(_CONTACTS).returning(_CONTACTS.c.id, sort_by_parameter_order=True)
        parameters = [_columns(each.data) | values | {"created_at": now} for each in new]
        ids = list(session.connection().execute(added, parameters).scalars())
    of_contacts = [*((each, each.contact_id) for each in changed), *zip(new, ids, strict=True)]
    numbers = [
        {"number": number, "contact_id": contact_id}
        for each, contact_id in of_contacts
        for number in each.data.numbers
        if number not in owners
    ]
    if numbers:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        # On PostgreSQL another transaction may add a number just now.
        session.connection().execute(dialect.insert(_NUMBERS).on_conflict_do_nothing(), numbers)


def _columns(data: ContactData) -> dict[str, Any]:
    key = contacts.search_text(data.name, data.organisation)
    return {"name": data.name, "organisation": data.organisation, "note": data.note, "search_key": key}


def delete_old(session: Session, now: datetime) -> None:
    """Delete the files that nobody has stored."""
    session.execute(delete(ContactImport).where(ContactImport.created_at < now - KEPT))


def _number_plan(database: Database, settings: Settings) -> NumberPlan:
    with database.read() as session:
        return store_settings.number_plan(session, settings)


def _get(session: Session, user_id: int) -> ContactImport:
    row = session.get(ContactImport, user_id)
    if row is None:
        raise NotFound(f"import of user {user_id}")
    return row


# -- how a file is kept -----------------------------------------------------------------------------------------------


def _to_json(table: Table, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "rows": [list(row) for row in table.rows],
        "columns": [column.value for column in table.columns],
        "has_titles": table.has_titles,
        "unreadable": table.unreadable,
        "contacts": [
            [
                row.place,
                *(row.data.name, row.data.organisation, list(row.data.numbers), row.data.note),
                [[fault.reason.value, fault.text] for fault in row.faults],
            ]
            for row in rows
        ],
    }


def _to_table(content: Mapping[str, Any]) -> Table:
    columns = tuple(map(Column, content["columns"]))
    return Table(tuple(map(tuple, content["rows"])), columns, content["has_titles"], content["unreadable"])


def _to_rows(content: Mapping[str, Any]) -> list[Row]:
    return list(_read_rows(content["contacts"]))


def _read_rows(rows: Sequence[Any]) -> Iterator[Row]:
    for place, name, organisation, numbers, note, faults in rows:
        data = ContactData(name, organisation, tuple(numbers), note)
        yield Row(place, data, tuple(Fault(Reason(reason), text) for reason, text in faults))
