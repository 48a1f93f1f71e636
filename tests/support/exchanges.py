"""A panel on PostgreSQL with a second exchange."""

from flask import Flask

from app.services import exchanges
from app.store.database import Database
from app.store.exchanges import Exchanges
from tests.support.factories import NOW

NORTH = "north"


def add_exchange(app: Flask, code: str = NORTH, name: str = "North branch") -> Database:
    """Add an exchange and return its database."""
    registry: Exchanges = app.extensions["bazang"]["exchanges"]
    exchanges.create(registry, code, name, NOW, actor="sara")
    return registry.find(code)
