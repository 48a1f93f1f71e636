"""The page on which a user chooses notifications, and the browsers to which they go."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from wtforms import BooleanField, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from app.domain.notifications import KINDS, Preferences
from app.extensions import limiter
from app.services.errors import Invalid, NotFound
from app.services.notifications import keys, preferences, subscriptions
from app.services.notifications.preferences import PreferencesInput
from app.services.notifications.subscriptions import SubscriptionInput
from app.web.context import database, office, settings, utcnow
from app.web.fields import DigitsField, PanelForm, choices, show_errors
from app.web.formats import digits
from app.web.notifications import wording

blueprint = Blueprint("notifications", __name__, url_prefix="/account/notifications")
_limited = limiter.limit("30 per minute", key_func=lambda: f"user {getattr(current_user, 'id', 0)}")


class NotificationsForm(PanelForm):
    kinds = SelectMultipleField(
        _l("Notify me when"),
        choices=choices(wording.KIND),
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
        validate_choice=False,
    )
    quiet_from = DigitsField(_l("Quiet hours from"), description=_l("hh:mm by the office's time. Empty: none."))
    quiet_until = DigitsField(_l("Quiet hours until"), description=_l("May be on the next day."))
    shows_numbers = BooleanField(
        _l("Show the customer's number"),
        description=_l("Everybody who sees the locked screen can read it. Otherwise a notification has no number."),
    )


@blueprint.get("")
@login_required
def index():
    """Show the user's notifications."""
    with database().read() as session:
        chosen = preferences.load(session, current_user.id)
    return _page(_filled(chosen))


@blueprint.post("")
@login_required
def save():
    """Store what the user has chosen."""
    form = NotificationsForm()
    form.validate()
    given = PreferencesInput(
        form.kinds.data or (), form.quiet_from.data, form.quiet_until.data, shows_numbers=form.shows_numbers.data
    )
    try:
        preferences.save(database(), current_user.id, given)
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(form), 422
    flash(_("Your choice is saved."), "success")
    return redirect(url_for("notifications.index"))


def _filled(chosen: Preferences) -> NotificationsForm:
    form = NotificationsForm(formdata=None)
    form.kinds.data = [kind.value for kind in KINDS if kind in chosen.kinds]
    form.shows_numbers.data = chosen.shows_numbers
    if chosen.quiet_from != chosen.quiet_until:
        form.quiet_from.data = digits(chosen.quiet_from.isoformat("minutes"))
        form.quiet_until.data = digits(chosen.quiet_until.isoformat("minutes"))
    return form


def _page(form: NotificationsForm) -> str:
    return render_template(
        "notifications/index.html",
        form=form,
        zone=office().timezone,
        public_key=keys.public_key(database(), settings()),
        **_browsers(),
    )


def _browsers() -> dict[str, object]:
    found = subscriptions.list_browsers(database(), current_user.id, utcnow())
    return {"browsers": found, "failure": wording.failure}


# -- browsers ---------------------------------------------------------------------------------------------------------


@blueprint.get("/browsers")
@login_required
def browsers():
    """Send the list of browsers again, while something is on its way to one of them."""
    return render_template("notifications/_browsers.html", **_browsers())


@blueprint.post("/browsers")
@login_required
@_limited
def subscribe():
    """Send notifications to this browser from now on. A script sends this, also after each log-in."""
    given = SubscriptionInput(*(request.form.get(name, "") for name in ("endpoint", "p256dh", "auth")))
    try:
        subscriptions.add(database(), current_user.id, current_user.session_id, given, request.host, utcnow())
    except Invalid:
        abort(400, _("This browser's push service is not one that Bazang knows."))
    return "", 204


@blueprint.post("/browsers/<row:subscription_id>/test")
@login_required
@_limited
def test(subscription_id: int):
    """Send a test to a browser."""
    try:
        subscriptions.ask_for_test(database(), current_user.id, subscription_id, utcnow())
    except NotFound:
        abort(404)
    flash(_("A test is on its way. The list says what became of it."), "success")
    return redirect(url_for("notifications.index"))


@blueprint.post("/browsers/<row:subscription_id>/remove")
@login_required
def remove(subscription_id: int):
    """Send nothing more to a browser."""
    try:
        subscriptions.remove(database(), current_user.id, subscription_id)
    except NotFound:
        abort(404)
    flash(_("No notifications go to that browser any more."), "success")
    return redirect(url_for("notifications.index"))
