"""Step 4: create the first module from a template."""

from flask import flash, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import RadioField, SelectMultipleField, StringField

from app.services.errors import Invalid
from app.services.modules.list import suggest_code
from app.services.setup import first_module
from app.services.setup.first_module import FirstModuleInput, Template
from app.services.setup.progress import SetupStep
from app.web import context, pbx_product
from app.web.context import administrator_required, cached_query, database, directory, settings, utcnow
from app.web.fields import DigitsField, PanelForm, choices, show_errors, split_list
from app.web.setup import wording
from app.web.setup.steps import blueprint, complete_step


class FirstModuleForm(PanelForm):
    template = RadioField(_l("Purpose"), choices=choices(wording.TEMPLATE), validate_choice=False)
    picked = SelectMultipleField(_l("Extensions"), validate_choice=False)
    extensions = DigitsField(
        _l("Extensions by number"),
        description=_l("Callers who do not reach these extensions are called back. Separate with commas: 101, 102"),
    )
    queue = DigitsField(_l("Queue"), description=_l("Its name or number on the PBX."))
    name = StringField(_l("Name of the module"), description=_l("The panel shows the module by this name."))
    code = DigitsField(_l("Code"), description=_l("Callers who dial it reach the module. Digits, * and # only."))

    def to_input(self, language: str) -> FirstModuleInput:
        """Return the typed values."""
        return FirstModuleInput(
            self.template.data or "", self.name.data or "", self.code.data or "", self._targets(), language
        )

    def _targets(self) -> tuple[str, ...]:
        if self.template.data == Template.QUEUE:
            typed = [self.queue.data or ""]
        else:
            typed = [*(self.picked.data or ()), *split_list(self.extensions.data or "")]
        return tuple(dict.fromkeys(target.strip() for target in typed if target.strip()))

    def show(self, errors: dict[str, str]) -> None:
        """Show errors next to the fields that the template uses."""
        target_field = "queue" if self.template.data == Template.QUEUE else "extensions"
        show_errors(self, {target_field if name == "targets" else name: code for name, code in errors.items()})


@blueprint.route("/module", methods=["GET", "POST"])
@administrator_required
def module():
    """Create the first module."""
    form = FirstModuleForm()
    if request.method == "GET":
        _propose(form)
        return _page(form)
    form.validate()
    given = form.to_input(context.office().locale)
    try:
        first_module.create(database(), settings(), given, utcnow(), actor=current_user.name)
    except Invalid as invalid:
        form.show(invalid.errors)
        return _page(form), 422
    flash(_("The module is created."), "success")
    return complete_step(SetupStep.MODULE)


def _propose(form: FirstModuleForm) -> None:
    form.template.data = Template.EXTENSION.value
    form.name.data = str(wording.TEMPLATE_NAME[Template.EXTENSION])
    form.code.data = cached_query("suggest_code", suggest_code)


def _page(form: FirstModuleForm) -> str:
    values = {"profile": context.pbx().pbx_profile, **pbx_product.template_values()}
    return render_template("setup/module.html", form=form, here=directory(), step_number=4, **values)
