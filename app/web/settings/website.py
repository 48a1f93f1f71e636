"""The pages of the forms of websites: their list, and a form with what to paste into the website."""

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import BooleanField, SelectChoice, SelectField, StringField, TextAreaField

from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.requests.create import load_target_choices
from app.services.website import forms
from app.services.website.forms import FormInput, FormView
from app.web import wording
from app.web.context import administrator_required, cached_query, current_scope, database, utcnow
from app.web.fields import PanelForm, WholeNumberField, choices, has_errors, show_errors
from app.web.http import parse_row_number
from app.web.locale import choose_locale, use_locale
from app.web.requests import wording as request_wording
from app.web.settings.blueprint import blueprint
from app.web.website.views import HONEYPOT

_PLAIN = ("name", "active", "origins", "language", "asks_name", "offers_times", "privacy", "daily_limit")


class WebsiteForm(PanelForm):
    """`wanted` is "<module id>:<target>". The target of a queue module is ""."""

    name = StringField(_l("Name"), description=_l("For you and your colleagues. It stands beside each request."))
    wanted = SelectField(_l("For whom"), validate_choice=False)
    origins = TextAreaField(
        _l("Addresses of the website"),
        description=_l("One in each line, such as https://www.example.org. The form works on no other website."),
    )
    language = SelectField(_l("Language"), choices=choices(wording.LANGUAGE), validate_choice=False)
    asks_name = BooleanField(_l("Ask for the name"), description=_l("Visitors may leave it out."))
    offers_times = BooleanField(
        _l("Let visitors choose the time"), description=_l("Only if the module lets callers choose it, too.")
    )
    privacy = StringField(
        _l("Sentence about privacy"), description=_l("It stands below the form, such as what you use the number for.")
    )
    daily_limit = WholeNumberField(
        _l("Requests in a day"), description=_l("No more are registered. It limits what a prankster can do.")
    )
    active = BooleanField(_l("Active"), description=_l("Otherwise the form says that it is out of service."))

    def fill_choices(self) -> None:
        """Offer the targets of all modules."""
        found = load_target_choices(database(), current_scope())
        self.wanted.choices = [
            SelectChoice("", _("Choose …")),
            *(
                SelectChoice(
                    f"{each.module_id}:{'' if each.queue else each.target}",
                    f"{each.module_name} · {request_wording.target_text(each.queue, each.target)}",
                )
                for each in found
            ),
        ]

    def input(self) -> FormInput:
        """Return the typed values. An invalid `wanted` has a module id that does not exist."""
        number, _colon, target = (self.wanted.data or "").partition(":")
        try:
            module_id = parse_row_number(number)
        except ValueError:
            module_id = 0
        values: dict[str, Any] = {name: self._fields[name].data or _EMPTY.get(name, "") for name in _PLAIN}
        return FormInput(module_id=module_id, target=target, **values)

    def show_errors(self, errors: dict[str, str]) -> None:
        """Show the service's errors beside the fields. Those of module and target belong to `wanted`."""
        found = {name: code for name, code in errors.items() if name not in ("module_id", "target")}
        wanted = errors.get("target") or errors.get("module_id")
        if wanted:
            found["wanted"] = wanted if self.wanted.data else ErrorCode.REQUIRED
        show_errors(self, found)


_EMPTY = {"active": False, "asks_name": False, "offers_times": False, "daily_limit": 0}


@blueprint.get("/websites")
@administrator_required
def website_forms():
    """Show the forms."""
    return render_template("settings/website_forms.html", found=cached_query("website forms", forms.list_forms))


@blueprint.route("/websites/new", methods=["GET", "POST"])
@administrator_required
def new_website_form():
    """Add a form, and show what to paste."""
    form = WebsiteForm() if request.method == "POST" else _from_input(FormInput(language=choose_locale()))
    form.fill_choices()
    if request.method == "POST" and _is_valid(form):
        try:
            added = forms.add(database(), form.input(), actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            form.show_errors(invalid.errors)
        else:
            flash(_("The form is saved. Paste it into your website."), "success")
            return redirect(url_for("settings.website_form", form_id=added))
    return _page(form), 422 if has_errors(form) else 200


@blueprint.route("/websites/<row:form_id>", methods=["GET", "POST"])
@administrator_required
def website_form(form_id: int):
    """Show a form with what to paste, and change it."""
    shown = _load(form_id)
    form = WebsiteForm() if request.method == "POST" else _from_input(forms.load_input(database(), form_id))
    form.fill_choices()
    if request.method == "POST" and _is_valid(form):
        try:
            forms.save(database(), form_id, form.input(), actor=current_user.name, now=utcnow())
        except NotFound:
            abort(404)
        except Invalid as invalid:
            form.show_errors(invalid.errors)
        else:
            flash(_("The form is saved. Websites show it after five minutes at the latest."), "success")
            return redirect(url_for("settings.website_form", form_id=form_id))
    return _page(form, shown), 422 if has_errors(form) else 200


@blueprint.post("/websites/<row:form_id>/key")
@administrator_required
def renew_website_key(form_id: int):
    """Give a form another key. What was pasted before stops working."""
    try:
        forms.renew_key(database(), form_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    flash(_("The form has a new key. Paste it into your website again."), "success")
    return redirect(url_for("settings.website_form", form_id=form_id))


@blueprint.route("/websites/<row:form_id>/delete", methods=["GET", "POST"])
@administrator_required
def delete_website_form(form_id: int):
    """Remove a form after a confirmation."""
    shown = _load(form_id)
    if request.method == "GET":
        return render_template("settings/website_delete.html", shown=shown)
    try:
        forms.remove(database(), form_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    flash(_("The form is removed."), "success")
    return redirect(url_for("settings.website_forms"))


def _is_valid(form: WebsiteForm) -> bool:
    form.validate()
    return not has_errors(form)


def _from_input(given: FormInput) -> WebsiteForm:
    form = WebsiteForm(formdata=None)
    for name in _PLAIN:
        form._fields[name].data = getattr(given, name)
    form.wanted.data = f"{given.module_id}:{given.target}" if given.module_id else ""
    return form


def _page(form: WebsiteForm, shown: FormView | None = None) -> str:
    snippets = {} if shown is None else _snippets(shown)
    return render_template("settings/website_form.html", form=form, shown=shown, **snippets)


def _load(form_id: int) -> FormView:
    try:
        return forms.load(database(), form_id)
    except NotFound:
        abort(404)


def _snippets(shown: FormView) -> dict[str, str]:
    """Return what to paste: the script, and a form that works without JavaScript."""
    script = url_for("website.script", key=shown.key, _external=True)
    address = url_for("website.ask", key=shown.key, _external=True)
    with use_locale(shown.language):
        plain = render_template("settings/_website_plain.html", shown=shown, honeypot=HONEYPOT, address=address)
    return {"script": f'<script src="{script}" async></script>', "plain": plain.strip()}
