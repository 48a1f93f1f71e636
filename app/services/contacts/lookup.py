"""Ask another program for the names of callers who are no contacts, and keep its answers.

The worker does this in the background. Nobody who registers or is called waits for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, exists, or_, select, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers, url_templates
from app.domain.name_lookup import AGAIN_AFTER_FAILURE
from app.services.contacts.templates import read
from app.store import encryption, pbx_state
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import CallRequest, ContactNumber, LookedUpName, MissedCall

AT_ONCE = 10
LOOK_BACK = timedelta(days=1)  # for missed calls
ASKING = "asking"  # stands in the place of a failure until there is an answer


@dataclass(frozen=True)
class Question:
    """A number for whose name the other program is asked."""

    number: str
    url: str = field(repr=False)
    inside: bool
    key: str = field(repr=False)
    field: str


def claim(database: Database, settings: Settings, now: datetime) -> list[Question]:
    """Return the names to ask for now, and note that they are being asked for."""
    with database.read() as session:
        given = read(session)
        if not given.name_lookup_url:
            return []
        found = _find_due(session, timedelta(days=given.name_lookup_days), now)
        if not found:
            return []
        region = pbx_state.office_region(session)
        stored = store_settings.read_setting(session, "name_lookup_key")
    try:
        key = encryption.decrypt(settings, stored)
    except encryption.CannotDecrypt:
        key = ""
    with database.write() as session:
        for number in found:
            _note(session, number, now, failure=ASKING)
    return [
        Question(
            number,
            url_templates.fill(
                given.name_lookup_url, {"number": numbers.national(number, region), "number_e164": number}
            ),
            given.name_lookup_inside,
            key,
            given.name_lookup_field,
        )
        for number in found
    ]


def _find_due(session: Session, lasts: timedelta, now: datetime) -> Sequence[str]:
    """Return numbers outside that are no contact's, and whose name is not known or may be out of date."""
    active = select(CallRequest.number).where(store.has_status())
    missed = select(MissedCall.number).where(MissedCall.at > now - LOOK_BACK)
    called = union(active, missed).subquery()
    known = LookedUpName.failure == ""
    is_due = or_(
        LookedUpName.asked_at.is_(None),
        LookedUpName.asked_at > now,  # the clock was put back
        and_(known, LookedUpName.asked_at <= now - lasts),
        and_(~known, LookedUpName.asked_at <= now - AGAIN_AFTER_FAILURE),
    )
    query = (
        select(called.c.number)
        .outerjoin(LookedUpName, LookedUpName.number == called.c.number)
        .where(called.c.number.startswith("+"), is_due, ~exists().where(ContactNumber.number == called.c.number))
        .order_by(LookedUpName.asked_at.is_not(None), called.c.number)
        .limit(AT_ONCE)
    )
    return session.scalars(query).all()


def _note(session: Session, number: str, now: datetime, *, failure: str, name: str | None = None) -> None:
    """Store what is known of a number. `name` None: what was known stays."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(LookedUpName).values(number=number, name=name or "", asked_at=now, failure=failure)
    changed = {"asked_at": now, "failure": failure} | ({} if name is None else {"name": name})
    session.execute(row.on_conflict_do_update(index_elements=[LookedUpName.number], set_=changed))


def finish(database: Database, question: Question, name: str, failure: str, now: datetime) -> None:
    """Store an answer. After a failure, the name that was known stays."""
    with database.write() as session:
        _note(session, question.number, now, failure=failure[:16], name=None if failure else name)


def delete_old(session: Session, now: datetime) -> None:
    """Delete the answers that count no longer."""
    lasts = timedelta(days=read(session).name_lookup_days)
    session.execute(delete(LookedUpName).where(LookedUpName.asked_at < now - lasts))
