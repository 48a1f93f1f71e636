"""The blueprint with all settings pages."""

from app.web.settings import (
    callers,
    contacts,
    exchanges,
    health,
    hours,
    machine,
    mail,
    missed,
    numbers,
    office,
    pbx,
    stored,
    voices,
    webhooks,
    website,
)
from app.web.settings.blueprint import blueprint

__all__ = [
    "blueprint",
    "callers",
    "contacts",
    "exchanges",
    "health",
    "hours",
    "machine",
    "mail",
    "missed",
    "numbers",
    "office",
    "pbx",
    "stored",
    "voices",
    "webhooks",
    "website",
]
