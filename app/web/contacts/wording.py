"""The words for what an import does."""

from flask_babel import lazy_gettext as _l

from app.domain.contacts import Action, Reason
from app.services.contacts.files import Column

ACTION = {
    Action.ADDED: _l("added"),
    Action.CHANGED: _l("changed"),
    Action.JOINED: _l("joined with an earlier row"),
    Action.UNCHANGED: _l("there already"),
    Action.LEFT_OUT: _l("left out"),
}
REASON = {
    Reason.NO_NAME: _l("It has no name."),
    Reason.NO_NUMBER: _l("It has no number that can be used."),
    Reason.BAD_NUMBER: _l("This is no telephone number:"),
    Reason.TAKEN: _l("This number belongs to another contact, and stays there:"),
    Reason.TOO_MANY_NUMBERS: _l("A contact has 20 numbers at most. This one is left out:"),
    Reason.SHORTENED: _l("A text is too long, and is cut:"),
    Reason.FULL: _l("There are 50,000 contacts already."),
}
COLUMN = {
    Column.IGNORED: _l("not used"),
    Column.NAME: _l("Name"),
    Column.FAMILY_NAME: _l("Family name"),
    Column.ORGANISATION: _l("Organisation"),
    Column.NUMBER: _l("Number"),
    Column.NOTE: _l("Note"),
}
EXPORT_TITLES = {
    "name": _l("Name"),
    "organisation": _l("Organisation"),
    "numbers": _l("Numbers"),
    "note": _l("Note"),
}
