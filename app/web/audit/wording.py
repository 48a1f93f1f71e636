"""Texts of the audit log: actions, fields and values in the user's language."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from app.audio.prompt_texts import LANGUAGES
from app.domain.hours import parse_spans, parse_week
from app.domain.text import displayable
from app.services.audit import HIDDEN, AuditAction
from app.store.models import AuditEntry
from app.web import wording
from app.web.formats import digits, format_date, format_moment, listed, name
from app.web.hours_fields import describe_week, format_day

LONGEST_VALUE = 300  # characters; longer values are cut

# Label for the filter, and the sentence in the log.
ACTION: Mapping[AuditAction, tuple[object, object]] = {
    AuditAction.USER_CREATED: (_l("user added"), _l("The user %(what)s was added.")),
    AuditAction.USER_CHANGED: (_l("user changed"), _l("The user %(what)s was changed.")),
    AuditAction.EXCHANGE_ADDED: (_l("exchange added"), _l("The exchange %(what)s was added.")),
    AuditAction.EXCHANGE_RENAMED: (_l("exchange renamed"), _l("The exchange %(what)s has another name.")),
    AuditAction.EXCHANGE_REMOVED: (_l("exchange removed"), _l("The exchange %(what)s was removed.")),
    AuditAction.PASSWORD_RESET: (_l("password reset"), _l("The password of %(what)s was reset.")),
    AuditAction.PASSWORD_CHANGED: (_l("own password changed"), _l("%(what)s changed their own password.")),
    AuditAction.LOGGED_IN: (_l("logged in"), _l("%(what)s logged in.")),
    AuditAction.LOGIN_FAILED: (_l("failed log-in"), _l("Logging in as %(what)s failed.")),
    AuditAction.UNKNOWN_LOGIN_FAILED: (
        _l("failed log-in with an unknown name"),
        _l("Logging in failed. No user has the name that was typed."),
    ),
    AuditAction.CODE_FAILED: (
        _l("wrong code after the right password"),
        _l("Logging in as %(what)s failed. The password was right, the code was wrong."),
    ),
    AuditAction.LOGIN_REFUSED: (
        _l("log-in refused"),
        _l("Logging in was refused: %(what)s"),
    ),
    AuditAction.ACCOUNT_LINKED: (
        _l("account linked"),
        _l("%(what)s linked their account with one from elsewhere."),
    ),
    AuditAction.ACCOUNT_UNLINKED: (
        _l("link of an account removed"),
        _l("The link of %(what)s with an account from elsewhere was removed."),
    ),
    AuditAction.LOGGED_OUT: (_l("logged out"), _l("%(what)s logged out.")),
    AuditAction.SESSION_ENDED: (_l("session ended"), _l("Another session of %(what)s was ended.")),
    AuditAction.SECOND_FACTOR_ON: (
        _l("two-step log-in turned on"),
        _l("%(what)s turned the two-step log-in on."),
    ),
    AuditAction.SECOND_FACTOR_OFF: (
        _l("two-step log-in turned off"),
        _l("%(what)s turned the two-step log-in off."),
    ),
    AuditAction.SECOND_FACTOR_RESET: (
        _l("two-step log-in reset"),
        _l("The two-step log-in of %(what)s was reset."),
    ),
    AuditAction.RECOVERY_CODES_MADE: (
        _l("new recovery codes"),
        _l("%(what)s made new recovery codes."),
    ),
    AuditAction.API_TOKEN_ADDED: (_l("API token added"), _l("An API token of %(what)s was added.")),
    AuditAction.API_TOKEN_REVOKED: (_l("API token revoked"), _l("An API token of %(what)s was revoked.")),
    AuditAction.API_TOKEN_REFUSED: (
        _l("wrong API token"),
        _l("A program called the API with a token that does not exist, or does not count any more."),
    ),
    AuditAction.REPORT_EXPORTED: (_l("report exported"), _l("The report was exported as a file.")),
    AuditAction.BACKUP_RESTORED: (_l("backup restored"), _l("The backup of %(what)s was restored.")),
    AuditAction.MODULE_SAVED: (_l("module saved"), _l("The module %(what)s was saved.")),
    AuditAction.MODULE_DELETED: (_l("module deleted"), _l("The module %(what)s was deleted.")),
    AuditAction.FORMER_CODE_REMOVED: (_l("former code removed"), _l("The former code %(what)s was removed.")),
    AuditAction.EXTENSION_SAVED: (
        _l("extension saved"),
        _l("The optional destinations of extension %(what)s were saved."),
    ),
    AuditAction.QUEUE_SAVED: (_l("queue saved"), _l("The failed-call destination of queue %(what)s was saved.")),
    AuditAction.SETTINGS_SAVED: (_l("settings saved"), _l("The settings were saved.")),
    AuditAction.RECORDING_RENAMED: (_l("recording renamed"), _l("The recording %(what)s was renamed.")),
    AuditAction.RECORDING_DELETED: (_l("recording deleted"), _l("The recording %(what)s was deleted.")),
    AuditAction.DIGIT_CHANGED: (_l("digit changed"), _l("The recording of a digit was changed: %(what)s")),
    AuditAction.RECORDING_SET_CHANGED: (
        _l("set of recordings changed"),
        _l("The set of recordings was changed: %(what)s"),
    ),
    AuditAction.NUMBER_LISTED: (_l("number listed"), _l("%(what)s was put on a list of numbers.")),
    AuditAction.NUMBER_UNLISTED: (_l("number removed"), _l("%(what)s was removed from a list of numbers.")),
    AuditAction.NUMBER_RULE_ADDED: (_l("number rule added"), _l("The rule for numbers of %(what)s was added.")),
    AuditAction.NUMBER_RULE_REMOVED: (_l("number rule removed"), _l("The rule for numbers of %(what)s was removed.")),
    AuditAction.SPECIAL_DAY_SAVED: (_l("special day saved"), _l("The special day %(what)s was saved.")),
    AuditAction.SPECIAL_DAY_REMOVED: (_l("special day removed"), _l("The special day %(what)s was removed.")),
    AuditAction.SPECIAL_DAYS_IMPORTED: (
        _l("special days imported"),
        _l("Special days were imported from the file %(what)s."),
    ),
    AuditAction.MISSED_CALLS_LISTED: (
        _l("missed calls listed"),
        _l("How missed calls of %(what)s are listed was saved."),
    ),
    AuditAction.MISSED_CALLS_UNLISTED: (
        _l("missed calls no longer listed"),
        _l("Missed calls of %(what)s are no longer listed."),
    ),
    AuditAction.WEBSITE_FORM_SAVED: (_l("website form saved"), _l("The website form %(what)s was saved.")),
    AuditAction.WEBSITE_FORM_REMOVED: (_l("website form removed"), _l("The website form %(what)s was removed.")),
    AuditAction.WEBSITE_KEY_RENEWED: (
        _l("key of a website form renewed"),
        _l("The website form %(what)s got a new key. Websites with the old one register nothing."),
    ),
    AuditAction.WEBHOOK_SAVED: (_l("webhook saved"), _l("The webhook %(what)s was saved.")),
    AuditAction.WEBHOOK_REMOVED: (_l("webhook removed"), _l("The webhook %(what)s was removed.")),
    AuditAction.WEBHOOK_PAUSED: (_l("webhook paused"), _l("The webhook %(what)s was paused.")),
    AuditAction.WEBHOOK_RESUMED: (_l("webhook resumed"), _l("The webhook %(what)s was resumed.")),
    AuditAction.WEBHOOK_REPLAYED: (_l("messages sent again"), _l("Messages to the webhook %(what)s were sent again.")),
    AuditAction.CONTACT_SAVED: (_l("contact saved"), _l("The contact %(what)s was saved.")),
    AuditAction.CONTACT_DELETED: (_l("contact deleted"), _l("The contact %(what)s was deleted.")),
    AuditAction.CONTACTS_IMPORTED: (
        _l("contacts imported"),
        _l("Contacts were imported from the file %(what)s."),
    ),
    AuditAction.CONTACTS_EXPORTED: (_l("contacts exported"), _l("The contacts were exported as a file.")),
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
    AuditAction.REQUEST_CALL_WITHDRAWN: (
        _l("urgent call withdrawn"),
        _l("The urgent call for the request of %(what)s was withdrawn."),
    ),
    AuditAction.REQUEST_UNDONE: (
        _l("change of a request undone"),
        _l("The last change of the request of %(what)s was undone."),
    ),
    AuditAction.REQUEST_REOPENED: (_l("request reopened"), _l("The request of %(what)s was reopened.")),
    AuditAction.DATA_DELETED: (_l("old data deleted"), _l("Data was deleted because of its age.")),
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
    "pronunciations": _l("Pronunciations"),
    "caller_id": _l("Caller ID of the office"),
    "min_wait": _l("Minimum waiting time (seconds)"),
    "rest": _l("Rest after a call (seconds)"),
    "retries": _l("Number of retries"),
    "retry_pause": _l("Pause between retries (seconds)"),  # of older versions
    "retry_pauses": _l("Pauses between retries (seconds)"),
    "busy_pause": _l("Pause after a busy customer (seconds)"),
    "agent_pause": _l("Pause after a missed call (seconds)"),
    "agent_ring": _l("The agent's phone rings (seconds)"),
    "customer_ring": _l("The customer's phone rings (seconds)"),
    "agent_confirms": _l("The agent confirms"),
    "asks_customer": _l("Asks the customer"),
    "customer_first": _l("Rings the customer first"),
    "office_name": _l("Name of the office"),
    "expire_after": _l("Expires after (seconds)"),
    "hours": _l("Own office hours"),
    "holidays": _l("Closed on the holidays of the office"),
    "outside": _l("Outside the office hours"),
    "stop_before": _l("Closes for callers before the end (seconds)"),
    "offers_times": _l("Callers may choose the time"),
    "offer_key": _l("Key to leave the queue"),
    "offer_after": _l("Offer to waiting callers every (seconds)"),
    "offer_callers": _l("Offer at once from so many waiting callers on"),
    "offer_callers_per_agent": _l("Offer at once from so many waiting callers for each agent on"),
    "quarter_limit": _l("Chosen times in a quarter of an hour"),
    "tells_place": _l("Callers hear their place in line"),
    "tells_wait": _l("Callers hear the estimated wait"),
    "asks_name": _l("Callers may say their name"),
    "keeps_while_down": _l("Takes requests while Bazang does not run"),
    "carry_over": _l("Open requests wait for the next opening"),  # of older versions
    "at_closing": _l("Open requests at the closing"),
    "agent_order": _l("Which extension rings first"),
    "preferred_for": _l("Waits for the preferred agent (seconds)"),
    "fallback_after": _l("Fallback after (seconds)"),
    "fallback_kind": _l("Type of the fallback"),
    "fallback_code": _l("Fallback"),
    "place": _l("Callers on the line and requests"),
    "callers_lead": _l("A request waits behind later callers for (seconds)"),
    "callers_share": _l("Callers before each request"),
    "office_hours": _l("Office hours"),
    "official_holidays": _l("Closed on official holidays"),
    "opening_spread": _l("Spread the first calls over (seconds)"),
    "day_hours": _l("Hours"),
    "days": _l("Days"),
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
    "calls_limit": _l("Most calls at once"),
    "route_calls_limit": _l("Most calls to customers at once"),
    "min_talk": _l("Shortest talk (seconds)"),
    "second_factor": _l("Two-step log-in"),
    "announced_first": _l("Agents hear first"),
    "hold_queues": _l("Queues wait while an agent is rung for a request"),
    "recovery_codes": _l("Recovery codes that are left"),
    "daily_calls_limit": _l("Most automatic calls in 24 hours"),
    "number_open_limit": _l("Open requests of a number"),
    "number_hour_limit": _l("New requests of a number in an hour"),
    "number_day_limit": _l("New requests of a number in 24 hours"),
    "module_hour_limit": _l("New requests of a module in an hour"),
    "total_hour_limit": _l("New requests of all modules in an hour"),
    "waiting_limit": _l("Waiting requests in all"),
    "missed_look_back": _l("Look-back (hours)"),
    "missed_kept": _l("Missed calls are kept (days)"),
    "missed_minutes": _l("Automatic request after (minutes)"),
    "list": _l("List"),
    "fixed_agent": _l("Fixed agent"),
    "number_kinds": _l("Kinds of numbers"),
    "typed_number_kinds": _l("Kinds of typed numbers"),
    "number_rule": _l("Rule"),
    "typed": _l("Callers may type such numbers, too"),
    "ami_host": _l("Address of the PBX (AMI)"),
    "ami_port": _l("Port of the PBX (AMI)"),
    "ami_username": _l("User on the PBX (AMI)"),
    "ami_secret": _l("Secret on the PBX (AMI)"),
    "agi_host": _l("Address of this machine for the PBX (AGI)"),
    "pbx_profile": _l("Type of PBX"),
    "extension_context": _l("Context of the extensions"),
    "queue_context": _l("Context of the queues"),
    "webhook_host": _l("Address"),
    "url": _l("Address with its key"),
    "webhook_inside": _l("May be inside the office"),
    "webhook_events": _l("Events"),
    "webhook_modules": _l("Modules (ids)"),
    "webhook_format": _l("Format"),
    "webhook_template": _l("Template"),
    "webhook_text": _l("Text"),
    "to_customer": _l("Goes to the customer"),
    "recipient": _l("Recipient"),
    "header_name": _l("Further header"),
    "header_value": _l("Value of the header"),
    "webhook_hours": _l("Tried for (hours)"),
    "secret": _l("Signing secret"),
    "mail_host": _l("Mail server"),
    "mail_port": _l("Port of the mail server"),
    "mail_security": _l("Encryption of e-mail"),
    "mail_username": _l("User on the mail server"),
    "mail_password": _l("Password on the mail server"),
    "mail_sender": _l("Sender of e-mail"),
    "mail_inside": _l("The mail server may be inside the office"),
    "mail_ca": _l("Further certificate for e-mail"),
    "panel_url": _l("Address of the panel"),
    "summary": _l("Summary"),
    "summary_hour": _l("Summary at (hour)"),
    "messages": _l("Messages"),
    "agent": _l("Agent"),
    "reason": _l("Reason"),
    "note": _l("Note"),
    "organisation": _l("Organisation"),
    "numbers": _l("Numbers"),
    "contacts": _l("Contacts"),
    "added": _l("Added"),
    "changed": _l("Changed"),
    "joined": _l("Joined with an earlier row"),
    "unchanged": _l("There already"),
    "left_out": _l("Left out"),
    "screen_pop_url": _l("Address of the screen pop"),
    "name_lookup_url": _l("Address to ask for names"),
    "name_lookup_field": _l("Part of the answer with the name"),
    "name_lookup_inside": _l("Names from inside the office"),
    "name_lookup_days": _l("Days for which a name counts"),
    "name_lookup_key": _l("Key to ask for names"),
    "target": _l("For whom"),
    "module": _l("Call request module"),
    "priority": _l("Priority"),
    "postponed_until": _l("Postponed until"),
    "status": _l("Status"),
    "requests": _l("Requests"),
    "notes": _l("Notes"),
    "log_entries": _l("Log entries"),
    "keep_requests": _l("Finished requests are kept (days)"),
    "keep_notes": _l("Notes on finished requests are kept (days)"),
    "keep_names": _l("Spoken names are kept (days)"),
    "keep_log": _l("The log is kept (days)"),
    "file": _l("File"),
    "recorded": _l("Recorded"),
    "address": _l("From the address"),
    "source": _l("Logged in with"),
    "refusal": _l("Reason"),
    "exchanges": _l("Exchanges"),
    "ended_address": _l("Address of the ended session"),
    "api_token": _l("API token"),
    "scopes": _l("Rights of the token"),
    "origins": _l("Addresses of the website"),
    "privacy": _l("Sentence about privacy"),
    "daily_limit": _l("Requests in a day"),
    "lasts": _l("Valid for (days)"),
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
    "fallback_kind": wording.DESTINATION,
    "outbound_format": wording.OUTBOUND_FORMAT,
    "mail_security": wording.MAIL_SECURITY,
    "mail_inside": {"1": _l("yes")},
    "summary": wording.SCHEDULE,
    "second_factor": wording.SECOND_FACTOR,
    "announced_first": wording.ANNOUNCED_FIRST,
    "hold_queues": {"1": _l("yes"), "0": _l("no")},
    "outside": wording.OUTSIDE,
    "at_closing": wording.AT_CLOSING,
    "agent_order": wording.AGENT_ORDER,
    "official_holidays": {"1": _l("yes")},
    "name_lookup_inside": {"1": _l("yes")},
    "list": wording.LIST_KIND_OF_NUMBER,
    "number_rule": {"country": _l("country"), "allow": _l("allow"), "refuse": _l("refuse")},
    "status": {status.value: text for status, text in wording.STATUS.items()},
    "source": {"oidc": "OpenID Connect", "ldap": "LDAP"},
    "refusal": wording.LOGIN_REFUSAL,
    "priority": {"1": _l("high"), "0": _l("normal"), "-1": _l("low")},
}
_ABOUT_DAYS = frozenset({AuditAction.SPECIAL_DAY_SAVED, AuditAction.SPECIAL_DAY_REMOVED})
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
    subject = _format_day(entry.subject) if entry.action in _ABOUT_DAYS else entry.subject
    what = Markup("<strong>{}</strong>").format(name(digits(subject)))
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
    subject, _underscore, language = field.rpartition("_")
    if language in LANGUAGES and subject in FIELD:
        return _("%(what)s (%(language)s)", what=FIELD[subject], language=wording.LANGUAGE[language])
    return str(FIELD.get(field, field))


def format_value(field: str, stored: object) -> Markup | None:
    """Return a value for display, or None if there is none."""
    if stored == HIDDEN:
        return escape(_("(hidden)"))
    if isinstance(stored, bool):
        return escape(_("yes") if stored else _("no"))
    if stored is None and field in _VALUES and "None" in _VALUES[field]:
        return escape(str(_VALUES[field]["None"]))
    if field == "day_hours" and isinstance(stored, str):
        return _format_hours(stored)
    if stored in (None, "", []):
        return None
    if isinstance(stored, list):
        return _format_list(map(_format_day, stored) if field == "days" else stored)
    if field in ("hours", "office_hours"):
        return _format_week(str(stored))
    return name(_format_text(field, str(stored)))


def _format_list(values: Iterable[object]) -> Markup:
    return escape(listed(name(digits(value)) for value in values))


def _format_hours(stored: str) -> Markup:
    try:
        return format_day(parse_spans(stored))
    except ValueError:
        return name(stored)


def _format_week(stored: str) -> Markup:
    try:
        return describe_week(parse_week(stored))
    except ValueError:
        return name(stored)


def _format_text(field: str, stored: str) -> str:
    if field in _VALUES:
        return str(_VALUES[field].get(stored, stored))
    if field.endswith("number_kinds"):
        return listed(wording.NUMBER_KIND.get(kind, kind) for kind in stored.split(","))  # type: ignore[call-overload]
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


def _format_day(stored: str) -> str:
    """Return a day with what follows it, such as its name, in the reader's calendar."""
    try:
        return format_date(date.fromisoformat(stored[:10])) + stored[10:]
    except ValueError:
        return stored


def _format_time(stored: str) -> str:
    try:
        return format_moment(datetime.fromisoformat(stored))
    except ValueError:
        return stored
