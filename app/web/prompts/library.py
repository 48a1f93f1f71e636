"""The prompt library: the office's own sounds, what uses them, and the digits that numbers are read out with."""

import re
from dataclasses import dataclass

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.sansio.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from app.audio.clip import SoundError
from app.audio.convert import MAX_BYTES, MAX_SECONDS
from app.audio.prompt_texts import LANGUAGES
from app.audio.voices import is_piper_installed
from app.domain.numbers import ascii_digits
from app.services.errors import Invalid, NotFound
from app.services.prompts import recordings, sounds, voice
from app.services.prompts.recordings import ORIGINS
from app.store.models import ExtensionRow, Recording
from app.web import choose_locale, row_number, wording
from app.web.context import administrator_required, database, library, office, settings, utcnow
from app.web.formats import digits as written_digits
from app.web.prompts.preview import PLAIN_TEXT, send_sound

blueprint = Blueprint("recordings", __name__, url_prefix="/recordings")
PAGE = 50
DIGITS = "0123456789"
_SORTS = {
    "name": lambda row: (row.name.casefold(), row.file),
    "length": lambda row: row.seconds or 0.0,
    "loudness": lambda row: -200.0 if row.loudness is None else row.loudness,
    "newest": lambda row: row.created_at,
}
_BACKWARDS = {"newest"}


@dataclass(frozen=True)
class RecordingView:
    """A recording as pages show it. `digest` stands for `file` in addresses; `there`: its sound is not lost."""

    file: str
    name: str
    original_name: str = ""
    origin: str = "upload"
    seconds: float | None = None
    loudness: float | None = None
    there: bool = True

    @property
    def digest(self) -> str:
        return self.file.removeprefix("uploads/").removesuffix(".wav")


def view_recording(row: Recording) -> RecordingView:
    there = recordings.has_file(library(), row.file)
    return RecordingView(row.file, row.name, row.original_name, row.origin, row.seconds, row.loudness, there)


def find_recording(file: str, name: str = "") -> RecordingView | None:
    """Return the recording that a form names, as pages show it; None where it names none."""
    if not file:
        return None
    with database().read() as session:
        row = session.get(Recording, file)
    return (
        view_recording(row)
        if row is not None
        else RecordingView(file, name or file, there=recordings.has_file(library(), file))
    )


def _file(digest: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", digest):
        abort(404)
    return f"uploads/{digest}.wav"


def _row(digest: str) -> Recording:
    with database().read() as session:
        row = session.get(Recording, _file(digest))
    if row is None:
        abort(404)
    return row


# -- the list -------------------------------------------------------------------------------------------------------


@blueprint.get("")
@administrator_required
def index():
    """List the recordings: `q` searches in their names, `sort` is one of _SORTS, `kept` is one that is new here."""
    return _list()


@blueprint.post("")
@administrator_required
def add():
    """Keep an uploaded file, and go back to the list."""
    kept, error = _take(request.files.get("upload"))
    if kept is None:
        return _list(error), 422
    return redirect(url_for("recordings.index", kept=kept.digest))


def _list(error: str = ""):
    rows, values = _found()
    with database().read() as session:
        uses = recordings.list_uses(session)
    return render_template(
        "prompts/library.html", error=error, uses=uses, sorts=_SORTS, **values, **rows, **sound_sources()
    )


def _found() -> tuple[dict[str, object], dict[str, object]]:
    """Return a page of the recordings that are asked for, and what was asked."""
    wanted = request.args.get("q", "").strip()
    sort = request.args.get("sort", "")
    sort = sort if sort in _SORTS else "newest"
    page = request.args.get("page", 1, type=row_number)
    every = recordings.list_recordings(database(), library())
    sought = wanted.casefold()
    found = [row for row in every if sought in row.name.casefold() or sought in row.original_name.casefold()]
    found.sort(key=_SORTS[sort], reverse=sort in _BACKWARDS)
    part = found[(page - 1) * PAGE : page * PAGE]
    rows = {"rows": [(row, view_recording(row)) for row in part], "more": len(found) > page * PAGE, "any": bool(every)}
    return rows, {"wanted": wanted, "sort": sort, "page": page, "kept": request.args.get("kept", "")}


def sound_sources() -> dict[str, object]:
    """Return what a page needs on which sounds are uploaded, recorded and chosen."""
    with database().read() as session:
        lines = session.scalars(select(ExtensionRow).order_by(ExtensionRow.extension)).all()
    own = current_user.extensions[0] if current_user.extensions else ""
    return {
        "phones": lines,
        "own_extension": own,
        "words": wording,
        "max_bytes": MAX_BYTES,
        "max_seconds": int(MAX_SECONDS),
    }


@blueprint.get("/shelf")
@administrator_required
def shelf():
    """Return the part of a page on which one recording is chosen; `q` searches."""
    rows, values = _found()
    return render_template("prompts/_shelf.html", words=wording, **values, **rows)


# -- taking sounds in -----------------------------------------------------------------------------------------------


@blueprint.post("/take")
@administrator_required
def take():
    """Keep a sound that a script sends; return how a card shows it. A fault is a 422 that says which."""
    kept, error = _take(request.files.get("sound"))
    if kept is None:
        return error, 422, PLAIN_TEXT
    return render_template("prompts/_chosen.html", sound=kept, words=wording)


def _take(file: FileStorage | None) -> tuple[RecordingView | None, str]:
    """Convert and keep a file; return it, or what is wrong in words."""
    if file is None or not file.filename:
        return None, wording.error("no_file")
    origin = request.form.get("origin", "upload")
    name = request.form.get("name", "").strip() or file.filename
    try:
        row = recordings.store_upload(
            database(),
            library(),
            file.stream,
            name,
            origin if origin in ORIGINS else "upload",
            utcnow(),
            current_user.name,
            original_name=file.filename,
        )
    except SoundError as error:
        return None, wording.sound_error(error)
    except OSError:
        current_app.logger.exception("a recording cannot be kept")
        return None, _("The sound cannot be stored on this machine. Tell your administrator; the log says more.")
    return view_recording(row), ""


@blueprint.get("/<digest>/chosen")
@administrator_required
def chosen(digest: str):
    """Return how a card shows a recording."""
    return render_template("prompts/_chosen.html", sound=view_recording(_row(digest)), words=wording)


@blueprint.get("/<digest>.wav")
@administrator_required
def sound(digest: str):
    """Return a recording's sound; `download` to keep it under its name."""
    row = _row(digest)
    try:
        clip = recordings.read_recording(library(), row.file)
    except (SoundError, OSError) as error:
        current_app.logger.warning("the recording %s cannot be played: %s", row.file, error)
        abort(404)
    return send_sound(clip, f"{row.name.replace('/', '-')}.wav")


# -- one recording --------------------------------------------------------------------------------------------------


@blueprint.route("/<digest>", methods=["GET", "POST"])
@administrator_required
def edit(digest: str):
    """Show a recording and what plays it, and give it another name."""
    row, error = _row(digest), ""
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
    values = {
        "row": row,
        "sound": view_recording(row),
        "uses": _uses(row.file),
        "name": name,
        "error": error,
        "words": wording,
    }
    return render_template("prompts/edit.html", **values), 422 if error else 200


@blueprint.route("/<digest>/delete", methods=["GET", "POST"])
@administrator_required
def delete(digest: str):
    """Delete a recording, after a question that names what still plays it."""
    row, error = _row(digest), ""
    if request.method == "POST":
        try:
            recordings.delete(database(), library(), row.file, actor=current_user.name, now=utcnow())
        except NotFound:
            abort(404)
        except Invalid:
            error = "in_use"
        except OSError:
            current_app.logger.exception("the recording %s cannot be deleted", row.file)
            error = "files"
        else:
            flash(_("The recording is deleted."), "success")
            return redirect(url_for("recordings.index"))
    values = {"row": row, "uses": _uses(row.file), "error": error, "words": wording}
    return render_template("prompts/delete.html", **values), 422 if error else 200


def _uses(file: str) -> list[recordings.Use]:
    with database().read() as session:
        return recordings.list_uses(session, file).get(file, [])


# -- digits ---------------------------------------------------------------------------------------------------------


@blueprint.get("/digits")
@administrator_required
def all_digits():
    """Go to the digits of the reader's language."""
    return redirect(url_for("recordings.digits", language=choose_locale()))


@blueprint.get("/digits/<language>")
@administrator_required
def digits(language: str):
    """Show by what the digits of a language are read out, to be heard and replaced."""
    return _digits(language)


def _digits(language: str, faulty: str = "", error: str = ""):
    if language not in LANGUAGES:
        abort(404)
    with database().read() as session:
        recorded = recordings.list_digits(session, language)
    cards = [(digit, find_recording(recorded.get(digit, ""))) for digit in DIGITS]
    values = {"language": language, "cards": cards, "faulty": faulty, "error": error, "languages": LANGUAGES}
    return render_template("prompts/digits.html", **values, **sound_sources())


@blueprint.post("/digits/<language>/<digit>")
@administrator_required
def set_digit(language: str, digit: str):
    """Have a digit read out by a file that comes with it, by a recording of the library, or (neither) by the voice."""
    file = request.form.get("file", "")
    upload = request.files.get("upload")
    if upload is not None and upload.filename:
        kept, error = _take(upload)
        if kept is None:
            return _digits(language, digit, error), 422
        file = kept.file
    elif request.form.get("back") is None and not file:
        return _digits(language, digit, wording.error("no_file")), 422
    try:
        recordings.set_digit(database(), language, digit, file or None, utcnow(), actor=current_user.name)
    except NotFound:
        if language not in LANGUAGES or digit not in tuple(DIGITS):
            abort(404)
        return _digits(language, digit, str(wording.SOUND_ERROR["lost"])), 422
    said = _("%(digit)s is read out by the recording.") if file else _("%(digit)s is read out by the voice again.")
    flash(said % {"digit": written_digits(digit)}, "success")
    return redirect(url_for("recordings.digits", language=language, _anchor=f"digit-{digit}"))


@blueprint.get("/digits/<language>/<number>.wav")
@administrator_required
def readout(language: str, number: str):
    """Return how a digit, or a number of up to twenty, is read out."""
    number = ascii_digits(number)
    if language not in LANGUAGES or not re.fullmatch("[0-9]{1,20}", number):
        abort(404)
    with database().read() as session:
        manner, recorded = (
            voice.load_office_speech(session, library(), language),
            recordings.list_digits(session, language),
        )
    try:
        clips = {d: sounds.make_digit_clip(library(), d, language, manner, recorded) for d in set(number)}
        clip = library().assemble([clips[digit] for digit in number])
    except (SoundError, FileNotFoundError) as error:
        current_app.logger.error("%s cannot be read out: %s", number, error)
        return _("This could not be spoken."), 422, PLAIN_TEXT
    return send_sound(clip, f"{language}-{number}.wav")


def _sample_number() -> str:
    return sounds.sample_number(office().region)


@blueprint.record_once
def _share(state: BlueprintSetupState) -> None:
    """Forms show the recordings that they name."""
    state.app.jinja_env.globals.update(
        find_recording=find_recording,
        sound_sources=sound_sources,
        sample_number=_sample_number,
        has_piper=is_piper_installed,
        voices_folder=lambda: settings().voices_path,
    )
