"""Texts of the settings pages: types of PBX, results of the connection test, areas of time zones."""

from flask_babel import lazy_gettext as _l

from app.domain.number_kinds import NumberKind
from app.domain.pbx_connection import ConnectionResult, DialplanState
from app.domain.pbx_product import Product
from app.domain.webhook_bodies import BodyFormat
from app.domain.webhooks import WebhookEvent
from app.store.webhooks import MessageState

NUMBER_SOURCE = {
    "typed": _l("a caller types it"),
    "caller_id": _l("a caller calls from it"),
    "panel": _l("a colleague types it in this panel"),
}
PREFIX_KIND = {"refuse": _l("refuse"), "allow": _l("allow")}
# What a call to a number of each kind costs, and whose it is.
KIND_ABOUT = {
    NumberKind.LANDLINE: _l("Homes and offices, with an area code."),
    NumberKind.MOBILE: _l("Mobile phones."),
    NumberKind.VOIP: _l("Telephones on the internet, without an area."),
    NumberKind.NATIONAL: _l("Companies, at about the price of a landline: 03 in the United Kingdom, 444 in Turkey."),
    NumberKind.TOLL_FREE: _l("Companies that pay for the call themselves: 0800."),
    NumberKind.SHARED_COST: _l("Companies that take a part of the price: 0844 in the United Kingdom, 0180 in Germany."),
}

PBX_PROFILE = {"asterisk": _l("Plain Asterisk"), "freepbx": _l("FreePBX or Issabel")}

PRODUCT_FOUND = {
    Product.ASTERISK: _l("This PBX is a plain Asterisk, without FreePBX or Issabel."),
    Product.FREEPBX: _l("This PBX is FreePBX."),
    Product.FREEPBX_16: _l("This PBX is FreePBX, version 16 or earlier."),
    Product.FREEPBX_17: _l("This PBX is FreePBX, version 17 or later."),
    Product.ISSABEL: _l("This PBX is Issabel."),
}
_USE_FREEPBX = _l("Use the settings for FreePBX")
# The button that saves the settings for a product.
PRODUCT_USE = {
    Product.ASTERISK: _l("Use the settings for a plain Asterisk"),
    Product.FREEPBX: _USE_FREEPBX,
    Product.FREEPBX_16: _USE_FREEPBX,
    Product.FREEPBX_17: _USE_FREEPBX,
    Product.ISSABEL: _l("Use the settings for Issabel"),
}

CONNECTION_RESULT = {
    ConnectionResult.HOST_UNKNOWN: _l("The address was not found."),
    ConnectionResult.NOTHING_LISTENS: _l("The machine refuses connections to this port."),
    ConnectionResult.NO_ANSWER: _l("The address does not answer."),
    ConnectionResult.NOT_ASTERISK: _l("Another program answers there, not a PBX."),
    ConnectionResult.CERTIFICATE: _l("The PBX does not have the expected certificate."),
    ConnectionResult.REFUSED: _l("The PBX refuses the user or the secret."),
    ConnectionResult.LOGIN_IN_USE: _l("The PBX lets this user log in only once, and somebody is logged in already."),
    ConnectionResult.TOO_OLD: _l("The Asterisk of this PBX is too old."),
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
    ConnectionResult.CERTIFICATE: _l(
        "Check that the port is that of TLS, usually 5039, and compare the certificate with BAZANG_AMI_CA or "
        "BAZANG_AMI_FINGERPRINT. Another machine may pretend to be the PBX, so nothing was sent to it."
    ),
    ConnectionResult.REFUSED: _l(
        "The user and the secret must be the same here and on the PBX. Type “manager reload” there "
        "after a change. A line “permit” there can also exclude this machine."
    ),
    ConnectionResult.LOGIN_IN_USE: _l(
        "Usually it is the telephone service of this panel itself, so the log-in works. To test it as well, set "
        "“allowmultiplelogin = yes” in the section [general] of manager.conf, then type “manager reload” in "
        "Asterisk's console. Otherwise give this panel a user of its own."
    ),
    ConnectionResult.TOO_OLD: _l(
        "Asterisk 13 or later is needed. Older ones do not report the states of all extensions and devices, so nobody "
        "could be called at the right moment."
    ),
    ConnectionResult.RIGHTS_MISSING: _l(
        "Add these lines to the user on the PBX, then type “manager reload” in Asterisk's console:"
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


# -- webhooks ---------------------------------------------------------------------------------------------------------

WEBHOOK_EVENT = {
    WebhookEvent.REGISTERED: _l("A request is registered"),
    WebhookEvent.STARTED: _l("An attempt begins"),
    WebhookEvent.CONNECTED: _l("Agent and customer are connected"),
    WebhookEvent.DONE: _l("A request is done"),
    WebhookEvent.FAILED: _l("The last attempt of a request has failed"),
    WebhookEvent.CANCELLED: _l("A request is cancelled"),
    WebhookEvent.EXPIRED: _l("A request expires"),
    WebhookEvent.TRUNK: _l("Calls to customers begin to fail"),
    WebhookEvent.SUMMARY: _l("Summary"),
    WebhookEvent.TEST: _l("Test"),
}
BODY_FORMAT = {
    BodyFormat.STANDARD: _l("Bazang's own JSON, without a template"),
    BodyFormat.JSON: _l("JSON by the template"),
    BodyFormat.CHAT: _l("JSON by the template, for Slack and chats like it"),
    BodyFormat.FORM: _l("Form fields by the template"),
}
MESSAGE_STATE = {
    MessageState.WAITING: _l("waits"),
    MessageState.SENT: _l("taken"),
    MessageState.FAILED: _l("given up"),
    MessageState.SKIPPED: _l("not for this number"),
}
PLACEHOLDER = {
    "what": _l("What has happened, in words"),
    "event": _l("What has happened, as programs read it"),
    "time": _l("Time of day in the office"),
    "id": _l("Number of the request"),
    "number": _l("Customer's number as it is dialled here"),
    "number_e164": _l("Customer's number with country code"),
    "name": _l("Caller's name"),
    "module": _l("Name of the module"),
    "target": _l("Extension or queue"),
    "agent": _l("Extension of the agent"),
    "attempts": _l("Attempts that count against the customer"),
    "trunk": _l("Context of the calls that fail"),
    "recipient": _l("Recipient; the customer's number as it is dialled here if the message goes to the customer"),
    "recipient_e164": _l("The same, with country code"),
    "exchange": _l("Name of the exchange, if there are several"),
    "text": _l("The text above, filled; in the template only"),
}
_WEBHOOK_RESULT = {
    "unreachable": _l("it cannot be reached, or has ended the connection"),
    "timeout": _l("it has not answered in time"),
    "tls": _l("it has no valid certificate"),
    "not_allowed": _l("its name leads to an address inside the office, which is not allowed"),
    "bad_url": _l("its address is not allowed any more"),
    "key": _l("its address or secret cannot be decrypted; enter them again"),
    "template": _l("its template cannot be filled"),
    "error": _l("an error of Bazang, which the log of the worker describes"),
    # e-mail
    "no_server": _l("no mail server is entered"),
    "mail_key": _l("the password of the mail server cannot be decrypted; enter it again"),
    "unknown_host": _l("the name of the mail server was not found"),
    "refused": _l("nothing listens at this address and port, or a firewall refuses the connection"),
    "dropped": _l("the server has ended the connection, or does not speak SMTP"),
    "certificate": _l("the certificate of the server is not trusted, or is for another name"),
    "no_starttls": _l("the server does not offer STARTTLS"),
    "no_login": _l("the server offers no log-in that Bazang knows"),
    "login": _l("the server refuses the user name or the password"),
    "sender": _l("the server refuses the address of the sender"),
    "relay": _l("the server does not take e-mail for this address from Bazang"),
    "recipient": _l("the server refuses the address of the recipient"),
    "content": _l("the server refuses the message"),
}
# What to do when the mail server cannot be used.
MAIL_ADVICE = {
    "unknown_host": _l("Check its spelling, or enter an IP address."),
    "refused": _l("Check the port: usually 587 for STARTTLS, 465 for TLS, 25 without encryption."),
    "timeout": _l(
        "Check the address, the port, the kind of encryption, and the firewall. A port for TLS is silent otherwise."
    ),
    "tls": _l("Probably the port is not for this kind of encryption: usually 587 is for STARTTLS, and 465 for TLS."),
    "certificate": _l(
        "The name must be the one in the certificate. If the office has made the certificate itself, paste it below."
    ),
    "no_starttls": _l("Ask for the right port, or choose another kind of encryption."),
    "not_allowed": _l("Allow it with the switch below if the mail server is really there."),
    "login": _l("Some providers want a password that is made for programs only."),
    "sender": _l("Mostly the address must belong to the user who logs in."),
    "relay": _l("Mostly the server wants a log-in, or knows this machine's address only for recipients of its own."),
}


def webhook_result(code: str) -> str:
    """Return what came of the last try."""
    protocol, underscore, status = code.partition("_")
    if underscore and protocol in ("http", "smtp"):
        return str(_l("it has answered %(code)s", code=status))
    return str(_WEBHOOK_RESULT.get(code, code))


_LOOKUP_RESULT = {
    "key": _l("the key cannot be sent; enter it again"),
    "answer": _l("its answer has no name in this place, or is not in this format"),
    "too_large": _l("its answer is too large"),
}


def lookup_result(code: str) -> str:
    """Return why the program that is asked for names gave none."""
    return str(_LOOKUP_RESULT.get(code) or webhook_result(code))
