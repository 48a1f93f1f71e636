"""The log in the reader's words: what was done to what, and what was changed from what to what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from app.domain.text import displayable
from app.services.audit import HIDDEN
from app.store.models import AuditEntry
from app.web import wording
from app.web.formats import digits, name, written

LONGEST_VALUE = 300  # characters of a value that are shown

# action -> the kind of entry, as one chooses it, and a sentence about it
ACTION: Mapping[str, tuple[object, object]] = {
    "user_created": (_l("user added"), _l("The user %(what)s was added.")),
    "user_changed": (_l("user changed"), _l("The user %(what)s was changed.")),
    "password_reset": (_l("password reset"), _l("The password of %(what)s was reset.")),
    "password_changed": (_l("own password changed"), _l("%(what)s changed their own password.")),
    "module_saved": (_l("module saved"), _l("The module %(what)s was saved.")),
    "module_deleted": (_l("module deleted"), _l("The module %(what)s was deleted.")),
    "extension_saved": (_l("extension saved"), _l("The optional destinations of extension %(what)s were saved.")),
    "queue_saved": (_l("queue saved"), _l("The failed-call destination of queue %(what)s was saved.")),
    "settings_saved": (_l("settings saved"), _l("The settings were saved.")),
    "calls_paused": (_l("calls paused"), _l("All automatic calls were paused.")),
    "calls_resumed": (_l("calls resumed"), _l("Automatic calls go on again.")),
    "request_added": (_l("request added by hand"), _l("The request of %(what)s was added by hand.")),
    "request_noted": (_l("request noted on"), _l("A note was written on the request of %(what)s.")),
    "request_postponed": (_l("request postponed"), _l("The request of %(what)s was postponed.")),
    "request_reassigned": (_l("request given on"), _l("The request of %(what)s was given to somebody else.")),
    "request_prioritised": (_l("priority changed"), _l("The priority of the request of %(what)s was changed.")),
    "request_done": (_l("request marked as done"), _l("The request of %(what)s was marked as done.")),
    "request_cancelled": (_l("request cancelled"), _l("The request of %(what)s was cancelled.")),
    "request_called": (_l("request called by hand"), _l("A call for the request of %(what)s was asked for.")),
    "requests_made_up": (_l("requests made up"), _l("Made-up requests were stored, to try things out.")),
}

# A field of anything that is changed, by the name that the log keeps.
FIELD: Mapping[str, object] = {
    "name": _l("Name"),
    "code": _l("Code"),
    "role": _l("Role"),
    "extensions": _l("Own extensions"),
    "active": _l("Active"),
    "locale": _l("Language of the panel"),
    "theme": _l("Colours"),
    "target_kind": _l("For whom"),
    "targets": _l("Extensions or queue"),
    "next_kind": _l("Type of the next destination"),
    "next_code": _l("Next destination"),
    "error_kind": _l("Type of the error destination"),
    "error_code": _l("Error destination"),
    "silent": _l("Silent"),
    "automatic": _l("Automatic call"),
    "language": _l("Language"),
    "voice": _l("Voice"),
    "rate": _l("Speed of the voice"),
    "pitch": _l("Pitch of the voice"),
    "caller_id": _l("Office's caller ID"),
    "min_wait": _l("Minimum waiting time (seconds)"),
    "rest": _l("Rest after a call (seconds)"),
    "retries": _l("Number of retries"),
    "retry_pause": _l("Pause between retries (seconds)"),
    "agent_pause": _l("Pause after a missed call (seconds)"),
    "agent_ring": _l("The agent's phone rings (seconds)"),
    "customer_ring": _l("The customer's phone rings (seconds)"),
    "expire_after": _l("Expires after (seconds)"),
    "ring": _l("Ringing time (seconds)"),
    "no_answer": _l("No answer"),
    "busy": _l("Busy"),
    "unavailable": _l("Unavailable"),
    "max_wait": _l("Maximum wait in the queue"),
    "wrapup": _l("Wrap-up time"),
    "failed": _l("Failed-call destination"),
    "timezone": _l("Time zone"),
    "region": _l("Country"),
    "area_code": _l("Area code"),
    "outbound_context": _l("Context for calls to customers"),
    "outbound_format": _l("How numbers are dialled"),
    "outbound_prefix": _l("Prefix"),
    "ami_host": _l("Address of the exchange (AMI)"),
    "ami_port": _l("Port of the exchange (AMI)"),
    "ami_username": _l("User name at the exchange (AMI)"),
    "ami_secret": _l("Secret at the exchange (AMI)"),
    "agi_host": _l("Address of this machine for the exchange (AGI)"),
    "pbx_profile": _l("Kind of exchange"),
    "extension_context": _l("Context of extensions"),
    "queue_context": _l("Context of queues"),
    "agent": _l("Agent"),
    "reason": _l("Reason"),
    "note": _l("Note"),
    "target": _l("For whom"),
    "module": _l("Call request module"),
    "priority": _l("Priority"),
    "postponed_until": _l("Postponed until"),
    "requests": _l("Requests"),
}

_TABLES: Mapping[str, Mapping[str, object]] = {
    "role": wording.ROLE,
    "theme": wording.THEME,
    "locale": {**wording.LANGUAGE, "None": _l("as the office")},
    "language": wording.LANGUAGE,
    "target_kind": wording.DESTINATION,
    "next_kind": wording.DESTINATION,
    "error_kind": wording.DESTINATION,
    "outbound_format": wording.OUTBOUND_FORMAT,
    "priority": {"1": _l("high"), "0": _l("normal"), "-1": _l("low")},
}
_WAYS = frozenset({"no_answer", "busy", "unavailable", "failed"})


@dataclass(frozen=True)
class Change:
    """A field as people call it, and its values before and after; None where there was none."""

    label: str
    old: Markup | None
    new: Markup | None


def kind(action: str) -> str:
    """Name a kind of entry; one without words is shown as it is rather than hidden."""
    return str(ACTION[action][0]) if action in ACTION else action


def sentence(entry: AuditEntry) -> Markup:
    """Say what was done."""
    what = Markup("<strong>{}</strong>").format(name(digits(entry.subject)))
    if entry.action not in ACTION:
        return Markup("{} {}").format(entry.action, what)
    return Markup(str(ACTION[entry.action][1])) % {"what": what}  # noqa: S704  a sentence of ours


def who(actor: str) -> Markup:
    return name(actor) if actor else escape(_("the system"))


def changes(entry: AuditEntry) -> list[Change]:
    """Return what was changed, in words."""
    found = []
    for field, values in entry.detail.items():
        old, new = values if isinstance(values, list) and len(values) == 2 else (None, values)
        found.append(Change(label(field), value(field, old), value(field, new)))
    return found


def label(field: str) -> str:
    if field.startswith("prompt_"):
        key = field.removeprefix("prompt_")
        return _("Prompt: %(what)s", what=wording.PROMPT.get(key, key))
    return str(FIELD.get(field, field))


def value(field: str, stored: object) -> Markup | None:
    """Write a value for people; None where there is none."""
    if stored == HIDDEN:
        return escape(_("(not shown)"))
    if isinstance(stored, bool):
        return escape(_("yes") if stored else _("no"))
    if stored is None and field in _TABLES and "None" in _TABLES[field]:
        return escape(str(_TABLES[field]["None"]))
    if stored in (None, "", []):
        return None
    if isinstance(stored, list):
        return _listed(stored)
    return name(_in_words(field, str(stored)))


def _listed(values: Iterable[object]) -> Markup:
    return escape(_(", ")).join(name(digits(one)) for one in values)


def _in_words(field: str, stored: str) -> str:
    if field in _TABLES:
        return str(_TABLES[field].get(stored, stored))
    if field in _WAYS:
        kind, _space, code = stored.partition(" ")
        shown = code if kind == "custom" else digits(code)
        return f"{wording.DESTINATION.get(kind, kind)} {shown}".strip()
    if field == "target":
        return _target(stored)
    if field == "postponed_until":
        return _moment(stored)
    if field.startswith("prompt_") and stored == "none":
        return _("don't play")
    return digits(displayable(stored, LONGEST_VALUE)) if stored.isdecimal() else displayable(stored, LONGEST_VALUE)


def _target(stored: str) -> str:
    queue, _colon, named = stored.partition(":")
    if stored == "*":
        return _("any extension of the module")
    return f"{_('queue')} {digits(named)}" if queue == "queue" else f"{_('extension')} {digits(stored)}"


def _moment(stored: str) -> str:
    try:
        return written(datetime.fromisoformat(stored))
    except ValueError:
        return stored
