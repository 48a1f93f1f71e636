"""The settings of the whole office. What the environment gives is shown, and cannot be changed here."""

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import make_url
from wtforms import BooleanField, HiddenField, SelectField, StringField

from app.config import PREFIX
from app.services.errors import Invalid
from app.services.settings import office
from app.services.settings.office import OfficeInput
from app.store import pbx_state
from app.store.settings import SHARED
from app.web import choose_locale, wording
from app.web.context import administrator_required, database, settings, utcnow
from app.web.fields import DigitsField, choices, has_errors, show_errors
from app.web.settings import regions

blueprint = Blueprint("settings", __name__, url_prefix="/settings")
# The pages of the settings, in their order.
_PAGES = (
    ("settings.index", _l("Office and calls"), "building"),
    ("settings.exchange", _l("Telephone exchange"), "plug-connected"),
    ("settings.voices", _l("Voices"), "volume"),
    ("settings.machine", _l("This machine"), "info-circle"),
)


@blueprint.app_template_filter("combined")
def _combined(first, second):
    return {**first, **second}


@blueprint.context_processor
def _pages():
    return {"pages": _PAGES, "fixed": office.fixed(settings()), "origin": origin, "words": wording}


def origin(name: str) -> str:
    """Return the name by which the environment gives a setting."""
    return f"{PREFIX}{SHARED[name].upper()}"


class PlaceForm(FlaskForm):
    """Where the office is, and what it reads."""

    locale = SelectField(
        _l("Language of the panel"),
        choices=choices(wording.LANGUAGE),
        validate_choice=False,
        description=_l("Everybody may choose another one."),
    )
    region = SelectField(_l("Country"), validate_choice=False, description=_l("By its rules numbers are understood."))
    area_code = DigitsField(_l("Area code"), description=_l("Completes local numbers, such as 021."))
    timezone = SelectField(_l("Time zone"), validate_choice=False)

    def offer_regions(self) -> None:
        """Offer countries and time zones in the reader's language."""
        self.region.choices = regions.countries(choose_locale())
        self.timezone.choices = regions.zones(choose_locale(), utcnow(), office.load(database(), settings()).timezone)


class OfficeForm(PlaceForm):
    all_paused = BooleanField(
        _l("Pause all automatic calls"),
        description=_l("Requests are still taken, and can be called by hand."),
    )
    shown_paused = HiddenField()  # as the page showed it: somebody else may have paused or resumed since
    caller_id = DigitsField(_l("Office's caller ID"), description=_l("What customers see when they are called back."))
    outbound_context = StringField(
        _l("Context for calls to customers"),
        description=_l("The context of the exchange through which your phones dial out, such as from-internal."),
    )
    outbound_format = SelectField(
        _l("How numbers are dialled"), choices=choices(wording.OUTBOUND_FORMAT), validate_choice=False
    )
    outbound_prefix = DigitsField(_l("Prefix for an outside line"), description=_l("Such as 9; mostly empty."))


@blueprint.route("", methods=["GET", "POST"])
@administrator_required
def index():
    """Show the settings of office and calls, and change them."""
    now = office.load(database(), settings())
    form = OfficeForm(obj=now)
    status = 200
    if request.method == "POST":
        if save_office(form, now):
            flash(_("The settings are saved."), "success")
            return redirect(url_for("settings.index"))
        status = 422
    if request.method == "GET":
        form.shown_paused.data = "1" if now.all_paused else ""
    form.offer_regions()
    example = office.example(form.region.data or "", form.outbound_format.data, form.outbound_prefix.data)
    return render_template("settings/index.html", form=form, now=now, example=example), status


def save_office(form: PlaceForm, now: OfficeInput) -> bool:
    """Save what was typed, if all of it is sound; else put what is wrong into the form. `now`: what is in force."""
    form.validate()
    if has_errors(form):
        return False
    try:
        office.save(database(), settings(), given(form, now), actor=current_user.name, now=utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    return True


def given(form: PlaceForm, now: OfficeInput) -> OfficeInput:
    """Return what was typed; of what is fixed or not in the form, what is in force."""
    fixed = office.fixed(settings())
    typed = {name: form._fields[name].data or "" for name in now.__dataclass_fields__ if name in form._fields}
    if "all_paused" in typed:
        wanted = bool(typed["all_paused"])
        shown = form._fields["shown_paused"].data == "1"
        typed["all_paused"] = now.all_paused if wanted == shown else wanted
    values = {n: getattr(now, n) if n in fixed else typed.get(n, getattr(now, n)) for n in now.__dataclass_fields__}
    return OfficeInput(**values)


@blueprint.get("/dialled")
@administrator_required
def dialled():
    """Return by an example how numbers would be dialled, while the form is being filled in."""
    now = office.load(database(), settings())
    form = OfficeForm(formdata=request.args, obj=now, meta={"csrf": False})
    chosen = given(form, now)
    example = office.example(chosen.region, chosen.outbound_format, chosen.outbound_prefix)
    return render_template("settings/_dialled.html", example=example)


# -- this machine -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """A setting that only the environment can give. `given`: it does; else `value` is the default."""

    label: str
    value: str
    name: str
    given: bool


_OF_THE_MACHINE = {
    "data_dir": _l("Folder of the data"),
    "database_url": _l("Database"),
    "dialplan_file": _l("File of the dialplan"),
    "prompts_dir": _l("Folder of the sounds"),
    "asterisk_prompts_dir": _l("The same folder, as the exchange sees it"),
    "voices_dir": _l("Folder of further voices"),
    "agi_port": _l("Port of the dialogue with callers"),
    "agi_bind": _l("Address at which the dialogue listens"),
    "trusted_proxies": _l("Reverse proxies before the panel"),
    "poll_seconds": _l("Seconds after which everything is asked again"),
}


@blueprint.get("/machine")
@administrator_required
def machine():
    """Show what the machine itself is given, and how the telephone service is."""
    here = settings()
    facts = []
    for name, label in _OF_THE_MACHINE.items():
        value = str(getattr(here, name))
        shown = make_url(value).render_as_string(hide_password=True) if name == "database_url" else value
        facts.append(Fact(str(label), shown, f"{PREFIX}{name.upper()}", here.from_environment(name)))
    with database().read() as session:
        state = pbx_state.worker_state(session)
    return render_template("settings/machine.html", facts=facts, state=state)
