"""The texts for the history of a request and for the results of actions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.domain.routing import CameBy
from app.services.requests.actions import (
    Action,
    Block,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Prioritise,
    Reassign,
    Reopen,
    Undo,
    WithdrawCallNow,
    WriteNote,
)
from app.services.requests.history import EventKind, HistoryEvent
from app.services.requests.pending import PendingRow
from app.services.requests.results import ActionResult, ResultCode
from app.services.requests.targets import parse_target
from app.web.context import current_scope, utcnow
from app.web.formats import ago, digits, fill_in, format_moment, name, number, office_zone, time_of_day
from app.web.requests.urgent import urgent_text, waits
from app.web.verdicts import explain_verdict
from app.web.wording import ERROR

MAX_LISTED_RESULTS = 8

PRIORITY = {1: _l("high"), 0: _l("normal"), -1: _l("low")}

CAME_BY: Mapping[str, object] = {
    CameBy.EXTENSION: _l("called this extension"),
    CameBy.FOLLOW_ME: _l("called this extension, which has a follow-me"),
    CameBy.RING_GROUP: _l("called a ring group"),
    CameBy.CODE: _l("called nobody in particular"),
    CameBy.MODULE: _l("had been in another module before"),
    CameBy.MISSED_CALL: _l("hung up before; made from a missed call"),
    CameBy.WEBSITE: _l("filled in a form of a website"),
}

# By the rough minutes of an estimated wait.
ROUGH_WAIT: Mapping[int, object] = {
    5: _l("less than 5 minutes"),
    10: _l("about 10 minutes"),
    15: _l("about 15 minutes"),
    20: _l("about 20 minutes"),
    30: _l("about 30 minutes"),
    45: _l("about 45 minutes"),
    60: _l("about an hour"),
    90: _l("more than an hour"),
}

EVENT: Mapping[str, object] = {
    EventKind.REGISTERED: _l("The request was registered."),
    EventKind.REGISTERED_AGAIN: _l("The caller registered again."),
    EventKind.STANDING: _l("The number is served first."),
    EventKind.TIME_CHOSEN: _l("A time was chosen for the call."),
    EventKind.NAME_SAID: _l("The caller said their name."),
    EventKind.CLAIMED: _l("A call was started."),
    EventKind.AGENT_ANSWERED: _l("The agent answered."),
    EventKind.CUSTOMER_DIALLED: _l("The customer's phone rang."),
    EventKind.CUSTOMER_WAITS: _l("The customer answered and waited for the agent."),
    EventKind.CONNECTED: _l("The agent and the customer were connected."),
    EventKind.ENDED: _l("The call ended."),
    EventKind.REACHED: _l("Closed: the office and the customer talked in another call."),
    EventKind.EXPIRED: _l("The request expired."),
    EventKind.GIVEN_UP: _l("Given up: the customer was not reached before the office closed."),
    EventKind.NOTED: _l("A note was written."),
    EventKind.POSTPONED: _l("The request was postponed."),
    EventKind.REASSIGNED: _l("The request was reassigned."),
    EventKind.PRIORITISED: _l("The priority was changed."),
    EventKind.MARKED_DONE: _l("The request was marked as done."),
    EventKind.CANCELLED: _l("The request was cancelled."),
    EventKind.REOPENED: _l("The request was reopened."),
    EventKind.UNDONE: _l("The last change was undone."),
    EventKind.FELL_BACK: _l("It had waited for long, so the fallback may serve it, too."),
    EventKind.CALL_NOW: _l("An urgent call was asked for."),
    EventKind.CALL_NOW_WITHDRAWN: _l("The urgent call was withdrawn."),
    EventKind.CALL_NOW_OVER: _l("No phone rang for an hour, so the call is not urgent any more."),
}

# event -> the same, with the user and the time
_CHANGE: Mapping[str, object] = {
    EventKind.NOTED: _l("%(who)s wrote a note %(when)s."),
    EventKind.POSTPONED: _l("%(who)s postponed the request %(when)s."),
    EventKind.REASSIGNED: _l("%(who)s reassigned the request %(when)s."),
    EventKind.PRIORITISED: _l("%(who)s changed the priority %(when)s."),
    EventKind.MARKED_DONE: _l("%(who)s marked the request as done %(when)s."),
    EventKind.CANCELLED: _l("%(who)s cancelled the request %(when)s."),
    EventKind.REOPENED: _l("%(who)s reopened the request %(when)s."),
    EventKind.CALL_NOW: _l("%(who)s asked for an urgent call %(when)s."),
    EventKind.CALL_NOW_WITHDRAWN: _l("%(who)s withdrew the urgent call %(when)s."),
    EventKind.UNDONE: _l("%(who)s undid the last change %(when)s."),
}

_DONE: Mapping[type, object] = {
    WithdrawCallNow: _l("The urgent call is withdrawn. The request waits as before."),
    Undo: _l("Undone. The request is as it was before."),
    Prioritise: _l("The priority was changed."),
    MarkDone: _l("The request was marked as done."),
    WriteNote: _l("The note was saved."),
    Cancel: _l("The request was cancelled."),
    Reopen: _l("The request waits again."),
    Block: _l("The number is blocked, and the request was cancelled."),
}

RESULT: Mapping[ResultCode, object] = {
    ResultCode.SAME: _l("No change was needed."),
    ResultCode.DUPLICATE: _l("The same caller is already waiting there, so nothing was changed."),
    ResultCode.CHANGED: _l("Another user has changed the request."),
    ResultCode.NOT_FOUND: _l("The request was not found."),
    ResultCode.NUMBER_REFUSED: _l("The number may not be called any more."),
    ResultCode.BLOCKED: _l("The number is blocked."),
    ResultCode.UNKNOWN_TARGET: _l("This extension or queue does not exist any more. Choose another one."),
    ResultCode.NOT_FREE: ERROR["not_free"],
    ResultCode.NOT_YOURS: _l("This phone is not yours. Choose one of your own."),
    ResultCode.NOT_ALLOWED: _l("Only supervisors and administrators may do this."),
    ResultCode.TOO_LATE: _l("Something has happened to the request since, so nothing was undone."),
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


def may_block_numbers() -> bool:
    """Return whether the current user may put numbers on the block list."""
    return bool(current_scope().everything)


def event_text(event: HistoryEvent) -> str:
    """Return the text for an event. An unknown event of an older version is its own text."""
    if event.kind == EventKind.REGISTERED_AGAIN and event.detail:
        return digits(_("The caller registered again, %(count)s times.", count=event.detail))
    if event.kind == EventKind.UNDONE and event.detail:
        return _("Undone: %(what)s", what=EVENT.get(event.detail, event.detail))
    return str(EVENT.get(event.kind, event.kind))


def change_text(event: HistoryEvent) -> Markup:
    """Return who changed a request, how and when."""
    sentence = _CHANGE.get(event.kind, _l("%(who)s changed the request %(when)s."))
    values = {"who": name(event.actor), "when": ago(event.at)}
    return Markup(str(sentence)) % values  # noqa: S704 - the catalogue is ours, and the values are escaped


def result_text(
    action: Action, result: ActionResult, before: PendingRow | None = None, after: PendingRow | None = None
) -> Markup:
    """Return the text for the result of an action on one request, which was `before` and is `after`."""
    if result.free_at is not None:
        return escape(_free_text(result.code, result.free_at))
    if isinstance(action, CallNow) and result.ok:
        text = urgent_text(action.agent, result, before, after, utcnow())
        if result.code is ResultCode.SAME and result.by is not None:
            return Markup("{} {}").format(change_text(result.by), text)
        return text
    if result.code is ResultCode.DONE:
        return escape(_done_text(action))
    if isinstance(action, Reopen) and result.duplicate is not None:
        link = Markup('<a href="{}">{}</a>').format(
            url_for("requests.show", request_id=result.duplicate),
            digits(_("Request %(number)s", number=result.duplicate)),
        )
        return fill_in(_("The caller has registered again: see %(link)s. Nothing was changed."), link=link)
    if result.verdict is not None:
        return Markup("{} {}").format(str(RESULT[result.code]), explain_verdict(result.verdict))
    in_flight = result.code in (ResultCode.IS_DIALLING, ResultCode.IS_CONNECTED)
    if result.by is not None and result.by.actor and not in_flight:
        return change_text(result.by)
    return escape(str(RESULT[result.code]))


def _done_text(action: Action) -> str:
    match action:
        case Postpone(until):
            return _("The request was postponed until %(time)s.", time=time_of_day(until, utcnow()))
        case Reassign(queue, target):
            return _("The request was reassigned to %(target)s.", target=target_text(queue, target))
    return str(_DONE[type(action)])


def _free_text(code: ResultCode, free_at: datetime) -> str:
    """Return the text for a time that is not free: the request was postponed to the next one, or nothing was done."""
    time = format_moment(free_at)
    if code is ResultCode.DONE:
        text = _("At that time the office is closed or has enough calls, so the request was postponed until %(time)s.")
        return text % {"time": time}
    return not_free_text(free_at)


def not_free_text(free_at: datetime | None) -> str:
    """Return why a time cannot be given, and the next free one."""
    if free_at is None:
        return str(RESULT[ResultCode.NOT_FREE])
    return _(
        "At that time the office is closed or has enough calls. The next free time is %(time)s.",
        time=format_moment(free_at),
    )


def results_message(
    action: Action,
    results: Sequence[ActionResult],
    rows: Mapping[int, PendingRow],
    after: Mapping[int, PendingRow],
) -> tuple[Markup, str]:
    """Return the message about all results, and its category: "success", "info" or "warning".

    `rows` are the requests before the action, and `after` are those afterwards. An urgent call that waits, or that was
    asked for before, is no success.
    """
    category = "success" if all(result.ok for result in results) else "warning"
    if category == "success" and isinstance(action, CallNow):
        is_repeated = any(result.code is ResultCode.SAME for result in results)
        category = "info" if is_repeated or any(waits(row) for row in after.values()) else category
    if len(results) == 1:
        (result,) = results
        before, now = rows.get(result.id), after.get(result.id)
        text = result_text(action, result, before, now)
        shown = before or now
        return (text if shown is None else _about(shown, text)), category
    counts = Counter(result.ok for result in results)
    if isinstance(action, CallNow):
        sentence = ngettext(
            "An urgent call was asked for, for %(num)s request.",
            "An urgent call was asked for, for %(num)s requests.",
            counts[True],
        )
    else:
        sentence = ngettext("Done for %(num)s request.", "Done for %(num)s requests.", counts[True])
    head = _timed(escape(digits(sentence)))
    rest = [result for result in results if not result.ok]
    lines = [_line(action, result, rows.get(result.id)) for result in rest[:MAX_LISTED_RESULTS]]
    if len(rest) > MAX_LISTED_RESULTS:
        lines.append(escape(digits(_("And %(count)s more.", count=len(rest) - MAX_LISTED_RESULTS))))
    items = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)
    return Markup("{}{}").format(head, Markup("<ul>{}</ul>").format(items) if lines else ""), category


def _about(row: PendingRow, text: Markup) -> Markup:
    """Return a text with the number that it is about, and the time of the day."""
    return Markup("<div>{}</div><div>{}</div>").format(_timed(number(row.number)), text)


def _timed(subject: Markup) -> Markup:
    now = utcnow()
    clock = digits(now.astimezone(office_zone()).strftime("%H:%M:%S"))
    return Markup('<strong>{}</strong> <time class="small" datetime="{}">{}</time>').format(
        subject, now.isoformat(timespec="seconds"), clock
    )


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
    if kind in (EventKind.POSTPONED, EventKind.TIME_CHOSEN):
        return format_moment(datetime.fromisoformat(stored))
    if kind == EventKind.PRIORITISED:
        return str(PRIORITY.get(int(stored), stored)) if stored.lstrip("-").isdecimal() else stored
    if kind == EventKind.STANDING:
        return _("fixed agent: %(target)s", target=target_text(False, stored))
    if kind in (EventKind.REASSIGNED, EventKind.FELL_BACK):
        return target_text(*parse_target(stored))
    return stored
