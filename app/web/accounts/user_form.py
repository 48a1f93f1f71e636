"""The forms for adding and changing a user."""

import re
from collections.abc import Collection, Sequence

from flask_babel import lazy_gettext as _l
from wtforms import PasswordField, RadioField, SelectField, SelectMultipleField, StringField

from app.domain.numbers import ascii_digits
from app.services.exchanges import SeenExchange
from app.services.users import UserInput
from app.store.models import User
from app.web import wording
from app.web.fields import DigitsField, PanelForm, choices
from app.web.layout import exchange_name

LOCALES = {"": _l("as the office"), **wording.LANGUAGE}


class UserForm(PanelForm):
    """What an administrator can change. Extensions that the PBX reports can be ticked, others are typed."""

    role = RadioField(_l("Role"), choices=choices(wording.ROLE), validate_choice=False)
    ticked = SelectMultipleField(_l("Extensions"), validate_choice=False)
    extensions = DigitsField(_l("Other extensions"), description=_l("Separate with commas: 101, 102"))
    exchanges = SelectMultipleField(_l("Exchanges"), validate_choice=False)
    locale = SelectField(_l("Language of the panel"), choices=choices(LOCALES), default="", validate_choice=False)
    theme = SelectField(_l("Theme"), choices=choices(wording.THEME), default="auto", validate_choice=False)

    def fill(self, user: User, known: Collection[str]) -> None:
        """Show the values of a user. `known`: the extensions that can be ticked."""
        self.role.data, self.locale.data, self.theme.data = user.role, user.locale or "", user.theme
        self.ticked.data = [extension for extension in user.extensions if extension in known]
        self.extensions.data = ", ".join(extension for extension in user.extensions if extension not in known)

    def offer_exchanges(self, found: Sequence[SeenExchange]) -> None:
        """Let the administrator choose among these exchanges, if there are several."""
        if len(found) > 1:
            self.exchanges.choices = [(str(each.id), exchange_name(each.name)) for each in found]

    def to_input(self, *, active: bool = True) -> UserInput:
        """Return the values of the form."""
        typed = [part for part in re.split(r"[\s,،;]+", self.extensions.data or "") if part]
        ticked = [ascii_digits(extension) for extension in self.ticked.data or ()]
        return UserInput(
            role=self.role.data or "",
            extensions=tuple(dict.fromkeys([*ticked, *typed])),
            active=active,
            locale=self.locale.data or None,
            theme=self.theme.data or "",
            exchanges=self._chosen_exchanges() if self.exchanges.choices else None,
        )

    def _chosen_exchanges(self) -> tuple[int, ...]:
        """Return the ids that are ticked. What is no number becomes that of no exchange."""
        typed = dict.fromkeys(self.exchanges.data or ())
        return tuple(int(text) if text.isdecimal() and len(text) < 10 else 0 for text in typed)


class NewUserForm(UserForm):
    name = StringField(_l("User name"))
    password = PasswordField(
        _l("Password"), description=_l("Leave it empty to generate a password. It is shown to you once.")
    )
