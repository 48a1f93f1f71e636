"""The order to dial that a claimed attempt amounts to: what the services hand to whoever dials."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DialOrder:
    """A claimed attempt with everything that is needed to dial it.

    `attempt` is a UUID. `devices` are the agent's as a hint names them ("PJSIP/101&PJSIP/201"), `hint_context` is where
    that hint stands. `dialled` is what the customer is dialled by, digits only; `internal_devices` are the customer's,
    where the customer is an extension. `spoken` is the number as it is read to the agent. `agent_ring` and
    `customer_ring` are seconds. `forget` names ended attempts whose record Asterisk may delete.
    """

    attempt: str
    request_id: int
    agent: str
    devices: str
    hint_context: str
    number: str
    dialled: str
    internal_devices: str
    language: str
    caller_id: str
    outbound_context: str
    agent_ring: int
    customer_ring: int
    registered_at: datetime
    spoken: str
    forget: tuple[str, ...] = ()
