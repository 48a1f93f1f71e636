"""The screen pop: the page of the office's customer program about the customer whom an agent is talking with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain import numbers, url_templates
from app.domain.text import displayable
from app.store import pbx_state
from app.store.contacts import names_of
from app.store.models import Attempt, CallRequest


@dataclass(frozen=True)
class ScreenPop:
    """A call that an agent has taken. `number` is written as in the office's country."""

    attempt: str
    request_id: int
    number: str
    name: str
    url: str = field(repr=False)


def load_screen_pops(session: Session, template: str, extensions: Collection[str]) -> Sequence[ScreenPop]:
    """Return the calls that the agents with these extensions have taken, and that go on."""
    if not template or not extensions:
        return ()
    query = (
        select(Attempt.id, CallRequest)
        .join(CallRequest, CallRequest.id == Attempt.request_id)
        .where(Attempt.ended_at.is_(None), Attempt.answered_at.is_not(None), Attempt.agent.in_(extensions))
        .order_by(Attempt.started_at)
    )
    found = session.execute(query).all()
    names = names_of(session, [request.number for _attempt, request in found])
    region = pbx_state.office_region(session) if found else ""
    return [_make(attempt, request, names.get(request.number, ""), template, region) for attempt, request in found]


def _make(attempt: str, request: CallRequest, contact_name: str, template: str, region: str) -> ScreenPop:
    number = numbers.national(request.number, region)
    name = contact_name or displayable(request.caller_name)
    values = {
        "number": number,
        "number_e164": request.number,
        "name": name,
        "request": str(request.id),
        "module": displayable(request.module_name),
    }
    return ScreenPop(attempt, request.id, number, name, url_templates.fill(template, values))
