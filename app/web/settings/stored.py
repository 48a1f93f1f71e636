"""The page that says what is stored, and for how long. Nothing is deleted before its amount was shown."""

from dataclasses import asdict

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.domain.retention import BOUNDS, Kind, Retention
from app.services import retention
from app.services.errors import Invalid
from app.web.context import administrator_required, database, utcnow
from app.web.fields import PanelForm, WholeNumberField, has_errors, show_errors
from app.web.settings.blueprint import blueprint

CONFIRMED = "confirmed"


class RetentionForm(PanelForm):
    requests = WholeNumberField(
        _l("Finished requests"),
        description=_l("With their attempts and history, after their end. 0 means for ever; otherwise 90 or more."),
    )
    notes = WholeNumberField(
        _l("Notes on finished requests"),
        description=_l("The log has them as long as it is kept. 0 means for ever; otherwise 7 or more."),
    )
    names = WholeNumberField(
        _l("Spoken names"), description=_l("Recordings of callers, after the end of their request: 1 to 365.")
    )
    log = WholeNumberField(_l("Log"), description=_l("Who changed what. 0 means for ever; otherwise 90 or more."))

    def to_input(self) -> Retention:
        return Retention(self.requests.data, self.notes.data, self.names.data, self.log.data)


@blueprint.route("/stored", methods=["GET", "POST"])
@administrator_required
def stored_page():
    """Show what is stored. Save for how long, after what will be deleted was shown."""
    form = RetentionForm()
    if not form.is_submitted():
        return _page(RetentionForm(formdata=None, **asdict(retention.load(database()))))
    form.validate()
    if has_errors(form):
        return _page(form), 422
    given = form.to_input()
    faults = given.faults()
    confirmed = request.form.get(CONFIRMED) == _key(given)
    if not faults and not confirmed and any(amount.going for amount in retention.count(database(), given, utcnow())):
        return _page(form, given)
    try:
        retention.save(database(), given, actor=current_user.name, now=utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(form), 422
    flash(_("The settings are saved."), "success")
    return redirect(url_for("settings.stored_page"))


def _key(given: Retention) -> str:
    """Return what a confirmation is worth: these numbers of days, and no others."""
    return ".".join(str(given.days(kind)) for kind in BOUNDS)


def _page(form: RetentionForm, given: Retention | None = None) -> str:
    """Show the form. `given`: the days whose consequences must be confirmed."""
    kept = given or retention.load(database())
    amounts = retention.count(database(), kept, utcnow())
    labels = {
        Kind.REQUESTS: _("Finished requests"),
        Kind.NOTES: _("Notes on finished requests"),
        Kind.NAMES: _("Spoken names"),
        Kind.LOG: _("Log entries"),
    }
    return render_template(
        "settings/stored.html",
        form=form,
        amounts=amounts,
        labels=labels,
        is_asking=given is not None,
        confirmed=_key(kept),
    )
