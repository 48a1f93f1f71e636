"""The set-up of a fresh office, step by step. The first step is for whoever holds the link that the machine printed."""

from dataclasses import replace

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import func, select
from wtforms import PasswordField, RadioField, SelectField, StringField

from app.domain.numbers import ascii_digits
from app.extensions import limiter
from app.services.errors import Invalid, NotFound
from app.services.pbx import config_snippets, connection_test
from app.services.prompts import phone_calls
from app.services.settings import office, pbx
from app.services.setup import checks, first_administrator, first_module
from app.services.setup.checks import Checks
from app.services.setup.first_module import StarterInput, Template
from app.store.models import ExtensionRow, Module, QueueRow, Setting
from app.web import choose_locale, context, is_fragment, wording
from app.web.accounts import login
from app.web.context import administrator_required, database, settings, stored, utcnow
from app.web.fields import DigitsField, choices, has_errors, show_errors
from app.web.settings import pbx as settings_exchange
from app.web.settings.pbx_form import ExchangeForm
from app.web.settings.views import PlaceForm, origin, save_office

blueprint = Blueprint("setup", __name__, url_prefix="/setup")
_TOKEN = "setup_token"  # where the session keeps it until it is used
_LIKELY_CONTEXT = "from-internal"  # what most exchanges call the context of their phones
STEPS = (
    ("setup.index", _l("Administrator")),
    ("setup.place", _l("Office")),
    ("setup.exchange_step", _l("Telephone exchange")),
    ("setup.module", _l("First module")),
    ("setup.call", _l("Test call")),
)
_PAGES = {"office": "setup.place", "exchange": "setup.exchange_step", "module": "setup.module", "call": "setup.call"}


@blueprint.app_context_processor
def _open_step():
    """Let every page of an administrator remind of a set-up that is not finished."""
    return {"setup_open": open_step}


def open_step() -> str:
    """Return the address of the step that is next; "" where nothing is left to do, or it is not the reader's."""
    if not current_user.is_authenticated or current_user.role != "administrator" or request.blueprint == "setup":
        return ""
    step = first_administrator.step(stored())
    return url_for(_PAGES[step]) if step else ""


@blueprint.context_processor
def _steps():
    return {"steps": STEPS, "words": wording, "fixed": office.fixed(settings()), "origin": origin}


# -- 1: the administrator ---------------------------------------------------------------------------------------------


class FirstForm(FlaskForm):
    name = StringField(_l("User name"), description=_l("With it you log in."))
    password = PasswordField(
        _l("Password"), description=_l("At least 8 characters. Several words in a row are easy to keep in mind.")
    )
    again = PasswordField(_l("Password, once more"))


@blueprint.route("", methods=["GET", "POST"])
@limiter.limit("20 per minute")
def index():
    """Make the first administrator, by the link that this machine printed."""
    if not first_administrator.is_open(database()):
        session.pop(_TOKEN, None)
        if current_user.is_authenticated and current_user.role == "administrator":
            return redirect(url_for("setup.place"))
        return render_template("setup/closed.html", is_open=False), 403
    if "token" in request.args:
        if not first_administrator.fits(database(), request.args["token"], utcnow()):
            return _refuse()
        session[_TOKEN] = request.args["token"]
        return redirect(url_for("setup.index"))  # so that it stands in no address that is kept or sent on
    token = session.get(_TOKEN, "")
    if not first_administrator.fits(database(), token, utcnow()):
        return _refuse()
    form = FirstForm()
    if request.method == "POST":
        form.validate()
        if form.password.data != form.again.data:
            show_errors(form, {"again": "passwords_differ"})
        if not has_errors(form):
            try:
                name, password = form.name.data or "", form.password.data or ""
                user = first_administrator.redeem(database(), settings(), token, name, password, utcnow())
            except Invalid as invalid:
                show_errors(form, invalid.errors)
            except first_administrator.Refused:
                return _refuse()
            else:
                login.enter(user)
                return redirect(url_for("setup.place"))
        return render_template("setup/administrator.html", form=form, at=1), 422
    return render_template("setup/administrator.html", form=form, at=1)


def _refuse():
    session.pop(_TOKEN, None)
    return render_template("setup/closed.html", is_open=True), 403


# -- 2: the office ----------------------------------------------------------------------------------------------------


@blueprint.route("/office", methods=["GET", "POST"])
@administrator_required
def place():
    """Say where the office is and what it reads."""
    now = office.load(database(), settings())
    form = PlaceForm(obj=now)
    status = 200
    if request.method == "POST":
        if save_office(form, now):
            session.pop("locale", None)  # what was chosen for the way here; from now on it is the office's
            return _go_on("office")
        status = 422
    with database().read() as reader:
        is_settled = reader.get(Setting, "timezone") is not None or "timezone" in office.fixed(settings())
    if request.method == "GET" and not is_settled:
        form.locale.data = choose_locale()
    form.offer_regions()
    return render_template("setup/office.html", form=form, now=now, guess=not is_settled, at=2), status


# -- 3: the exchange --------------------------------------------------------------------------------------------------


class ConnectForm(ExchangeForm):
    extension_context = None
    queue_context = None

    def keeps_secret(self) -> bool:
        """While the set-up goes on, the secret is the one that it has just made and shown."""
        return bool(first_administrator.step(stored()))

    outbound_context = StringField(
        _l("Context for calls to customers"),
        description=_l("The context of the exchange through which your phones dial out, such as from-internal."),
    )


@blueprint.route("/exchange", methods=["GET", "POST"])
@administrator_required
def exchange_step():
    """Say how the exchange is reached; what is saved is tried out over and over, and shown."""
    outbound = office.load(database(), settings()).outbound_context
    form = ConnectForm(obj=pbx.load(database(), settings()), data={"outbound_context": outbound or _LIKELY_CONTEXT})
    if request.method == "POST":
        if _save_exchange(form):
            connection_test.apply(database(), actor=current_user.name, now=utcnow())
            return redirect(url_for("setup.exchange_step", _anchor="checks"))
        return _exchange_page(form), 422
    return _exchange_page(form)


def _save_exchange(form: ConnectForm) -> bool:
    fits = form.fits()
    customers = replace(
        office.load(database(), settings()), outbound_context=(form.outbound_context.data or "").strip()
    )
    if "outbound_context" in office.fixed(settings()):
        customers = office.load(database(), settings())
    errors = office.check(customers)
    if "outbound_context" in errors:
        show_errors(form, {"outbound_context": errors["outbound_context"]})
        fits = False
    if not fits:
        return False
    try:
        pbx.save(database(), settings(), form.given(), actor=current_user.name, now=utcnow())
        office.save(database(), settings(), customers, actor=current_user.name, now=utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    return True


@blueprint.post("/exchange/check")
@administrator_required
def check():
    """Look how far the connection is, and change nothing."""
    found = checks.check(database(), settings(), current_user.name, utcnow())
    if is_fragment():
        return render_template("setup/_checks.html", found=found, **_about(found))
    form = ConnectForm(
        formdata=None,
        obj=pbx.load(database(), settings()),
        data={"outbound_context": found.outbound or _LIKELY_CONTEXT},
    )
    return _exchange_page(form, found)


def _exchange_page(form: ConnectForm, found: Checks | None = None):
    found = found or checks.unknown()
    here = context.exchange()
    own_secret = "ami_secret" not in office.fixed(settings())
    shown = here.ami_secret if own_secret else _("the value of BAZANG_AMI_SECRET")
    return render_template(
        "setup/exchange.html",
        form=form,
        now=pbx.load(database(), settings()),
        found=found,
        pasted=config_snippets.make(here, shown, settings().dialplan_path),
        at=3,
        **_about(found),
    )


def _about(found: Checks) -> dict[str, object]:
    return settings_exchange.report_parts(ConnectForm(formdata=None)) | {"report": found.report}


# -- 4: the first module ----------------------------------------------------------------------------------------------


class StarterForm(FlaskForm):
    template = RadioField(_l("What for"), choices=choices(wording.TEMPLATE), validate_choice=False)
    extensions = DigitsField(
        _l("Extensions"), description=_l("Whose callers are rung back; several with commas between them: 101, 102")
    )
    queue = StringField(_l("Queue"), description=_l("Its name or number on the exchange."))
    name = StringField(_l("Name of the module"), description=_l("You find it by this name in the panel."))
    code = DigitsField(_l("Code"), description=_l("Whoever dials it gets to the module. Digits, * and # only."))

    def given(self, language: str) -> StarterInput:
        if self.template.data == Template.QUEUE:
            targets = [ascii_digits(self.queue.data or "").strip()]
        else:
            targets = [part.strip() for part in (self.extensions.data or "").replace("،", ",").split(",")]
        typed = tuple(dict.fromkeys(target for target in targets if target))
        return StarterInput(self.template.data or "", self.name.data or "", self.code.data or "", typed, language)

    def show(self, errors: dict[str, str]) -> None:
        field = "queue" if self.template.data == Template.QUEUE else "extensions"
        show_errors(self, {field if name == "targets" else name: code for name, code in errors.items()})


@blueprint.route("/module", methods=["GET", "POST"])
@administrator_required
def module():
    """Make the first module from a template."""
    form = StarterForm()
    if request.method == "POST":
        form.validate()
        try:
            language = office.load(database(), settings()).locale
            first_module.make(database(), settings(), form.given(language), utcnow(), actor=current_user.name)
        except Invalid as invalid:
            form.show(invalid.errors)
        else:
            flash(_("The module is there."), "success")
            return _go_on("module")
        return _module_page(form), 422
    form.template.data = Template.EXTENSION.value
    form.name.data = str(wording.TEMPLATE_NAME[Template.EXTENSION])
    form.code.data = first_module.propose_code(database())
    return _module_page(form)


def _module_page(form: StarterForm):
    with database().read() as reader:
        lines = reader.scalars(select(ExtensionRow).order_by(ExtensionRow.extension)).all()
        queues = reader.scalars(select(QueueRow.name).order_by(QueueRow.name)).all()
        there = reader.scalars(select(Module).order_by(Module.id)).all()
    profile = context.exchange().pbx_profile
    return render_template(
        "setup/module.html", form=form, lines=lines, queues=queues, there=there, profile=profile, at=4
    )


# -- 5: a test call ---------------------------------------------------------------------------------------------------


class CallForm(FlaskForm):
    extension = DigitsField(_l("Extension"), description=_l("The phone that shall ring. Stand beside it."))
    language = SelectField(_l("Language"), choices=choices(wording.LANGUAGE), validate_choice=False)


@blueprint.route("/call", methods=["GET", "POST"])
@administrator_required
def call():
    """Have a phone rung and told that all is well."""
    form = CallForm(data={"language": office.load(database(), settings()).locale})
    if request.method == "POST":
        form.validate()
        try:
            asked = phone_calls.create_test_call(
                database(),
                extension=form.extension.data or "",
                language=form.language.data,
                actor=current_user.name,
                now=utcnow(),
            )
        except Invalid as invalid:
            show_errors(form, invalid.errors)
            return _call_page(form), 422
        return redirect(url_for("setup.called", call_id=asked))
    return _call_page(form)


def _call_page(form: CallForm):
    with database().read() as reader:
        lines = reader.scalars(select(ExtensionRow).order_by(ExtensionRow.extension)).all()
        first = reader.scalar(select(Module).where(Module.target_kind == "extension").order_by(Module.id))
    if request.method == "GET" and not form.extension.data and first is not None:
        form.extension.data = first.targets[0]
    return render_template("setup/call.html", form=form, lines=lines, at=5)


@blueprint.get("/call/<uuid:call_id>")
@administrator_required
def called(call_id):
    """Show how the test call goes."""
    try:
        view = phone_calls.load(database(), str(call_id), utcnow())
    except NotFound:
        abort(404)
    if is_fragment():
        return render_template("setup/_call.html", call=view)
    return render_template("setup/called.html", call=view, at=5)


@blueprint.post("/call/<uuid:call_id>/cancel")
@administrator_required
def cancel_call(call_id):
    """End a test call."""
    try:
        phone_calls.cancel(database(), str(call_id), current_user.name, utcnow())
    except NotFound:
        abort(404)
    return redirect(url_for("setup.called", call_id=call_id))


# -- going on ---------------------------------------------------------------------------------------------------------


@blueprint.post("/<any(office,exchange,module,call):step>/done")
@administrator_required
def done(step: str):
    """Leave a step behind, be it taken or not, and go to the next one."""
    return _go_on(step)


def _go_on(step: str):
    first_administrator.advance(database(), step)
    following = first_administrator.STEPS[first_administrator.STEPS.index(step) + 1 :]
    return redirect(url_for(_PAGES[following[0]] if following else "setup.end"))


@blueprint.get("/end")
@administrator_required
def end():
    """Say what is ready and what to do next."""
    with database().read() as reader:
        modules = reader.scalar(select(func.count()).select_from(Module)) or 0
    customers = office.load(database(), settings()).outbound_context
    return render_template("setup/end.html", modules=modules, customers=customers, at=6)


@blueprint.post("/finish")
@administrator_required
def finish():
    """Remind nobody of the set-up any more."""
    first_administrator.finish(database())
    return redirect(url_for("requests.index"))
