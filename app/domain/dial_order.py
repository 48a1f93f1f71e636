"""The dial order: everything the worker needs to dial a claimed attempt."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Confirmation(StrEnum):
    """How an agent confirms that the customer may be dialled."""

    KEY = "key"  # by key 1, after the announcement
    ANSWER = "answer"  # by answering; the customer is dialled after the announcement


class AnnouncementOrder(StrEnum):
    """What agents hear first of a request."""

    NUMBER = "number"
    WAIT = "wait"  # for how long it has waited
    NAME = "name"  # the name that its caller has said


@dataclass(frozen=True)
class DialOrder:
    """A claimed attempt, ready to dial.

    `attempt` is a UUID. `devices` are the agent's devices in the form of a hint ("PJSIP/101&PJSIP/201"). `hint` is
    their hint ("101@context"), "" if there is none. `dialled` is the number to dial for the customer, digits only.
    `internal_devices` are the customer's devices if the customer is an extension. `spoken` is the number read out to
    the agent. `agent_ring` and `customer_ring` are seconds. `module` is None if it is deleted. `asks_customer`: the
    customer hears a question of that module first, and confirms by key 1. `customer_first`: they are rung first, and
    wait for the agent. `asks_name`: callers of the module may say their name. `forget` are ended attempts whose records
    Asterisk may delete. `queue` is that of the request, "" if it is for an extension. `spoken_name` is the file with
    the name that the caller has said, as Asterisk sees it, "" if there is none; it is set when the order is dialled.
    `announced_first`: what the agent hears first. `held_queues` give the agent no caller meanwhile
    (`app/domain/queue_hold.py`).
    """

    attempt: str
    request_id: int
    agent: str
    devices: str
    hint: str
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
    queue: str = ""
    module: int | None = None
    agent_confirms: Confirmation = Confirmation.KEY
    asks_customer: bool = False
    customer_first: bool = False
    asks_name: bool = False
    forget: tuple[str, ...] = ()
    spoken_name: str = ""
    announced_first: AnnouncementOrder = AnnouncementOrder.NUMBER
    held_queues: tuple[str, ...] = ()
