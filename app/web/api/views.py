"""All operations of the API. The modules below declare them when they are imported."""

from app.web.api import calls, description, office, requests
from app.web.api.operation import OPERATIONS, blueprint

__all__ = ["OPERATIONS", "blueprint", "calls", "description", "office", "requests"]
