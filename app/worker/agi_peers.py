"""Where FastAGI connections may come from, and how far an older installation is in using the secret."""

import asyncio
import logging
import socket

from app.store import settings as store_settings
from app.store.database import Database
from app.telephony.agi_access import Address, Upgrade, to_address

log = logging.getLogger(__name__)
UPGRADE = "agi_upgrade"  # the setting with the value of Upgrade
RESOLVE_SECONDS = 3.0


async def resolve(host: str) -> frozenset[Address]:
    """Return the addresses of a host, none if it cannot be found."""
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        log.warning("cannot find the address of the PBX %s: %s", host, error)
        return frozenset()
    return frozenset(to_address(str(entry[4][0])) for entry in found)


def store_refused(database: Database, address: str) -> None:
    """Store the last address from which a connection was refused, for the doctor. Blocks."""
    with database.write() as session:
        store_settings.write_setting(session, store_settings.AGI_REFUSED, address)


def load_upgrade(database: Database) -> Upgrade:
    """Return how far this installation is. Blocks."""
    with database.read() as session:
        return Upgrade(store_settings.read_setting(session, UPGRADE))


def store_upgrade(database: Database, upgrade: Upgrade) -> None:
    """Store how far this installation is. Blocks."""
    with database.write() as session:
        store_settings.write_setting(session, UPGRADE, upgrade.value)
