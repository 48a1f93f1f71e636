"""The blueprint with the pages of the prompt library and the digits."""

from app.web.prompts import digits, library
from app.web.prompts.blueprint import blueprint

__all__ = ["blueprint", "digits", "library"]
