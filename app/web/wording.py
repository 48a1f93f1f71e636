"""The words for codes that several packages show. Packages have the words for their own codes in their wording.py."""

from collections.abc import Mapping

from flask_babel import lazy_gettext as _l

from app.domain.agent_order import AgentOrder
from app.domain.dial_order import AnnouncementOrder, Confirmation
from app.domain.hours import AtClosing, Outside
from app.domain.lifecycle import Outcome, Status, Step
from app.domain.limits import LimitReason
from app.domain.mail import Security
from app.domain.number_kinds import NumberKind
from app.domain.numbers import OutboundFormat
from app.domain.place_in_line import Place
from app.domain.policy import LineState
from app.domain.second_factor import Requirement
from app.domain.summaries import Schedule

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

STEP = {
    Step.CLAIMED: _l("the agent's phone rings"),
    Step.AGENT_ANSWERED: _l("the agent has answered"),
    Step.CUSTOMER_DIALLED: _l("the customer's phone rings"),
    Step.CUSTOMER_WAITS: _l("the customer waits for the agent"),
    Step.CONNECTED: _l("the call is in progress"),
}

OUTCOME = {
    Outcome.NOT_STARTED: _l("no phone rang"),
    Outcome.AGENT_TAKEN: _l("another call took the agent's line"),
    Outcome.WITHDRAWN: _l("withdrawn before a phone rang"),
    Outcome.INTERRUPTED: _l("the PBX failed while the agent's phone rang"),
    Outcome.AGENT_BUSY: _l("the agent was busy"),
    Outcome.AGENT_NO_ANSWER: _l("the agent did not answer"),
    Outcome.AGENT_REJECTED: _l("the agent rejected the call"),
    Outcome.AGENT_UNREACHABLE: _l("the agent could not be reached"),
    Outcome.AGENT_REFUSED: _l("the agent postponed it"),
    Outcome.AGENT_SILENT: _l("the agent pressed no key"),
    Outcome.AGENT_GONE: _l("the agent hung up"),
    Outcome.AGENT_MISSED_CUSTOMER: _l("the customer waited, but the agent did not come"),
    Outcome.CUSTOMER_BUSY: _l("the customer was busy"),
    Outcome.CUSTOMER_NO_ANSWER: _l("the customer did not answer"),
    Outcome.CUSTOMER_REJECTED: _l("the customer rejected the call"),
    Outcome.CUSTOMER_UNREACHABLE: _l("the customer could not be reached"),
    Outcome.CUSTOMER_ABANDONED: _l("the agent hung up before they were connected"),
    Outcome.CUSTOMER_SILENT: _l("the customer's line answered, but nobody pressed a key"),
    Outcome.CUSTOMER_GONE: _l("the customer answered, but hung up"),
    Outcome.CUSTOMER_LATER: _l("the customer wants to be called later"),
    Outcome.CUSTOMER_DECLINED: _l("the customer no longer wants the call"),
    Outcome.CUSTOMER_UNKNOWN: _l("the customer was called; the result is not known"),
    Outcome.CUSTOMER_EMERGENCY: _l("emergency numbers are not dialled"),
    Outcome.CUSTOMER_NOT_ALLOWED: _l("our dialplan does not allow this number"),
    Outcome.ROUTE_MISSING: _l("there is no route to this number"),
    Outcome.ROUTE_UNAVAILABLE: _l("the trunk could not be reached"),
    Outcome.ROUTE_CONGESTED: _l("all lines of the trunk were busy"),
    Outcome.ROUTE_FORBIDDEN: _l("the provider refused the call"),
    Outcome.ROUTE_FAILED: _l("the trunk failed"),
    Outcome.TALK_TOO_SHORT: _l("the talk was too short"),
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
    "closed": _l("outside the office hours"),
    "offer": _l("offer to waiting callers"),
    "ask_customer": _l("question to the customer"),
    "greet_customer": _l("greeting of the customer"),
    "apology": _l("apology"),
}

CONFIRMATION = {
    Confirmation.KEY.value: _l("by key 1"),
    Confirmation.ANSWER.value: _l("by answering"),
}

NOBODY = _l("nobody")

AGENT_ORDER = {
    AgentOrder.LONGEST_IDLE.value: _l("who has had no call for longest"),
    AgentOrder.LISTED.value: _l("the first free one in the order of the list"),
    AgentOrder.IN_TURN.value: _l("one after the other, in turn"),
}

OUTSIDE = {
    Outside.NEXT_OPENING.value: _l("say that the office is closed, and offer a call when it opens"),
    Outside.OFFER.value: _l("the same as in the office hours"),
    Outside.DECLINE.value: _l("say that the office is closed, and go to the error destination"),
}

AT_CLOSING = {
    AtClosing.CARRY_OVER.value: _l("they wait for the next opening"),
    AtClosing.GIVE_UP.value: _l("give up those not reached"),
    AtClosing.EXPIRE.value: _l("they expire"),
}

PLACE = {
    Place.FIRST_CALL.value: _l("Who called first comes first"),
    Place.CALLERS_FIRST.value: _l("Callers on the line come first"),
    Place.SHARE.value: _l("So many callers, then one request"),
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

SECOND_FACTOR = {
    Requirement.NOBODY.value: _l("by choice of the user"),
    Requirement.ADMINISTRATORS.value: _l("required for administrators"),
    Requirement.EVERYBODY.value: _l("required for all users"),
}

ANNOUNCED_FIRST = {
    AnnouncementOrder.NUMBER.value: _l("the number"),
    AnnouncementOrder.WAIT.value: _l("how long the request waits"),
    AnnouncementOrder.NAME.value: _l("the name that the caller has said"),
}

THEME = {
    "auto": _l("same as the device"),
    "light": _l("light"),
    "dark": _l("dark"),
}

LIMIT_REASON = {
    LimitReason.BLOCKED: _l("blocked number"),
    LimitReason.NUMBER_OPEN: _l("too many open requests of a number"),
    LimitReason.NUMBER_HOUR: _l("too many requests of a number in an hour"),
    LimitReason.NUMBER_DAY: _l("too many requests of a number in 24 hours"),
    LimitReason.MODULE_HOUR: _l("too many requests of a module in an hour"),
    LimitReason.TOTAL_HOUR: _l("too many requests in an hour"),
    LimitReason.WAITING: _l("too many waiting requests"),
}
NUMBER_KIND = {
    NumberKind.LANDLINE: _l("landline"),
    NumberKind.MOBILE: _l("mobile"),
    NumberKind.LANDLINE_OR_MOBILE: _l("landline or mobile"),
    NumberKind.VOIP: _l("internet telephone"),
    NumberKind.NATIONAL: _l("national company number"),
    NumberKind.TOLL_FREE: _l("toll-free"),
    NumberKind.SHARED_COST: _l("shared cost"),
    NumberKind.PERSONAL: _l("personal number"),
    NumberKind.PAGER: _l("pager"),
    NumberKind.VOICEMAIL: _l("voice mail"),
    NumberKind.SATELLITE: _l("satellite"),
    NumberKind.PREMIUM: _l("premium rate"),
    NumberKind.UNKNOWN: _l("unknown kind"),
}
LIST_KIND_OF_NUMBER = {"block": _l("blocked"), "allow": _l("allowed"), "priority": _l("served first")}
LANGUAGE = {"fa": _l("Persian"), "en": _l("English")}

MAIL_SECURITY: Mapping[str, object] = {
    Security.STARTTLS: _l("STARTTLS (port 587)"),
    Security.TLS: _l("TLS (port 465)"),
    Security.NONE: _l("no encryption (port 25)"),
}
SCHEDULE: Mapping[str, object] = {
    Schedule.NONE: _l("no summary"),
    Schedule.DAILY: _l("every day"),
    Schedule.WEEKLY: _l("every week, on its first day"),
}

# The error codes of the services, shown beside a field.
# Why somebody with an account elsewhere was not let in, as the log says it.
LOGIN_REFUSAL = {
    "no_group": _l("no group gives a role"),
    "inactive": _l("the user is deactivated"),
    "name_taken": _l("another user has this name"),
    "no_name": _l("no name that can be used"),
    "no_administrator": _l("there is no administrator yet"),
    "unknown": _l("the answer was not accepted"),
    "no_exchange": _l("may see no exchange"),
    "linked": _l("linked already"),
}

ERROR = {
    "required": _l("This field is required."),
    "too_long": _l("This is too long. Shorten it."),
    "too_short": _l("This is too short. Use at least 8 characters."),
    "common": _l("This is easy to guess. Several words that do not belong together are hard to guess."),
    "code_differs": _l("This is not the code of the exchange."),
    "exchange_code": _l("Use up to 20 small letters and digits. The first one is a letter."),
    "characters": _l("This contains characters that cannot be displayed. Remove them."),
    "code": _l("Use digits, * and # only."),
    "queue_name": _l("Use letters, digits, spaces, dots, dashes and underscores only."),
    "same_extension": _l(
        "The PBX would take this name for that of another queue, because it ignores dashes. Rename one of them there."
    ),
    "taken": _l("This is already in use. Choose another one."),
    "twice": _l("This is listed twice. Remove one of them."),
    "wrong": _l("This is not your password. Enter your current password."),
    "wrong_code": _l("This code is wrong, too old, or was used already."),
    "same": _l("This is your current password. Choose another one."),
    "last_administrator": _l(
        "This is the last administrator with a password of the panel. Make another user an administrator first."
    ),
    "elsewhere": _l("This user logs in elsewhere and has no password of the panel. Remove the link first."),
    "range": _l("This is out of range. Enter another value."),
    "choice": _l("Choose an item from the list."),
    "number": _l("This is not a telephone number. Check it."),
    "short_number": _l("Service numbers of a few digits cannot be called. Enter another number."),
    "prefix_refused": _l("Numbers that begin so cannot be called. Enter another number."),
    "costly": _l("Premium-rate numbers and the like cannot be called. Enter another number."),
    "foreign": _l("Numbers of this country cannot be called. Enter another number."),
    "kind": _l("This kind of number cannot be called. Enter a landline or mobile number."),
    "prefix": _l("This is not the beginning of telephone numbers. Enter at least two digits after the country code."),
    "stricter": _l("Callers may only type numbers of kinds that are allowed for all."),
    "emergency": _l("Emergency numbers cannot be called. Enter another number."),
    "blocked": _l("This number is blocked."),
    "self": _l("This extension would be called back to itself. Choose another number or extension."),
    "one_queue": _l("Enter one queue only."),
    "custom": _l("Enter context,extension,priority."),
    "dials": _l(
        "This location would dial a telephone number for every caller. Choose the type “extension” or “queue”, or a "
        "location without a number."
    ),
    "no_module": _l("There is no module with this code. Check the code."),
    "cycle": _l("Callers would come back here again and again. Choose another destination."),
    "no_file": _l("Choose a file."),
    "offered": _l("The callers of this queue are offered another module already. Switch that off first."),
    "no_question": _l("Customers are asked, so they must hear this prompt. Choose a text or a sound."),
    "former": _l("This former code of another module still leads callers there. Remove the former code first."),
    "in_use": _l("Other destinations still lead to this module. Change them first."),
    "duration": _l("Enter hours:minutes:seconds."),
    "minutes": _l("Enter minutes, such as 5."),
    "pauses": _l("Enter 1 to 10 numbers of minutes, such as 5, 15, 30. Each is at most 10080, which is 7 days."),
    "hours": _l("Enter hours such as 08:00-12:00, 13:00-17:00. They must not overlap."),
    "no_calendar": _l("This is not an iCalendar file. Choose a file that ends with .ics."),
    "calendar_size": _l("This file is too large, or its events are too many or repeat too often. Choose another one."),
    "too_many": _l("There are too many. Delete one first."),
    "too_many_days": _l("These are too many days. Remove some."),
    "busy": _l("The server is busy. Try again in a moment."),
    "digits": _l("Use digits only."),
    "context": _l("Use letters, digits, dots, dashes and underscores only."),
    "whole_number": _l("Enter a whole number."),
    "order": _l("The end is before the beginning. Change one of them."),
    "not_free": _l("At that time the office is closed or has enough calls, and no later time is free."),
    "only_priority": _l("Only numbers that are served first have a fixed agent."),
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
    "url": _l("Enter an address such as https://example.org/hook, without a user name and a password in it."),
    "inside": _l("This address is inside the office. Allow that with the switch below, or enter another one."),
    "template": _l(
        "This is not in the chosen format. Check quotes, commas and brackets, or start from a ready template."
    ),
    "placeholder": _l("There is a word in curly brackets that Bazang does not know. The list below has all of them."),
    "header": _l("This is not the name of a header that can be set. Use Latin letters, digits and dashes."),
    "no_place": _l("No module has this extension, nor a queue in which it is a member."),
    "origin": _l(
        "Enter addresses such as https://www.example.org: with https, and nothing behind the name. "
        "http is for localhost only."
    ),
    "address": _l("Enter an address such as sara@example.org, in Latin letters and with at most 80 characters."),
    "encrypt": _l("The password would be readable on the way. Choose STARTTLS or TLS."),
    "certificate": _l("Paste certificates in PEM, which begin with -----BEGIN CERTIFICATE-----, and no key."),
    "password_again": _l("The server, the encryption or the user has changed. Enter the password again."),
    "something": _l("Choose an event or a summary. Otherwise nothing would ever be sent."),
    "header_again": _l("The address has another host now. Enter the value of the header again."),
    "of_contact": _l("One of these numbers belongs to another contact. Remove it there first."),
    "contacts_full": _l("There are 50,000 contacts already. Delete some first."),
    "no_contacts": _l("This is neither a CSV file nor a vCard file. Choose another one."),
    "contacts_size": _l("This file is too large: at most 10 MB, 50,000 rows, or 20,000 cards. Divide it."),
    "encoding": _l("The letters of this file cannot be read. Save it as CSV in UTF-8, and choose it again."),
    "host_fixed": _l("A word in curly brackets cannot be a part of the host. Write the host as it is."),
    "no_number": _l("Write {number} or {number_e164} where the program expects the number."),
    "key_again": _l("The address has another host now. Enter the key again."),
    "not_on_exchange": _l("The PBX does not know it. Check it."),
    "no_phone": _l(
        "The PBX has neither a phone nor a hint for one of these numbers. Check them. A phone with another name needs "
        "a hint first, such as: exten => 101,hint,PJSIP/NAME"
    ),
    "code_on_exchange": _l("The PBX uses this code for something else. Choose another code."),
}


def error(code: str) -> str:
    """Say a check's code in words; a code without words is shown as it is rather than hidden."""
    return str(ERROR.get(code, code))
