"""The page with the number policy: which numbers may be called, and a field to try one."""

from collections.abc import Mapping

from flask import abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import BooleanField, SelectField, SelectMultipleField, StringField

from app.domain.number_policy import CHOICES, Source
from app.services.errors import Invalid, NotFound
from app.services.settings import numbers
from app.services.settings.numbers import Trial
from app.store.number_policy import RuleKind
from app.web.context import administrator_required, database, settings, utcnow
from app.web.fields import DigitsField, PanelForm, choices, show_errors
from app.web.http import is_fragment
from app.web.locale import choose_locale
from app.web.settings import regions, wording
from app.web.settings.blueprint import blueprint
from app.web.verdicts import explain_verdict

_TYPED = _l("Callers may type such numbers, too")


class TrialForm(PanelForm):
    number = DigitsField(_l("Number"), description=_l("As a caller types it, or as the trunk reports it."))
    source = SelectField(_l("Where it comes from"), choices=choices(wording.NUMBER_SOURCE), validate_choice=False)


class KindsForm(PanelForm):
    kinds = SelectMultipleField(_l("Kinds of numbers"), validate_choice=False)
    typed_kinds = SelectMultipleField(_l("Kinds of typed numbers"), validate_choice=False)


class CountryForm(PanelForm):
    country = SelectField(_l("Country"), validate_choice=False)
    country_typed = BooleanField(_TYPED)
    country_note = StringField(_l("Note"), description=_l("For example why. Optional."))


class PrefixForm(PanelForm):
    prefix = DigitsField(
        _l("Beginning of the numbers"), description=_l("In this country as you dial it (0912), otherwise +4420.")
    )
    prefix_kind = SelectField(_l("What happens"), choices=choices(wording.PREFIX_KIND), validate_choice=False)
    prefix_typed = BooleanField(_TYPED, description=_l("Only for numbers that are allowed."))
    prefix_note = StringField(_l("Note"), description=_l("For example why. Optional."))


@blueprint.route("/numbers", methods=["GET", "POST"])
@administrator_required
def numbers_page():
    """Show the number policy, and save the kinds."""
    form = KindsForm()
    if not form.is_submitted():
        return _page()
    kinds, typed = form.kinds.data or [], form.typed_kinds.data or []
    try:
        numbers.save_kinds(database(), kinds, typed, actor=current_user.name, now=utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(kinds=form), 422
    flash(_("The settings are saved."), "success")
    return _back()


@blueprint.post("/numbers/try")
@administrator_required
def try_number():
    """Say what would become of a number, and which rule decides."""
    form = TrialForm()
    source = Source(form.source.data) if form.source.data in set(Source) else Source.TYPED
    trial = numbers.try_number(database(), settings(), form.number.data or "", source)
    if is_fragment():
        return render_template("settings/_verdict.html", trial=trial, explain_verdict=explain_verdict)
    return _page(trial_form=form, trial=trial)


@blueprint.post("/numbers/countries")
@administrator_required
def add_country():
    """Allow the numbers of a country."""
    form = CountryForm()
    errors = _add(RuleKind.COUNTRY, form.country.data, form.country_typed.data, form.country_note.data)
    if errors:
        show_errors(form, {{"value": "country", "note": "country_note"}[name]: code for name, code in errors.items()})
        return _page(country=form), 422
    return _added()


@blueprint.post("/numbers/prefixes")
@administrator_required
def add_prefix():
    """Allow or refuse the numbers with a prefix."""
    form = PrefixForm()
    kind = form.prefix_kind.data if form.prefix_kind.data in wording.PREFIX_KIND else ""
    errors = _add(kind, form.prefix.data, form.prefix_typed.data, form.prefix_note.data)
    if errors:
        fields = {"value": "prefix", "kind": "prefix_kind", "note": "prefix_note"}
        show_errors(form, {fields[name]: code for name, code in errors.items()})
        return _page(prefix=form), 422
    return _added()


@blueprint.post("/numbers/<row:rule_id>/remove")
@administrator_required
def remove_number_rule(rule_id: int):
    """Remove a country or a prefix."""
    try:
        numbers.remove_rule(database(), rule_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    flash(_("The rule is removed."), "success")
    return _back()


def _add(kind: str, value: str | None, typed: bool, note: str | None) -> Mapping[str, str]:
    """Add a rule. Return its errors."""
    who, now = current_user.name, utcnow()
    try:
        numbers.add_rule(database(), settings(), kind, value or "", typed=typed, note=note or "", actor=who, now=now)
    except Invalid as invalid:
        return invalid.errors
    return {}


def _added():
    flash(_("The rule is added."), "success")
    return _back()


def _back():
    return redirect(url_for("settings.numbers_page"))


def _page(
    *,
    kinds: KindsForm | None = None,
    country: CountryForm | None = None,
    prefix: PrefixForm | None = None,
    trial_form: TrialForm | None = None,
    trial: Trial | None = None,
) -> str:
    """Return the page. The forms that are not given are as if they had just been opened."""
    policy, rules = numbers.load(database(), settings())
    given = (kinds, country, prefix)
    kinds = kinds or KindsForm(formdata=None, data={"kinds": policy.kinds, "typed_kinds": policy.typed_kinds})
    country = country or CountryForm(formdata=None)
    names = regions.names(choose_locale())
    allowed = {policy.region, *policy.countries}
    country.country.choices = [c for c in regions.countries(choose_locale()) if c.value not in allowed]
    return render_template(
        "settings/numbers.html",
        policy=policy,
        kinds=kinds,
        choices=CHOICES,
        country=country,
        prefix=prefix or PrefixForm(formdata=None),
        countries=[rule for rule in rules if rule.kind is RuleKind.COUNTRY],
        prefixes=[rule for rule in rules if rule.kind is not RuleKind.COUNTRY],
        names=names,
        trial_form=trial_form or TrialForm(formdata=None),
        trial=trial,
        explain_verdict=explain_verdict,
        faulty=next((form for form in given if form is not None), None),
    )
