"""Store settings and write the changes to the audit log in the same transaction."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from app.services import audit
from app.services.audit import AuditAction
from app.store import settings as store


def save_values(session: Session, values: Mapping[str, str], now: datetime, *, actor: str) -> None:
    """Store values by name, and add an audit entry if any of them changes."""
    stored = store.read_all(session)
    for name, value in values.items():
        store.write_setting(session, name, value)
    changed = audit.changes({name: stored.get(name, "") for name in values}, values, secret=store.SECRETS)
    if changed:
        audit.record(session, actor, AuditAction.SETTINGS_SAVED, "", changed, now)
