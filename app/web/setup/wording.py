"""Texts of the setup: its checks, and the templates of the first module."""

from flask_babel import lazy_gettext as _l

from app.services.setup.checks import Check
from app.services.setup.first_module import Template

CHECK = {
    Check.SERVICE: _l("The telephone service runs"),
    Check.REACHED: _l("The PBX answers"),
    Check.ACCEPTED: _l("The PBX accepts the user and the secret"),
    Check.RIGHTS: _l("The user has all rights"),
    Check.PRODUCT: _l("The settings are for this type of PBX"),
    Check.CONTEXTS: _l("The contexts of extensions and queues exist"),
    Check.DIALPLAN: _l("The PBX runs our dialplan"),
    Check.CALLERS: _l("The PBX reaches the telephone service"),
    Check.EXTENSIONS: _l("The PBX reports extensions"),
    Check.OUTBOUND: _l("Customers can be dialled"),
}

TEMPLATE = {
    Template.EXTENSION.value: _l("One person's extension"),
    Template.QUEUE.value: _l("A team's queue"),
    Template.SILENT.value: _l("Silent: only the caller's number is registered"),
}

TEMPLATE_ABOUT = {
    Template.EXTENSION.value: _l(
        "Callers who find the extension busy or unanswered press 1. They are called back when it is free."
    ),
    Template.QUEUE.value: _l(
        "Callers who waited too long in the queue press 1. The next free member of the queue calls them back."
    ),
    Template.SILENT.value: _l("Nothing is played. Callers whose call was not answered are called back."),
}

# The proposed names of the first module.
TEMPLATE_NAME = {
    Template.EXTENSION.value: _l("Call back"),
    Template.QUEUE.value: _l("Call back by the team"),
    Template.SILENT.value: _l("Missed calls"),
}
