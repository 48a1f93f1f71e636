"""Click-to-call: a link with a number, such as from a CRM or a tel: link, and the page that asks before it calls.

Opening the link calls nobody: any website could open it. The call needs the button, and the token of the form.
"""

from urllib.parse import unquote

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from wtforms import SelectChoice, SelectField, StringField

from app.domain.number_policy import Source, judge
from app.domain.numbers import ascii_digits, national
from app.extensions import limiter
from app.services.errors import ErrorCode, Invalid
from app.services.requests.actions import CallNow
from app.services.requests.click_to_call import call_number
from app.services.requests.command_results import wait_for_results
from app.services.requests.create import MAX_NAME_LENGTH
from app.services.requests.pending import load_rows
from app.store import settings as settings_store
from app.store.number_policy import load_policy
from app.web.context import cached_query, current_scope, database, settings, stored, utcnow
from app.web.fields import DigitsField, PanelForm, has_errors, show_errors
from app.web.formats import digits
from app.web.requests.wording import results_message
from app.web.verdicts import explain_verdict

blueprint = Blueprint("call", __name__, url_prefix="/call")
LONGEST_NUMBER = 60  # of what a link may give


class CallForm(PanelForm):
    """`extension` rings first. It is typed by those who may ring any."""

    number = DigitsField(_l("Number"))
    name = StringField(_l("Name"))
    extension = SelectField(_l("Which phone rings first?"), validate_choice=False)
    typed = DigitsField(_l("Which phone rings first?"), description=_l("The number of your extension."))

    @property
    def chosen(self) -> str:
        return str((self.typed.data if current_scope().everything else self.extension.data) or "")


def number_of_link(text: str) -> str:
    """Return the number in a link. It may be the address of a tel: link, whose parameters say nothing here."""
    text = unquote(text) if "%" in text else text
    text = text.strip()
    if text[:4].lower() == "tel:":
        text = text[4:].partition(";")[0]
    return ascii_digits(text[: LONGEST_NUMBER + 1]).strip()


@blueprint.route("", methods=["GET", "POST"])
@login_required
@limiter.limit("30 per minute", methods=["POST"], key_func=lambda: f"user {getattr(current_user, 'id', 0)}")
def index():
    """Show the number of a link (GET), and call it (POST)."""
    form = CallForm(formdata=request.form) if request.method == "POST" else CallForm(formdata=None)
    own = current_user.extensions
    form.extension.choices = [SelectChoice(extension, digits(extension)) for extension in own]
    if request.method == "GET":
        form.number.data = number_of_link(request.args.get("number", ""))
        form.name.data = request.args.get("name", "")[:MAX_NAME_LENGTH]
        form.typed.data = own[0] if own else ""
        return _page(form)
    form.validate()
    if not has_errors(form):
        answer = _call(form)
        if answer is not None:
            return answer
    return _page(form), 422


def _call(form: CallForm):
    """Call the number, and show the request. Return None if the form has errors."""
    number, extension, scope = number_of_link(form.number.data or ""), form.chosen, current_scope()
    try:
        result = call_number(
            database(), settings(), scope, number, extension, utcnow(), name=(form.name.data or "").strip()
        )
    except Invalid as invalid:
        at = "typed" if scope.everything else "extension"
        errors = {at if name == "extension" else name: code for name, code in invalid.errors.items()}
        if not extension and at in errors:
            errors[at] = ErrorCode.REQUIRED
        show_errors(form, errors)
        return None
    results = wait_for_results(database(), [result])
    rows = {row.id: row for row in load_rows(database(), scope, [result.id], utcnow())}
    message, category = results_message(CallNow(extension), results, rows, rows)
    flash(message, category)
    return redirect(url_for("requests.show", request_id=result.id))


def _page(form: CallForm) -> str:
    """Show the form with what the number policy says about the number."""
    number = number_of_link(form.number.data or "")
    plan = cached_query("number plan", lambda session: settings_store.number_plan(session, settings()))
    policy = cached_query(("number policy", plan.region), lambda session: load_policy(session, plan.region, stored()))
    too_long = len(number) > LONGEST_NUMBER
    verdict = judge(number[:LONGEST_NUMBER], plan, policy, Source.PANEL, from_inside=True)
    return render_template(
        "requests/call.html",
        form=form,
        shown=national(verdict.number, plan.region) if verdict.allows and not too_long else "",
        refusal="" if not number or (verdict.allows and not too_long) else explain_verdict(verdict),
        has_number=bool(number),
        types_extension=current_scope().everything,
        title=_("Call a number"),
    )
