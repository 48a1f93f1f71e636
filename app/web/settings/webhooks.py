"""The pages of the webhooks: their list, the form of one, and the log of its messages."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from wtforms import (
    BooleanField,
    PasswordField,
    SelectField,
    StringField,
    TextAreaField,
)

from app.domain.webhook_bodies import PLACEHOLDERS
from app.domain.webhooks import Channel
from app.extensions import limiter
from app.services.errors import Invalid, NotFound
from app.services.webhooks import destinations, log
from app.services.webhooks.destinations import Destination, WebhookInput
from app.store.webhooks import MessageState
from app.web.context import administrator_required, database, settings, utcnow
from app.web.fields import choices, has_errors, show_errors
from app.web.formats import digits
from app.web.http import parse_row_number
from app.web.settings import wording
from app.web.settings.blueprint import blueprint
from app.web.settings.destination_form import DestinationForm, events_field, modules_field
from app.web.settings.webhook_presets import PRESETS, Preset

_limited = limiter.limit("30 per minute", key_func=lambda: f"user {getattr(current_user, 'id', 0)}")
_PLAIN = ("name", "active", "inside", "to_customer", "recipient", "header_name", "template", "text", "hours")


class WebhookForm(DestinationForm):
    name = StringField(_l("Name"), description=_l("For you, in the list."))
    url = StringField(_l("Address"))
    inside = BooleanField(
        _l("The address may be inside the office"),
        description=_l(
            "Only for programs on this machine or in your network. Anyone who may change this page can then send "
            "messages to machines that the internet does not reach."
        ),
    )
    events = events_field(_l("Tell it when"))
    modules = modules_field(_l("None chosen: of all, also of new ones."))
    body_format = SelectField(_l("Format"), choices=choices(wording.BODY_FORMAT), validate_choice=False)
    template = TextAreaField(_l("Template"), description=_l("What the receiver wants, with placeholders."))
    text = TextAreaField(_l("Text"), description=_l("What stands for {text} in the template."))
    to_customer = BooleanField(
        _l("The message goes to the customer"),
        description=_l("The recipient is the customer's number. Extensions and landlines get none."),
    )
    recipient = StringField(
        _l("Recipient"),
        description=_l("What stands for {recipient}: a chat_id, or a number. Tests always go there."),
    )
    header_name = StringField(
        _l("Further header"), description=_l("If the receiver wants its key in a header. Optional.")
    )
    header_value = PasswordField(_l("Value of the header"))

    def input(self) -> WebhookInput:
        """Return the typed values."""
        return WebhookInput(
            name=(self.name.data or "").strip(),
            url=(self.url.data or "").strip(),
            active=self.active.data,
            inside=self.inside.data,
            events=self.events.data or (),
            modules=self.module_ids,
            body_format=self.body_format.data or "",
            template=_lines(self.template.data),
            text=_lines(self.text.data),
            to_customer=self.to_customer.data,
            recipient=(self.recipient.data or "").strip(),
            header_name=(self.header_name.data or "").strip(),
            header_value=self.header_value.data or "",
            hours=self.hours.data,
        )


def _lines(text: str | None) -> str:
    return (text or "").replace("\r\n", "\n").strip()


@blueprint.get("/webhooks")
@administrator_required
def webhooks():
    """Show the destinations."""
    return render_template(
        "settings/webhooks.html", found=destinations.list_destinations(database(), settings()), presets=PRESETS
    )


@blueprint.route("/webhooks/new", methods=["GET", "POST"])
@administrator_required
def new_webhook():
    """Add a destination. Its secret is shown once, in the answer."""
    preset = PRESETS.get(request.args.get("preset", ""), PRESETS["program"])
    form = WebhookForm() if request.method == "POST" else _from_preset(preset)
    form.fill()
    if request.method == "POST" and _is_valid(form):
        try:
            added = destinations.add(database(), settings(), form.input(), actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            return _show_secret(*added)
    return _page(form, example=preset.address), 422 if has_errors(form) else 200


@blueprint.route("/webhooks/<row:webhook_id>", methods=["GET", "POST"])
@administrator_required
def webhook(webhook_id: int):
    """Show a destination, and change it."""
    shown = _load(webhook_id)
    if shown.channel is not Channel.HTTP:
        abort(404)
    form = WebhookForm() if request.method == "POST" else _from_input(destinations.load_input(database(), webhook_id))
    form.fill()
    if request.method == "POST" and _is_valid(form):
        try:
            given, who = form.input(), current_user.name
            destinations.save(database(), settings(), webhook_id, given, actor=who, now=utcnow())
        except NotFound:
            abort(404)
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            flash(_("The webhook is saved."), "success")
            return redirect(url_for("settings.webhooks"))
    return _page(form, shown=shown, example=f"{shown.host}/…"), 422 if has_errors(form) else 200


def _is_valid(form: WebhookForm) -> bool:
    form.validate()
    return not has_errors(form)


def _from_preset(preset: Preset) -> WebhookForm:
    form = WebhookForm(formdata=None)
    form.active.data = True
    form.events.data = [event.value for event in preset.events]
    form.body_format.data, form.template.data = preset.body_format.value, preset.template
    form.text.data, form.to_customer.data = str(preset.text), preset.to_customer
    form.hours.data = preset.hours or WebhookInput().hours
    return form


def _from_input(given: WebhookInput) -> WebhookForm:
    form = WebhookForm(formdata=None)
    for name in _PLAIN:
        form._fields[name].data = getattr(given, name)
    form.events.data, form.body_format.data = list(given.events), given.body_format
    form.modules.data = [str(module) for module in given.modules]
    return form


def _page(form: WebhookForm, *, example: str, shown: Destination | None = None) -> str:
    return render_template(
        "settings/webhook.html", form=form, shown=shown, example=example, placeholders=(*PLACEHOLDERS, "text")
    )


def list_endpoint(shown: Destination) -> str:
    """Return the page that lists a destination."""
    return "settings.mail" if shown.channel is Channel.MAIL else "settings.webhooks"


def page_endpoint(shown: Destination) -> str:
    """Return the page of a destination."""
    return "settings.mail_destination" if shown.channel is Channel.MAIL else "settings.webhook"


@blueprint.context_processor
def _endpoints() -> dict[str, object]:
    return {"list_endpoint": list_endpoint, "page_endpoint": page_endpoint}


def _load(webhook_id: int) -> Destination:
    try:
        return destinations.load(database(), settings(), webhook_id)
    except NotFound:
        abort(404)


@blueprint.post("/webhooks/<row:webhook_id>/secret")
@administrator_required
def renew_webhook_secret(webhook_id: int):
    """Sign with another secret from now on, and show it once."""
    try:
        who = current_user.name
        secret = destinations.renew_secret(database(), settings(), webhook_id, actor=who, now=utcnow())
    except NotFound:
        abort(404)
    return _show_secret(webhook_id, secret)


def _show_secret(webhook_id: int, secret: str) -> str:
    return render_template("settings/webhook_secret.html", shown=_load(webhook_id), secret=secret)


@blueprint.route("/webhooks/<row:webhook_id>/delete", methods=["GET", "POST"])
@administrator_required
def delete_webhook(webhook_id: int):
    """Remove a destination after a confirmation."""
    shown = _load(webhook_id)
    if request.method == "GET":
        return render_template("settings/webhook_delete.html", shown=shown)
    try:
        destinations.remove(database(), webhook_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    is_mail = shown.channel is Channel.MAIL
    flash(_("The recipient is removed.") if is_mail else _("The webhook is removed."), "success")
    return redirect(url_for(list_endpoint(shown)))


@blueprint.post("/webhooks/<row:webhook_id>/pause")
@administrator_required
def pause_webhook(webhook_id: int):
    """Send nothing to a destination until it is resumed."""
    shown = _load(webhook_id)
    destinations.pause(database(), webhook_id, actor=current_user.name, now=utcnow())
    flash(_("Nothing is sent there until you resume it. What happens meanwhile waits."), "success")
    return redirect(url_for(list_endpoint(shown)))


@blueprint.post("/webhooks/<row:webhook_id>/resume")
@administrator_required
def resume_webhook(webhook_id: int):
    """Send to a destination again."""
    shown = _load(webhook_id)
    destinations.resume(database(), webhook_id, actor=current_user.name, now=utcnow())
    flash(_("It is resumed. What waits is sent now."), "success")
    return redirect(url_for(list_endpoint(shown)))


@blueprint.post("/webhooks/<row:webhook_id>/test")
@administrator_required
@_limited
def test_webhook(webhook_id: int):
    """Let a test be sent, and show the log, in which its result will appear."""
    try:
        destinations.ask_for_test(database(), webhook_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    except Invalid:
        flash(_("Enter a recipient first: a test goes to no customer."), "warning")
        return redirect(url_for("settings.webhook", webhook_id=webhook_id))
    return redirect(url_for("settings.webhook_log", webhook_id=webhook_id))


# -- the log ----------------------------------------------------------------------------------------------------------


@blueprint.get("/webhooks/<row:webhook_id>/log")
@administrator_required
def webhook_log(webhook_id: int):
    """Show what was sent to a destination."""
    return render_template("settings/webhook_log.html", **_messages(webhook_id))


@blueprint.get("/webhooks/<row:webhook_id>/messages")
@administrator_required
def webhook_messages(webhook_id: int):
    """Send the list of messages again, while one is on its way."""
    return render_template("settings/_webhook_messages.html", **_messages(webhook_id))


def _messages(webhook_id: int) -> dict[str, object]:
    shown, asked = _load(webhook_id), request.args.get("state", "")
    state = MessageState(asked) if asked in set(MessageState) else None
    page = request.args.get("page", 1, type=parse_row_number)
    found = log.read(database(), webhook_id, state, page)
    return {"shown": shown, "found": found, "state": state or "", "states": MessageState}


@blueprint.post("/webhooks/<row:webhook_id>/messages/<row:message_id>/again")
@administrator_required
def send_message_again(webhook_id: int, message_id: int):
    """Send a message again."""
    try:
        log.send_again(database(), webhook_id, message_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    flash(_("The message is sent again."), "success")
    return redirect(url_for("settings.webhook_log", webhook_id=webhook_id))


@blueprint.post("/webhooks/<row:webhook_id>/messages/failed")
@administrator_required
def send_failed_again(webhook_id: int):
    """Send all messages again that were given up."""
    try:
        count = log.send_failed_again(database(), webhook_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    flash(digits(ngettext("%(num)s message is sent again.", "%(num)s messages are sent again.", count)), "success")
    return redirect(url_for("settings.webhook_log", webhook_id=webhook_id))
