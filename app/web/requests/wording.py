"""What was done to requests, and what came of it, in words: for the history, and for whoever did something."""

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
from app.services.requests.history import HistoryEvent
from app.services.requests.pending import PendingRow
from app.services.requests.results import ActionResult
from app.web.formats import ago, digits, name, number, written

MOST_TOLD = 8  # rows of which each is told what came of it; of more there is a number

PRIORITY = {1: _l("high"), 0: _l("normal"), -1: _l("low")}

# event of the history -> what happened, without who did it
EVENT: Mapping[str, object] = {
    "registered": _l("The request was registered."),
    "registered_again": _l("The caller asked again."),
    "claimed": _l("A call was begun."),
    "agent_answered": _l("The agent answered."),
    "customer_dialled": _l("The customer's phone began to ring."),
    "connected": _l("The two were connected."),
    "ended": _l("The call ended."),
    "reached": _l("They talked in a call of their own, so it is done."),
    "expired": _l("Its time was over."),
    "noted": _l("A note was written."),
    "postponed": _l("It was postponed."),
    "reassigned": _l("It was given to somebody else."),
    "prioritised": _l("Its priority was changed."),
    "marked_done": _l("It was marked as done."),
    "cancelled": _l("It was cancelled."),
    "call_now": _l("A call was asked for at once."),
}

# event -> a sentence about who did it, when
_BY: Mapping[str, object] = {
    "noted": _l("%(who)s wrote a note, %(when)s."),
    "postponed": _l("%(who)s has postponed it, %(when)s."),
    "reassigned": _l("%(who)s has given it to somebody else, %(when)s."),
    "prioritised": _l("%(who)s has changed its priority, %(when)s."),
    "marked_done": _l("%(who)s has marked it as done, %(when)s."),
    "cancelled": _l("%(who)s has cancelled it, %(when)s."),
    "call_now": _l("%(who)s has asked for a call, %(when)s."),
}

_DONE: Mapping[type, object] = {
    CallNow: _l("It is called as soon as an agent is free."),
    Postpone: _l("The request is postponed."),
    Reassign: _l("The request is given to somebody else."),
    Prioritise: _l("The priority is changed."),
    MarkDone: _l("The request is marked as done."),
    WriteNote: _l("The note is kept."),
    Cancel: _l("The request is cancelled."),
}

NOT_DONE: Mapping[str, object] = {
    "not_found": _l("There is no such request any more."),
    "unknown_target": _l("Nobody there is called so any more."),
    "not_yours": _l("This phone is not yours."),
    "expired": _l("The telephone service was too late; nothing was done."),
    "no_answer": _l("The telephone service does not answer; it has 30 seconds to do it."),
    "is_dialling": _l("It is being dialled already."),
    "is_connected": _l("They are talking already."),
    "is_waiting": _l("It waits already."),
    "is_done": _l("It is done already."),
    "is_cancelled": _l("It is cancelled already."),
    "is_failed": _l("It has failed already."),
    "is_expired": _l("It has expired already."),
}


def happened(happening: HistoryEvent) -> str:
    """Say what happened; an event without words is shown as it is rather than hidden."""
    return str(EVENT.get(happening.kind, happening.kind))


def who_did(event: HistoryEvent) -> Markup:
    """Say who was quicker, with what, and when."""
    sentence = _BY.get(event.kind, _l("%(who)s has changed it, %(when)s."))
    values = {"who": name(event.actor), "when": ago(event.at)}
    return Markup(str(sentence)) % values  # noqa: S704  a sentence of ours


def outcome(action: Action, result: ActionResult) -> Markup:
    """Say what came of an act on one request."""
    if result.code == "done":
        if isinstance(action, CallNow) and action.agent is not None:
            return Markup("{}").format(_("%(agent)s is rung first, then the customer.", agent=digits(action.agent)))
        return escape(str(_DONE[type(action)]))
    if result.code == "same":
        return escape(_("It was so already; nothing was changed."))
    if result.code == "duplicate":
        return escape(_("The same caller waits there already; nothing was changed."))
    if result.by is not None and result.by.actor and result.code not in ("is_dialling", "is_connected"):
        return who_did(result.by)
    return escape(str(NOT_DONE.get(result.code, _l("This cannot be done any more."))))


def told(action: Action, results: Sequence[ActionResult], rows: Mapping[int, PendingRow]) -> tuple[Markup, str]:
    """Say what came of it, row by row where there are several; and whether that is a success or a warning."""
    level = "success" if all(result.ok for result in results) else "warning"
    if len(results) == 1:
        return outcome(action, results[0]), level
    counts = Counter(result.ok for result in results)
    head = digits(ngettext("Done for %(num)s request.", "Done for %(num)s requests.", counts[True]))
    rest = [result for result in results if not result.ok]
    lines = [_line(action, result, rows.get(result.id)) for result in rest[:MOST_TOLD]]
    if len(rest) > MOST_TOLD:
        lines.append(escape(digits(_("And %(count)s more.", count=len(rest) - MOST_TOLD))))
    listed = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)
    return Markup("{}{}").format(head, Markup("<ul>{}</ul>").format(listed) if lines else ""), level


def _line(action: Action, result: ActionResult, row: PendingRow | None) -> Markup:
    subject = number(row.number) if row is not None else escape(digits(f"#{result.id}"))
    return Markup("{}: {}").format(subject, outcome(action, result))


def target(queue: bool, to: str) -> str:
    """Name whom a request is for: "extension 101", "queue sales", or any extension of the module."""
    if not to:
        return _("any extension of the module")
    return f"{_('queue') if queue else _('extension')} {digits(to)}"


def value(event: str, stored: str) -> str:
    """Write the old or the new value of a line of history for people."""
    if not stored:
        return ""
    if event == "postponed":
        return written(datetime.fromisoformat(stored))
    if event == "prioritised":
        return str(PRIORITY.get(int(stored), stored)) if stored.lstrip("-").isdecimal() else stored
    if event == "reassigned":
        queue = stored.startswith("queue:")
        return target(queue, stored.removeprefix("queue:") if stored != "*" else "")
    return stored
