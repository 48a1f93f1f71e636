"""The blueprint with the pages of the prompt library, the digits and the set of recordings."""

from app.web.prompts import digits, library, recording_set
from app.web.prompts.blueprint import blueprint

__all__ = ["blueprint", "digits", "library", "recording_set"]
