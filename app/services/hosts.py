"""The host names by which the panel may be opened.

Addresses and local names are always allowed, since nobody outside can let them point to this machine. Public names
are those of BAZANG_ALLOWED_HOSTS. Without it, they are those by which somebody logged in during the first 30 days, so
that an office with a public name need not set anything.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.config import Settings
from app.domain.hosts import is_listed, is_local
from app.store import settings as store
from app.store.database import Database

LEARNING = timedelta(days=30)
MOST_NAMES = 20
_NAMES, _UNTIL = "known_hosts", "hosts_learned_until"


def is_allowed(name: str, settings: Settings, stored: Mapping[str, str], now: datetime) -> bool:
    """Return whether the panel may be opened by this name. `stored`: the values of the settings table."""
    if is_local(name):
        return True
    if settings.allowed_host_names:
        return is_listed(name, settings.allowed_host_names)
    return bool(name) and (_is_learning(stored, now) or name in learned_names(stored))


def learned_names(stored: Mapping[str, str]) -> list[str]:
    """Return the names by which somebody has logged in. They count while the setting is empty."""
    return stored.get(_NAMES, "").split()


def learn(database: Database, settings: Settings, name: str, stored: Mapping[str, str], now: datetime) -> None:
    """Remember the name by which somebody has logged in. The first log-in sets how long names are learned."""
    if settings.allowed_host_names or not _is_learning(stored, now):
        return
    known = learned_names(stored)
    is_new = bool(name) and not is_local(name) and name not in known and len(known) < MOST_NAMES
    if not is_new and _UNTIL in stored:
        return
    with database.write() as session:
        if _UNTIL not in stored:
            store.write_setting(session, _UNTIL, (now + LEARNING).isoformat())
        if is_new:
            known = store.read_setting(session, _NAMES).split()
            store.write_setting(session, _NAMES, " ".join(dict.fromkeys([*known, name])))


def _is_learning(stored: Mapping[str, str], now: datetime) -> bool:
    return _UNTIL not in stored or now < datetime.fromisoformat(stored[_UNTIL])
