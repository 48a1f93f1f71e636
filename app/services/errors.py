"""The errors that services raise."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from app.domain.text import is_displayable


class ErrorCode(StrEnum):
    """What is wrong with the value of a field. The texts are in app/web/wording.py."""

    REQUIRED = "required"
    TOO_LONG = "too_long"
    CHARACTERS = "characters"  # characters that cannot be displayed
    CODE = "code"  # digits, * and # only
    QUEUE_NAME = "queue_name"
    SAME_EXTENSION = "same_extension"  # Asterisk takes the names of two queues for the same extension
    NUMBER = "number"
    SHORT_NUMBER = "short_number"
    EMERGENCY = "emergency"
    PREFIX_REFUSED = "prefix_refused"  # by a rule of the office
    COSTLY = "costly"  # a premium-rate number and the like
    FOREIGN = "foreign"
    KIND = "kind"  # shared cost and the like
    BLOCKED = "blocked"  # on the block list
    SELF = "self"  # the extension would be called back to itself
    RANGE = "range"
    CHOICE = "choice"
    PAST = "past"
    NOT_FREE = "not_free"  # the office is closed then, or has as many calls then as it allows
    NOT_YOURS = "not_yours"
    NO_PLACE = "no_place"  # no module whose requests the extension serves
    TAKEN = "taken"  # another user or module has it
    # modules and scenarios
    ONE_QUEUE = "one_queue"  # a module is for one queue only
    CUSTOM = "custom"  # not context,extension,priority
    DIALS = "dials"  # a location that would dial a telephone number
    NO_MODULE = "no_module"  # no module has the code
    CYCLE = "cycle"  # callers would come back
    NO_FILE = "no_file"  # a prompt without a recording
    NO_QUESTION = "no_question"  # the customer is asked, but hears nothing
    OFFERED = "offered"  # another module is offered to the callers of the queue
    PAUSES = "pauses"  # none, too many, or one that is too short or too long
    FORMER = "former"  # another module had the code before, and it still leads there
    IN_USE = "in_use"  # something points to the module
    # users
    TOO_SHORT = "too_short"
    CODE_DIFFERS = "code_differs"  # not the code of the exchange that is shown
    EXCHANGE_CODE = "exchange_code"  # not small letters and digits, with a letter first
    COMMON = "common"  # a password that many people use
    TOO_MANY = "too_many"
    TWICE = "twice"
    WRONG = "wrong"  # the old password
    WRONG_CODE = "wrong_code"  # of the second factor
    SAME = "same"  # the new password is the old one
    PASSWORDS_DIFFER = "passwords_differ"
    LAST_ADMINISTRATOR = "last_administrator"
    ELSEWHERE = "elsewhere"  # the user has no password of the panel
    # settings
    ONLY_PRIORITY = "only_priority"  # no other list has fixed agents
    PREFIX = "prefix"  # not the beginning of telephone numbers
    STRICTER = "stricter"  # allowed for typed numbers, but not for caller IDs
    HOURS = "hours"  # not the spans of a day
    NO_CALENDAR = "no_calendar"  # not an iCalendar file
    CALENDAR_SIZE = "calendar_size"  # too large, too many events, or too much work
    TOO_MANY_DAYS = "too_many_days"
    BUSY = "busy"  # too many files are being read
    DIGITS = "digits"
    CONTEXT = "context"
    HOST = "host"
    PORT = "port"
    AMI_USER = "ami_user"
    SECRET = "secret"  # noqa: S105 - the name of an error
    SECRET_AGAIN = "secret_again"  # noqa: S105 - the name of an error
    ORIGIN = "origin"  # not https://www.example.org, without a path
    # webhooks
    URL = "url"  # not one of http or https, or with a name and password
    INSIDE = "inside"  # an address inside the office, which is not allowed
    TEMPLATE = "template"  # not in its format
    PLACEHOLDER = "placeholder"  # there is no such placeholder
    HEADER = "header"  # not the name of a header, or one of ours
    HEADER_AGAIN = "header_again"
    # contacts
    OF_CONTACT = "of_contact"  # the number belongs to another contact
    CONTACTS_FULL = "contacts_full"
    NO_CONTACTS = "no_contacts"  # neither a CSV file nor vCards
    CONTACTS_SIZE = "contacts_size"  # too large, or too many rows
    ENCODING = "encoding"
    HOST_FIXED = "host_fixed"  # a placeholder in the host of an address
    NO_NUMBER = "no_number"  # the address does not say which number it is about
    KEY_AGAIN = "key_again"
    # e-mail
    ADDRESS = "address"  # not the address of a mailbox
    ENCRYPT = "encrypt"  # a password would be sent in the clear
    CERTIFICATE = "certificate"  # not certificates in PEM
    PASSWORD_AGAIN = "password_again"  # noqa: S105 - the name of an error
    SOMETHING = "something"  # neither an event nor a summary is chosen
    NOT_ON_PBX = "not_on_exchange"
    NO_PHONE = "no_phone"
    CODE_ON_PBX = "code_on_exchange"  # the PBX uses the code for something else


def check_line(field: str, text: str, longest: int, *, required: bool = False) -> dict[str, ErrorCode]:
    """Return the validation error of a text of one line, by the name of its field; empty if the text is valid.

    `longest` is in characters.
    """
    if required and not text.strip():
        return {field: ErrorCode.REQUIRED}
    if len(text) > longest:
        return {field: ErrorCode.TOO_LONG}
    return {} if is_displayable(text) else {field: ErrorCode.CHARACTERS}


class Invalid(ValueError):
    """The input has errors. `errors` maps the name of a field to an error code.

    `free_at`: the next free time, if the wished one is not free.
    """

    def __init__(self, errors: Mapping[str, str], *, free_at: datetime | None = None) -> None:
        super().__init__(", ".join(f"{name}: {code}" for name, code in errors.items()))
        self.errors, self.free_at = dict(errors), free_at


class NotFound(LookupError):
    """The object does not exist, or the user may not see it."""


class ChangedMeanwhile(Exception):
    """Somebody else has changed what the user was shown, so nothing is stored."""


class Forbidden(PermissionError):
    """The user may not do this."""
