"""Make the lines to paste into the configuration files of the PBX, with the settings in force."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from app.domain.dialplan_names import is_extension
from app.domain.hosts import split_hosts
from app.domain.routing import Context
from app.store.settings import PbxSettings

READ_RIGHTS = ("call", "user", "agent")
# Without `config`, with which we could reload the dialplan, and anybody with the secret rewrite the files of Asterisk.
WRITE_RIGHTS = ("originate", "call", "agent", "reporting")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ConfigSnippets:
    """The lines of each file. `general` belongs to the section [general]; "" if the PBX has it already.

    `includes` belong to the contexts in which calls start.
    """

    manager_file: str
    general: str
    user: str
    dialplan_file: str
    tryinclude: str
    includes: str


def make(pbx: PbxSettings, secret: str, dialplan: Path, *, tls: bool = False) -> ConfigSnippets:
    """Return the lines to paste. `secret`: what to show as the AMI user's secret; `dialplan`: our dialplan file."""
    freepbx = pbx.pbx_profile == "freepbx"
    contexts = [Context.MODULES] if freepbx else [Context.MODULES, Context.EXTENSIONS, Context.QUEUES]
    return ConfigSnippets(
        manager_file="manager_custom.conf" if freepbx else "manager.conf",
        general=_tls_lines(pbx) if tls else "" if freepbx else _general_section(pbx),
        user=make_user_section(pbx, secret),
        dialplan_file="extensions_custom.conf" if freepbx else "extensions.conf",
        tryinclude=f"#tryinclude {dialplan}",
        includes="\n".join(map(include, contexts)),
    )


def include(context: Context) -> str:
    """Return the line that includes one of our contexts in another."""
    return f"include => {context}"


def location(context: Context, code: str) -> str:
    """Return where calls for a code must go, as the PBX names it: context,extension,priority."""
    return f"{context},{code},1"


def goto_line(context: Context, code: str) -> str:
    """Return the line that sends the calls for one code to one of our contexts."""
    return f"exten => {code},1,Goto({location(context, code)})"


def hint_line(agent: str, devices: str) -> str:
    """Return the line that gives an agent a hint. Return "" if the agent has neither a number nor devices.

    Return "" as well if the agent's name would mean something else to Asterisk.
    """
    if not is_extension(agent) or (not devices and not agent.isdecimal()):
        return ""
    return f"exten => {agent},hint,{devices or f'PJSIP/{agent}'}"


def _general_section(pbx: PbxSettings) -> str:
    is_alone = pbx.ami_host in LOCAL_HOSTS and len(split_hosts(pbx.agi_host)) < 2
    bind = "127.0.0.1" if is_alone else "0.0.0.0"  # noqa: S104 - permit= restricts who may connect
    return f"enabled = yes\nport = {pbx.ami_port}\nbindaddr = {bind}"


def _tls_lines(pbx: PbxSettings) -> str:
    """Return the lines for TLS. The port without TLS stays closed to other machines."""
    keys = "/etc/asterisk/keys"
    return (
        f"enabled = yes\nbindaddr = 127.0.0.1\ntlsenable = yes\ntlsbindaddr = 0.0.0.0:{pbx.ami_port}\n"
        f"tlscertfile = {keys}/asterisk.pem\ntlsprivatekey = {keys}/asterisk.key"
    )


def make_user_section(pbx: PbxSettings, secret: str) -> str:
    """Return the section of our AMI user. A semicolon would start a comment, so it is escaped."""
    lines = [f"[{pbx.ami_username}]", f"secret = {secret.replace(';', chr(92) + ';')}", *_permit_lines(pbx)]
    return "\n".join([*lines, f"read = {','.join(READ_RIGHTS)}", f"write = {','.join(WRITE_RIGHTS)}"])


def _permit_lines(pbx: PbxSettings) -> list[str]:
    """Restrict the log-in to the machines of the workers; no lines if their addresses cannot be told."""
    hosts = split_hosts(pbx.agi_host)
    addresses = ("127.0.0.1",) if pbx.ami_host in LOCAL_HOSTS and len(hosts) < 2 else hosts
    if pbx.ami_host not in LOCAL_HOSTS and not set(LOCAL_HOSTS).isdisjoint(addresses):
        return []
    try:
        masks = ["255.255.255.255" if ip_address(address).version == 4 else "128" for address in addresses]
    except ValueError:
        return []
    permits = [f"permit = {address}/{mask}" for address, mask in zip(addresses, masks, strict=True)]
    return ["deny = 0.0.0.0/0.0.0.0", *permits]
