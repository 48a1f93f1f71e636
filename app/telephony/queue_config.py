"""Read options of queues from queues.conf, such as the wrap-up times, since no list of Asterisk reports them."""

import re
import time
from collections.abc import Mapping

from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami
from app.telephony.fields import integer

FILE = "queues.conf"  # with all files that it includes
ASK_AGAIN = 60.0  # seconds
MOST = 3600  # seconds of a wrap-up time that can be meant
_SECTION = re.compile(r"Category-(\d{6})", re.IGNORECASE)
_LINE = re.compile(r"Line-(\d{6})-\d{6}", re.IGNORECASE)


class WrapupReader:
    """Read the file again and again. It needs the AMI right `config`, which is optional."""

    def __init__(self, ami: Ami) -> None:
        self._ami = ami
        self._read_at: float | None = None  # monotonic
        self._wrapups: dict[str, int] | None = None

    def forget(self) -> None:
        """Read the file at the next `read`: it is another PBX, or another user."""
        self._read_at = None

    async def read(self) -> dict[str, int] | None:
        """Return the wrap-up time of each queue in seconds, None if we may not read it. Raises AmiError.

        The file is read at most once in ASK_AGAIN.
        """
        now = time.monotonic()
        if self._read_at is None or now - self._read_at >= ASK_AGAIN:
            try:
                self._wrapups = parse_wrapups(await self._ami.send("GetConfig", {"Filename": FILE}))
            except AmiRefused:
                self._wrapups = None
            self._read_at = now
        return self._wrapups


def parse_wrapups(answer: Mapping[str, str]) -> dict[str, int]:
    """Return the wrap-up times in an answer to GetConfig. 0 for a queue without one."""
    return {name: min(max(integer(value), 0), MOST) for name, value in parse(answer, "wrapuptime").items()}


def parse(answer: Mapping[str, str], wanted: str) -> dict[str, str]:
    """Return an option of all queues in an answer to GetConfig. "" for a queue without it."""
    names = {found[1]: value for name, value in answer.items() if (found := _SECTION.fullmatch(name))}
    options = {name: "" for name in names.values() if name != "general"}
    for name, value in answer.items():
        found = _LINE.fullmatch(name)
        option, _, setting = value.partition("=") if found else ("", "", "")
        if found and option.strip().lower() == wanted and names.get(found[1]) in options:
            options[names[found[1]]] = setting.strip().lstrip(">").strip()
    return options
