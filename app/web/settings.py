"""The settings of the whole office. What the environment gives is shown, and cannot be changed here."""

from zoneinfo import available_timezones

import phonenumbers
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, SelectField, StringField

from app.services import office
from app.services.errors import Invalid
from app.services.office import OfficeInput
from app.web import words
from app.web.fields import DigitsField, choices, has_errors, show_errors
from app.web.parts import administrator_required, database, settings, utcnow

blueprint = Blueprint("settings", __name__, url_prefix="/settings")


class OfficeForm(FlaskForm):
    all_paused = BooleanField(
        _l("Pause all automatic calls"),
        description=_l("Requests are still taken, and can be called by hand."),
    )
    caller_id = DigitsField(_l("Office's caller ID"), description=_l("What customers see when they are called back."))
    outbound_context = StringField(
        _l("Context for calls to customers"),
        description=_l("The context of the exchange through which your phones dial out, such as from-internal."),
    )
    outbound_format = SelectField(
        _l("How numbers are dialled"), choices=choices(words.OUTBOUND_FORMAT), validate_choice=False
    )
    outbound_prefix = DigitsField(_l("Prefix for an outside line"), description=_l("Such as 9; mostly empty."))
    region = SelectField(
        _l("Country"),
        choices=sorted(phonenumbers.SUPPORTED_REGIONS),
        validate_choice=False,
        description=_l("ISO code."),
    )
    area_code = DigitsField(_l("Area code"), description=_l("Completes local numbers, such as 021."))
    timezone = SelectField(_l("Time zone"), choices=sorted(available_timezones()), validate_choice=False)
    locale = SelectField(
        _l("Language of the panel"),
        choices=choices(words.LANGUAGE),
        validate_choice=False,
        description=_l("Everybody may choose another one."),
    )


@blueprint.route("", methods=["GET", "POST"])
@administrator_required
def index():
    """Show the settings, and change them."""
    now = office.load(database(), settings())
    fixed = office.fixed(settings())
    form = OfficeForm(obj=now)
    status = 200
    if request.method == "POST":
        form.validate()
        # A field that cannot be changed is not sent by the browser, and would count for nothing if it were.
        values = {name: getattr(now, name) if name in fixed else form[name].data for name in now.__dataclass_fields__}
        if not has_errors(form):
            try:
                office.save(database(), settings(), OfficeInput(**values), actor=current_user.name, now=utcnow())
            except Invalid as invalid:
                show_errors(form, invalid.errors)
            else:
                flash(_("The settings are saved."), "success")
                return redirect(url_for("settings.index"))
        status = 422
    return render_template("settings/index.html", form=form, fixed=fixed, now=now), status
