"""The errors that services raise."""

from collections.abc import Mapping
from enum import StrEnum


class ErrorCode(StrEnum):
    """What is wrong with the value of a field. The texts are in app/web/wording.py."""

    REQUIRED = "required"
    TOO_LONG = "too_long"
    CHARACTERS = "characters"  # characters that cannot be displayed
    CODE = "code"  # digits, * and # only
    NUMBER = "number"
    FOREIGN = "foreign"
    KIND = "kind"  # a premium-rate number and the like
    EMERGENCY = "emergency"
    RANGE = "range"
    CHOICE = "choice"
    PAST = "past"
    NOT_YOURS = "not_yours"
    TAKEN = "taken"  # another user or module has it
    # modules and scenarios
    ONE_QUEUE = "one_queue"  # a module is for one queue only
    CUSTOM = "custom"  # not context,extension,priority
    NO_MODULE = "no_module"  # no module has the code
    CYCLE = "cycle"  # callers would come back
    NO_FILE = "no_file"  # a prompt without a recording
    IN_USE = "in_use"  # something points to the module
    # users
    TOO_SHORT = "too_short"
    TWICE = "twice"
    WRONG = "wrong"  # the old password
    SAME = "same"  # the new password is the old one
    PASSWORDS_DIFFER = "passwords_differ"
    LAST_ADMINISTRATOR = "last_administrator"
    # settings
    DIGITS = "digits"
    CONTEXT = "context"
    HOST = "host"
    PORT = "port"
    AMI_USER = "ami_user"
    SECRET = "secret"
    SECRET_AGAIN = "secret_again"
    NOT_ON_PBX = "not_on_exchange"
    CODE_ON_PBX = "code_on_exchange"  # the PBX uses the code for something else


class Invalid(ValueError):
    """The input has errors. `errors` maps the name of a field to an error code."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{name}: {code}" for name, code in errors.items()))
        self.errors = dict(errors)


class NotFound(LookupError):
    """The object does not exist, or the user may not see it."""


class Forbidden(PermissionError):
    """The user may not do this."""
