"""The result of a connection test to a PBX, and which versions of Asterisk can be used."""

import re
from dataclasses import dataclass
from enum import StrEnum

from app.domain.pbx_product import Product

# Older ones do not list the states of extensions and devices, and their events do not say which call they belong to.
LEAST_ASTERISK = 13
_VERSION = re.compile(r"(?:Asterisk )?(?:certified[/-])?(?:(?:SVN-branch|GIT)-)?(\d{1,3})\b")
READ_RIGHTS = ("call", "user", "agent")  # read= in manager.conf: the events that Bazang needs


class ConnectionResult(StrEnum):
    """How far the test came."""

    HOST_UNKNOWN = "host_unknown"  # the host name cannot be resolved
    NOTHING_LISTENS = "nothing_listens"  # the host refuses connections to this port
    NO_ANSWER = "no_answer"  # no answer in time, for example because of a firewall
    NOT_ASTERISK = "not_asterisk"  # something answers, but it is not an Asterisk Manager Interface
    CERTIFICATE = "certificate"  # no TLS there, or a certificate that is not the expected one
    REFUSED = "refused"  # wrong user name or secret
    LOGIN_IN_USE = "login_in_use"  # the PBX allows one login per user, and somebody is logged in
    TOO_OLD = "too_old"  # logged in to an Asterisk before LEAST_ASTERISK
    RIGHTS_MISSING = "rights_missing"  # logged in; `read_missing` or `write_missing` name the rights
    CONNECTED = "connected"


def is_too_old(version: str) -> bool:
    """Tell whether an Asterisk with this version is too old. An unknown version is not."""
    found = _VERSION.match(version)
    return found is not None and int(found[1]) < LEAST_ASTERISK


class DialplanState(StrEnum):
    """Whether the PBX runs our dialplan."""

    CURRENT = "current"
    OUTDATED = "outdated"  # ours, but an older revision; it must be reloaded
    NONE = "none"  # not included in the PBX's dialplan
    UNKNOWN = "unknown"  # the PBX did not answer the question


class DialplanProblem(StrEnum):
    """Why the PBX does not run the dialplan of the latest settings, in the worker's state."""

    RELOAD_BY_HAND = "reload_by_hand"  # it runs an older revision and does not let us reload
    NOT_INCLUDED = "not_included"  # it has none of our contexts
    SOUNDS_MISSING = "sounds_missing"  # the sounds of new modules are being made


class CallersState(StrEnum):
    """Whether callers can be answered: the PBX calls our FastAGI server from its dialplan."""

    REACHED = "reached"
    UNREACHED = "unreached"  # nothing of ours answers at the address that the dialplan names
    UNKNOWN = "unknown"  # the PBX does not run our dialplan, or did not say


@dataclass(frozen=True)
class Asked:
    """What a connection test asks about the dialplan. `number`: a customer's number as it would be dialled.

    `everything`: list all contexts of a plain Asterisk. Those of other products are known.
    """

    contexts: tuple[str, ...] = ()
    outbound: tuple[str, ...] = ()
    number: str = ""
    everything: bool = False


@dataclass(frozen=True)
class ConnectionReport:
    """What the connection test found. `detail` is English text for technicians.

    `read_missing` and `write_missing`: rights that manager.conf must grant. `unchecked`: read rights that cannot be
    tested without disturbing calls. `extensions` (those with hints) and `queues` are counts; None if not known.

    `product` is whose dialplan the PBX runs, None if not known. `contexts` are those of `Asked.contexts` that exist,
    and `outbound` those of `Asked.outbound` in which customers can be dialled; None if not known. `all_contexts` are
    all that were found, if `Asked.everything`.
    """

    result: ConnectionResult
    detail: str = ""
    version: str = ""
    read_missing: tuple[str, ...] = ()
    write_missing: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    extensions: int | None = None
    queues: int | None = None
    dialplan: DialplanState = DialplanState.UNKNOWN
    may_reload: bool = False  # if False, somebody must type `dialplan reload` after each change
    product: Product | None = None
    contexts: tuple[str, ...] | None = None
    outbound: tuple[str, ...] | None = None
    callers: CallersState = CallersState.UNKNOWN
    all_contexts: tuple[str, ...] = ()

    @property
    def connected(self) -> bool:
        return self.result in (ConnectionResult.CONNECTED, ConnectionResult.RIGHTS_MISSING)
