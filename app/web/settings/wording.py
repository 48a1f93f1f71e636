"""Settings of the PBX and what its connection test finds, in words."""

from flask_babel import lazy_gettext as _l

from app.domain.pbx_connection import ConnectionResult, DialplanState

PBX_PROFILE = {"asterisk": _l("Plain Asterisk"), "freepbx": _l("FreePBX or Issabel")}

CONNECTION_RESULT = {
    ConnectionResult.HOST_UNKNOWN: _l("There is no machine of this name."),
    ConnectionResult.NOTHING_LISTENS: _l("The machine is there, but nothing listens at this port."),
    ConnectionResult.NO_ANSWER: _l("No answer came from there."),
    ConnectionResult.NOT_ASTERISK: _l("Something answers there, but it is no telephone exchange."),
    ConnectionResult.REFUSED: _l("The exchange is there, and refuses the user or the secret."),
    ConnectionResult.RIGHTS_MISSING: _l("The exchange lets us in, but some rights are missing."),
    ConnectionResult.CONNECTED: _l("Connected."),
}

# What to do about each result.
CONNECTION_ADVICE = {
    ConnectionResult.HOST_UNKNOWN: _l(
        "Look whether the name is spelled right, or write its address, such as 192.168.1.10."
    ),
    ConnectionResult.NOTHING_LISTENS: _l(
        "Look at the port (mostly 5038), and whether the exchange has “enabled = yes” in the section general of "
        "manager.conf. Reload the manager there afterwards."
    ),
    ConnectionResult.NO_ANSWER: _l(
        "Look at the address, whether the machine is switched on, and whether a firewall is between."
    ),
    ConnectionResult.NOT_ASTERISK: _l("Look at the port: that of the manager interface is mostly 5038."),
    ConnectionResult.REFUSED: _l(
        "The user and the secret must be the same here and in manager.conf of the exchange. Reload the manager there "
        "after a change. A line “permit” there may keep this machine out as well."
    ),
    ConnectionResult.RIGHTS_MISSING: _l("Let the user in manager.conf have these lines, and reload the manager there:"),
}

DIALPLAN_STATE = {
    DialplanState.CURRENT: _l("The exchange runs our dialplan."),
    DialplanState.OUTDATED: _l(
        "The exchange runs an older version of our dialplan. Type “dialplan reload” in its console."
    ),
    DialplanState.NONE: _l("The exchange has not taken in our dialplan yet."),
    DialplanState.UNKNOWN: _l("Whether the exchange has our dialplan could not be found out."),
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
