"""Find out whether a time is free for a call, and which one is next."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.domain import chosen_times
from app.domain.hours import Hours
from app.store import pbx_state
from app.store import requests as store
from app.store.hours import load_hours
from app.store.models import Module
from app.store.settings import read_all


def find_free(
    session: Session,
    module: Module,
    hours: Hours,
    wished: datetime,
    *,
    before_closing: timedelta = timedelta(0),
    but: int | None = None,
) -> datetime | None:
    """Return the first time from `wished` on that is in the hours of a module and not full; see domain/chosen_times.py.

    `but`: the request that gets this time.
    """
    limit = module.quarter_limit
    taken = store.count_times(session, module.id, wished, but=but) if limit else {}
    return chosen_times.find_free(wished, hours, taken, limit, before_closing)


def find_free_for_user(
    session: Session, module: Module | None, wished: datetime, now: datetime, *, but: int | None = None
) -> datetime | None:
    """Return the same for the time that a user gives.

    Any time is free if nothing rings by itself then: people call by hand whenever they like. That is also so if the
    worker has never run, because the office's time zone is not known yet.
    """
    state = pbx_state.worker_state(session)
    if module is None or not module.automatic or not state.timezone:
        return wished
    hours = load_hours(session, state.timezone, state.region, read_all(session), now).of(module)
    return find_free(session, module, hours, wished, but=but)
