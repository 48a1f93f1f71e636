"""The blueprint with all settings pages."""

from app.web.settings import machine, office, pbx, voices
from app.web.settings.blueprint import blueprint

__all__ = ["blueprint", "machine", "office", "pbx", "voices"]
