"""The words for codes that several packages show. Packages have the words for their own codes in their wording.py."""

from flask_babel import lazy_gettext as _l

from app.domain.lifecycle import Outcome, Status, Step
from app.domain.numbers import OutboundFormat
from app.domain.policy import LineState

STATUS = {
    Status.WAITING: _l("waiting"),
    Status.DIALLING: _l("dialling"),
    Status.CONNECTED: _l("connected"),
    Status.DONE: _l("done"),
    Status.FAILED: _l("failed"),
    Status.CANCELLED: _l("cancelled"),
    Status.EXPIRED: _l("expired"),
    Status.UNCERTAIN: _l("uncertain"),
}

# The colours of Tabler.
STATUS_COLOUR = {
    Status.WAITING: "azure",
    Status.DIALLING: "orange",
    Status.CONNECTED: "green",
    Status.DONE: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "secondary",
    Status.EXPIRED: "secondary",
    Status.UNCERTAIN: "yellow",
}

STEP = {
    Step.CLAIMED: _l("the agent's phone rings"),
    Step.AGENT_ANSWERED: _l("the agent has answered"),
    Step.CUSTOMER_DIALLED: _l("the customer's phone rings"),
    Step.CONNECTED: _l("the call is in progress"),
}

OUTCOME = {
    Outcome.NOT_STARTED: _l("no phone rang"),
    Outcome.AGENT_TAKEN: _l("another call took the agent's line"),
    Outcome.WITHDRAWN: _l("withdrawn before a phone rang"),
    Outcome.AGENT_BUSY: _l("the agent was busy"),
    Outcome.AGENT_NO_ANSWER: _l("the agent did not answer"),
    Outcome.AGENT_REJECTED: _l("the agent rejected the call"),
    Outcome.AGENT_UNREACHABLE: _l("the agent could not be reached"),
    Outcome.AGENT_REFUSED: _l("the agent postponed it"),
    Outcome.AGENT_SILENT: _l("the agent pressed no key"),
    Outcome.AGENT_GONE: _l("the agent hung up"),
    Outcome.CUSTOMER_BUSY: _l("the customer was busy"),
    Outcome.CUSTOMER_NO_ANSWER: _l("the customer did not answer"),
    Outcome.CUSTOMER_REJECTED: _l("the customer rejected the call"),
    Outcome.CUSTOMER_UNREACHABLE: _l("the customer could not be reached"),
    Outcome.CUSTOMER_ABANDONED: _l("the agent hung up while the customer's phone rang"),
    Outcome.CUSTOMER_UNKNOWN: _l("the customer was called; the result is not known"),
    Outcome.CONNECTED: _l("the call took place"),
    Outcome.UNCLEAR: _l("the result is not known"),
}

LINE_STATE = {
    LineState.FREE: _l("free"),
    LineState.RINGING: _l("ringing"),
    LineState.IN_CALL: _l("in a call"),
    LineState.DND: _l("do not disturb"),
    LineState.OFFLINE: _l("offline"),
    LineState.UNKNOWN: _l("unknown"),
}

LINE_STATE_COLOUR = {
    LineState.FREE: "green",
    LineState.RINGING: "orange",
    LineState.IN_CALL: "red",
    LineState.DND: "purple",
    LineState.OFFLINE: "secondary",
    LineState.UNKNOWN: "secondary",
}

DESTINATION = {
    "extension": _l("extension"),
    "queue": _l("queue"),
    "module": _l("call request module"),
    "custom": _l("custom"),
    "hangup": _l("hang up"),
}

SITUATION = {
    "no_answer": _l("no answer"),
    "busy": _l("busy"),
    "unavailable": _l("unavailable"),
}

PROMPT = {
    "intro": _l("introduction"),
    "enter_number": _l("enter the number"),
    "wrong_number": _l("wrong number"),
    "entered_number": _l("the number entered"),
    "is": _l("end of the number"),
    "check_number": _l("check the number"),
    "before_success": _l("before registration"),
    "after_success": _l("after registration"),
}

OUTBOUND_FORMAT = {
    OutboundFormat.NATIONAL.value: _l("national: 09121234567"),
    OutboundFormat.E164.value: _l("with the country code: 989121234567"),
    OutboundFormat.INTERNATIONAL.value: _l("international: 00989121234567"),
}

ROLE = {
    "administrator": _l("administrator"),
    "supervisor": _l("supervisor"),
    "operator": _l("operator"),
}

ROLE_ABOUT = {
    "administrator": _l("Full access: call request modules, prompts, the PBX, settings and users."),
    "supervisor": _l("Sees and handles all requests, the overview and the log. Cannot change settings."),
    "operator": _l("Sees and handles the requests for their own extensions and queues."),
}

ROLE_COLOUR = {"administrator": "purple", "supervisor": "azure", "operator": "secondary"}

THEME = {
    "auto": _l("same as the device"),
    "light": _l("light"),
    "dark": _l("dark"),
}

LANGUAGE = {"fa": _l("Persian"), "en": _l("English")}

# The error codes of the services, shown beside a field.
ERROR = {
    "required": _l("This field is required."),
    "too_long": _l("This is too long. Shorten it."),
    "too_short": _l("This is too short. Use at least 8 characters."),
    "characters": _l("This contains characters that cannot be displayed. Remove them."),
    "code": _l("Use digits, * and # only."),
    "taken": _l("This is already in use. Choose another one."),
    "twice": _l("This is listed twice. Remove one of them."),
    "wrong": _l("This is not your password. Enter your current password."),
    "same": _l("This is your current password. Choose another one."),
    "last_administrator": _l("This is the last administrator. Make another user an administrator first."),
    "range": _l("This is out of range. Enter another value."),
    "choice": _l("Choose an item from the list."),
    "number": _l("This is not a telephone number. Check it."),
    "foreign": _l("Numbers of other countries cannot be called. Enter a number of this country."),
    "kind": _l("This kind of number cannot be called. Enter a landline or mobile number."),
    "emergency": _l("Emergency numbers cannot be called. Enter another number."),
    "one_queue": _l("Enter one queue only."),
    "custom": _l("Enter context,extension,priority."),
    "no_module": _l("There is no module with this code. Check the code."),
    "cycle": _l("Callers would come back here again and again. Choose another destination."),
    "no_file": _l("Choose a file."),
    "in_use": _l("Other destinations still lead to this module. Change them first."),
    "duration": _l("Enter hours:minutes:seconds."),
    "digits": _l("Use digits only."),
    "context": _l("Use letters, digits, dots, dashes and underscores only."),
    "whole_number": _l("Enter a whole number."),
    "order": _l("The end is before the beginning. Change one of them."),
    "past": _l("This time is in the past. Enter a later one."),
    "time": _l("Enter a time of day, such as 14:30."),
    "not_yours": _l("This extension is not yours. Choose one of your own."),
    "date": _l("Enter year-month-day, such as 2026-11-24."),
    "host": _l("Enter a host name or an address, such as 192.168.1.10."),
    "port": _l("Enter a number from 1 to 65535. The usual port is 5038."),
    "ami_user": _l("Use letters, digits, dots, dashes, underscores and @ only."),
    "secret": _l("Use Latin letters, digits and signs only, without spaces."),
    "secret_again": _l("The host, port or user has changed. Enter the secret again."),
    "passwords_differ": _l("The two passwords differ. Enter them again."),
    "not_on_exchange": _l("The PBX does not know it. Check it."),
    "code_on_exchange": _l("The PBX uses this code for something else. Choose another code."),
}


def error(code: str) -> str:
    """Say a check's code in words; a code without words is shown as it is rather than hidden."""
    return str(ERROR.get(code, code))
