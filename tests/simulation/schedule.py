"""What happens to a simulated office, and when; and how a schedule that fails is made as short as it can be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

AGENTS = ("101", "102", "103")
NUMBERS = tuple(f"+98912123450{digit}" for digit in range(8))
LASTS = 1500.0  # seconds; everything is scheduled within this time


@dataclass(frozen=True, order=True)
class Item:
    """Something that happens at `at` (seconds), or `skip` awaits later. `who` and `seconds` depend on the kind."""

    at: float
    kind: str
    who: str = ""
    seconds: float = 0.0
    skip: int = 0

    def __str__(self) -> str:
        return f"{self.at:8.1f} s {self.kind} {self.who} {self.seconds or ''} {f'+{self.skip}' if self.skip else ''}"


# The faults, and how long each may last in seconds. What has a time of 0 is over at once.
FAULTS: dict[str, tuple[float, float]] = {
    "worker dies": (0.2, 40),
    "worker stops": (0.2, 20),
    "database fails": (0.05, 4),
    "database answers are lost": (0.05, 1),
    "connection is cut": (0.1, 20),
    "connection is cut during a talk": (0.1, 10),
    "answer is lost": (0, 0),
    "order outlives its connection": (1, 30),
    "answers are slow": (1, 10),
    "events are late": (0.2, 4),
    "events are doubled": (1, 20),
    "exchange dies": (1, 40),
    "exchange freezes": (0.5, 20),
}
WIDE = ("worker dies", "connection is cut", "exchange dies")  # they happen at any await


def make_schedule(seed: str, faults: Sequence[str]) -> list[Item]:
    """Return a schedule. The same seed makes the same one."""
    random = Random(f"{seed}/schedule")
    found: list[Item] = []
    for _ in range(random.randint(8, 40)):
        found.append(Item(random.uniform(0, LASTS), "caller registers", random.choice(NUMBERS)))
    for _ in range(random.randint(0, 4)):
        found.append(Item(random.uniform(0, LASTS), "caller withdraws", random.choice(NUMBERS)))
    for _ in range(random.randint(0, 30)):
        found.append(
            Item(random.uniform(0, LASTS), "agent is on the phone", random.choice(AGENTS), random.choice((1, 20, 90)))
        )
    for _ in range(random.randint(0, 25) if faults else 0):
        kind = random.choice(faults)
        skip = random.randint(0, 60) if kind in WIDE and random.random() < 0.8 else 0
        item = Item(random.uniform(0, LASTS), kind, "", random.uniform(*FAULTS[kind]), skip)
        found.append(item)
        if random.random() < 0.3:  # troubles come in pairs
            kind = random.choice(faults)
            found.append(Item(item.at + random.uniform(0, 8), kind, "", random.uniform(*FAULTS[kind])))
    return sorted(found)


def shrink(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], most_tries: int = 400) -> list[Item]:
    """Return as few of these items as still fail: Zeller's ddmin. `fails` must be repeatable."""
    kept, parts, tries = list(items), 2, 0
    while len(kept) > 1 and tries < most_tries:
        size = max(1, len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            tries += 1
            if fails(rest):
                kept, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), parts * 2)
    return kept
