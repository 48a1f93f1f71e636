"""The fields for the moment of a call: a day and a time of day, both by the clock of the office."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import Form

from app.services.errors import ErrorCode
from app.web import wording
from app.web.context import utcnow
from app.web.date_fields import DateField, TimeField, office_moment, office_time
from app.web.formats import digits


class MomentFields(Form):
    """Put it before the other base classes of a form."""

    day = DateField(_l("Date"))
    at = TimeField(_l("Time"))

    @property
    def has_moment(self) -> bool:
        """Whether the user gives a moment."""
        raise NotImplementedError

    @property
    def moment(self) -> datetime:
        """The moment, in UTC, of a valid form."""
        assert self.day.data is not None and self.at.at is not None
        return office_moment(self.day.data, self.at.at)

    def propose_moment(self) -> None:
        """Show a moment in about two hours, unless something was typed."""
        if not self.day.raw_data and not self.at.raw_data:
            soon = office_time(utcnow() + timedelta(hours=2)).replace(minute=0)
            self.day.data, self.at.data = soon.date(), digits(soon.strftime("%H:%M"))

    def validate(self, extra_validators: Mapping[str, Sequence[Any]] | None = None) -> bool:
        """Require both fields, or ignore them."""
        for part, value in ((self.day, self.day.data), (self.at, self.at.at)):
            if not self.has_moment:
                part.process_errors = []
            elif value is None and not part.process_errors:
                part.process_errors = [wording.error(ErrorCode.REQUIRED)]
        return bool(super().validate(extra_validators))

    def refuse_moment(self, message: str) -> None:
        """Show beside the fields that the moment cannot be given."""
        self.day.errors = [*self.day.errors, message]
