"""Texts of the settings pages: types of PBX, results of the connection test, areas of time zones."""

from flask_babel import lazy_gettext as _l

from app.domain.pbx_connection import ConnectionResult, DialplanState

PBX_PROFILE = {"asterisk": _l("Plain Asterisk"), "freepbx": _l("FreePBX or Issabel")}

CONNECTION_RESULT = {
    ConnectionResult.HOST_UNKNOWN: _l("The address was not found."),
    ConnectionResult.NOTHING_LISTENS: _l("The machine refuses connections to this port."),
    ConnectionResult.NO_ANSWER: _l("The address does not answer."),
    ConnectionResult.NOT_ASTERISK: _l("Another program answers there, not a PBX."),
    ConnectionResult.REFUSED: _l("The PBX refuses the user or the secret."),
    ConnectionResult.RIGHTS_MISSING: _l("The PBX accepts the log-in, but the user needs more rights."),
    ConnectionResult.CONNECTED: _l("Connected."),
}

# What to do about each result.
CONNECTION_ADVICE = {
    ConnectionResult.HOST_UNKNOWN: _l("Check the spelling, or enter an IP address such as 192.168.1.10."),
    ConnectionResult.NOTHING_LISTENS: _l(
        "Check the port (usually 5038). In manager.conf of the PBX, the section [general] needs “enabled = yes”. Then "
        "type “manager reload” in Asterisk's console."
    ),
    ConnectionResult.NO_ANSWER: _l("Check the address and the firewall, and that the machine is switched on."),
    ConnectionResult.NOT_ASTERISK: _l("Check the port: the manager interface usually has 5038."),
    ConnectionResult.REFUSED: _l(
        "The user and the secret must be the same here and in manager.conf of the PBX. Type “manager reload” there "
        "after a change. A line “permit” there can also exclude this machine."
    ),
    ConnectionResult.RIGHTS_MISSING: _l(
        "Add these lines to the user in manager.conf, then type “manager reload” in Asterisk's console:"
    ),
}

DIALPLAN_STATE = {
    DialplanState.CURRENT: _l("The PBX runs our dialplan."),
    DialplanState.OUTDATED: _l(
        "The PBX runs an older version of our dialplan. Type “dialplan reload” in Asterisk's console."
    ),
    DialplanState.NONE: _l("The PBX does not include our dialplan yet."),
    DialplanState.UNKNOWN: _l("It is not known whether the PBX runs our dialplan."),
}

ZONE_AREA = {
    "Asia": _l("Asia"),
    "Europe": _l("Europe"),
    "Africa": _l("Africa"),
    "America": _l("America"),
    "Australia": _l("Australia"),
    "Atlantic": _l("Atlantic"),
    "Indian": _l("Indian Ocean"),
    "Pacific": _l("Pacific"),
    "Antarctica": _l("Antarctica"),
    "Arctic": _l("Arctic"),
    "Etc": _l("Other"),
}
