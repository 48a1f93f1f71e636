"""What a person can do about the reason why a request waits."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import url_for
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.domain.policy import ReasonCode
from app.services.requests.pending import PendingRow


@dataclass(frozen=True)
class Remedy:
    """A link beside a reason. `act` is the action on the request that it opens, "" if it opens another page."""

    label: object
    url: str
    act: str = ""


# These last until somebody does something. Other states of a line, a rest and a wrap-up time end by themselves.
_NEEDS_ANOTHER = frozenset(
    {
        ReasonCode.LINE_DND,
        ReasonCode.LINE_OFFLINE,
        ReasonCode.LINE_UNKNOWN,
        ReasonCode.AGENT_PAUSE,
        ReasonCode.NOTHING_RANG,
        ReasonCode.AGENT_IS_CUSTOMER,
        ReasonCode.MEMBER_PAUSED,
        ReasonCode.NO_MEMBERS,
    }
)

_PBX = "settings.exchange", _l("Open the settings of the PBX")
_LIMITS = "settings.index", _l("Open the limits")

# reason -> a page for administrators
_PAGES: Mapping[ReasonCode, tuple[str, object]] = {
    ReasonCode.NOT_CONNECTED: _PBX,
    ReasonCode.TOO_OLD: _PBX,
    ReasonCode.NO_DIALPLAN: _PBX,
    ReasonCode.OLD_NUMBER_CHECK: _PBX,
    ReasonCode.NO_OUTBOUND: _PBX,
    ReasonCode.DAILY_LIMIT: _LIMITS,
    ReasonCode.CALLS_LIMIT: _LIMITS,
    ReasonCode.ROUTE_CALLS_LIMIT: _LIMITS,
    ReasonCode.NUMBER_REFUSED: ("settings.numbers_page", _l("Open the rules for numbers")),
}


def find_remedy(row: PendingRow) -> Remedy | None:
    """Return what the current user can do about the reason why a request waits, None if there is nothing."""
    if row.reason is None:
        return None
    code = row.reason.code
    if code in _NEEDS_ANOTHER:
        url = url_for("acts.perform", act="reassign", row=f"{row.id}.{row.version}")
        return Remedy(_l("Reassign …"), url, "reassign")
    if current_user.role != "administrator":
        return None
    if code is ReasonCode.MANUAL and row.module_id is not None:
        return Remedy(_l("Open the module"), url_for("modules.edit", module_id=row.module_id))
    if code in _PAGES:
        endpoint, label = _PAGES[code]
        return Remedy(label, url_for(endpoint))
    return None
