"""What is said beside a field that names something of the exchange, while it is filled in and when it is saved."""

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Blueprint, current_app, flash, render_template, request
from flask.sansio.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user
from markupsafe import Markup, escape

from app.domain.numbers import ascii_digits
from app.services.errors import Invalid
from app.services.modules import save as modules
from app.services.pbx import existence, lookup
from app.services.pbx.directory import Directory, directory
from app.services.pbx.existence import Findings, Place
from app.store.database import Database
from app.web import wording
from app.web.context import administrator_required, database, pbx, settings, utcnow
from app.web.fields import has_errors, show_errors
from app.web.formats import digits, name, number
from app.web.http import parse_row_number

blueprint = Blueprint("places", __name__, url_prefix="/places")
ACCEPTED = "accepted"  # the ticks "use it all the same": kind and code, so that a tick is good for nothing else
OWN = "own"  # the kind under which a module's own code is accepted


@dataclass(frozen=True)
class Saying:
    """`level` is ok, warning or fault; `accept` is what a tick "use it all the same" sends, "" without one."""

    level: str
    text: Markup
    accept: str = ""
    accepted: bool = False


class Findable(Protocol):
    """A row of a list in which one searches."""

    def fits(self, wanted: str) -> bool: ...


def accepted(kind: str, code: str) -> bool:
    """Tell whether somebody said that this is right though the exchange does not know it."""
    return f"{kind}:{code}" in request.values.getlist(ACCEPTED)


def split(typed: str) -> list[str]:
    """Read several extensions that were typed in one field."""
    return [part for part in re.split(r"[\s,،;]+", typed) if part]


# -- in words ---------------------------------------------------------------------------------------------------------


def say(message: str, **values: object) -> Markup:
    """Put values into a sentence; what is not safe yet is made so."""
    return Markup(message) % values  # noqa: S704 - the message is ours, the values are escaped


def code_of(kind: str, code: str) -> Markup:
    """Write the code of a place: a number in the reader's digits, a place of the dialplan as it stands there."""
    return Markup('<bdi dir="ltr">%s</bdi>') % code if kind == "custom" else number(code)


def known(here: Directory, kind: str, code: str) -> Saying | None:
    """Say what a place is, as far as it is known without asking."""
    if kind == "extension" and code in here.extensions and not here.extensions[code].own_hint:
        found = here.extensions[code]
        values = {"number": number(code), "name": name(found.name), "state": wording.LINE_STATE[found.state]}
        text = _("%(number)s %(name)s, %(state)s") if found.name else _("extension %(number)s, %(state)s")
        return Saying("ok", say(text, **values))
    if kind == "queue" and code in here.queues:
        count = here.queues[code]
        members = ngettext("%(num)s member", "%(num)s members", count)
        return Saying("ok", say(_("queue %(name)s, %(members)s"), name=number(code), members=digits(members)))
    if kind == "module" and code in here.modules:
        module = here.modules[code]
        text = _("module “%(name)s”, %(code)s")
        if not module.active:
            text = _("module “%(name)s”, %(code)s, which is switched off")
        return Saying("ok" if module.active else "warning", say(text, name=name(module.name), code=number(code)))
    return None


def found_or_not(here: Directory, findings: Findings, place: Place) -> Saying:
    """Say what a place is after the exchange was asked."""
    kind, code = place
    if place in findings.unknown:
        return doubt(kind, code)
    if place in findings.unasked:
        return Saying(
            "warning", say(_("The exchange cannot be asked now; %(code)s is taken as it is."), code=code_of(kind, code))
        )
    plain = {
        "extension": _("The exchange has extension %(code)s."),
        "queue": _("The exchange has queue %(code)s."),
        "custom": _("The exchange has this place in its dialplan."),
    }
    return known(here, kind, code) or Saying("ok", say(plain[kind], code=number(code)))


def doubt(kind: str, code: str) -> Saying:
    """Say that the exchange does not know it, with the way out."""
    text = say(_("The exchange does not know %(code)s."), code=code_of(kind, code))
    return Saying("fault", text, f"{kind}:{code}", accepted(kind, code))


def code_taken(code: str, context: str) -> Saying:
    """Say that the exchange has something else at a module's code (in `context`, where known), with the way out."""
    if not context:
        text = say(_("The exchange already has something at %(code)s."), code=number(code))
        return Saying("fault", text, f"{OWN}:{code}", accepted(OWN, code))
    text = say(
        _("The exchange already has something at %(code)s, in its context %(context)s."),
        code=number(code),
        context=Markup('<code dir="ltr">{}</code>').format(context),
    )
    return Saying("fault", text, f"{OWN}:{code}", accepted(OWN, code))


# -- when a form is saved ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the exchange says to a form. `doubts` by field; `unasked`: it could not be asked about everything."""

    doubts: Mapping[str, list[Saying]]
    unasked: bool = False

    @property
    def refused(self) -> bool:
        return any(not saying.accepted for sayings in self.doubts.values() for saying in sayings)


def hold(places: Mapping[str, Iterable[Place]]) -> Verdict:
    """Look up what the fields of a form name."""
    listed = {field: list(named) for field, named in places.items()}
    wanted = [place for named in listed.values() for place in named]
    findings = existence.check_destinations(database(), wanted, actor=current_user.name, now=utcnow())
    doubts = {field: [doubt(*place) for place in named if place in findings.unknown] for field, named in listed.items()}
    return Verdict({field: sayings for field, sayings in doubts.items() if sayings}, bool(findings.unasked))


def ticked(places: Mapping[str, Iterable[Place]]) -> Verdict:
    """Return what somebody has accepted, so that the ticks stay while something else in the form is wrong."""
    doubts = {
        field: [
            code_taken(code, "") if kind == OWN else doubt(kind, code) for kind, code in named if accepted(kind, code)
        ]
        for field, named in places.items()
    }
    return Verdict({field: sayings for field, sayings in doubts.items() if sayings})


def show_verdict(form: Any, verdict: Verdict, labels: Mapping[str, str]) -> None:
    """Put what the exchange said beside the fields, and what stands in the way of saving above them."""
    for field, sayings in verdict.doubts.items():
        form.sayings.setdefault(field, []).extend(sayings)
        form.form_errors += [f"{labels[field]}: {saying.text.striptags()}" for saying in sayings if not saying.accepted]


def keep(
    form: Any,
    ways: Mapping[str, Place],
    *,
    before: Container[Place],
    errors: dict[str, str],
    save: Callable[[], None],
    saved: str,
) -> bool:
    """Save the destinations of a form, if all of it is sound and the exchange has them; else put into it what is wrong.

    `ways`: the destination of each field; `before`: those that were stored, and are not asked about again; `errors`:
    what the service says to the form. `save` may raise Invalid; `saved` is said when it is done.
    """
    labels = {field: form[f"{field}_code"].label.text for field in ways}
    if errors or has_errors(form):
        show_errors(form, errors)
        show_verdict(form, ticked({field: [way] for field, way in ways.items()}), labels)
        return False
    verdict = hold({field: [way] for field, way in ways.items() if way not in before})
    show_verdict(form, verdict, labels)
    if verdict.refused:
        return False
    try:
        save()
    except Invalid as invalid:  # somebody else was faster
        show_errors(form, invalid.errors)
        return False
    flash(saved, "success")
    tell_unasked(verdict)
    return True


def tell_unasked(verdict: Verdict) -> None:
    """Say on the next page that something was taken as it was typed."""
    if verdict.unasked:
        flash(_("The exchange could not be asked whether it has what is named; it was taken as typed."), "warning")


def in_reach() -> bool:
    return lookup.is_reachable(database(), utcnow())


def found(rows: Sequence[Findable]) -> dict[str, object]:
    """Return what a list of extensions or queues shows of its rows; `q` searches in them."""
    wanted = request.args.get("q", "").strip()
    return {
        "rows": [row for row in rows if row.fits(wanted)],
        "any": bool(rows),
        "wanted": wanted,
        "in_reach": in_reach(),
        "profile": pbx().pbx_profile,
    }


def chosen_module() -> dict[str, object]:
    """Return the modules, and the one that is to be led to on an exchange with pages of its own."""
    with database().read() as session:
        known = modules.codes(session)
    wanted = request.values.get("module", "")
    chosen = next((pair for pair in known if pair[0] == wanted), known[0] if known else None)
    return {"modules": known, "chosen": chosen}


# -- while it is filled in --------------------------------------------------------------------------------------------


@blueprint.get("/said")
@administrator_required
def said():
    """Say what the place is that is typed in a field of a form."""
    field = request.args.get("field", "")
    places = _typed(field)
    with database().read() as session:
        here = directory(session)
    sayings = []
    for kind, code in places:
        saying = known(here, kind, code)
        if saying is None and kind in existence.ASKED:
            findings = existence.check_destinations(database(), [(kind, code)], actor=current_user.name, now=utcnow())
            saying = found_or_not(here, findings, (kind, code))
        if saying is None:
            saying = Saying("fault", escape(wording.error("no_module")))
        sayings.append(saying)
    return render_template("pbx/_destination_hint.html", sayings=sayings, field=field)


def _typed(field: str) -> list[Place]:
    """Return the places that a form's field names; those of no sound form are left to the check at the end."""
    given = {key: ascii_digits(value).strip() for key, value in request.args.items()}
    if field == "targets":
        places = [("extension", code) for code in split(given.get("targets", ""))[:20]]
    elif field == "queue":
        places = [("queue", given.get("queue", ""))]
    else:
        places = [(given.get(f"{field}_kind", ""), given.get(f"{field}_code", ""))]
    return [(kind, code) for kind, code in places if kind in modules.FORMS and modules.FORMS[kind].fullmatch(code)]


@blueprint.get("/code")
@administrator_required
def code():
    """Say whether a module may have this code."""
    wanted = ascii_digits(request.args.get("code", "")).strip()
    own = request.args.get("module", 0, type=parse_row_number)
    if not modules.CODE.fullmatch(wanted):
        return render_template("pbx/_destination_hint.html", sayings=[], field="code")
    return render_template("pbx/_destination_hint.html", sayings=[_said_of_code(database(), wanted, own)], field="code")


def _said_of_code(database: Database, wanted: str, own: int) -> Saying:
    with database.read() as session:
        module = directory(session).modules.get(wanted)
    if module is not None and module.id != own:
        return Saying("fault", say(_("The module “%(name)s” has this code already."), name=name(module.name)))
    context = lookup.code_taken(database, settings(), wanted, current_user.name, utcnow())
    if context is None:
        text = _("No other module has it. The exchange cannot be asked now whether something else answers there.")
        return Saying("warning", escape(text))
    return code_taken(wanted, context) if context else Saying("ok", say(_("%(code)s is free."), code=number(wanted)))


@blueprint.record_once
def _give_words(state: BlueprintSetupState) -> None:
    """Let the macros say what a place is, where that is known already."""

    def known_place(kind: str, code: str) -> Saying | None:
        with current_app.extensions["bazang"]["database"].read() as session:
            return known(directory(session), kind or "", code or "")

    state.app.jinja_env.globals.update(known_place=known_place)
