"""The form of the PBX settings, on the settings page and in the setup."""

from flask import request
from flask_babel import lazy_gettext as _l
from wtforms import PasswordField, RadioField, StringField

from app.services.errors import ErrorCode
from app.services.settings import pbx
from app.services.settings.pbx import PbxInput
from app.web.context import database, settings
from app.web.fields import DigitsField, PanelForm, choices, show_errors
from app.web.settings import wording


class PbxForm(PanelForm):
    pbx_profile = RadioField(
        _l("Type of PBX"),
        choices=choices(wording.PBX_PROFILE),
        validate_choice=False,
        description=_l(
            "FreePBX and Issabel have their own pages for extensions and queues, and their own files for the lines. "
            "Choose it and save before you paste them."
        ),
    )
    ami_host = StringField(
        _l("Address of the PBX"), description=_l("Host name or IP address; 127.0.0.1 if it is this machine.")
    )
    ami_port = DigitsField(_l("Port"), description=_l("The port of the manager interface, usually 5038."))
    ami_username = StringField(_l("User"), description=_l("The name in square brackets in manager.conf."))
    ami_secret = PasswordField(_l("Secret"))
    agi_host = StringField(
        _l("Address of this machine"),
        description=_l("Where the PBX reaches this machine: host name or IP address; 127.0.0.1 if they are the same."),
    )
    extension_context = StringField(
        _l("Context of the extensions"),
        description=_l("Where the PBX dials an extension by its number. Leave it empty to use the default."),
    )
    queue_context = StringField(
        _l("Context of the queues"),
        description=_l("Where the PBX dials a queue by its number. Leave it empty to use the default."),
    )

    def to_input(self) -> PbxInput:
        """Return the typed values. Fields that are not on the page have the current values."""
        current = pbx.load(database(), settings())
        values = {}
        for name in pbx.NAMES:
            field = self._fields.get(name)
            typed = field is not None and name in request.form
            values[name] = (field.data or "").strip() if typed else getattr(current, name)
        return PbxInput(**values)

    def may_reuse_secret(self) -> bool:
        """Return whether the stored secret may be sent to a host that was typed just now."""
        return False

    def check(self) -> bool:
        """Validate the form and show its errors. Return whether it is valid."""
        self.validate()
        given = self.to_input()
        errors = pbx.validate(pbx.effective(database(), settings(), given))
        if not self.may_reuse_secret() and pbx.needs_secret(database(), settings(), given):
            errors.setdefault("ami_secret", ErrorCode.SECRET_AGAIN)
        show_errors(self, errors)
        return not errors
