"""The result of a connection test to a PBX."""

from dataclasses import dataclass
from enum import StrEnum

READ_RIGHTS = ("call", "user", "agent")  # read= in manager.conf: the events that Bazang needs


class ConnectionResult(StrEnum):
    """How far the test came."""

    HOST_UNKNOWN = "host_unknown"  # the host name cannot be resolved
    NOTHING_LISTENS = "nothing_listens"  # the host refuses connections to this port
    NO_ANSWER = "no_answer"  # no answer in time, for example because of a firewall
    NOT_ASTERISK = "not_asterisk"  # something answers, but it is not an Asterisk Manager Interface
    REFUSED = "refused"  # wrong user name or secret
    RIGHTS_MISSING = "rights_missing"  # logged in; `read_missing` or `write_missing` name the rights
    CONNECTED = "connected"


class DialplanState(StrEnum):
    """Whether the PBX runs our dialplan."""

    CURRENT = "current"
    OUTDATED = "outdated"  # ours, but an older revision; it must be reloaded
    NONE = "none"  # not included in the PBX's dialplan
    UNKNOWN = "unknown"  # the PBX did not answer the question


@dataclass(frozen=True)
class ConnectionReport:
    """What the connection test found. `detail` is English text for technicians.

    `read_missing` and `write_missing`: rights that manager.conf must grant. `unchecked`: read rights that cannot be
    tested without disturbing calls. `extensions` (those with hints) and `queues` are counts; None if not known.
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

    @property
    def connected(self) -> bool:
        return self.result in (ConnectionResult.CONNECTED, ConnectionResult.RIGHTS_MISSING)
