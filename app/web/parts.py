"""What the views are given by the application."""

from datetime import UTC, datetime
from functools import wraps

from flask import abort, current_app
from flask_login import current_user, login_required

from app.audio.cache import SoundLibrary
from app.config import Settings
from app.store.database import Database


def settings() -> Settings:
    return current_app.extensions["bazang"]["settings"]


def database() -> Database:
    return current_app.extensions["bazang"]["database"]


def library() -> SoundLibrary:
    return SoundLibrary(settings().prompts_path)


def utcnow() -> datetime:
    return datetime.now(UTC)


def administrator_required(view):
    """Let administrators alone pass; everybody else is told that it is not theirs."""

    @wraps(view)
    @login_required
    def guarded(*args, **kwargs):
        if current_user.role != "administrator":
            abort(403)
        return view(*args, **kwargs)

    return guarded
