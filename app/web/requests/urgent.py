"""What an urgent call will do: who rings now, or for what it waits."""

from collections.abc import Mapping
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from app.domain.lifecycle import Status
from app.domain.policy import ReasonCode
from app.services.requests.pending import PendingRow
from app.services.requests.results import ActionResult, ResultCode
from app.web.formats import digits, fill_in, time_of_day
from app.web.requests.reasons import explain_reason

_WHEN_FREE = _l("It rings as soon as it is free.")
_WHEN_OVER = _l("The call is made as soon as this is over.")
_WHEN_SOLVED = _l("The call is made as soon as this is solved.")
_THEN = _l("It rings then.")

# reason for which an urgent call waits -> what happens when it ends
NEXT: Mapping[ReasonCode, object] = {
    ReasonCode.SERVICE_DOWN: _WHEN_SOLVED,
    ReasonCode.NOT_CONNECTED: _WHEN_SOLVED,
    ReasonCode.TOO_OLD: _WHEN_SOLVED,
    ReasonCode.NO_DIALPLAN: _WHEN_SOLVED,
    ReasonCode.OLD_NUMBER_CHECK: _WHEN_SOLVED,
    ReasonCode.NO_OUTBOUND: _WHEN_SOLVED,
    ReasonCode.NUMBER_REFUSED: _l("While that is so, no phone rings."),
    ReasonCode.CUSTOMER_GONE: _l("It rings as soon as it is connected."),
    ReasonCode.CALLS_LIMIT: _WHEN_OVER,
    ReasonCode.ROUTE_CALLS_LIMIT: _WHEN_OVER,
    ReasonCode.NUMBER_BUSY: _WHEN_OVER,
    ReasonCode.NUMBER_ON_LINE: _WHEN_OVER,
    ReasonCode.LINE_RINGING: _WHEN_FREE,
    ReasonCode.LINE_IN_CALL: _WHEN_FREE,
    ReasonCode.LINE_DND: _l("It rings as soon as do not disturb is switched off."),
    ReasonCode.LINE_OFFLINE: _l("It rings as soon as it is connected."),
    ReasonCode.LINE_UNKNOWN: _l("It rings as soon as the PBX reports that it is free."),
    ReasonCode.REST: _THEN,
    ReasonCode.AGENT_PAUSE: _THEN,
    ReasonCode.NOTHING_RANG: _THEN,
    ReasonCode.WRAPUP: _THEN,
    ReasonCode.AGENT_IN_FLIGHT: _WHEN_FREE,
    ReasonCode.AGENT_IS_CUSTOMER: _WHEN_SOLVED,
    ReasonCode.MEMBER_PAUSED: _l("It rings as soon as the pause in the queue ends."),
    ReasonCode.NO_MEMBERS: _l("The call is made as soon as there is an agent."),
    ReasonCode.NOBODY_THERE: _l("The first one who is free rings."),
    ReasonCode.NO_AGENT_FREE: _l("The first one who is free rings."),
}

# Reasons for which an urgent call does not wait. A person pauses calls or closes the office, so it is said.
SKIPPED = frozenset(
    {
        ReasonCode.POSTPONED,
        ReasonCode.CHOSEN_TIME,
        ReasonCode.RETRY,
        ReasonCode.ALL_PAUSED,
        ReasonCode.OFFICE_CLOSED,
        ReasonCode.OPENING,
        ReasonCode.DAILY_LIMIT,
        ReasonCode.MANUAL,
        ReasonCode.MIN_WAIT,
        ReasonCode.ROUTE_PAUSED,
        ReasonCode.LIVE_CALLERS,
        ReasonCode.PREFERRED,
    }
)
_SAID = SKIPPED - {ReasonCode.RETRY, ReasonCode.MIN_WAIT, ReasonCode.OPENING, ReasonCode.PREFERRED}


def waits(row: PendingRow | None) -> bool:
    """Return whether the urgent call of a request waits for something."""
    return row is not None and row.call_now and row.status is Status.WAITING and row.reason is not None


def urgent_text(
    agent: str | None, result: ActionResult, before: PendingRow | None, after: PendingRow | None, now: datetime
) -> Markup:
    """Return what will happen after somebody wanted an urgent call. `agent` rings first, None: the next free one.

    `before` and `after` are the request before that and now.
    """
    parts = [escape(_("Nothing was changed."))] if result.code is ResultCode.SAME else []
    if after is not None and after.reason is not None and waits(after):
        sentence = _l("No phone rings yet: %(why)s. %(then)s")
        then = NEXT.get(after.reason.code, _WHEN_OVER)
        parts.append(fill_in(sentence, why=explain_reason(after.reason, now), then=str(then)))
        if after.call_now_until is not None:
            parts.append(escape(_("The wish lasts until %(time)s.", time=time_of_day(after.call_now_until, now))))
        return Markup(" ").join(parts)
    first = after.agent if after is not None and after.agent else agent
    if first:
        parts.append(escape(_("%(agent)s rings first, then the customer.", agent=digits(first))))
    else:
        parts.append(escape(_("The customer is called as soon as an agent is free.")))
    if before is not None and before.reason is not None and before.reason.code in _SAID:
        sentence = _l("An urgent call does not wait for this: %(why)s.")
        parts.append(fill_in(sentence, why=explain_reason(before.reason, now)))
    return Markup(" ").join(parts)
