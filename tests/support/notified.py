"""Users who are logged in somewhere and get notifications there."""

from datetime import datetime

from sqlalchemy import select

from app.config import Settings
from app.services import sessions, users
from app.services.notifications import subscriptions
from app.services.notifications.subscriptions import SubscriptionInput
from app.services.sessions import Client
from app.store.database import Database
from app.store.models import UserSession


def log_in(database: Database, settings: Settings, user_id: int, now: datetime) -> int:
    """Start a session of a user and return its id."""
    sessions.start(database, users.get(database, user_id), Client(), now, sessions.limits_of(settings))
    with database.read() as session:
        query = select(UserSession.id).where(UserSession.user_id == user_id).order_by(UserSession.id.desc()).limit(1)
        return session.scalars(query).one()


def add_browser(database: Database, settings: Settings, user_id: int, given: SubscriptionInput, now: datetime) -> int:
    """Log a user in with a browser that gets notifications. Return the subscription's id."""
    login = log_in(database, settings, user_id, now)
    return subscriptions.add(database, user_id, login, given, "calls.example.org", now)
