"""The pages of e-mail: the mail server, a test of it, and who gets what."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import (
    BooleanField,
    PasswordField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)

from app.domain.mail import PORTS, Security
from app.domain.summaries import Schedule
from app.domain.webhooks import Channel, WebhookEvent
from app.extensions import limiter
from app.services.errors import Invalid, NotFound
from app.services.settings import mail as mail_settings
from app.services.settings.mail import MailInput
from app.services.webhooks import destinations, mail_destinations, mail_test
from app.services.webhooks.destinations import Destination
from app.services.webhooks.mail_destinations import MailDestinationInput
from app.services.webhooks.mail_test import TestResult
from app.web import wording as common
from app.web.context import administrator_required, database, office, settings, utcnow
from app.web.fields import PanelForm, WholeNumberField, choices, has_errors, show_errors, split_list
from app.web.formats import digits
from app.web.http import panel_root, with_host
from app.web.locale import choose_locale
from app.web.settings.blueprint import blueprint
from app.web.settings.destination_form import DestinationForm, events_field, modules_field

_limited = limiter.limit("10 per minute", key_func=lambda: f"user {getattr(current_user, 'id', 0)}")
_ALARMS = (WebhookEvent.FAILED, WebhookEvent.EXPIRED, WebhookEvent.TRUNK)  # what a new recipient gets


class MailForm(PanelForm):
    mail_host = StringField(_l("Mail server"), description=_l("Empty: no e-mail is sent."))
    mail_security = SelectField(_l("Encryption"), choices=choices(common.MAIL_SECURITY), validate_choice=False)
    mail_port = WholeNumberField(_l("Port"), default=PORTS[Security.STARTTLS])
    mail_sender = StringField(_l("Address of the sender"))
    mail_username = StringField(_l("User name"), description=_l("Empty: nobody logs in."))
    mail_password = PasswordField(_l("Password"))
    mail_inside = BooleanField(
        _l("The mail server may be inside the office"),
        description=_l(
            "Allows an address of this machine or of your network. Anyone who may change this page can then make this "
            "machine connect to others there."
        ),
    )
    mail_ca = TextAreaField(
        _l("Further certificate"),
        description=_l(
            "Only if the certificate of the server is from the office itself. It is trusted for e-mail only."
        ),
    )
    panel_url = StringField(
        _l("Address of the panel"), description=_l("For links in e-mail, as people open it. Empty: no links.")
    )

    def input(self) -> MailInput:
        """Return the typed values."""
        return MailInput(
            mail_host=(self.mail_host.data or "").strip(),
            mail_port=self.mail_port.data,
            mail_security=self.mail_security.data or "",
            mail_username=(self.mail_username.data or "").strip(),
            mail_password=self.mail_password.data or "",
            mail_sender=(self.mail_sender.data or "").strip(),
            mail_inside=self.mail_inside.data,
            mail_ca=(self.mail_ca.data or "").replace("\r\n", "\n").strip(),
            panel_url=(self.panel_url.data or "").strip(),
        )


class TestForm(PanelForm):
    address = StringField(_l("Send a test to"))


class MailDestinationForm(DestinationForm):
    address = StringField(_l("Address"))
    language = SelectField(_l("Language"), choices=choices(common.LANGUAGE), validate_choice=False)
    events = events_field(_l("An e-mail when"))
    modules = modules_field(_l("None chosen: of all, also of new ones. A summary is of all."))
    summary = SelectField(
        _l("Summary"),
        choices=choices(common.SCHEDULE),
        validate_choice=False,
        description=_l("Of the day or the week before, with figures only."),
    )
    summary_hour = SelectField(_l("Summary at"), validate_choice=False)

    def fill(self) -> None:
        """Fill the lists of modules and hours."""
        super().fill()
        self.summary_hour.choices = [SelectChoice(str(hour), digits(f"{hour:02}:00")) for hour in range(24)]

    def input(self) -> MailDestinationInput:
        """Return the typed values."""
        hour = self.summary_hour.data or ""
        return MailDestinationInput(
            address=(self.address.data or "").strip(),
            active=self.active.data,
            language=self.language.data or "",
            events=self.events.data or (),
            modules=self.module_ids,
            summary=self.summary.data or "",
            summary_hour=int(hour) if hour.isdecimal() and len(hour) < 3 else -1,
            hours=self.hours.data,
        )


# -- the mail server --------------------------------------------------------------------------------------------------


@blueprint.route("/mail", methods=["GET", "POST"])
@administrator_required
def mail():
    """Show and change the mail server, and show who gets e-mail."""
    form = MailForm() if request.method == "POST" else _stored_form()
    if request.method == "GET":
        return _page(form)
    form.validate()
    if not has_errors(form):
        try:
            mail_settings.save(database(), settings(), form.input(), actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
    if has_errors(form):
        return _page(form), 422
    flash(_("The settings are saved."), "success")
    return redirect(url_for("settings.mail"))


@blueprint.post("/mail/test")
@administrator_required
@_limited
def test_mail():
    """Send a test by the stored settings, and say what came of it."""
    form = TestForm()
    address, result = (form.address.data or "").strip(), None
    form.validate()
    if not has_errors(form):
        try:
            result = mail_test.run(database(), address, choose_locale(), actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
    if has_errors(form):
        return _page(_stored_form(), test=form), 422
    return _page(_stored_form(), test=form, result=result, tested=True)


def _stored_form() -> MailForm:
    stored = mail_settings.load(database())
    form = MailForm(formdata=None, obj=stored)
    if not stored.mail_host and not stored.panel_url:
        form.panel_url.data = with_host(f"{panel_root()}/")  # by which this administrator has opened it
    return form


def _page(
    form: MailForm, *, test: TestForm | None = None, result: TestResult | None = None, tested: bool = False
) -> str:
    return render_template(
        "settings/mail.html",
        form=form,
        test=test or TestForm(formdata=None),
        result=result,
        tested=tested,
        has_server=bool(mail_settings.load(database()).mail_host),
        has_password=mail_settings.has_password(database()),
        found=destinations.list_destinations(database(), settings(), Channel.MAIL),
    )


# -- who gets e-mail --------------------------------------------------------------------------------------------------


@blueprint.route("/mail/new", methods=["GET", "POST"])
@administrator_required
def new_mail_destination():
    """Add recipients: a destination for each address."""
    form = MailDestinationForm() if request.method == "POST" else _new_form()
    form.fill()
    if request.method == "POST":
        form.validate()
        if not has_errors(form):
            try:
                given, addresses = form.input(), split_list(form.address.data or "")
                mail_destinations.add(database(), given, addresses, actor=current_user.name, now=utcnow())
            except Invalid as invalid:
                show_errors(form, invalid.errors)
            else:
                flash(_("They get e-mail from now on."), "success")
                return redirect(url_for("settings.mail"))
    return _destination_page(form), 422 if has_errors(form) else 200


@blueprint.route("/mail/<row:webhook_id>", methods=["GET", "POST"])
@administrator_required
def mail_destination(webhook_id: int):
    """Show a recipient, and change what they get."""
    try:
        stored = mail_destinations.load_input(database(), webhook_id)
        shown = destinations.load(database(), settings(), webhook_id)
    except NotFound:
        abort(404)
    form = MailDestinationForm() if request.method == "POST" else _from_input(stored)
    form.fill()
    if request.method == "POST":
        form.validate()
        if not has_errors(form):
            try:
                mail_destinations.save(database(), webhook_id, form.input(), actor=current_user.name, now=utcnow())
            except NotFound:
                abort(404)
            except Invalid as invalid:
                show_errors(form, invalid.errors)
            else:
                flash(_("The settings are saved."), "success")
                return redirect(url_for("settings.mail"))
    return _destination_page(form, shown), 422 if has_errors(form) else 200


def _new_form() -> MailDestinationForm:
    form = _from_input(MailDestinationInput(language=office().locale, events=[event.value for event in _ALARMS]))
    form.summary.data = Schedule.NONE.value
    return form


def _from_input(given: MailDestinationInput) -> MailDestinationForm:
    form = MailDestinationForm(formdata=None)
    for name in ("address", "active", "language", "summary", "hours"):
        form._fields[name].data = getattr(given, name)
    form.events.data, form.summary_hour.data = list(given.events), str(given.summary_hour)
    form.modules.data = [str(module) for module in given.modules]
    return form


def _destination_page(form: MailDestinationForm, shown: Destination | None = None) -> str:
    return render_template("settings/mail_destination.html", form=form, shown=shown)
