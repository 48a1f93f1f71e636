"""The names of queues as extensions of our dialplan."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.dialplan_names import clashing, queue_extension, queue_extensions
from app.domain.routing import DestinationKind
from app.services.pbx.references import codes_of_destinations
from app.store.models import QueueScenario


@dataclass(frozen=True)
class Clash:
    """Asterisk takes the name of `queue` for the extension of `other`, so its calls must go to `extension` instead."""

    queue: str
    other: str
    extension: str


def queues_of_dialplan(session: Session) -> list[str]:
    """Return the queues that have a scenario or are a destination, ordered by name."""
    scenarios = session.scalars(select(QueueScenario.queue))
    return sorted({*scenarios, *codes_of_destinations(session, DestinationKind.QUEUE)})


def is_taken_for_another(session: Session, queue: str) -> bool:
    """Tell whether Asterisk would take a new queue for one of the dialplan. One that is there already may stay."""
    present = queues_of_dialplan(session)
    return queue not in present and clashing(queue, present) != ""


def extension_of(session: Session, queue: str) -> str:
    """Return the extension of a queue in our dialplan, also if it has none yet."""
    return queue_extensions(queues_of_dialplan(session)).get(queue) or queue_extension(queue)


def find_clashes(session: Session) -> list[Clash]:
    """Return the queues of the dialplan whose names Asterisk takes for other queues. They are from older versions."""
    present = queues_of_dialplan(session)
    extensions = queue_extensions(present)
    return [
        Clash(queue, clashing(queue, present), extension)
        for queue, extension in extensions.items()
        if extension != queue_extension(queue)
    ]
