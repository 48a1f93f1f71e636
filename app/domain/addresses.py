"""To which addresses the worker may send anything: those of the internet, and those of the office if it is allowed.

An address is judged after the host name was looked up, so neither a name nor an unusual form of a number hides it.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64: the last four bytes are an IPv4 address
# The rest of NAT64, IPv4-compatible and site-local addresses. The library takes them for public ones.
_OLD = (IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"), IPv6Network("fec0::/10"))
_INSIDE: tuple[IPv4Network | IPv6Network, ...] = (
    *(IPv4Network(net) for net in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")),
    *(IPv6Network(net) for net in ("::1/128", "fc00::/7")),
)
# What machines in a cloud ask for their own secrets. 169.254.169.254 is link-local, so it is not inside anyway.
_METADATA: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("100.100.100.200/32"), IPv6Network("fd00:ec2::/32"))


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet."""
    found = _unwrapped(address)
    if isinstance(found, IPv6Address) and _leads_elsewhere(found):
        return False
    return found.is_global and not found.is_multicast


def is_inside(address: str) -> bool:
    """Tell whether an IP address is one of this machine or of a private network.

    Link-local addresses and those of a cloud's metadata are not: nobody has a receiver there.
    """
    found = _unwrapped(address)
    return any(found in net for net in _INSIDE) and not any(found in net for net in _METADATA)


def _leads_elsewhere(address: IPv6Address) -> bool:
    """Tell whether an address contains another one that we do not judge, or is of a kind that nobody uses any more."""
    return address.sixtofour is not None or address.teredo is not None or any(address in net for net in _OLD)


def _unwrapped(address: str) -> IPv4Address | IPv6Address:
    """Return an address, or the IPv4 address that it stands for."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return found.ipv4_mapped
        if found in _TRANSLATED:
            return IPv4Address(found.packed[-4:])
    return found
