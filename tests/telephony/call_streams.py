"""Recorded event streams of calls, and what the model of the calls must find in each.

`BAZANG_RECORD_STREAMS=1 script/test tests/asterisk/test_call_streams.py` records them from both versions of Asterisk.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.domain import numbers
from app.domain.numbers import NumberPlan
from app.telephony.calls import Calls, Party, Talk

FOLDER = Path(__file__).parent / "streams"
PHONES = ("101", "102", "103")
CUSTOMER, MOBILE = "+989121234567", "+989350000001"
INTERNAL = {("101", "", "102"), ("102", "", "101")}
IN, OUT = {("101", "", CUSTOMER)}, {("102", "", CUSTOMER)}

# case -> the talks (extension, queue, number) of any duration
TALKS: dict[str, set[tuple[str, str, str]]] = {
    "call in": IN,
    "prefix 9": IN,
    "caller ID after Newchannel": IN,
    "click-to-call": IN,
    "click-to-call by Local": IN,
    "click-to-call by Local that stays": IN,
    "click-to-call, customer first": IN,
    "attended transfer": IN | OUT | INTERNAL,
    "blind transfer": IN | OUT,
    "transfer by feature code": IN | OUT,
    "pickup": OUT,
    "follow-me": IN,
    "mailbox": set(),
    "announcement": set(),
    "holding bridge": set(),
    "queue": {("102", "800", CUSTOMER)},
    "queue of Local members": {("102", "801", CUSTOMER)},
    "inside": INTERNAL,
    "to the outside and back": set(),
}
_FIELDS = (
    "Event",
    "Uniqueid",
    "Channel",
    "Linkedid",
    "CallerIDNum",
    "Context",
    "Exten",
    "DestUniqueid",
    "DestChannel",
    "DestLinkedid",
    "DestCallerIDNum",
    "DestContext",
    "DestExten",
    "DialString",
    "BridgeUniqueid",
    "BridgeTechnology",
    "Queue",
    "Newname",
)
_IDS = {"Uniqueid", "DestUniqueid", "Linkedid", "DestLinkedid", "BridgeUniqueid"}
_RULES = NumberPlan(extensions=frozenset(PHONES))


def make_calls(min_talk: float = 0.0) -> Calls:
    """Return a model of an office whose extensions are PHONES."""
    return Calls(extension_of_channel, lambda number: number in PHONES, min_talk=min_talk)


def extension_of_channel(channel: str) -> str:
    device = channel.rpartition("-")[0]
    extension = device.removeprefix("PJSIP/")
    return extension if device.startswith("PJSIP/") and extension in PHONES else ""


def number_of(party: Party) -> str:
    return party.extension or numbers.first_valid(party.numbers, _RULES)


def describe(talks: Iterable[Talk]) -> set[tuple[str, str, str]]:
    return {(talk.extension, talk.queue, number_of(talk.other)) for talk in talks}


def compact(events: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the events that the model handles, with the fields that it reads. Ids get short names."""
    handled = make_calls().handled
    ids: dict[str, str] = {}
    rows = []
    for event in events:
        if event.get("Event") not in handled:
            continue
        row = {name: str(event[name]) for name in _FIELDS if event.get(name) not in (None, "")}
        for name in _IDS & row.keys():
            row[name] = ids.setdefault(row[name], str(len(ids) + 1))
        rows.append(row)
    return rows


def _file(version: int) -> Path:
    return FOLDER / f"asterisk-{version}.json"


def save(version: int, streams: Mapping[str, list[dict[str, str]]]) -> None:
    """Store the streams of a version, one event a line."""
    parts = []
    for case, events in streams.items():
        lines = ",\n".join("  " + json.dumps(event, separators=(",", ":")) for event in events)
        parts.append(f"{json.dumps(case)}: [\n{lines}\n]")
    _file(version).write_text("{\n" + ",\n".join(parts) + "\n}\n")


def load(version: int) -> dict[str, list[dict[str, str]]]:
    streams: dict[str, list[dict[str, str]]] = json.loads(_file(version).read_text())
    return streams
