"""What to ask the PBX to find out whether the office can dial out, and the question to the worker."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select

from app.config import Settings
from app.domain.outbound import OutboundResult
from app.domain.routing import DestinationKind
from app.services import commands
from app.services.settings import office
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Module, QueueMemberRow

WAIT_SECONDS = 3.0  # the worker asks several questions


@dataclass(frozen=True)
class OutboundQuestion:
    """`number`: an example number of the country as we would dial it. `agents`: the extensions whose calls dial it."""

    context: str
    number: str
    agents: tuple[str, ...]


def make_question(database: Database, settings: Settings) -> OutboundQuestion | None:
    """Return the question for the settings in force, None without a context or if the country has no example."""
    here = office.load(database, settings)
    example = office.dialled_example(here.region, here.outbound_format, here.outbound_prefix)
    with database.read() as session:
        context = store_settings.pbx(session, settings).outbound_context
        modules = session.scalars(select(Module)).all()
        queues = {target for row in modules if row.target_kind == DestinationKind.QUEUE for target in row.targets}
        agents = {target for row in modules if row.target_kind == DestinationKind.EXTENSION for target in row.targets}
        agents |= {*session.scalars(select(QueueMemberRow.extension).where(QueueMemberRow.queue.in_(queues)))}
    return OutboundQuestion(context, example[1], tuple(sorted(agents))) if context and example else None


def ask(database: Database, question: OutboundQuestion, *, actor: str, now: datetime) -> OutboundResult | None:
    """Ask the PBX by the worker, None if there is no answer. Waits for it."""
    payload = asdict(question) | {"agents": list(question.agents)}
    answered = commands.send_and_wait(database, commands.OUTBOUND, payload, actor=actor, now=now, seconds=WAIT_SECONDS)
    return OutboundResult(answered.result) if answered is not None and answered.ok else None
