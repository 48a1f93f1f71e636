"""A simulated office with the dialplan of FreePBX or Issabel: extensions, queues, ring groups, follow-me, routes.

`freepbx.conf.jinja` has the dialplan, told in our own lines. Two products differ in it: FreePBX 17 has only Gosub and
PJSIP; Issabel, like FreePBX 16, has Macro, and its phones and trunks use chan_sip.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from script.office.asterisk_config import OfficeSetup, QueueSetup, render_queues

AGI_PORT = 4573  # where FreePBX's own FastAGI service listens
PIN = "1234"
RING = 3  # seconds that an extension rings; 15 in a real office


# Some of the global variables that the generators write, and by which the products differ: FreePBX since version 13,
# and IssabelPBX 2.12.
FREEPBX_GLOBALS = {"ASTMANAGERHOST": "localhost", "AMPBIN": "/var/lib/asterisk/bin"}
ISSABEL_GLOBALS = {"ASTDATADIR": "/usr/share/asterisk"}


class Product(StrEnum):
    """Whose dialplan it is."""

    FREEPBX = "freepbx"  # 17
    ISSABEL = "issabel"  # as FreePBX 16


@dataclass(frozen=True)
class Extension:
    """An extension. `others` are the devices that ring beside its own phone, such as "99101".

    The three destinations are locations ("context,extension,priority"), "" for none. `outbound_cid`: the caller ID of
    its calls to outside. `force_recording`, `pinless`: these calls are recorded, and need no password.
    """

    number: str
    no_answer: str = ""
    busy: str = ""
    unavailable: str = ""
    others: tuple[str, ...] = ()
    name: str = ""
    call_waiting: bool = False
    outbound_cid: str = ""
    force_recording: bool = False
    pinless: bool = False

    @property
    def optional_destinations(self) -> dict[str, str]:
        """Return the destinations that are set, by DIALSTATUS."""
        given = {"NOANSWER": self.no_answer, "BUSY": self.busy, "CHANUNAVAIL": self.unavailable}
        return {status: destination for status, destination in given.items() if destination}

    def dial(self, technology: str) -> str:
        """Return the dial string of all devices."""
        return "&".join(f"{technology}/{device}" for device in (self.number, *self.others))

    def hint(self, technology: str) -> str:
        presence = f",CustomPresence:{self.number}" if technology == "PJSIP" else ""
        return f"{self.dial(technology)}&Custom:DND{self.number}{presence}"

    def entries(self) -> dict[str, str]:
        """Return what FreePBX stores of the extension in Asterisk's database, by family/key."""
        user = f"AMPUSER/{self.number}"
        stored = {f"DEVICE/{device}/user": self.number for device in (self.number, *self.others)}
        stored |= {f"{user}/cidname": self.name, f"{user}/outboundcid": self.outbound_cid}
        stored |= {f"{user}/recording/out/external": "force" if self.force_recording else ""}
        stored |= {f"{user}/pinless": "NOPASSWD" if self.pinless else ""}
        stored |= {f"CW/{self.number}": "ENABLED" if self.call_waiting else ""}
        return {key: value for key, value in stored.items() if value}


@dataclass(frozen=True)
class Queue:
    """A queue with its members, and where callers go who have waited `max_wait` seconds. `wrapup` is in seconds.

    `break_out`: the entries of the IVR that is its break-out menu, locations by digit.
    """

    number: str
    members: tuple[str, ...]
    fail_over: str = ""
    max_wait: int = 5
    wrapup: int = 0
    break_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def ivr(self) -> str:
        """The context of the IVR, "" if there is none."""
        return f"ivr-{self.number}" if self.break_out else ""


@dataclass(frozen=True)
class RingGroup:
    """`method` is ringall (all at once) or hunt (one after the other). `seconds`: how long each turn rings."""

    number: str
    members: tuple[str, ...]
    destination: str
    method: str = "ringall"
    seconds: int = 2

    @property
    def turns(self) -> Sequence[Sequence[str]]:
        """Return the members that ring together, turn by turn."""
        return [self.members] if self.method == "ringall" else [(member,) for member in self.members]


@dataclass(frozen=True)
class FollowMe:
    """The numbers that ring for an extension; those of other offices and mobiles begin with 0."""

    number: str
    members: tuple[str, ...]
    seconds: int = 2


@dataclass(frozen=True)
class Trunk:
    """A way outside. `prefix` is dialled before the number. `forced_caller_id` wins over all others."""

    caller_id: str = ""
    forced_caller_id: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Freepbx:
    """The office as its administrator has set it up. `dids` maps numbers from outside to locations.

    `global_variables`: other ones than those of the product, such as those of FreePBX for the Macro variant, which is
    FreePBX 16 then.
    """

    product: Product
    extensions: Sequence[Extension]
    queues: Sequence[Queue] = ()
    ring_groups: Sequence[RingGroup] = ()
    follow_mes: Sequence[FollowMe] = ()
    dids: Mapping[str, str] = field(default_factory=dict)
    trunks: Sequence[Trunk] = (Trunk(), Trunk(prefix="2"))
    ring: int = RING
    misc_destinations: Mapping[str, str] = field(default_factory=dict)  # what each dials
    global_variables: Mapping[str, str] | None = None

    @property
    def technology(self) -> str:
        return "PJSIP" if self.product is Product.FREEPBX else "SIP"

    def dialplan(self) -> str:
        """Return the dialplan of all contexts."""
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            undefined=StrictUndefined,
            trim_blocks=True,
            autoescape=False,  # noqa: S701 - no HTML
        )
        environment.filters |= {"go": _go, "dial": partial(_dial, self)}
        return environment.get_template("freepbx.conf.jinja").render(
            global_variables=self._global_variables(),
            variant="gosub" if self.product is Product.FREEPBX else "macro",
            technology=self.technology,
            extensions=self.extensions,
            queues=self.queues,
            ring_groups=self.ring_groups,
            follow_mes=self.follow_mes,
            dids=self.dids,
            trunks=self.trunks,
            ring=self.ring,
            pin=PIN,
            misc_destinations=self.misc_destinations,
        )

    def _global_variables(self) -> Mapping[str, str]:
        own = FREEPBX_GLOBALS if self.product is Product.FREEPBX else ISSABEL_GLOBALS
        return own if self.global_variables is None else self.global_variables

    def setup(self) -> OfficeSetup:
        """Return the setup of an Asterisk with this dialplan."""
        numbers = [device for extension in self.extensions for device in (extension.number, *extension.others)]
        queues = [
            QueueSetup(
                queue.number,
                dict.fromkeys(queue.members, 0),
                wrapuptime=queue.wrapup,
                interface="Local/{number}@from-queue/n",
                state_interface="hint:{number}@ext-local",
                extra=f"context={queue.ivr}",
            )
            for queue in self.queues
        ]
        return OfficeSetup(
            phones={number: f"secret{number}" for number in numbers},
            technology=self.technology,
            own_hints=False,
            outbound_patterns=(),
            include_in_callers=False,
            extra_dialplan=self.dialplan(),
            extra_modules=("app_mixmonitor", *(() if self.product is Product.FREEPBX else ("app_macro",))),
            extra_files={
                # FreePBX writes its queues into a file of its own, which the usual one includes.
                "queues.conf": "#include queues_additional.conf\n",
                "queues_additional.conf": render_queues(queues),
                "cli.conf": "[startup_commands]\n" + "".join(map(_put, self.entries().items())),
            },
        )

    def entries(self) -> dict[str, str]:
        """Return what FreePBX stores in Asterisk's database, by family/key."""
        return {key: value for extension in self.extensions for key, value in extension.entries().items()}


def _go(location: str) -> str:
    return f"Goto({location})" if location else "Hangup()"


def _dial(office: Freepbx, members: Sequence[str]) -> str:
    """Return the dial string of numbers: an extension by its devices, another number as a phone would dial it."""
    devices = {extension.number: extension.dial(office.technology) for extension in office.extensions}
    return "&".join(devices.get(number, f"Local/{number}@from-internal/n") for number in members)


def _put(entry: tuple[str, str]) -> str:
    key, value = entry
    family, _, rest = key.partition("/")
    return f"database put {family} {rest} {value}=yes\n"


class OtherFastAgi:
    """FreePBX's own FastAGI service: it takes every connection and knows none of our scripts."""

    def __init__(self) -> None:
        self.scripts: list[str] = []
        self._server: asyncio.Server | None = None

    async def start(self, port: int = AGI_PORT, host: str = "127.0.0.1") -> int:
        """Start listening and return the port. Port 0: any free one. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := (await reader.readline()).decode(errors="replace").strip()) != "":
            name, _, value = line.partition(": ")
            if name == "agi_request":
                self.scripts.append(value)
        writer.close()
