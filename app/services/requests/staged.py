"""What a claim reads of the database, read while the agents still talk.

A claim may use it as long as nobody has written to the database since. It makes sure of that in its own transaction, in
which nobody else can write. Otherwise it reads the database itself. Whom it dials is decided by the claim alone, with
the facts and the time of the claim: nothing is decided in advance.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import policy
from app.domain.policy import Facts, LineState, Served
from app.domain.routes import RouteTrouble
from app.domain.webhooks import WebhookEvent
from app.store import requests as store
from app.store import routes, waiting, webhooks
from app.store import settings as store_settings
from app.store.configuration import Configuration, load_configuration
from app.store.database import Database
from app.store.hours import OfficeHours, make_hours
from app.store.requests import DailyCalls, Occupied
from app.store.settings import OfficeSettings
from app.store.waiting import Heads, Look, Targets

MOST_COVERED = 100  # extensions and queues, for which it takes a few milliseconds of processor time
_MAY_BECOME_FREE = frozenset({LineState.FREE, LineState.RINGING, LineState.IN_CALL})


def targets_of(configuration: Configuration, served: Served) -> Targets:
    """Return whose requests the agents with free lines may serve."""
    extensions, queues = served.extensions, served.queues
    modules, fallbacks = configuration.modules_of(extensions), configuration.fallbacks_of(extensions, queues)
    return Targets(extensions, queues, modules, fallbacks=fallbacks)


class Reads:
    """What a claim for the agents whose lines are free reads, from the database itself."""

    def __init__(self, database: Database, settings: Settings, session: Session, served: Served, now: datetime) -> None:
        self.session, self.now = session, now
        self._database, self._settings, self._served = database, settings, served

    @cached_property
    def configuration(self) -> Configuration:
        return load_configuration(self._database, self.session)

    @cached_property
    def office(self) -> OfficeSettings:
        return store_settings.office(self.session, self._settings, self.configuration.settings)

    @cached_property
    def hours(self) -> OfficeHours:
        stored, days = self.configuration.settings, self.configuration.special_days
        return make_hours(self.office.timezone, self.office.region, stored, days, self.now)

    @cached_property
    def targets(self) -> Targets:
        """Whose requests the agents may serve."""
        return targets_of(self.configuration, self._served)

    def look(self) -> Look:
        return waiting.look(self.session, self.targets)

    def never_free(self, targets: Targets) -> Sequence[Row[Any]]:
        return waiting.never_free(self.session, targets)

    def heads(self, targets: Targets, *, inside: bool, by_failures: bool) -> Heads:
        return waiting.heads(self.session, targets, inside=inside, by_failures=by_failures)

    def occupied(self) -> Occupied:
        return store.occupied(self.session, self.now)

    def daily_calls(self) -> DailyCalls:
        limit = store_settings.call_limits(self.configuration.settings).daily_calls
        return store.daily_calls(self.session, limit, self.now)

    def failing_routes(self) -> Mapping[str, RouteTrouble]:
        return routes.failing(self.session)

    def tells(self) -> bool:
        """Tell whether a destination may want to hear of the calls that begin."""
        return True


@dataclass(frozen=True)
class Staged:
    """What was read at `read_at`, in `version` of the database, of all agents who may be free next.

    `until` is when it is over although nothing is stored, None if never.
    """

    version: Hashable
    read_at: datetime
    until: datetime | None
    configuration: Configuration
    office: OfficeSettings
    hours: OfficeHours
    look: Look
    never_free: Sequence[Row[Any]]
    heads: Heads
    occupying: Sequence[Row[Any]]
    daily: DailyCalls
    failing_routes: Mapping[str, RouteTrouble]
    tells: bool

    def is_newest(self, database: Database) -> bool:
        """Tell whether nobody has written since. In a write session that has not written yet, it stays so."""
        return database.version.read() == self.version

    def covers(self, targets: Targets, now: datetime) -> bool:
        """Tell whether a claim for these agents would still read the same now, if nobody has written since."""
        return (
            self.read_at <= now
            and self.read_at.date() == now.date()  # the office hours are those around this day
            and (self.until is None or now < self.until)
            and self.look.served.covers(targets)
        )

    def reads(self, database: Database, settings: Settings, served: Served, now: datetime) -> "StagedReads | None":
        """Return what a claim for these agents reads, None if it must read it itself."""
        targets = targets_of(self.configuration, served)
        if self.covers(targets, now) and self.is_newest(database):
            return StagedReads(self, database, settings, targets, now)
        return None


class StagedReads(Reads):
    """What a claim reads, from memory. What is seldom needed comes from the database, by `session` of `proven`."""

    def __init__(self, staged: Staged, database: Database, settings: Settings, targets: Targets, now: datetime) -> None:
        self.now, self._database, self._settings, self._staged = now, database, settings, staged
        self.configuration, self.office, self.hours = staged.configuration, staged.office, staged.hours
        self.targets = targets

    def proven(self, session: Session) -> bool:
        """Tell whether a write session that has not written yet would read the same. Then it may use this."""
        self.session = session
        return self._staged.is_newest(self._database)

    def look(self) -> Look:
        return self._staged.look.of(self.targets)

    def never_free(self, targets: Targets) -> Sequence[Row[Any]]:
        extensions, modules = set(targets.extensions), set(targets.modules)
        rows = self._staged.never_free
        return [row for row in rows if (row.target in extensions if row.target else row.module_id in modules)]

    def heads(self, targets: Targets, *, inside: bool, by_failures: bool) -> Heads:
        if inside or by_failures:
            return super().heads(targets, inside=inside, by_failures=by_failures)
        return [(lane, row) for lane, row in self._staged.heads if lane.is_of(targets)]

    def occupied(self) -> Occupied:
        return store.occupied_at(self._staged.occupying, self.now)

    def daily_calls(self) -> DailyCalls:
        return self._staged.daily

    def failing_routes(self) -> Mapping[str, RouteTrouble]:
        return self._staged.failing_routes

    def tells(self) -> bool:
        return self._staged.tells


def stage(
    database: Database, settings: Settings, facts: Facts, now: datetime, before: Staged | None = None
) -> Staged | None:
    """Read what the next claims may need. Return None if nobody waits, or if a claim could not use it.

    `before` is what was staged before. It is returned if it still holds.
    """
    if not database.has_one_writer:
        return None
    served = policy.served(facts, _MAY_BECOME_FREE)
    if len(served.extensions) + len(served.queues) > MOST_COVERED:
        return None
    if before is not None and before.reads(database, settings, served, now) is not None:
        return before
    version = database.version.read()  # before the data, which may then be newer, but not older
    with database.read() as session:
        reads = Reads(database, settings, session, served, now)
        look = reads.look()
        glance = look.judge(now)
        if glance.finds_nobody:
            return None
        return Staged(
            version,
            now,
            store.daily_calls_until(session, now),
            reads.configuration,
            reads.office,
            reads.hours,
            look,
            reads.never_free(glance.never_free),
            reads.heads(glance.targets, inside=False, by_failures=False),
            store.occupying(session, now),
            reads.daily_calls(),
            reads.failing_routes(),
            webhooks.is_wanted(session, WebhookEvent.STARTED),
        )
