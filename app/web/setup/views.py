"""The blueprint with all pages of the setup."""

from app.web.setup import administrator, call, module, office, pbx
from app.web.setup.steps import blueprint

__all__ = ["administrator", "blueprint", "call", "module", "office", "pbx"]
