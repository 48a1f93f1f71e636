"""The form that says how the exchange is reached, on the settings page and in the set-up."""

from datetime import datetime

from flask import request
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import PasswordField, RadioField, StringField

from app.services.pbx import connection_test
from app.services.pbx.connection_test import ConnectionReport
from app.services.settings import pbx
from app.services.settings.pbx import ExchangeInput
from app.web.context import database, settings
from app.web.fields import DigitsField, choices, show_errors
from app.web.settings import wording as settings_wording


class ExchangeForm(FlaskForm):
    pbx_profile = RadioField(
        _l("Kind of exchange"),
        choices=choices(settings_wording.PBX_PROFILE),
        validate_choice=False,
        description=_l("On FreePBX and Issabel extensions and queues have pages of their own there."),
    )
    ami_host = StringField(
        _l("Address of the exchange"), description=_l("Name or address of the machine; 127.0.0.1 if it is this one.")
    )
    ami_port = DigitsField(_l("Port"), description=_l("Of the manager interface, mostly 5038."))
    ami_username = StringField(_l("User"), description=_l("The name in square brackets in manager.conf."))
    ami_secret = PasswordField(_l("Secret"))
    agi_host = StringField(
        _l("How the exchange reaches this machine"),
        description=_l("Name or address of this machine, as the exchange sees it; 127.0.0.1 if both are one."),
    )
    extension_context = StringField(
        _l("Context of the extensions"),
        description=_l("Where the exchange finds an extension by its number. Leave it empty unless yours differs."),
    )
    queue_context = StringField(
        _l("Context of the queues"),
        description=_l("Where the exchange finds a queue by its number. Leave it empty unless yours differs."),
    )

    def given(self) -> ExchangeInput:
        """Return what was typed; of a field that is not in the form, what is in force."""
        now = pbx.load(database(), settings())
        values = {}
        for name in ExchangeInput.__dataclass_fields__:
            field = self._fields.get(name)
            typed = field is not None and name in request.form
            values[name] = (field.data or "").strip() if typed else getattr(now, name)
        return ExchangeInput(**values)

    def keeps_secret(self) -> bool:
        """Tell whether the stored secret may go to a host that is typed now."""
        return False

    def fits(self) -> bool:
        """Tell whether what was typed makes sense; what does not is said beside its field."""
        self.validate()
        errors = pbx.check(pbx.in_force(database(), settings(), self.given()))
        if not self.keeps_secret() and pbx.wants_secret(database(), settings(), self.given()):
            errors.setdefault("ami_secret", "secret_again")
        show_errors(self, errors)
        return not errors


def try_out(given: ExchangeInput, actor: str, now: datetime) -> ConnectionReport | None:
    """Try these values out. None: the telephone service does not answer. They have to make sense."""
    wanted = pbx.in_force(database(), settings(), given)
    return connection_test.test(
        database(),
        host=wanted.ami_host,
        port=int(wanted.ami_port),
        username=wanted.ami_username,
        secret=wanted.ami_secret,
        actor=actor,
        now=now,
    )
