"""What the tests of the services share."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from app.services.requests.access import Scope

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ZONE = ZoneInfo("Asia/Tehran")
SUPERVISOR = Scope("sara", everything=True)
OTHER_SUPERVISOR = Scope("maryam", everything=True)
OPERATOR = Scope("omid", extensions=("101",))
