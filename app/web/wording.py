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
    Step.CONNECTED: _l("they are talking"),
}

OUTCOME = {
    Outcome.NOT_STARTED: _l("nothing rang"),
    Outcome.AGENT_TAKEN: _l("another call took the agent's line"),
    Outcome.WITHDRAWN: _l("withdrawn"),
    Outcome.AGENT_BUSY: _l("the agent was busy"),
    Outcome.AGENT_NO_ANSWER: _l("the agent did not answer"),
    Outcome.AGENT_REJECTED: _l("the agent rejected the call"),
    Outcome.AGENT_UNREACHABLE: _l("the agent's phone could not be reached"),
    Outcome.AGENT_REFUSED: _l("the agent put it off"),
    Outcome.AGENT_SILENT: _l("the agent pressed no key"),
    Outcome.AGENT_GONE: _l("the agent hung up"),
    Outcome.CUSTOMER_BUSY: _l("the customer was busy"),
    Outcome.CUSTOMER_NO_ANSWER: _l("the customer did not answer"),
    Outcome.CUSTOMER_REJECTED: _l("the customer rejected the call"),
    Outcome.CUSTOMER_UNREACHABLE: _l("the customer could not be reached"),
    Outcome.CUSTOMER_ABANDONED: _l("the agent hung up while the customer's phone rang"),
    Outcome.CUSTOMER_UNKNOWN: _l("the customer was dialled; the result is not known"),
    Outcome.CONNECTED: _l("they have talked"),
    Outcome.UNCLEAR: _l("nobody can say"),
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
    "is": _l("“is”"),
    "check_number": _l("check the number"),
    "before_success": _l("before registering"),
    "after_success": _l("after registering"),
}

OUTBOUND_FORMAT = {
    OutboundFormat.NATIONAL.value: _l("as at home: 09121234567"),
    OutboundFormat.E164.value: _l("with the country code: 989121234567"),
    OutboundFormat.INTERNATIONAL.value: _l("as from abroad: 00989121234567"),
}

ROLE = {
    "administrator": _l("administrator"),
    "supervisor": _l("supervisor"),
    "operator": _l("operator"),
}

ROLE_ABOUT = {
    "administrator": _l("Everything: sets up call requests, prompts, the exchange and the users."),
    "supervisor": _l("Sees and handles all requests, the overview and the log; sets nothing up."),
    "operator": _l("Sees and handles the requests of their own extensions, and of the queues these serve."),
}

ROLE_COLOUR = {"administrator": "purple", "supervisor": "azure", "operator": "secondary"}

THEME = {
    "auto": _l("as the device"),
    "light": _l("light"),
    "dark": _l("dark"),
}

LANGUAGE = {"fa": _l("Persian"), "en": _l("English")}

# The error codes of the services, shown beside a field.
ERROR = {
    "required": _l("This is needed."),
    "too_long": _l("This is too long."),
    "too_short": _l("This is too short."),
    "characters": _l("There are characters in it that cannot be shown."),
    "code": _l("Digits, * and # only."),
    "taken": _l("This is taken already."),
    "twice": _l("This is written twice."),
    "wrong": _l("This is not your password."),
    "same": _l("This is the old one: choose another."),
    "last_administrator": _l("This is the last administrator: make somebody else one first."),
    "range": _l("This is out of range."),
    "choice": _l("Choose one of the list."),
    "number": _l("This is no telephone number."),
    "foreign": _l("Numbers of other countries cannot be called. Enter a number of this country."),
    "kind": _l("This kind of number cannot be called. Enter a landline or mobile number."),
    "emergency": _l("Emergency numbers cannot be called. Enter another number."),
    "one_queue": _l("One queue only."),
    "custom": _l("Write it as context,extension,priority."),
    "no_module": _l("There is no module with this code."),
    "cycle": _l("Callers would go round in a circle."),
    "no_file": _l("Choose a file."),
    "in_use": _l("Something still points at this module."),
    "duration": _l("Write it as hours:minutes:seconds."),
    "digits": _l("Digits only."),
    "context": _l("Letters, digits, dot, dash and underscore only."),
    "whole_number": _l("Write a whole number."),
    "order": _l("The end is before the beginning."),
    "past": _l("This moment is over already."),
    "time": _l("Write a time of day, such as 14:30."),
    "not_yours": _l("This is not yours: choose one of your own."),
    "date": _l("Write it as year-month-day, such as 2026-11-24."),
    "date_time": _l("Write it as day and time, such as 2026-11-24 14:30."),
    "host": _l("Write the name or the address of a machine, such as 192.168.1.10."),
    "port": _l("A port is a number from 1 to 65535, mostly 5038."),
    "ami_user": _l("Letters, digits, dot, dash, underscore and @ only."),
    "secret": _l("Latin letters, digits and signs without spaces only."),
    "secret_again": _l("Type the secret again: host, port or user are others than before."),
    "passwords_differ": _l("The two passwords are not the same."),
    "not_on_exchange": _l("The telephone exchange does not know it."),
    "code_on_exchange": _l("Something else answers at this code on the telephone exchange. Choose another one."),
}


def error(code: str) -> str:
    """Say a check's code in words; a code without words is shown as it is rather than hidden."""
    return str(ERROR.get(code, code))
