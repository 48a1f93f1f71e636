"""What a person can do about the reason why a request waits."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.domain.policy import ReasonCode
from app.services.requests.pending import PendingRow
from app.web.context import current_scope
from app.web.formats import digits


@dataclass(frozen=True)
class Remedy:
    """What helps: a link or a button beside a reason, or words about what to do elsewhere.

    `act` is the action on the request that the link opens, "" if it opens another page. `posts`: it is a button.
    """

    label: str
    url: str = ""
    act: str = ""
    posts: bool = False


# Returns the remedy for a request, None if this user may not do it.
_Find = Callable[[PendingRow], Remedy | None]


def _act(act: str, label: object) -> _Find:
    """An action on the request, for everybody who sees it."""

    def find(row: PendingRow) -> Remedy:
        return Remedy(str(label), url_for("acts.perform", act=act, row=f"{row.id}.{row.version}"), act)

    return find


def _say(label: object) -> _Find:
    """What somebody does at a phone or at the PBX."""
    return lambda row: Remedy(str(label) % {"agent": digits(row.reason.subject if row.reason is not None else "")})


def _tell_administrators(label: object) -> _Find:
    return lambda row: Remedy(str(label)) if _is_administrator() else None


def _open(endpoint: str, label: object) -> _Find:
    """A page for administrators."""
    return lambda row: Remedy(str(label), url_for(endpoint)) if _is_administrator() else None


def _open_module(row: PendingRow) -> Remedy | None:
    if row.module_id is None or not _is_administrator():
        return None
    return Remedy(_("Open the module"), url_for("modules.edit", module_id=row.module_id))


def _resume(row: PendingRow) -> Remedy | None:
    return Remedy(_("Resume calls"), url_for("calls.resume"), posts=True) if current_scope().everything else None


def _call_by_hand(row: PendingRow) -> Remedy:
    dialled = re.sub(r"[^0-9+]", "", row.number)
    return Remedy(_("Call %(number)s by hand", number=digits(row.number)), f"tel:{dialled}")


def _is_administrator() -> bool:
    return bool(current_user.role == "administrator")


_reassign = _act("reassign", _l("Reassign …"))
_cancel = _act("cancel", _l("Cancel …"))
_mark_done = _act("done", _l("Mark as done …"))
_open_pbx = _open("settings.exchange", _l("Open the settings of the PBX"))
_open_limits = _open("settings.index", _l("Open the limits"))

REMEDIES: Mapping[ReasonCode, tuple[_Find, ...]] = {
    ReasonCode.SERVICE_DOWN: (
        _tell_administrators(_l("On the server: start the service bazang-worker.")),
        _call_by_hand,
    ),
    ReasonCode.NOT_CONNECTED: (_open_pbx, _call_by_hand),
    ReasonCode.TOO_OLD: (_open_pbx, _call_by_hand),
    ReasonCode.NO_DIALPLAN: (_open_pbx, _call_by_hand),
    ReasonCode.OLD_NUMBER_CHECK: (_open_pbx, _call_by_hand),
    ReasonCode.NO_OUTBOUND: (_open_pbx, _call_by_hand),
    ReasonCode.UNCERTAIN: (_mark_done, _cancel),
    ReasonCode.ALL_PAUSED: (_resume,),
    ReasonCode.OFFICE_CLOSED: (_open("settings.hours_page", _l("Open the office hours")), _open_module),
    ReasonCode.DAILY_LIMIT: (_open_limits,),
    ReasonCode.CALLS_LIMIT: (_open_limits,),
    ReasonCode.ROUTE_CALLS_LIMIT: (_open_limits,),
    ReasonCode.NUMBER_REFUSED: (_open("settings.numbers_page", _l("Open the rules for numbers")), _cancel),
    ReasonCode.MANUAL: (_open_module,),
    ReasonCode.ROUTE_PAUSED: (_call_by_hand, _open_pbx),
    ReasonCode.CUSTOMER_GONE: (_say(_l("Connect the phone %(agent)s.")), _cancel),
    ReasonCode.LINE_DND: (_say(_l("Switch it off at the phone %(agent)s.")), _reassign),
    ReasonCode.LINE_OFFLINE: (_say(_l("Connect the phone %(agent)s.")), _reassign),
    ReasonCode.LINE_UNKNOWN: (_reassign, _open("extensions.index", _l("Open the extensions"))),
    ReasonCode.AGENT_PAUSE: (_reassign,),
    ReasonCode.NOTHING_RANG: (_reassign,),
    ReasonCode.AGENT_IS_CUSTOMER: (_reassign,),
    ReasonCode.MEMBER_PAUSED: (_say(_l("End the pause in the queue at the phone %(agent)s.")), _reassign),
    ReasonCode.NO_MEMBERS: (_reassign, _open_module),
    ReasonCode.NOBODY_THERE: (_say(_l("Connect a phone, or end a pause in the queue.")), _reassign),
    ReasonCode.NO_AGENT_FREE: (_reassign,),
}

_ENDS = "It ends by itself, mostly within minutes."
_CALL_BUTTON = "The button beside it makes the call now."
NO_REMEDY: Mapping[ReasonCode, str] = {
    ReasonCode.POSTPONED: _CALL_BUTTON,
    ReasonCode.CHOSEN_TIME: _CALL_BUTTON,
    ReasonCode.RETRY: _CALL_BUTTON,
    ReasonCode.OPENING: _CALL_BUTTON,
    ReasonCode.MIN_WAIT: _CALL_BUTTON,
    ReasonCode.PREFERRED: _CALL_BUTTON,
    ReasonCode.LIVE_CALLERS: _CALL_BUTTON,
    ReasonCode.NUMBER_BUSY: _ENDS,
    ReasonCode.NUMBER_ON_LINE: _ENDS,
    ReasonCode.LINE_RINGING: _ENDS,
    ReasonCode.LINE_IN_CALL: _ENDS,
    ReasonCode.REST: _ENDS,
    ReasonCode.AGENT_IN_FLIGHT: _ENDS,
    ReasonCode.WRAPUP: _ENDS,
    ReasonCode.BEHIND_OTHERS: _ENDS,
}


def find_remedies(row: PendingRow) -> list[Remedy]:
    """Return what the current user can do about the reason why a request waits."""
    finds = REMEDIES.get(row.reason.code, ()) if row.reason is not None else ()
    return [remedy for remedy in (find(row) for find in finds) if remedy is not None]
