"""The registrations that the dialplan kept in Asterisk's database while our service was down.

Reading them needs no more rights than reading the records of attempts. We may not delete them, so a call does that.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.domain.routing import Context
from app.telephony.dialer import Ami, read_record
from app.telephony.fields import integer
from app.telephony.ivr import CallerFacts, came_by, dialogue_id
from app.telephony.lookup import get_value
from app.telephony.variables import FORGET, KEPT_FAMILY

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_RECORD = re.compile(
    r"(?P<at>[0-9]{1,10})/(?P<number>\+?[0-9]{1,40})/(?P<module>[0-9]{1,9})/(?P<wanted>[0-9*#]{0,20})/"
    r"(?P<came_by>[a-z_]{0,20})/(?P<hops>[0-9]{1,2})/(?P<first>[0-9]{0,10})/(?P<joined>[0-9]{0,10})/(?P<dialogue>.+)"
)
LONGEST_ANSWER = 1000  # characters; Asterisk cuts the answer to Getvar at 1,023, perhaps within a key
_LONGEST_VARIABLE = 900  # characters: Asterisk drops messages with a line of 1,024 bytes


@dataclass(frozen=True)
class KeptCall:
    """What the dialplan kept of a call. `key` identifies it. `called_at`: epoch seconds of Asterisk's clock."""

    key: str
    called_at: float
    facts: CallerFacts


def parse_record(key: str, record: str) -> KeptCall:
    """Read a record. Raises ValueError."""
    found = _RECORD.fullmatch(record)
    if found is None:
        raise ValueError(f"no record of a call: {record[:200]!r}")
    moments = [float(found[name]) for name in ("first", "joined") if integer(found[name]) > 0]
    facts = CallerFacts(
        module_id=int(found["module"]),
        uniqueid=dialogue_id(found["dialogue"], found["hops"]),
        channel="",
        caller_number=found["number"],
        caller_name="",
        wanted=found["wanted"],
        first_called_at=min(moments, default=None),
        came_by=came_by(found["came_by"], found["hops"]),
    )
    return KeptCall(key, float(found["at"]), facts)


async def list_keys(ami: Ami) -> list[str]:
    """Return the keys of the records, the first ones if there are many. Raises AmiError."""
    answer = await get_value(ami, f"DB_KEYS({KEPT_FAMILY})")
    keys = answer.split(",")
    return [key for key in (keys[:-1] if len(answer) > LONGEST_ANSWER else keys) if _KEY.fullmatch(key)]


async def read_kept(ami: Ami, key: str) -> str:
    """Return the record of a key, "" if there is none. Raises AmiError."""
    return await read_record(ami, KEPT_FAMILY, key)


async def forget(ami: Ami, keys: Sequence[str]) -> None:
    """Let the dialplan delete these records. Raises AmiError."""
    for batch in _batches(keys):
        call = {"Channel": f"Local/s@{Context.KEPT}/n", "Application": "NoOp", "Timeout": "10000"}
        await ami.originate(call, {f"__{FORGET}": "&".join(batch)})


def _batches(keys: Collection[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    length = _LONGEST_VARIABLE
    for key in keys:
        if length + len(key) >= _LONGEST_VARIABLE:
            batches.append([])
            length = 0
        batches[-1].append(key)
        length += len(key) + 1
    return batches
