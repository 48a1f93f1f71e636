"""The checks of the setup and its templates for a first module, in words."""

from flask_babel import lazy_gettext as _l

CHECK = {
    "service": _l("The telephone service runs"),
    "reached": _l("The exchange is reached"),
    "accepted": _l("User and secret are accepted"),
    "rights": _l("All rights are there"),
    "dialplan": _l("Our dialplan is taken in"),
    "extensions": _l("The exchange tells of extensions"),
    "outbound": _l("Customers can be dialled"),
}

TEMPLATE = {
    "extension": _l("One person's extension"),
    "queue": _l("A team's queue"),
    "silent": _l("Silent: note the caller's number"),
}

TEMPLATE_ABOUT = {
    "extension": _l("Whoever finds the extension busy or unanswered presses 1, and is rung back when it is free."),
    "queue": _l("Whoever has waited too long in the queue presses 1, and is rung back by the next member who is free."),
    "silent": _l("Nothing is played: the number of whoever was not served is noted, and rung back."),
}

# The proposed names of the first module.
TEMPLATE_NAME = {"extension": _l("Call back"), "queue": _l("Call back by the team"), "silent": _l("Missed calls")}
