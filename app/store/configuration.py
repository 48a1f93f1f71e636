"""What people have configured: settings, modules, rules and lists of numbers, and special days.

It is read for each decision, but changes seldom. So it is cached until somebody changes it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.limits import NumberLists
from app.store import settings
from app.store.database import Database
from app.store.models import Module, NumberRule, SpecialDay
from app.store.number_lists import load_lists
from app.store.version import configuration_version


@dataclass(frozen=True)
class Configuration:
    """The configuration of the office. It is shared: nobody may change it, its modules included.

    `settings` are the stored values by name, `special_days` the dates with their hours, `number_rules` rows of
    `NumberRule` as (kind, value, typed).
    """

    settings: Mapping[str, str]
    modules: Mapping[int, Module]
    number_rules: Collection[tuple[str, str, bool]]
    special_days: Collection[tuple[date, str]]
    lists: NumberLists

    def modules_of(self, extensions: Collection[str]) -> list[int]:
        """Return the modules whose requests any of these extensions may serve."""
        return [
            module.id
            for module in self.modules.values()
            if module.target_kind == "extension" and not set(module.targets).isdisjoint(extensions)
        ]

    def fallbacks_of(self, extensions: Collection[str], queues: Collection[str]) -> list[int]:
        """Return the modules whose fallback is one of these extensions and queues."""
        served = {"queue": queues, "extension": extensions}
        with_fallback = (module for module in self.modules.values() if module.fallback_after)
        return [module.id for module in with_fallback if module.fallback_code in served[module.fallback_kind]]


def load_configuration(database: Database, session: Session) -> Configuration:
    """Return the configuration as this session sees it."""
    return database.cache.get("configuration", configuration_version(session), lambda: _read(session))


def _read(session: Session) -> Configuration:
    modules = {module.id: module for module in session.scalars(select(Module))}
    for module in modules.values():
        session.expunge(module)
    return Configuration(
        settings.read_all(session),
        modules,
        session.execute(select(NumberRule.kind, NumberRule.value, NumberRule.typed)).all(),
        session.execute(select(SpecialDay.date, SpecialDay.hours)).all(),
        load_lists(session),
    )
