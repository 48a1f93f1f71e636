"""The progress of the setup: which step is next."""

from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.store import settings as store
from app.store.database import Database
from app.store.models import Setting

_SETTING = "setup_step"


class SetupStep(StrEnum):
    """The steps after the first administrator, in their order."""

    OFFICE = "office"
    PBX = "exchange"
    MODULE = "module"
    CALL = "call"


_STEPS = tuple(SetupStep)


def step_after(step: SetupStep) -> SetupStep | None:
    """Return the step that follows; None after the last."""
    return next(iter(_STEPS[_STEPS.index(step) + 1 :]), None)


def current_step(stored: Mapping[str, str]) -> SetupStep | None:
    """Return the step to continue with, or None if the setup is finished. `stored` is the result of `read_all`."""
    found = stored.get(_SETTING, "")
    return SetupStep(found) if found in set(SetupStep) else None


def start(session: Session) -> None:
    """Record that the setup begins with its first step."""
    store.write_setting(session, _SETTING, SetupStep.OFFICE.value)


def complete(database: Database, step: SetupStep) -> None:
    """Record that a step is done or skipped. Steps before the current one change nothing.

    The last step stays the current one until `finish`.
    """
    with database.write() as session:
        current = current_step({_SETTING: store.read_setting(session, _SETTING)})
        if current and _STEPS.index(step) >= _STEPS.index(current):
            store.write_setting(session, _SETTING, (step_after(step) or step).value)


def finish(database: Database) -> None:
    """Record that the setup is finished, so that no page reminds of it."""
    with database.write() as session:
        session.execute(delete(Setting).where(Setting.name == _SETTING))
