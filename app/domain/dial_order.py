"""The dial order: everything the worker needs to dial a claimed attempt."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DialOrder:
    """A claimed attempt, ready to dial.

    `attempt` is a UUID. `devices` are the agent's devices in the form of a hint ("PJSIP/101&PJSIP/201"), `hint_context`
    is the context of that hint. `dialled` is the number to dial for the customer, digits only. `internal_devices` are
    the customer's devices if the customer is an extension. `spoken` is the number read out to the agent. `agent_ring`
    and `customer_ring` are seconds. `forget` are ended attempts whose records Asterisk may delete.
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
