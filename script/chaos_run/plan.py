"""Draw all that chance decides before a run: what customers and agents do, and when which fault happens.

The same seed and number of requests give the same plan. When phones ring and which agent gets which request depends on
the machine, so a plan holds no moments of calls. The first, the second, … call of each person has its behaviour, and a
fault happens a drawn time after the n-th event of a kind.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

SECONDS_PER_REQUEST = 1.5  # between two callers
RETRIES = 2  # of each module: it gives up after one call more
SHORTEST_TALK = 1  # seconds; of the office. All talks are longer, unless a fault cuts them

# Each module has agents of its own, so an agent's phone tells which module a call is for.
MODULES: dict[str, tuple[str, ...]] = {
    "*5001": ("101", "102"),
    "*5002": ("103", "104"),
    "*5003": ("105", "106"),
    "*5004": ("107", "108"),
}
QUEUES = {"800": "*5002", "801": "*5003"}  # queue -> the module that it leads to, whose agents are its members
ASKS_CUSTOMER, CUSTOMER_FIRST = "*5003", "*5004"
# What customers call -> the module to which it leads, perhaps after the agents have rung.
ENTRIES = {code: code for code in MODULES} | QUEUES | {"101": "*5001", "107": "*5004"}
AGENTS = tuple(agent for agents in MODULES.values() for agent in agents)

# What a customer does in the dialogue, with its weight.
_DIALOGUES = {
    "register": 70,
    "register_again": 8,  # calls once more, and keeps the request
    "withdraw": 3,  # calls once more, and withdraws it
    "second_module": 9,
    "hang_up_at_intro": 2,
    "hang_up_at_key": 3,  # presses 1 and hangs up
    "hang_up_at_success": 3,  # hangs up while the confirmation plays
    "decline": 2,
}
# What customers do when they are called back.
_CUSTOMER_ACTS = {
    "answer": 62,
    "busy": 7,
    "reject": 4,
    "no_answer": 5,
    "mailbox": 3,  # answers, and says and presses nothing
    "gone": 6,  # hangs up in the instant of the answer
    "gone_early": 3,  # hangs up half a second after the answer
    "later": 3,  # presses 2, if asked
    "declines": 2,  # presses 9, if asked
    "no_route": 5,  # the trunk is congested for this call
}
_AGENT_ACTS = {
    "accept": 74,
    "refuse": 4,
    "reject": 4,
    "miss": 2,
    "leave_announcement": 4,  # hangs up while the announcement plays
    "leave_dialling": 4,  # presses 1 and hangs up while the customer's phone rings
    "unplug": 2,  # the phone loses its network for some seconds
    "transfer": 6,  # to a colleague, blind
}
# The kinds of faults. Two faults of a resource never happen at once.
RESOURCES = {
    "worker_kill": "worker",
    "worker_term": "worker",
    "worker_stop": "worker",
    "worker_disk_full": "worker",
    "panel_kill": "panel",
    "panel_term": "panel",
    "asterisk_kill": "asterisk",
    "asterisk_stop": "asterisk",
    "dialplan_reload": "asterisk",
    "ami_cut": "ami",
    "ami_cut_before_order": "ami",
    "ami_cut_after_order": "ami",
    "ami_cut_behind_reply": "ami",
    "ami_mute": "ami",
    "database_lock": "database",
    "database_restart": "database",
    "clock": "clock",
    "route_down": "route",
}
KINDS = tuple(RESOURCES)
# The events after which faults happen.
MOMENTS = (
    "presses_1",
    "acknowledged",
    "agent_rings",
    "agent_answers",
    "agent_confirms",
    "customer_rings",
    "customer_answers",
    "talk",
    "talk_ends",
)


@dataclass(frozen=True)
class Customer:
    """A customer. `at`: seconds after the begin. `calls`: what they do at the first, second, … call back."""

    number: str
    at: float
    entry: str
    second_entry: str
    dialogue: str
    calls: tuple[str, ...]
    talk: float  # seconds
    hangs_up: bool  # after the talk; otherwise the agent does


@dataclass(frozen=True)
class Fault:
    """A fault: `delay` seconds after event `number` of the kind `moment`, or at `latest` seconds after the begin.

    `seconds`: how long it lasts. `hang_up`: the seconds after the worker's next log-in at which all agents in a talk
    hang up, None if they do not.
    """

    kind: str
    moment: str
    number: int
    delay: float
    latest: float
    seconds: float
    hang_up: float | None = None


@dataclass(frozen=True)
class Plan:
    """`agents`: what each one does at the first, second, … call."""

    seed: int
    customers: tuple[Customer, ...]
    agents: dict[str, tuple[str, ...]]
    faults: tuple[Fault, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def draw(
    seed: int,
    requests: int,
    faults: int,
    kinds: Sequence[str] = KINDS,
    moments: Sequence[str] = MOMENTS,
    every: float = SECONDS_PER_REQUEST,
) -> Plan:
    """Draw a plan with this many customers, one `every` so many seconds, and faults of these kinds at these moments."""
    customers = _draw_customers(random.Random(f"{seed}/customers"), requests, every)
    chance = random.Random(f"{seed}/agents")
    agents = {agent: tuple(_choose(chance, _AGENT_ACTS) for _ in range(4 * requests)) for agent in AGENTS}
    chance = random.Random(f"{seed}/faults")
    return Plan(seed, customers, agents, _draw_faults(chance, requests, faults, kinds, moments))


def _choose(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _draw_customers(chance: random.Random, requests: int, every: float) -> tuple[Customer, ...]:
    found = []
    for index in range(requests):
        entry = chance.choice(list(MODULES) * 4 + list(ENTRIES))  # most call the code of a module
        others = [code for code in MODULES if code != ENTRIES[entry]]
        found.append(
            Customer(
                number=f"0912{3000000 + index}",
                at=round((index + chance.random()) * every, 2),
                entry=entry,
                second_entry=chance.choice(others),
                dialogue=_choose(chance, _DIALOGUES),
                calls=tuple(_choose(chance, _CUSTOMER_ACTS) for _ in range(RETRIES + 2)),
                talk=round(chance.uniform(SHORTEST_TALK + 1, SHORTEST_TALK + 4), 2),
                hangs_up=chance.random() < 0.5,
            )
        )
    return tuple(found)


def _draw_faults(
    chance: random.Random, requests: int, faults: int, kinds: Sequence[str], moments: Sequence[str]
) -> tuple[Fault, ...]:
    """Draw the faults. Each kind comes once before any comes again."""
    bag: list[str] = []
    found = []
    for index in range(faults if kinds else 0):
        if not bag:
            bag = list(kinds)
            chance.shuffle(bag)
        share = (index + chance.random()) / faults
        found.append(
            Fault(
                kind=bag.pop(),
                moment=chance.choice(moments),
                number=1 + int(share * 0.9 * requests),
                delay=round(chance.choice((0, 0, chance.uniform(0, 0.3), chance.uniform(0, 2))), 3),
                latest=round((share + 0.2) * requests * SECONDS_PER_REQUEST + 20, 1),
                seconds=round(chance.uniform(0.5, 9), 2),
                hang_up=chance.choice((None, 0.0, round(chance.uniform(0, 0.5), 3))),
            )
        )
    return tuple(found)
