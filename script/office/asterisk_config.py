"""The setup of a simulated office, and the configuration files of Asterisk for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TRUNK_HOST = "127.0.0.2"  # the other end of the trunk; Asterisk identifies it by this address
RTP_PORTS = (20000, 30000)

# The modules that the office needs. A module that a version does not have is left out.
MODULES = [
    "res_timing_timerfd",
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_sorcery_astdb",
    "res_pjproject",
    "res_crypto",
    "res_speech",
    "res_agi",
    "res_rtp_asterisk",
    "res_stasis",
    "res_stasis_device_state",
    "res_manager_devicestate",
    "res_musiconhold",
    "res_geolocation",
    "res_pjsip",
    "res_pjsip_session",
    "res_pjsip_pubsub",
    "res_pjsip_outbound_publish",
    "res_pjsip_acl",
    "res_pjsip_authenticator_digest",
    "res_pjsip_caller_id",
    "res_pjsip_diversion",
    "res_pjsip_dlg_options",
    "res_pjsip_dtmf_info",
    "res_pjsip_empty_info",
    "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_endpoint_identifier_user",
    "res_pjsip_exten_state",
    "res_pjsip_header_funcs",
    "res_pjsip_nat",
    "res_pjsip_outbound_authenticator_digest",
    "res_pjsip_refer",
    "res_pjsip_registrar",
    "res_pjsip_rfc3326",
    "res_pjsip_sdp_rtp",
    "res_pjsip_logger",
    "chan_pjsip",
    "bridge_simple",
    "bridge_native_rtp",
    "bridge_softmix",
    "bridge_builtin_features",
    "bridge_holding",
    "codec_ulaw",
    "codec_alaw",
    "codec_gsm",
    "codec_resample",
    "codec_a_mu",
    "format_wav",
    "format_pcm",
    "format_gsm",
    "format_sln",
    "app_bridgewait",
    "app_dial",
    "app_directed_pickup",
    "app_queue",
    "app_read",
    "app_playback",
    "app_userevent",
    "app_verbose",
    "app_stack",
    "app_exec",
    "app_db",
    "app_echo",
    "app_originate",
    "app_record",
    "app_while",
    "app_softhangup",
    "app_senddtmf",
    "app_controlplayback",
    "func_lock",
    "func_db",
    "func_devstate",
    "func_groupcount",
    "func_channel",
    "func_callerid",
    "func_strings",
    "func_logic",
    "func_hangupcause",
    "func_timeout",
    "func_global",
    "func_cut",
    "func_extstate",
    "func_sysinfo",
    "func_dialplan",
    "func_import",
    "func_math",
    "func_rand",
    "func_pjsip_endpoint",
    "func_pjsip_contact",
    "func_pjsip_aor",
    "func_env",
    "func_module",
    "pbx_config",
]


@dataclass
class QueueSetup:
    """A queue. `members` maps extensions to penalties. Times are in seconds.

    `interface` and `state_interface` are patterns for the location of a member and the device of its state. FreePBX
    uses ``Local/{number}@from-queue/n`` and ``hint:{number}@ext-local``. `extra` is added to the section unchanged.
    """

    name: str
    members: Mapping[str, int]
    strategy: str = "ringall"
    timeout: int = 10
    wrapuptime: int = 0
    joinempty: str = "yes"
    leavewhenempty: str = "no"
    ringinuse: str = "no"
    interface: str = "PJSIP/{number}"
    state_interface: str = "PJSIP/{number}"
    extra: str = ""


@dataclass
class OfficeSetup:
    """The setup of an office. Port 0 means a free port. `phones` maps extensions to their secrets.

    `extra_dialplan` is added to extensions.conf unchanged. ``[from-phones](+)`` in it adds to an existing context.
    Phones start in context ``from-phones``, customers in ``from-trunk``. Hints are in ``office-hints``. Numbers that
    match `outbound_patterns` go to the trunk in context ``outbound``. `technology` is that of phones and trunk: PJSIP,
    or SIP (chan_sip), which only Asterisk 16 has.
    """

    technology: str = "PJSIP"

    phones: dict[str, str] = field(default_factory=lambda: {"101": "secret101", "102": "secret102", "103": "secret103"})
    queues: list[QueueSetup] = field(default_factory=list)
    extra_dialplan: str = ""
    dnd: tuple[str, ...] = ()  # extensions with a Custom:DND… device in their hint
    own_hints: bool = True
    ami_rights: str = "read=call,user,agent\nwrite=originate,call,agent,reporting,config"
    ami_general: str = ""  # added to [general] of manager.conf
    include_in_callers: bool = True  # from-phones and from-trunk include our contexts
    include: Path | None = None  # the generated dialplan, for #tryinclude
    sip_port: int = 0
    ami_port: int = 0
    busy_at_one: bool = False  # device_state_busy_at=1 for every phone
    rewrite_contact: bool = False  # Asterisk uses the source address of a phone, as FreePBX does
    phone_options: str = ""  # added to the endpoint of every phone
    outbound_patterns: tuple[str, ...] = ("_0X.", "_+X.")
    trunk_codecs: str = "ulaw,alaw"
    extra_modules: tuple[str, ...] = ()
    without_modules: tuple[str, ...] = ()
    extra_files: Mapping[str, str] = field(default_factory=dict)  # further configuration files


@dataclass(frozen=True)
class AsteriskInstance:
    """Folders, ports and AMI credentials of one Asterisk."""

    folder: Path
    run_folder: Path
    modules: Path
    sip_port: int
    ami_port: int
    trunk_port: int
    ami_username: str
    ami_secret: str


def render(setup: OfficeSetup, instance: AsteriskInstance) -> dict[str, str]:
    """Return the configuration files by name."""
    phones = _pjsip_conf if setup.technology == "PJSIP" else _sip_conf
    return {
        "asterisk.conf": _asterisk_conf(instance),
        "modules.conf": _modules_conf(setup, instance),
        "logger.conf": "[general]\ndateformat=%F %T.%3q\n[logfiles]\nmessages => notice,warning,error,verbose\n",
        "manager.conf": _manager_conf(setup, instance),
        f"{setup.technology.lower()}.conf": phones(setup, instance),
        "extensions.conf": _extensions_conf(setup),
        "queues.conf": render_queues(setup.queues),
        "musiconhold.conf": f"[default]\nmode=files\ndirectory={instance.folder / 'silence'}\n",
        "rtp.conf": f"[general]\nrtpstart={RTP_PORTS[0]}\nrtpend={RTP_PORTS[1]}\nstrictrtp=no\n",
        "indications.conf": "[general]\ncountry=us\n[us]\ndescription=US\nringcadence=2000,4000\ndial=350+440\n"
        "busy=480+620/500,0/500\n"
        "ring=440+480/2000,0/4000\ncongestion=480+620/250,0/250\n",
        **setup.extra_files,
    }


def _asterisk_conf(instance: AsteriskInstance) -> str:
    folder = instance.folder
    return f"""[directories]
astetcdir => {folder}/etc
astmoddir => {instance.modules}
astvarlibdir => {folder}/data
astdbdir => {folder}/db
astkeydir => {folder}
astdatadir => {folder}/data
astagidir => {folder}/data
astspooldir => {folder}/spool
astrundir => {instance.run_folder}
astlogdir => {folder}/log
astsbindir => {folder}/run
[options]
verbose = 3
nocolor = yes
documentation_language = en_US
execincludes = yes
"""


def _modules_conf(setup: OfficeSetup, instance: AsteriskInstance) -> str:
    wanted = [name for name in (*MODULES, *setup.extra_modules) if name not in setup.without_modules]
    if setup.technology == "SIP":
        wanted = [*(name for name in wanted if "pjsip" not in name), "chan_sip"]
    available = [name for name in wanted if (instance.modules / f"{name}.so").exists()]
    return "[modules]\nautoload=no\n" + "".join(f"load = {name}.so\n" for name in available)


def _manager_conf(setup: OfficeSetup, instance: AsteriskInstance) -> str:
    return (
        f"[general]\nenabled=yes\nport={instance.ami_port}\nbindaddr=127.0.0.1\n{setup.ami_general}\n"
        f"[{instance.ami_username}]\nsecret={instance.ami_secret}\n{setup.ami_rights}\n"
        "[harness]\nsecret=harness\nread=system\n"
    )


def _pjsip_conf(setup: OfficeSetup, instance: AsteriskInstance) -> str:
    text = [
        "[global]\ntype=global\nendpoint_identifier_order=ip,username\n",
        f"[transport]\ntype=transport\nprotocol=udp\nbind=127.0.0.1:{instance.sip_port}\n",
        f"[trunk]\ntype=endpoint\ncontext=from-trunk\ndisallow=all\nallow={setup.trunk_codecs}\naors=trunk\n"
        "direct_media=no\ntrust_id_inbound=yes\n"
        f"[trunk]\ntype=aor\ncontact=sip:trunk@{TRUNK_HOST}:{instance.trunk_port}\n"
        f"[trunk]\ntype=identify\nendpoint=trunk\nmatch={TRUNK_HOST}\n",
    ]
    more = "device_state_busy_at=1\n" if setup.busy_at_one else ""
    more += "rewrite_contact=yes\n" if setup.rewrite_contact else ""
    more += f"{setup.phone_options}\n" if setup.phone_options else ""
    for number, secret in setup.phones.items():
        text.append(
            f"[{number}]\ntype=endpoint\ncontext=from-phones\ndisallow=all\nallow=ulaw,alaw\naors={number}\n"
            f"auth={number}\ncallerid=Phone {number} <{number}>\ndirect_media=no\n{more}"
            f"[{number}]\ntype=auth\nauth_type=userpass\nusername={number}\npassword={secret}\n"
            f"[{number}]\ntype=aor\nmax_contacts=2\nremove_existing=yes\n"
        )
    return "".join(text)


def _sip_conf(setup: OfficeSetup, instance: AsteriskInstance) -> str:
    common = "disallow=all\nallow=ulaw,alaw\ndirectmedia=no\ndtmfmode=rfc2833\n"
    text = [
        f"[general]\nudpbindaddr=127.0.0.1:{instance.sip_port}\nallowguest=no\ncallcounter=yes\nsrvlookup=no\n",
        f"[trunk]\ntype=peer\nhost={TRUNK_HOST}\nport={instance.trunk_port}\ninsecure=port,invite\n"
        f"context=from-trunk\n{common}",
    ]
    for number, secret in setup.phones.items():
        text.append(
            f"[{number}]\ntype=friend\nhost=dynamic\nsecret={secret}\ncontext=from-phones\n"
            f"callerid=Phone {number} <{number}>\n{common}{setup.phone_options}\n"
        )
    return "".join(text)


def _extensions_conf(setup: OfficeSetup) -> str:
    lines = ["[general]\nstatic=yes\nwriteprotect=yes\nautofallthrough=yes\n[office-hints]\n"]
    for number in setup.phones if setup.own_hints else ():
        custom = f"&Custom:DND{number}" if number in setup.dnd else ""
        lines.append(f"exten => {number},hint,PJSIP/{number}{custom}\n")
    ours = ("bazang-modules", "bazang-extensions", "bazang-queues") if setup.include_in_callers else ()
    includes = "".join(f"include => {context}\n" for context in ours)
    lines.append(
        f"[from-phones]\n{includes}include => outbound\ninclude => office-hints\n[from-trunk]\n{includes}[outbound]\n"
    )
    for pattern in setup.outbound_patterns:
        lines.append(f"exten => {pattern},1,Dial(PJSIP/${{EXTEN}}@trunk,60)\n same => n,Hangup(${{HANGUPCAUSE}})\n")
    # Asterisk warns about a missing included context at every load. These are empty before the worker writes its own.
    lines.append("".join(f"[bazang-{name}]\n" for name in ("modules", "extensions", "queues")))
    lines.append(setup.extra_dialplan + "\n")
    if setup.include is not None:
        lines.append(f"#tryinclude {setup.include}\n")
    return "".join(lines)


def render_queues(queues: Iterable[QueueSetup]) -> str:
    """Return the content of queues.conf."""
    text = "[general]\npersistentmembers=no\nshared_lastcall=no\n"
    for queue in queues:
        text += (
            f"[{queue.name}]\nstrategy={queue.strategy}\ntimeout={queue.timeout}\nretry=1\n"
            f"wrapuptime={queue.wrapuptime}\njoinempty={queue.joinempty}\nleavewhenempty={queue.leavewhenempty}\n"
            f"ringinuse={queue.ringinuse}\n{queue.extra}\n"
        )
        for number, penalty in queue.members.items():
            interface = queue.interface.format(number=number)
            state = queue.state_interface.format(number=number)
            text += f"member => {interface},{penalty},Agent {number},{state}\n"
    return text
