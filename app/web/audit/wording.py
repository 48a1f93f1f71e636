"""Texts of the audit log: actions, fields and values in the user's language."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from app.domain.text import displayable
from app.services.audit import HIDDEN, AuditAction
from app.store.models import AuditEntry
from app.web import wording
from app.web.formats import digits, format_moment, name

LONGEST_VALUE = 300  # characters; longer values are cut

# Label for the filter, and the sentence in the log.
ACTION: Mapping[AuditAction, tuple[object, object]] = {
    AuditAction.USER_CREATED: (_l("user added"), _l("The user %(what)s was added.")),
    AuditAction.USER_CHANGED: (_l("user changed"), _l("The user %(what)s was changed.")),
    AuditAction.PASSWORD_RESET: (_l("password reset"), _l("The password of %(what)s was reset.")),
    AuditAction.PASSWORD_CHANGED: (_l("own password changed"), _l("%(what)s changed their own password.")),
    AuditAction.MODULE_SAVED: (_l("module saved"), _l("The module %(what)s was saved.")),
    AuditAction.MODULE_DELETED: (_l("module deleted"), _l("The module %(what)s was deleted.")),
    AuditAction.EXTENSION_SAVED: (
        _l("extension saved"),
        _l("The optional destinations of extension %(what)s were saved."),
    ),
    AuditAction.QUEUE_SAVED: (_l("queue saved"), _l("The failed-call destination of queue %(what)s was saved.")),
    AuditAction.SETTINGS_SAVED: (_l("settings saved"), _l("The settings were saved.")),
    AuditAction.RECORDING_RENAMED: (_l("recording renamed"), _l("The recording %(what)s was renamed.")),
    AuditAction.RECORDING_DELETED: (_l("recording deleted"), _l("The recording %(what)s was deleted.")),
    AuditAction.DIGIT_CHANGED: (_l("digit changed"), _l("The recording of a digit was changed: %(what)s")),
    AuditAction.CALLS_PAUSED: (_l("calls paused"), _l("All automatic calls were paused.")),
    AuditAction.CALLS_RESUMED: (_l("calls resumed"), _l("Automatic calls were resumed.")),
    AuditAction.REQUEST_ADDED: (_l("request added by hand"), _l("The request of %(what)s was added by hand.")),
    AuditAction.REQUEST_NOTED: (_l("note added"), _l("A note was added to the request of %(what)s.")),
    AuditAction.REQUEST_POSTPONED: (_l("request postponed"), _l("The request of %(what)s was postponed.")),
    AuditAction.REQUEST_REASSIGNED: (_l("request reassigned"), _l("The request of %(what)s was reassigned.")),
    AuditAction.REQUEST_PRIORITISED: (
        _l("priority changed"),
        _l("The priority of the request of %(what)s was changed."),
    ),
    AuditAction.REQUEST_DONE: (_l("request marked as done"), _l("The request of %(what)s was marked as done.")),
    AuditAction.REQUEST_CANCELLED: (_l("request cancelled"), _l("The request of %(what)s was cancelled.")),
    AuditAction.REQUEST_CALLED: (
        _l("request called by hand"),
        _l("A call for the request of %(what)s was started by hand."),
    ),
    AuditAction.REQUESTS_MADE_UP: (_l("sample requests created"), _l("Sample requests were created.")),
}

# Labels of the fields that entries name.
FIELD: Mapping[str, object] = {
    "name": _l("Name"),
    "code": _l("Code"),
    "role": _l("Role"),
    "extensions": _l("Own extensions"),
    "active": _l("Active"),
    "locale": _l("Language of the panel"),
    "theme": _l("Theme"),
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
    "caller_id": _l("Caller ID of the office"),
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
    "outbound_format": _l("Format of dialled numbers"),
    "outbound_prefix": _l("Prefix"),
    "ami_host": _l("Address of the PBX (AMI)"),
    "ami_port": _l("Port of the PBX (AMI)"),
    "ami_username": _l("User on the PBX (AMI)"),
    "ami_secret": _l("Secret on the PBX (AMI)"),
    "agi_host": _l("Address of this machine for the PBX (AGI)"),
    "pbx_profile": _l("Type of PBX"),
    "extension_context": _l("Context of the extensions"),
    "queue_context": _l("Context of the queues"),
    "agent": _l("Agent"),
    "reason": _l("Reason"),
    "note": _l("Note"),
    "target": _l("For whom"),
    "module": _l("Call request module"),
    "priority": _l("Priority"),
    "postponed_until": _l("Postponed until"),
    "requests": _l("Requests"),
    "file": _l("File"),
}

# Texts of the values of a field.
_VALUES: Mapping[str, Mapping[str, object]] = {
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
_DESTINATIONS = frozenset({"no_answer", "busy", "unavailable", "failed"})


@dataclass(frozen=True)
class Change:
    """A changed field with its old and new value. None: there was no value."""

    label: str
    old: Markup | None
    new: Markup | None


def action_label(action: str) -> str:
    """Return the label of an action. An unknown action is shown as it is stored."""
    texts = ACTION.get(action)  # type: ignore[call-overload]  # a StrEnum equals its value
    return str(texts[0]) if texts else action


def describe(entry: AuditEntry) -> Markup:
    """Return a sentence that says what was done."""
    what = Markup("<strong>{}</strong>").format(name(digits(entry.subject)))
    texts = ACTION.get(entry.action)  # type: ignore[call-overload]
    if texts is None:
        return Markup("{} {}").format(entry.action, what)
    return Markup(str(texts[1])) % {"what": what}  # noqa: S704 - the sentence is ours


def actor_name(actor: str) -> Markup:
    """Return the name of the user who did it, or "the system"."""
    return name(actor) if actor else escape(_("the system"))


def changes(entry: AuditEntry) -> list[Change]:
    """Return the changed fields with their labels and values."""
    found = []
    for field, values in entry.detail.items():
        old, new = values if isinstance(values, list) and len(values) == 2 else (None, values)
        found.append(Change(field_label(field), format_value(field, old), format_value(field, new)))
    return found


def field_label(field: str) -> str:
    """Return the label of a field. An unknown field is shown as it is stored."""
    if field.startswith("prompt_"):
        key = field.removeprefix("prompt_")
        return _("Prompt: %(what)s", what=wording.PROMPT.get(key, key))
    return str(FIELD.get(field, field))


def format_value(field: str, stored: object) -> Markup | None:
    """Return a value for display, or None if there is none."""
    if stored == HIDDEN:
        return escape(_("(hidden)"))
    if isinstance(stored, bool):
        return escape(_("yes") if stored else _("no"))
    if stored is None and field in _VALUES and "None" in _VALUES[field]:
        return escape(str(_VALUES[field]["None"]))
    if stored in (None, "", []):
        return None
    if isinstance(stored, list):
        return _format_list(stored)
    return name(_format_text(field, str(stored)))


def _format_list(values: Iterable[object]) -> Markup:
    return escape(_(", ")).join(name(digits(value)) for value in values)


def _format_text(field: str, stored: str) -> str:
    if field in _VALUES:
        return str(_VALUES[field].get(stored, stored))
    if field in _DESTINATIONS:
        kind, _space, code = stored.partition(" ")
        shown = code if kind == "custom" else digits(code)
        return f"{wording.DESTINATION.get(kind, kind)} {shown}".strip()
    if field == "target":
        return _format_target(stored)
    if field == "postponed_until":
        return _format_time(stored)
    if field.startswith("prompt_") and stored == "none":
        return _("don't play")
    text = displayable(stored, LONGEST_VALUE)
    return digits(text) if stored.isdecimal() else text


def _format_target(stored: str) -> str:
    queue, _colon, queue_name = stored.partition(":")
    if stored == "*":
        return _("any extension of the module")
    return f"{_('queue')} {digits(queue_name)}" if queue == "queue" else f"{_('extension')} {digits(stored)}"


def _format_time(stored: str) -> str:
    try:
        return format_moment(datetime.fromisoformat(stored))
    except ValueError:
        return stored
