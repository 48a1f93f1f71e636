"""The words for what becomes of a number, and which rule decides."""

from babel import Locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup

from app.domain.number_policy import Rule, Source, Verdict
from app.web.formats import number
from app.web.locale import choose_locale
from app.web.wording import NUMBER_KIND

_SENTENCE = {
    Rule.INSIDE: _l("It is an extension. Extensions are called for somebody inside only."),
    Rule.ALLOWED: _l("The number belongs to %(country)s and is of the kind “%(kind)s”. Both are allowed."),
    Rule.PREFIX_ALLOWED: _l("The office allows numbers that begin with %(prefix)s."),
    Rule.EMPTY: _l("Enter a number."),
    Rule.INVALID: _l("No telephone has such a number."),
    Rule.SHORT: _l("It is a service number of a few digits. These are never called."),
    Rule.EMERGENCY: _l("It is an emergency number. These are never called."),
    Rule.EXTENSION: _l("It is an extension. Extensions are called for somebody inside only."),
    Rule.PREFIX_REFUSED: _l("The office refuses numbers that begin with %(prefix)s."),
    Rule.COSTLY: _l(
        "It is of the kind “%(kind)s”. Such numbers are never called, unless a beginning that the office allows leaves "
        "at most two digits open."
    ),
    Rule.FOREIGN: _l("It belongs to %(country)s. Numbers of this country are not allowed."),
    Rule.KIND: _l("It is of the kind “%(kind)s”. Such numbers are not allowed."),
}
# where a number that a caller types is refused, though one that the trunk reports is allowed
_TYPED = {
    Rule.FOREIGN: _l("It belongs to %(country)s. Callers may not type numbers of this country."),
    Rule.KIND: _l("It is of the kind “%(kind)s”. Callers may not type such numbers."),
}


def explain_verdict(verdict: Verdict, source: Source = Source.PANEL) -> Markup:
    """Return the sentence with the rule that decides."""
    typed = _TYPED if source is Source.TYPED else {}
    sentence = typed.get(verdict.rule, _SENTENCE[verdict.rule])
    values = {
        "country": country_name(verdict.region),
        "kind": NUMBER_KIND[verdict.kind],
        "prefix": number(verdict.prefix),
    }
    return Markup(str(sentence)) % values  # noqa: S704 - the catalogue is ours


def country_name(region: str) -> str:
    """Return the name of a country in the reader's language."""
    return Locale(choose_locale()).territories.get(region, region) if region != "001" else _("no country")
