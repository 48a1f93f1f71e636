"""The blueprint of the prompt library and the digits."""

from flask import Blueprint

from app.web.prompts.recording_view import register_globals

blueprint = Blueprint("recordings", __name__, url_prefix="/recordings")
blueprint.record_once(register_globals)
