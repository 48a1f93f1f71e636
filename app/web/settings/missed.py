"""The page with the rules for missed calls."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import SelectChoice, SelectField

from app.domain.missed_calls import Target
from app.services.errors import Invalid, NotFound
from app.services.missed import rules
from app.services.requests.targets import parse_target
from app.store.missed_calls import MissedCallSettings, Rule
from app.web.context import administrator_required, database, directory, utcnow
from app.web.fields import DigitsField, PanelForm, WholeNumberField, has_errors, show_errors
from app.web.formats import isolated
from app.web.http import parse_row_number
from app.web.settings.blueprint import blueprint


class TimesForm(PanelForm):
    look_back = WholeNumberField(
        _l("Look-back"),
        description=_l("Calls of a number within this time belong together, and become one request at most."),
    )
    kept = WholeNumberField(_l("Missed calls are kept"), description=_l("Older ones are deleted."))


class RuleForm(PanelForm):
    """`kind` is "extension" or "queue"."""

    kind = SelectField(
        _l("Extension or queue"),
        choices=[SelectChoice("extension", _l("extension")), SelectChoice("queue", _l("queue"))],
        validate_choice=False,
    )
    code = DigitsField(_l("Number or name"))
    module = SelectField(
        _l("Requests are made through"),
        validate_choice=False,
        description=_l("A module that serves this extension or queue."),
    )
    minutes = WholeNumberField(
        _l("Automatic request after"),
        default=0,
        description=_l(
            "Unless somebody has talked with the caller by then. 0 means never: a request is made by one click only."
        ),
    )

    def fill(self) -> None:
        """Fill the list of modules."""
        modules = directory().modules.values()
        self.module.choices = [
            SelectChoice("", _("the first module that serves it")),
            *(SelectChoice(str(module.id), f"{module.name} ({isolated(module.code)})") for module in modules),
        ]

    def target(self) -> Target:
        return Target(self.kind.data == "queue", self.code.data or "")

    def module_id(self) -> int | None:
        """Return the module, None for the first that serves the target. A forged one is 0, which does not exist."""
        if not self.module.data:
            return None
        try:
            return parse_row_number(self.module.data)
        except ValueError:
            return 0


@blueprint.route("/missed", methods=["GET", "POST"])
@administrator_required
def missed_page():
    """Show whose missed calls are listed, and save for how long they count.

    `target` in the address is an extension or a queue to add.
    """
    form = TimesForm()
    if not form.is_submitted():
        return _page()
    form.validate()
    if not has_errors(form):
        try:
            given = MissedCallSettings(form.look_back.data, form.kept.data)
            rules.save_settings(database(), given, actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
    if has_errors(form):
        return _page(times=form), 422
    flash(_("The settings are saved."), "success")
    return redirect(url_for("settings.missed_page"))


@blueprint.post("/missed/rules")
@administrator_required
def save_missed_rule():
    """List the missed calls of an extension or a queue."""
    form = RuleForm()
    form.fill()
    form.validate()
    if not has_errors(form):
        try:
            given = (form.target(), form.module_id(), form.minutes.data)
            rules.save_rule(database(), *given, actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            names = {"target": "code", "module_id": "module"}
            show_errors(form, {names.get(name, name): code for name, code in invalid.errors.items()})
    if has_errors(form):
        return _page(rule=form), 422
    flash(_("Missed calls are listed from now on."), "success")
    return redirect(url_for("settings.missed_page"))


@blueprint.post("/missed/rules/<row:rule_id>/remove")
@administrator_required
def remove_missed_rule(rule_id: int):
    """List the missed calls of an extension or a queue no longer."""
    try:
        rules.remove_rule(database(), rule_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    flash(_("The rule is removed."), "success")
    return redirect(url_for("settings.missed_page"))


def _page(times: TimesForm | None = None, rule: RuleForm | None = None) -> str:
    stored, listed = rules.load_settings(database()), rules.load_rules(database())
    if times is None:
        times = TimesForm(formdata=None, look_back=stored.look_back, kept=stored.kept)
    if rule is None:
        rule = _new_rule([each.rule for each in listed])
    return render_template("settings/missed.html", times=times, form=rule, listed=listed, directory=directory())


def _new_rule(stored: list[Rule]) -> RuleForm:
    """Return the form for the target in the address, with its rule if there is one."""
    queue, code = parse_target(request.args.get("target", ""))
    found = next((each for each in stored if each.target == Target(queue, code)), None)
    form = RuleForm(
        formdata=None,
        kind="queue" if queue else "extension",
        code=code,
        module=str(found.module_id) if found is not None and found.module_id else "",
        minutes=found.minutes if found is not None else 0,
    )
    form.fill()
    return form
