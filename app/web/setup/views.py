"""The blueprint with all pages of the setup."""

from app.web.setup import administrator, module, office, pbx, test_call
from app.web.setup.steps import blueprint

__all__ = ["administrator", "blueprint", "module", "office", "pbx", "test_call"]
