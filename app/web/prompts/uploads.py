"""Store the sounds that pages upload."""

from flask import current_app, request
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.datastructures import FileStorage

from app.audio.clip import SoundError
from app.services.prompts import recordings
from app.services.prompts.recordings import Origin
from app.web import wording
from app.web.context import database, library, utcnow
from app.web.prompts import wording as prompt_wording
from app.web.prompts.recording_view import RecordingView, view_recording


def store_upload(file: FileStorage | None) -> tuple[RecordingView | None, str]:
    """Convert and store an uploaded file. Return the recording and "", or None and an error message."""
    if file is None or not file.filename:
        return None, wording.error("no_file")
    origin = request.form.get("origin", "")
    try:
        row = recordings.store_upload(
            database(),
            library(),
            file.stream,
            request.form.get("name", "").strip() or file.filename,
            Origin(origin) if origin in tuple(Origin) else Origin.UPLOAD,
            utcnow(),
            current_user.name,
            original_name=file.filename,
        )
    except SoundError as error:
        return None, prompt_wording.sound_error(error)
    except OSError:
        current_app.logger.exception("cannot store a recording")
        return None, _("The sound cannot be saved. Ask the administrator of this machine to check the server log.")
    return view_recording(row), ""
