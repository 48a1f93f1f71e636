"""The sounds of a module's prompts, saved or not, and the dialogue that they make."""

from flask import Blueprint, abort, current_app, request, send_file
from flask.sansio.blueprints import BlueprintSetupState
from sqlalchemy.orm import Session

from app.audio.clip import Clip, SoundError
from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS, announced_keys, default_text
from app.services.errors import NotFound
from app.services.modules import save as modules
from app.services.modules.save import ModuleInput, PromptInput
from app.services.prompts import recordings, sounds, voice
from app.services.prompts.sounds import PromptError, Way
from app.store.settings import Speech
from app.web import wording
from app.web.context import administrator_required, database, library, office
from app.web.prompts.fields import PromptsForm, SpeechForm, typed_input

blueprint = Blueprint("prompts", __name__, url_prefix="/modules")
WAYS: dict[str, Way] = {"own": "own", "other": "other"}
PLAIN_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/<row:module_id>/prompts/<key>.wav")
@administrator_required
def prompt(module_id: int, key: str):
    """Return a prompt's sound as callers hear it; `download` to keep it."""
    if key not in PROMPT_KEYS:
        abort(404)
    try:
        with database().read() as session:
            given = modules.load(session, module_id)
            manner = _manner(session, given.language, _speech(given))
    except NotFound:
        abort(404)
    name = f"{given.code}-{key}.wav"
    return _sound(key, given.prompts.get(key, sounds.DEFAULT), given.language, manner, name)


def _speech(given: ModuleInput) -> Speech:
    return Speech(given.voice, given.rate, given.pitch)


@blueprint.get("/prompts/<language>/<key>.wav")
@administrator_required
def default_prompt(language: str, key: str):
    """Return the sound of a default text."""
    if key not in PROMPT_KEYS or language not in LANGUAGES:
        abort(404)
    with database().read() as session:
        manner = voice.load_office_speech(session, library(), language)
    return _sound(key, sounds.DEFAULT, language, manner, f"{language}-{key}.wav")


@blueprint.post("/prompts/preview")
@administrator_required
def preview():
    """Return the sound of a prompt that is not saved yet. One that cannot be made is a 422 with the reason."""
    key, form = request.form.get("key", ""), SpeechForm()
    if key not in PROMPT_KEYS or form.language.data not in LANGUAGES:
        abort(404)
    fault = _fault(form)
    if fault:
        return fault, 422, PLAIN_TEXT
    with database().read() as session:
        manner = _manner(session, form.language.data, form.given())
    return _sound(key, typed_input("", key), form.language.data, manner, "preview.wav")


@blueprint.post("/prompts/dialogue")
@administrator_required
def dialogue():
    """Return one way through the dialogue, of the prompts as the form has them. A fault is a 422 that names it."""
    form, way = SpeechForm(), WAYS.get(request.form.get("way", ""))
    language = form.language.data
    if language not in LANGUAGES or way is None:
        abort(404)
    fault = _fault(form)
    if fault:
        return fault, 422, PLAIN_TEXT
    with database().read() as session:
        manner = _manner(session, language, form.given())
        recorded = recordings.list_digits(session, language)
    given, number = PromptsForm(typed=True).given(), sounds.sample_number(office().region)
    try:
        digits = sounds.make_digit_clips(library(), language, manner, recorded)
        clip = sounds.make_dialogue(library(), manner, given, language, way, digits, number)
    except PromptError as error:
        return f"{wording.PROMPT[error.key]}: {wording.sound_error(error)}", 422, PLAIN_TEXT
    except SoundError as error:
        return wording.sound_error(error), 422, PLAIN_TEXT
    return send_sound(clip, "dialogue.wav")


def _fault(form: SpeechForm) -> str:
    """Return what is wrong with the voice, its speed or its pitch, "" if nothing is."""
    form.validate()
    said = {name: str(errors[0]) for name, errors in form.errors.items() if name != "csrf_token"}
    found = voice.validate(form.language.data, form.given())
    said |= {name: wording.error(code) for name, code in found.items() if name not in said}
    return " ".join(f"{form[name].label.text}: {text}" for name, text in said.items() if name in form)


def _manner(session: Session, language: str, own: Speech) -> Speech:
    """Return how to speak: as chosen, else as the office does."""
    office = voice.load_office_speech(session, library(), language)
    return Speech(
        own.voice or office.voice,
        office.rate if own.rate is None else own.rate,
        office.pitch if own.pitch is None else own.pitch,
    )


def _sound(key: str, given: PromptInput, language: str, manner: Speech, name: str):
    try:
        clip = sounds.make_prompt_clip(library(), key, given, language, manner)
    except SoundError as error:
        return wording.sound_error(error), 422, PLAIN_TEXT
    except FileNotFoundError:
        if given.mode != "file":
            raise
        current_app.logger.warning("the recording %r of a prompt is not there", given.file)
        abort(404)
    if clip is None:
        abort(404)
    return send_sound(clip, name)


def send_sound(clip: Clip, name: str):
    """Answer with a sound; as a file to be kept where `download` is asked for."""
    as_file = "download" in request.args
    return send_file(clip.path, mimetype="audio/wav", as_attachment=as_file, download_name=name, max_age=0)


@blueprint.record_once
def _share(state: BlueprintSetupState) -> None:
    """Templates and their macros speak of the prompts."""
    state.app.jinja_env.globals.update(
        default_text=default_text, announced_keys=announced_keys, PROMPT_KEYS=PROMPT_KEYS
    )
