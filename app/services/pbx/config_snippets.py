"""What has to be pasted into the files of the exchange, with the values in force."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from app.store.settings import PbxSettings

READ = ("call", "user", "agent")
WRITE = ("originate", "call", "agent", "reporting", "config")  # the last lets us reload the dialplan
LOCAL = ("127.0.0.1", "localhost", "::1")
OUR_CONTEXTS = ("bazang-modules", "bazang-extensions", "bazang-queues")


@dataclass(frozen=True)
class ConfigSnippets:
    """Texts by file. `general` belongs into the section of that name; "" where the exchange has it by itself.

    `includes` belong into the contexts from which callers come.
    """

    manager_file: str
    general: str
    user: str
    dialplan_file: str
    take_in: str
    includes: str


def make(exchange: PbxSettings, secret: str, dialplan: Path) -> ConfigSnippets:
    """Return the excerpts. `secret`: what is to be seen in the place of the secret."""
    freepbx = exchange.pbx_profile == "freepbx"
    contexts = OUR_CONTEXTS[:1] if freepbx else OUR_CONTEXTS
    return ConfigSnippets(
        manager_file="manager_custom.conf" if freepbx else "manager.conf",
        general="" if freepbx else _general(exchange),
        user=user(exchange, secret),
        dialplan_file="extensions_custom.conf" if freepbx else "extensions.conf",
        take_in=f"#tryinclude {dialplan}",
        includes="\n".join(f"include => {context}" for context in contexts),
    )


def _general(exchange: PbxSettings) -> str:
    bind = "127.0.0.1" if exchange.ami_host in LOCAL else "0.0.0.0"  # noqa: S104 - permit= below names who may come
    return f"enabled = yes\nport = {exchange.ami_port}\nbindaddr = {bind}"


def user(exchange: PbxSettings, secret: str) -> str:
    """Return the section of our user in manager.conf; a semicolon would begin a comment there."""
    lines = [f"[{exchange.ami_username}]", f"secret = {secret.replace(';', chr(92) + ';')}", *_who_may_come(exchange)]
    return "\n".join([*lines, f"read = {','.join(READ)}", f"write = {','.join(WRITE)}"])


def _who_may_come(exchange: PbxSettings) -> list[str]:
    """Let nobody but this machine log in by our secret, as far as its address is known."""
    if exchange.ami_host in LOCAL:
        address = "127.0.0.1"
    else:
        address = exchange.agi_host
        if address in LOCAL:
            return []
    try:
        mask = "255.255.255.255" if ip_address(address).version == 4 else "128"
    except ValueError:
        return []
    return ["deny = 0.0.0.0/0.0.0.0", f"permit = {address}/{mask}"]
