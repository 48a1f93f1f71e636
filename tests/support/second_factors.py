"""Users with a second factor, and their phones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyotp

from app.config import Settings
from app.services import second_factor
from app.store import encryption
from app.store.database import Database
from app.store.models import SecondFactor
from tests.support.factories import LONG_AGO, NOW, store

WRONG_CODE = "not-a-code"  # no phone and no list of recovery codes has it, whatever the time


@dataclass(frozen=True)
class Phone:
    """The phone of a user, and the paper with the recovery codes."""

    secret: str
    recovery_codes: Sequence[str] = ()

    def code(self, now: datetime, steps: int = 0) -> str:
        """Return the code that the phone shows so many time steps after `now`."""
        return pyotp.TOTP(self.secret).at(now, counter_offset=steps)

    def wrong_code(self, now: datetime) -> str:
        """Return a code of six digits that is not valid around `now`."""
        valid = {self.code(now, steps) for steps in range(-3, 4)}
        return next(code for code in map("{:06}".format, range(10)) if code not in valid)


def create_second_factor(
    database: Database, settings: Settings, user_id: int, *, secret: str | None = None, since: datetime = LONG_AGO
) -> Phone:
    """Give a user a second factor that no code was used of."""
    secret = secret or pyotp.random_base32()
    stored = encryption.encrypt(settings, secret)
    store(database, SecondFactor(user_id=user_id, secret=stored, started_at=since, confirmed_at=since))
    return Phone(secret, second_factor.replace_recovery_codes(database, user_id, NOW))
