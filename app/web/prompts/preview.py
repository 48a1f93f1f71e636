"""Listen to a module's prompts, saved or not, and to the whole dialogue."""

from flask import Blueprint, abort, current_app, request

from app.audio.clip import SoundError
from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS
from app.services.errors import NotFound
from app.services.modules.list import load_module
from app.services.prompts import digits, sounds, voice
from app.services.prompts.dialogue import CallerNumber, PromptError, make_dialogue
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput, PromptMode
from app.store.settings import Speech
from app.web import wording
from app.web.context import administrator_required, database, library
from app.web.prompts import wording as prompt_wording
from app.web.prompts.fields import PromptsForm, SpeechForm, read_prompt
from app.web.prompts.recording_view import sample_number
from app.web.prompts.responses import error_text, send_clip

blueprint = Blueprint("prompts", __name__, url_prefix="/modules")


@blueprint.get("/<row:module_id>/prompts/<key>.wav")
@administrator_required
def prompt(module_id: int, key: str):
    """Send a prompt of a module as callers hear it."""
    if key not in PROMPT_KEYS:
        abort(404)
    try:
        with database().read() as session:
            module = load_module(session, module_id)
    except NotFound:
        abort(404)
    speech = _complete_speech(module.language, Speech(module.voice, module.rate, module.pitch))
    prompt = module.prompts.get(key, DEFAULT_PROMPT)
    name = f"{module.code}-{key}.wav"
    return _send_prompt(key, prompt, module.language, speech, name, module.office_name, module.offer_key)


@blueprint.get("/prompts/<language>/<key>.wav")
@administrator_required
def default_prompt(language: str, key: str):
    """Send a default text as it is spoken."""
    if key not in PROMPT_KEYS or language not in LANGUAGES:
        abort(404)
    speech = _complete_speech(language, Speech())
    return _send_prompt(key, DEFAULT_PROMPT, language, speech, f"{language}-{key}.wav")


@blueprint.post("/prompts/preview")
@administrator_required
def preview():
    """Send a prompt that is not saved yet. If it cannot be made, return 422 with a message."""
    key, form = request.form.get("key", ""), SpeechForm()
    language = form.language.data
    if key not in PROMPT_KEYS or language not in LANGUAGES:
        abort(404)
    error = _validate(form)
    if error:
        return error_text(error)
    speech = _complete_speech(language, form.speech())
    words = [request.form.get(name, "") for name in ("office_name", "offer_key")]
    return _send_prompt(key, read_prompt("", key), language, speech, "preview.wav", *words)


@blueprint.post("/prompts/dialogue")
@administrator_required
def dialogue():
    """Send the dialogue with the prompts of the form, for one CallerNumber (`way`). 422 with a message if it fails."""
    form, caller_number = SpeechForm(), request.form.get("way", "")
    language = form.language.data
    if language not in LANGUAGES or caller_number not in tuple(CallerNumber):
        abort(404)
    error = _validate(form)
    if error:
        return error_text(error)
    prompts = PromptsForm(from_request=True).inputs()
    speech = _complete_speech(language, form.speech())
    files = digits.load_digit_files(database(), language)
    try:
        clip = make_dialogue(library(), speech, prompts, language, CallerNumber(caller_number), files, sample_number())
    except PromptError as failed:
        name = wording.PROMPT.get(failed.key)  # what is not set per module has none
        return error_text(": ".join(str(part) for part in (name, prompt_wording.sound_error(failed)) if part))
    except SoundError as failed:
        return error_text(prompt_wording.sound_error(failed))
    return send_clip(clip, "dialogue.wav")


def _validate(form: SpeechForm) -> str:
    """Return what is wrong with voice, rate and pitch, "" if they are valid."""
    form.validate()
    messages = {name: str(errors[0]) for name, errors in form.errors.items() if name != "csrf_token"}
    errors = voice.validate(form.language.data, form.speech())
    messages |= {name: wording.error(code) for name, code in errors.items() if name not in messages}
    return " ".join(f"{form[name].label.text}: {text}" for name, text in messages.items() if name in form)


def _complete_speech(language: str, own: Speech) -> Speech:
    """Return `own` with the office's values in place of those that are not set."""
    with database().read() as session:
        return voice.complete_speech(own, voice.load_office_speech(session, library(), language))


def _send_prompt(
    key: str,
    prompt: PromptInput,
    language: str,
    speech: Speech,
    name: str,
    office_name: str = "",
    offer_key: str = "",
):
    try:
        clip = sounds.make_clip(library(), key, prompt, language, speech, office_name, offer_key)
    except SoundError as error:
        return error_text(prompt_wording.sound_error(error))
    except FileNotFoundError:
        if prompt.mode != PromptMode.FILE:
            raise
        current_app.logger.warning("the recording %r of a prompt is missing", prompt.file)
        abort(404)
    if clip is None:
        abort(404)
    return send_clip(clip, name)
