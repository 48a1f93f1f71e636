"""Ask another program for the names of callers, in threads of its own, so that a slow one delays nothing else."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.push.names import Answer, NameSource
from app.services.contacts import lookup
from app.services.contacts.lookup import Question
from app.store.database import Database
from app.worker.clock import CLOCK, Clock

log = logging.getLogger(__name__)
SECONDS = 2.0  # between two looks
THREADS = 2


@dataclass
class NameLookup:
    """Asks for the names that are due."""

    settings: Settings
    database: Database
    source: NameSource = field(default_factory=NameSource)
    clock: Clock = CLOCK

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="names")
        self._closed = False

    async def run(self) -> None:
        """Ask for some names and store the answers."""
        loop = asyncio.get_running_loop()
        try:
            async with self.clock.hold() as now:
                questions = await loop.run_in_executor(None, lookup.claim, self.database, self.settings, now)
            await asyncio.gather(*map(self._ask, questions))
        except SQLAlchemyError as error:
            log.error("cannot look up names, the database refuses: %s", error)
        except Exception:
            if not self._closed:  # otherwise there are no threads any more
                log.exception("cannot look up names")

    async def _ask(self, question: Question) -> None:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._answer, question)
        if answer.failure:
            log.warning("the program for names did not answer: %s", answer.failure)
        async with self.clock.hold() as now:
            await loop.run_in_executor(None, lookup.finish, self.database, question, answer.name, answer.failure, now)

    def _answer(self, question: Question) -> Answer:
        try:
            return self.source.ask(question.url, question.inside, question.key, question.field)
        except Exception:  # what it cannot foresee must not stop the others
            log.exception("cannot ask for a name")
            return Answer(failure="error")

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
