"""Find what a user may see by a number or a name: requests, missed calls, and what administrators set up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from app.domain import numbers
from app.domain.lifecycle import Status
from app.domain.missed_calls import Outcome
from app.domain.text import displayable
from app.services.contacts.list import ListedContact
from app.services.contacts.list import find as list_contacts
from app.services.missed import list as missed
from app.services.modules.list import list_modules
from app.services.pbx.lists import ListedExtension, ListedQueue, list_extensions, list_queues
from app.services.requests.access import Scope, visibility_of
from app.store import pbx_state
from app.store.contacts import belongs_to, names_of
from app.store.database import Database
from app.store.models import CallRequest, MissedCall, Module
from app.store.search import contains, has_digits

AT_MOST = 10  # of each kind
LONGEST = 80
Column = InstrumentedAttribute[str]
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class FoundRequest:
    id: int
    number: str  # as in the office's country
    name: str
    queue: bool
    target: str
    status: Status
    registered_at: datetime


@dataclass(frozen=True)
class FoundMissedCall:
    number: str
    name: str
    queue: bool
    target: str
    outcome: Outcome
    at: datetime


@dataclass(frozen=True)
class Found:
    """What was found, AT_MOST of each kind. `more_requests`: there are further ones."""

    requests: Sequence[FoundRequest] = ()
    more_requests: bool = False
    missed_calls: Sequence[FoundMissedCall] = ()
    contacts: Sequence[ListedContact] = ()
    modules: Sequence[Module] = ()
    extensions: Sequence[ListedExtension] = ()
    queues: Sequence[ListedQueue] = ()

    @property
    def is_empty(self) -> bool:
        return not any((self.requests, self.missed_calls, self.contacts, self.modules, self.extensions, self.queues))


def find(database: Database, scope: Scope, text: str, *, sets_up: bool) -> Found:
    """Return what has this number or name, the newest first. `sets_up`: the user is an administrator."""
    text = displayable(text, LONGEST)
    if not (_DIGIT.search(text) or _LETTER.search(text)):
        return Found()
    with database.read() as session:
        visibility = visibility_of(session, scope)
        region = pbx_state.office_region(session)
        matches = _has(text, (CallRequest.number, CallRequest.caller_number), CallRequest.caller_name)
        seen = [] if visibility.everything else [visibility.condition()]
        query = select(CallRequest).where(matches, *seen).order_by(CallRequest.registered_at.desc())
        requests = session.scalars(query.limit(AT_MOST + 1)).all()
        matches = _has(text, (MissedCall.number,), MissedCall.caller_name)
        calls = select(MissedCall).where(matches, missed.visible(visibility))
        missed_calls = session.scalars(calls.order_by(MissedCall.at.desc()).limit(AT_MOST)).all()
        names = names_of(session, [*(row.number for row in requests), *(call.number for call in missed_calls)])
        return Found(
            requests=[
                FoundRequest(
                    row.id,
                    numbers.national(row.number, region),
                    names.get(row.number) or displayable(row.caller_name),
                    row.queue,
                    row.target,
                    Status(row.status),
                    row.registered_at,
                )
                for row in requests[:AT_MOST]
            ],
            more_requests=len(requests) > AT_MOST,
            missed_calls=[
                FoundMissedCall(
                    numbers.national(row.number, region) if row.number else "",
                    names.get(row.number) or displayable(row.caller_name),
                    row.queue,
                    row.target,
                    Outcome(row.outcome),
                    row.at,
                )
                for row in missed_calls
            ],
            contacts=list_contacts(session, text, AT_MOST) if scope.everything else (),
            modules=list_modules(session, search=text, column="code", descending=False, page=1).modules[:AT_MOST]
            if sets_up
            else (),
            extensions=[row for row in list_extensions(session) if row.matches(text)][:AT_MOST] if sets_up else (),
            queues=[row for row in list_queues(session) if row.matches(text)][:AT_MOST] if sets_up else (),
        )


def _has(text: str, numbers: Sequence[Column], name: Column) -> ColumnElement[bool]:
    """Return the condition: the name contains this text or, if it has no letters, one of the numbers its digits.

    The name is what the phone claims, or that of a contact with the first one of the numbers.
    """
    if _LETTER.search(text):
        return or_(contains(name, text), belongs_to(numbers[0], text))
    return or_(*(has_digits(column, text) for column in numbers))
