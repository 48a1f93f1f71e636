"""The texts for the history of a request and for the results of actions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.services.requests.actions import (
    Action,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Prioritise,
    Reassign,
    WriteNote,
)
from app.services.requests.history import EventKind, HistoryEvent
from app.services.requests.pending import PendingRow
from app.services.requests.results import ActionResult, ResultCode
from app.services.requests.targets import parse_target
from app.web.formats import ago, digits, format_moment, name, number

MAX_LISTED_RESULTS = 8

PRIORITY = {1: _l("high"), 0: _l("normal"), -1: _l("low")}

EVENT: Mapping[str, object] = {
    EventKind.REGISTERED: _l("The request was registered."),
    EventKind.REGISTERED_AGAIN: _l("The caller registered again."),
    EventKind.CLAIMED: _l("A call was started."),
    EventKind.AGENT_ANSWERED: _l("The agent answered."),
    EventKind.CUSTOMER_DIALLED: _l("The customer's phone rang."),
    EventKind.CONNECTED: _l("The agent and the customer were connected."),
    EventKind.ENDED: _l("The call ended."),
    EventKind.REACHED: _l("Closed: the office and the customer talked in another call."),
    EventKind.EXPIRED: _l("The request expired."),
    EventKind.NOTED: _l("A note was written."),
    EventKind.POSTPONED: _l("The request was postponed."),
    EventKind.REASSIGNED: _l("The request was reassigned."),
    EventKind.PRIORITISED: _l("The priority was changed."),
    EventKind.MARKED_DONE: _l("The request was marked as done."),
    EventKind.CANCELLED: _l("The request was cancelled."),
    EventKind.CALL_NOW: _l("An immediate call was requested."),
}

# event -> the same, with the user and the time
_CHANGE: Mapping[str, object] = {
    EventKind.NOTED: _l("%(who)s wrote a note %(when)s."),
    EventKind.POSTPONED: _l("%(who)s postponed the request %(when)s."),
    EventKind.REASSIGNED: _l("%(who)s reassigned the request %(when)s."),
    EventKind.PRIORITISED: _l("%(who)s changed the priority %(when)s."),
    EventKind.MARKED_DONE: _l("%(who)s marked the request as done %(when)s."),
    EventKind.CANCELLED: _l("%(who)s cancelled the request %(when)s."),
    EventKind.CALL_NOW: _l("%(who)s requested an immediate call %(when)s."),
}

_DONE: Mapping[type, object] = {
    CallNow: _l("The customer is called as soon as an agent is free."),
    Postpone: _l("The request was postponed."),
    Reassign: _l("The request was reassigned."),
    Prioritise: _l("The priority was changed."),
    MarkDone: _l("The request was marked as done."),
    WriteNote: _l("The note was saved."),
    Cancel: _l("The request was cancelled."),
}

RESULT: Mapping[ResultCode, object] = {
    ResultCode.SAME: _l("No change was needed."),
    ResultCode.DUPLICATE: _l("The same caller is already waiting there, so nothing was changed."),
    ResultCode.CHANGED: _l("Another user has changed the request."),
    ResultCode.NOT_FOUND: _l("The request was not found."),
    ResultCode.UNKNOWN_TARGET: _l("This extension or queue does not exist any more. Choose another one."),
    ResultCode.NOT_YOURS: _l("This phone is not yours. Choose one of your own."),
    ResultCode.NO_ANSWER: _l("The telephone service does not answer. It may still do this within 30 seconds."),
    ResultCode.COMMAND_EXPIRED: _l("The telephone service was too late, so nothing was done. Try again."),
    ResultCode.UNKNOWN: _l("This is not possible any more."),
    ResultCode.IS_WAITING: _l("The request is already waiting."),
    ResultCode.IS_DIALLING: _l("The call is already in progress."),
    ResultCode.IS_CONNECTED: _l("The agent and the customer are already talking."),
    ResultCode.IS_DONE: _l("The request is already done."),
    ResultCode.IS_FAILED: _l("The request has already failed."),
    ResultCode.IS_CANCELLED: _l("The request is already cancelled."),
    ResultCode.IS_EXPIRED: _l("The request has already expired."),
    ResultCode.IS_UNCERTAIN: _l("It is unknown how the last call ended."),
}


def event_text(event: HistoryEvent) -> str:
    """Return the text for an event. An unknown event of an older version is its own text."""
    return str(EVENT.get(event.kind, event.kind))


def change_text(event: HistoryEvent) -> Markup:
    """Return who changed a request, how and when."""
    sentence = _CHANGE.get(event.kind, _l("%(who)s changed the request %(when)s."))
    values = {"who": name(event.actor), "when": ago(event.at)}
    return Markup(str(sentence)) % values  # noqa: S704 - the catalogue is ours, and the values are escaped


def result_text(action: Action, result: ActionResult) -> Markup:
    """Return the text for the result of an action on one request."""
    if result.code is ResultCode.DONE:
        if isinstance(action, CallNow) and action.agent is not None:
            return escape(_("%(agent)s rings first, then the customer.", agent=digits(action.agent)))
        return escape(str(_DONE[type(action)]))
    in_flight = result.code in (ResultCode.IS_DIALLING, ResultCode.IS_CONNECTED)
    if result.by is not None and result.by.actor and not in_flight:
        return change_text(result.by)
    return escape(str(RESULT[result.code]))


def results_message(
    action: Action, results: Sequence[ActionResult], rows: Mapping[int, PendingRow]
) -> tuple[Markup, str]:
    """Return the message about all results, and its category: "success" or "warning"."""
    category = "success" if all(result.ok for result in results) else "warning"
    if len(results) == 1:
        return result_text(action, results[0]), category
    counts = Counter(result.ok for result in results)
    head = digits(ngettext("Done for %(num)s request.", "Done for %(num)s requests.", counts[True]))
    rest = [result for result in results if not result.ok]
    lines = [_line(action, result, rows.get(result.id)) for result in rest[:MAX_LISTED_RESULTS]]
    if len(rest) > MAX_LISTED_RESULTS:
        lines.append(escape(digits(_("And %(count)s more.", count=len(rest) - MAX_LISTED_RESULTS))))
    items = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)
    return Markup("{}{}").format(head, Markup("<ul>{}</ul>").format(items) if lines else ""), category


def _line(action: Action, result: ActionResult, row: PendingRow | None) -> Markup:
    subject = number(row.number) if row is not None else escape(digits(f"#{result.id}"))
    return Markup("{}: {}").format(subject, result_text(action, result))


def target_text(queue: bool, target: str) -> str:
    """Return the text for a target: "extension 101", "queue sales", or any extension of the module."""
    if not target:
        return _("any extension of the module")
    return f"{_('queue') if queue else _('extension')} {digits(target)}"


def value_text(kind: str, stored: str) -> str:
    """Return the text for the old or the new value of an event."""
    if not stored:
        return ""
    if kind == EventKind.POSTPONED:
        return format_moment(datetime.fromisoformat(stored))
    if kind == EventKind.PRIORITISED:
        return str(PRIORITY.get(int(stored), stored)) if stored.lstrip("-").isdecimal() else stored
    if kind == EventKind.REASSIGNED:
        return target_text(*parse_target(stored))
    return stored
