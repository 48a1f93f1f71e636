"""What a module does for callers outside the office hours."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.hours import Hours, Outside, stops_offering
from app.store import settings as store_settings
from app.store.hours import load_hours
from app.store.models import Module


def hours_of(session: Session, settings: Settings, module: Module, now: datetime) -> Hours:
    """Return the hours of a module around a moment."""
    stored = store_settings.read_all(session)
    office = store_settings.office(session, settings, stored)
    return load_hours(session, office.timezone, office.region, stored, now).of(module)


def find_outside(module: Module, hours: Hours, now: datetime) -> Outside | None:
    """Return what a module does for callers now, None if it offers them a call as usual."""
    is_outside = stops_offering(hours, now, timedelta(seconds=module.stop_before))
    return Outside(module.outside) if is_outside else None
