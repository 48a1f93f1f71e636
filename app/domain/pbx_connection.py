"""What came of trying to reach an exchange, in words that both the panel and the doctor understand."""

from dataclasses import dataclass
from enum import StrEnum


class ConnectionResult(StrEnum):
    """How far one got."""

    HOST_UNKNOWN = "host_unknown"  # nobody knows a machine of that name
    NOTHING_LISTENS = "nothing_listens"  # the machine is there and refuses the port
    NO_ANSWER = "no_answer"  # nothing came back in time: a firewall, or no machine at all
    NOT_ASTERISK = "not_asterisk"  # something answers there that is no Asterisk Manager Interface
    REFUSED = "refused"  # the user's name or the secret
    RIGHTS_MISSING = "rights_missing"  # connected, but `read_missing` or `write_missing` are needed
    CONNECTED = "connected"


class DialplanState(StrEnum):
    """Whether the exchange runs our dialplan."""

    CURRENT = "current"
    OUTDATED = "outdated"  # ours, of an older revision: it has to be reloaded
    NONE = "none"  # it was never taken in
    UNKNOWN = "unknown"  # it could not be asked


@dataclass(frozen=True)
class ConnectionReport:
    """What was found at an exchange. `detail` is plain English for the technician.

    `read_missing`, `write_missing`: the rights that manager.conf has to give; `unchecked`: rights of read= of which
    nothing can be told without disturbing calls. `extensions` (those with hints) and `queues` are None where they could
    not be asked.
    """

    verdict: ConnectionResult
    detail: str = ""
    version: str = ""
    read_missing: tuple[str, ...] = ()
    write_missing: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    extensions: int | None = None
    queues: int | None = None
    dialplan: DialplanState = DialplanState.UNKNOWN
    may_reload: bool = False  # else the exchange takes a new dialplan when somebody types `dialplan reload`

    @property
    def connected(self) -> bool:
        return self.verdict in (ConnectionResult.CONNECTED, ConnectionResult.RIGHTS_MISSING)
