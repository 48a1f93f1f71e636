"""Times of day as people type them, and what they are by the office's clock. Days are of `fields.DateField`."""

import re
from datetime import UTC, date, datetime, time

from wtforms.validators import ValidationError

from app.web import wording
from app.web.fields import DigitsField
from app.web.formats import office_zone

_TIME = re.compile(r"(\d{1,2})[:.](\d{2})(?::\d{2})?")


def here(moment: datetime) -> datetime:
    """Return a moment as the office's clock shows it."""
    return moment.astimezone(office_zone())


def moment_of(day: date, at: time) -> datetime:
    """Return the moment at which the office's clock shows this."""
    return datetime.combine(day, at, office_zone()).astimezone(UTC)


class TimeField(DigitsField):
    """A time of day such as 14:30; `at` is None where nothing was typed."""

    at: time | None = None

    def process_formdata(self, valuelist):
        super().process_formdata(valuelist)
        self.at = None
        if not self.data:
            return
        found = _TIME.fullmatch(self.data)
        try:
            self.at = time(int(found[1]), int(found[2])) if found else None
        except ValueError:
            pass
        if self.at is None:
            raise ValidationError(wording.error("time"))
