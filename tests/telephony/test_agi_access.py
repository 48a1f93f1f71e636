"""Which connections and paths belong to our Asterisk."""

from ipaddress import ip_address

import pytest

from app.telephony.agi_access import AgiAccess, Upgrade, to_networks

PBX = "192.0.2.7"
OWN = "192.0.2.8"
STRANGER = "192.0.2.9"


def access(upgrade: Upgrade = Upgrade.DONE, networks: str = "") -> tuple[AgiAccess, list[Upgrade]]:
    seen: list[Upgrade] = []
    given = AgiAccess(
        "secret",
        addresses=[ip_address(PBX)],
        networks=to_networks(networks),
        upgrade=upgrade,
        on_upgrade=seen.append,
    )
    return given, seen


@pytest.mark.parametrize(
    ("peer", "networks", "known"),
    [
        (PBX, "", True),
        (f"::ffff:{PBX}", "", True),
        (OWN, "", True),
        ("127.0.0.1", "", True),
        ("127.0.0.9", "", True),
        ("::1", "", True),
        (STRANGER, "", False),
        ("fe80::1%eth0", "", False),
        ("", "", False),
        ("nonsense", "", False),
        (STRANGER, "192.0.2.9, 2001:db8::/32", True),
        ("2001:db8::7", "192.0.2.9,2001:db8::/32", True),
        ("198.51.100.1", "192.0.2.0/24", False),
    ],
)
def test_addresses(peer: str, networks: str, known: bool) -> None:
    given, _ = access(networks=networks)
    assert given.is_known(peer, OWN) is known
    assert given.accepts(peer, OWN) is known


def test_upgrade_ends_with_the_first_call_from_the_pbx() -> None:
    given, seen = access(Upgrade.OLD_DIALPLAN)
    assert given.accepts(STRANGER, OWN)
    assert given.open("module/7", known=True) == "module/7"
    given.dialplan_runs()
    assert given.open("module/7", known=True) is None
    assert given.open("secret/module/7", known=False) == "module/7"
    assert given.accepts(STRANGER, OWN), "perhaps the PBX has another address behind a router"
    assert given.open("secret/module/7", known=True) == "module/7"
    assert not given.accepts(STRANGER, OWN)
    given.dialplan_runs()
    assert seen == [Upgrade.ANY_ADDRESS, Upgrade.DONE]


def test_given_networks_apply_during_an_upgrade() -> None:
    given, _ = access(Upgrade.OLD_DIALPLAN, networks="198.51.100.0/24")
    assert not given.accepts(STRANGER, OWN)
    assert given.accepts("198.51.100.4", OWN)
