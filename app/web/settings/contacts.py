"""The settings of the customer program: the screen pop, and the names that are asked from it."""

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import BooleanField, PasswordField, StringField

from app.services.contacts import templates
from app.services.contacts.templates import ContactTemplates
from app.services.errors import Invalid
from app.web.context import administrator_required, database, settings, utcnow
from app.web.fields import PanelForm, WholeNumberField, has_errors, show_errors
from app.web.settings import wording
from app.web.settings.blueprint import blueprint


class CustomerProgramForm(PanelForm):
    screen_pop_url = StringField(
        _l("Address of the customer's page"),
        description=_l("Agents get a link to it as soon as they answer. Empty: no link."),
    )
    name_lookup_url = StringField(
        _l("Address to ask for a name"),
        description=_l("Put no key into it, because the log shows it. Empty: nothing is asked."),
    )
    name_lookup_field = StringField(
        _l("Part of the answer with the name"),
        description=_l("For JSON, with dots between, such as customer.name. Empty: the answer is the name as text."),
    )
    name_lookup_key = PasswordField(
        _l("Key"), description=_l("Sent as the header Authorization, for example Bearer abc. Optional.")
    )
    forget_key = BooleanField(_l("Forget the stored key"))
    name_lookup_inside = BooleanField(
        _l("The address may be inside the office"),
        description=_l("Only for a program on this machine or in your network."),
    )
    name_lookup_days = WholeNumberField(
        _l("A name counts for"), description=_l("After that the program is asked again. At most 365.")
    )

    def input(self) -> ContactTemplates:
        """Return the typed values."""
        return ContactTemplates(
            screen_pop_url=(self.screen_pop_url.data or "").strip(),
            name_lookup_url=(self.name_lookup_url.data or "").strip(),
            name_lookup_field=(self.name_lookup_field.data or "").strip(),
            name_lookup_inside=self.name_lookup_inside.data,
            name_lookup_days=self.name_lookup_days.data,
        )

    def key(self) -> str | None:
        """Return the key that was typed, None if it stays as it is."""
        return (self.name_lookup_key.data or "").strip() or ("" if self.forget_key.data else None)


@blueprint.route("/contacts", methods=["GET", "POST"])
@administrator_required
def contacts_page():
    """Show and save the settings of the customer program."""
    form = CustomerProgramForm()
    if not form.is_submitted():
        stored = templates.load(database())
        form = CustomerProgramForm(formdata=None, obj=stored)
        return _page(form)
    form.validate()
    if not has_errors(form):
        try:
            given, who = form.input(), current_user.name
            templates.save(database(), settings(), given, form.key(), actor=who, now=utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            flash(_("The settings are saved."), "success")
            return redirect(url_for("settings.contacts_page"))
    return _page(form), 422


def _page(form: CustomerProgramForm) -> str:
    words = {**wording.PLACEHOLDER, "request": wording.PLACEHOLDER["id"]}
    return render_template(
        "settings/contacts.html",
        form=form,
        has_key=templates.has_key(database()),
        state=templates.lookup_state(database()),
        pop_placeholders={name: words[name] for name in templates.POP_PLACEHOLDERS},
    )
