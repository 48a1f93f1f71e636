"""The names of files and menus at the PBX, by profile: those of Asterisk, or those of FreePBX and Issabel."""

from app.domain.findings import Line, Value, say
from app.store.settings import PbxSettings

RELOAD = say("then %(command)s in Asterisk's console", command=Line("dialplan reload"))
APPLY = "Apply Config"  # a button of FreePBX and Issabel
LOG = say("Look into Asterisk's log.")


def is_freepbx(pbx: PbxSettings) -> bool:
    return pbx.pbx_profile == "freepbx"


def dialplan_file(pbx: PbxSettings) -> Value:
    """Return the file for lines of the administrator's own, with the place where it is edited."""
    if is_freepbx(pbx):
        return say(
            "%(file)s (FreePBX: %(freepbx)s; Issabel: %(issabel)s)",
            file="extensions_custom.conf",
            freepbx="Admin > Config Edit",
            issabel="PBX > Tools > Asterisk File Editor",
        )
    return "extensions.conf"


def manager_file(pbx: PbxSettings) -> str:
    """Return the file of the AMI users."""
    return "manager_custom.conf" if is_freepbx(pbx) else "manager.conf"


def menu(group: str, page: str, older: str = "") -> str:
    """Return the way to a page of FreePBX 17, and to the same page of FreePBX 16, if it differs, and of Issabel."""
    before = f"FreePBX 16: {older} > {page}; " if older else ""
    return f"{group} > {page} ({before}Issabel: PBX > PBX Configuration > {page})"


OUTBOUND_ROUTES = menu("Connectivity", "Outbound Routes")
EXTENSIONS = menu("Connectivity", "Extensions", older="Applications")
CUSTOM_DESTINATIONS = menu("Admin", "Custom Destinations")
QUEUES = menu("Applications", "Queues")
MISC_DESTINATIONS = menu("Applications", "Misc Destinations")
