"""The values of a new module. Times are seconds."""

from app.domain.agent_order import AgentOrder
from app.domain.dial_order import Confirmation
from app.domain.hours import AtClosing, Outside
from app.domain.place_in_line import LEAD, SHARE, Place

MIN_WAIT = 0
REST = 10
RETRIES = 2
RETRY_PAUSES = (300, 900, 1800)
BUSY_PAUSE = 120
AGENT_PAUSE = 60
AGENT_RING = 20
CUSTOMER_RING = 40
AGENT_CONFIRMS = Confirmation.KEY.value
EXPIRE_AFTER = 7 * 24 * 3600
OUTSIDE = Outside.NEXT_OPENING.value
AT_CLOSING = AtClosing.CARRY_OVER.value
AGENT_ORDER = AgentOrder.LONGEST_IDLE.value
PREFERRED_FOR = 0
FALLBACK_AFTER = 0
STOP_BEFORE = 0
PLACE = Place.FIRST_CALL.value
CALLERS_LEAD = int(LEAD.total_seconds())
CALLERS_SHARE = SHARE
QUARTER_LIMIT = 0
OFFER_AFTER = 60
OFFER_CALLERS = 0
OFFER_CALLERS_PER_AGENT = 0
