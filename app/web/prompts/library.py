"""The prompt library: list, upload, choose, play, rename and delete recordings."""

import re

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.audio.clip import SoundError
from app.audio.convert import MAX_BYTES
from app.services.errors import Invalid, NotFound
from app.services.prompts import recordings
from app.services.prompts.recordings import RecordingSort
from app.store.models import Recording
from app.web import wording
from app.web.body_check import accept_file
from app.web.context import administrator_required, database, library, utcnow
from app.web.http import parse_row_number
from app.web.prompts.blueprint import blueprint
from app.web.prompts.recording_view import sound_sources, view_recording
from app.web.prompts.responses import error_text, send_clip
from app.web.prompts.uploads import store_upload

# -- the list -------------------------------------------------------------------------------------------------------


@blueprint.get("")
@administrator_required
def index():
    """List the recordings. `q`: searched in their names; `sort`: a RecordingSort; `kept`: the new one to highlight."""
    return _list()


@blueprint.post("")
@administrator_required
@accept_file(MAX_BYTES)
def add():
    """Store an uploaded file and go back to the list."""
    recording, error = store_upload(request.files.get("upload"))
    if recording is None:
        return _list(error), 422
    return redirect(url_for("recordings.index", kept=recording.digest))


def _list(error: str = ""):
    values = {"error": error, "uses": recordings.list_uses(database()), "new": request.args.get("kept", "")}
    return render_template("prompts/library.html", **values, **_list_recordings(), **sound_sources())


@blueprint.get("/shelf", endpoint="shelf")
@administrator_required
def list_choices():
    """Return the list of the dialog in which a recording is chosen. `q` searches."""
    return render_template("prompts/_library_choices.html", words=wording, **_list_recordings())


def _list_recordings() -> dict[str, object]:
    """Return the page of recordings that the query describes, and the query."""
    search = request.args.get("q", "").strip()
    sort = request.args.get("sort", "")
    sort = RecordingSort(sort) if sort in tuple(RecordingSort) else RecordingSort.NEWEST
    page = request.args.get("page", 1, type=parse_row_number)
    found = recordings.list_recordings(database(), library(), search=search, sort=sort, page=page)
    return {
        "rows": [(row, view_recording(row)) for row in found.rows],
        "has_more": found.has_more,
        "library_is_empty": found.library_is_empty,
        "search": search,
        "sort": sort,
        "page": page,
    }


# -- scripts --------------------------------------------------------------------------------------------------------


@blueprint.post("/take", endpoint="take")
@administrator_required
@accept_file(MAX_BYTES)
def upload():
    """Store a sound that a script sends; return the recording for its form, or 422 with a message."""
    recording, error = store_upload(request.files.get("sound"))
    if recording is None:
        return error_text(error)
    return render_template("prompts/_recording.html", recording=recording)


@blueprint.get("/<digest>/chosen", endpoint="chosen")
@administrator_required
def show_recording(digest: str):
    """Return a recording for the form in which it was chosen."""
    return render_template("prompts/_recording.html", recording=view_recording(_load(digest)))


@blueprint.get("/<digest>.wav")
@administrator_required
def sound(digest: str):
    """Send a recording. With `download` it is saved under its name."""
    row = _load(digest)
    try:
        clip = recordings.read_recording(library(), row.file)
    except (SoundError, OSError) as error:
        current_app.logger.warning("cannot play the recording %s: %s", row.file, error)
        abort(404)
    return send_clip(clip, f"{row.name.replace('/', '-')}.wav")


# -- one recording --------------------------------------------------------------------------------------------------


@blueprint.route("/<digest>", methods=["GET", "POST"])
@administrator_required
def edit(digest: str):
    """Show a recording and its uses, and rename it."""
    row, error = _load(digest), ""
    name = request.form.get("name", row.name)
    if request.method == "POST":
        try:
            recordings.rename(database(), row.file, name, actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            error = wording.error(invalid.errors["name"])
        except NotFound:
            abort(404)
        else:
            flash(_("The recording is renamed."), "success")
            return redirect(url_for("recordings.index"))
    values = {"row": row, "recording": view_recording(row), "uses": _list_uses(row), "name": name, "error": error}
    return render_template("prompts/edit.html", words=wording, **values), 422 if error else 200


@blueprint.route("/<digest>/delete", methods=["GET", "POST"])
@administrator_required
def delete(digest: str):
    """Ask whether to delete a recording, showing what uses it, and delete it."""
    row, error = _load(digest), ""
    if request.method == "POST":
        try:
            recordings.delete(database(), library(), row.file, actor=current_user.name, now=utcnow())
        except NotFound:
            abort(404)
        except Invalid:
            error = "in_use"
        except OSError:
            current_app.logger.exception("cannot delete the recording %s", row.file)
            error = "files"
        else:
            flash(_("The recording is deleted."), "success")
            return redirect(url_for("recordings.index"))
    values = {"row": row, "uses": _list_uses(row), "error": error}
    return render_template("prompts/delete.html", **values), 422 if error else 200


def _load(digest: str) -> Recording:
    row = recordings.load(database(), f"uploads/{digest}.wav") if re.fullmatch("[0-9a-f]{64}", digest) else None
    if row is None:
        abort(404)
    return row


def _list_uses(row: Recording) -> list[recordings.Use]:
    return recordings.list_uses(database(), row.file).get(row.file, [])
