"""A recording as pages show it, and what templates need to choose, upload and record sounds."""

from dataclasses import dataclass

from flask.sansio.blueprints import BlueprintSetupState
from flask_login import current_user

from app.audio.convert import MAX_BYTES, MAX_SECONDS
from app.audio.prompt_texts import PROMPT_KEYS, announced_keys, default_text
from app.audio.voices import is_piper_installed
from app.services.prompts import dialogue, recordings
from app.services.prompts.recordings import Origin
from app.store.models import Recording
from app.web.context import database, directory, library, office, settings


@dataclass(frozen=True)
class RecordingView:
    """A recording for a page. `digest`: stands for `file` in addresses; `exists`: its file is not lost."""

    file: str
    name: str
    original_name: str = ""
    origin: str = Origin.UPLOAD.value
    seconds: float | None = None
    loudness: float | None = None
    exists: bool = True

    @property
    def digest(self) -> str:
        return self.file.removeprefix("uploads/").removesuffix(".wav")


def view_recording(row: Recording) -> RecordingView:
    """Return a recording for a page."""
    exists = recordings.has_file(library(), row.file)
    return RecordingView(row.file, row.name, row.original_name, row.origin, row.seconds, row.loudness, exists)


def find_recording(file: str, name: str = "") -> RecordingView | None:
    """Return the recording that a form contains, None if `file` is empty. `name`: used if it has no row."""
    if not file:
        return None
    row = recordings.load(database(), file)
    if row is None:
        return RecordingView(file, name or file, exists=recordings.has_file(library(), file))
    return view_recording(row)


def sound_sources() -> dict[str, object]:
    """Return what a page needs where sounds are uploaded, recorded and chosen."""
    return {
        "phones": directory().extensions.values(),
        "own_extension": current_user.extensions[0] if current_user.extensions else "",
        "max_bytes": MAX_BYTES,
        "max_seconds": int(MAX_SECONDS),
    }


def sample_number() -> str:
    """Return the number that is read out as an example in the office's country."""
    return dialogue.sample_number(office().region)


def register_globals(state: BlueprintSetupState) -> None:
    """Make these functions and the prompts available in templates and macros."""
    state.app.jinja_env.globals.update(
        PROMPT_KEYS=PROMPT_KEYS,
        announced_keys=announced_keys,
        default_text=default_text,
        find_recording=find_recording,
        is_piper_installed=is_piper_installed,
        sample_number=sample_number,
        sound_sources=sound_sources,
        voices_folder=lambda: settings().voices_path,
    )
