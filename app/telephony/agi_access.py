"""Which connections and which calls the FastAGI server accepts.

Anybody who reaches the port can speak FastAGI. A call is only Asterisk's if its path begins with the secret, which the
dialplan has. The addresses keep others from trying.
"""

import hmac
import logging
import time
from collections.abc import Callable, Collection
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

log = logging.getLogger(__name__)
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
LOG_SECONDS = 60.0  # one line of a kind in this time


class Upgrade(StrEnum):
    """How far an installation is that ran without a secret before. The values are stored."""

    OLD_DIALPLAN = "old_dialplan"  # Asterisk may still run the dialplan without the secret
    ANY_ADDRESS = "any_address"  # the secret is needed, but no call has come from a known address yet
    DONE = ""


class AgiAccess:
    """Accept calls with the secret, from `addresses`, `networks` and this machine.

    `upgrade` lets an older installation work until Asterisk runs the dialplan with the secret, and until the first call
    comes from a known address. `on_upgrade` is called with each new value. Who gives networks knows the addresses.
    """

    def __init__(
        self,
        secret: str,
        *,
        addresses: Collection[Address] = (),
        networks: Collection[Network] = (),
        upgrade: Upgrade = Upgrade.DONE,
        on_upgrade: Callable[[Upgrade], None] = lambda upgrade: None,
    ) -> None:
        self._secret = secret.encode()
        self.addresses, self.networks = frozenset(addresses), tuple(networks)
        self.upgrade = upgrade
        self._on_upgrade = on_upgrade

    def is_known(self, peer: str, own: str) -> bool:
        """Tell whether Asterisk may have this address. `own` is the address of our end of the connection."""
        try:
            address = to_address(peer)
        except ValueError:
            return False
        if address.is_loopback or peer == own or address in self.addresses:
            return True
        return any(address in network for network in self.networks)

    def accepts(self, peer: str, own: str) -> bool:
        """Tell whether to read from a new connection."""
        return (self.upgrade is not Upgrade.DONE and not self.networks) or self.is_known(peer, own)

    def open(self, script: str, *, known: bool) -> str | None:
        """Return the path behind the secret, None if the secret is missing or wrong."""
        secret, slash, path = script.partition("/")
        if slash and hmac.compare_digest(secret.encode(), self._secret):
            if known and self.upgrade is not Upgrade.DONE:
                self._set_upgrade(Upgrade.DONE)
            return path
        return script if self.upgrade is Upgrade.OLD_DIALPLAN else None

    def dialplan_runs(self) -> None:
        """Note that Asterisk runs the dialplan with the secret."""
        if self.upgrade is Upgrade.OLD_DIALPLAN:
            self._set_upgrade(Upgrade.ANY_ADDRESS)

    def _set_upgrade(self, upgrade: Upgrade) -> None:
        self.upgrade = upgrade
        self._on_upgrade(upgrade)


@lru_cache(maxsize=64)  # several times for each call
def to_address(text: str) -> Address:
    """Return an address; an IPv4 address that came through an IPv6 socket as IPv4. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def to_networks(text: str) -> tuple[Network, ...]:
    """Return the addresses and networks of a text with commas. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class LimitedLog:
    """Log at most one line of a kind in LOG_SECONDS. The next line says how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def write(self, level: int, message: str, *values: object) -> None:
        """Log a line. Its kind is the message without its values."""
        now = self._clock()
        last = self._logged.get(message)
        if last is not None and now < last + LOG_SECONDS:
            self._left_out[message] = self._left_out.get(message, 0) + 1
            return
        self._logged[message] = now
        left_out = self._left_out.pop(message, 0)
        if left_out:
            log.log(level, message + " (%d more before this)", *values, left_out)
        else:
            log.log(level, message, *values)
