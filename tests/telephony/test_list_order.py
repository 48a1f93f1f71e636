"""Lists and events that come at the same time: what came last on the wire is what holds."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoramisk.message import Message

from app.telephony.ami import AmiClient, AmiTimes, _Pending, _Protocol
from app.telephony.snapshot import Snapshot
from script.office.patience import PATIENCE
from tests.support.fake_ami import Action, Connection, Received, fake_ami
from tests.telephony.call_streams import make_calls

T0 = datetime(2026, 11, 3, 8, 0, 0, tzinfo=UTC)
NAMES, QUEUES = ("101", "102", "103"), ("sales", "support")
HINT_STATUS = {"NOT_INUSE": "0", "INUSE": "1", "UNAVAILABLE": "4"}
DONE = {"EventList": "Complete"}


class Pbx:
    """What is true, and the messages by which Asterisk reports it."""

    def __init__(self) -> None:
        self.devices = dict.fromkeys(NAMES, "NOT_INUSE")
        self.hints = dict.fromkeys(NAMES, "NOT_INUSE")
        self.members: dict[str, dict[str, bool]] = {queue: dict.fromkeys(NAMES, False) for queue in QUEUES}
        self.callers = dict.fromkeys(QUEUES, 0)
        self.channels: dict[str, str] = {}  # the bridge of each, "" if none
        self._count = 0

    # -- changes, each with its event -----------------------------------------------------------------------------

    def set_device(self, name: str, state: str) -> dict[str, str]:
        self.devices[name] = state
        return self.device(name)

    def set_hint(self, name: str, state: str) -> dict[str, str]:
        self.hints[name] = state
        return self.hint(name)

    def set_member(self, queue: str, name: str, change: str) -> dict[str, str]:
        members = self.members[queue]
        if change == "removed":
            members.pop(name, None)
            return {"Event": "QueueMemberRemoved", "Queue": queue, "Interface": f"PJSIP/{name}"}
        event = "QueueMemberPause" if name in members else "QueueMemberAdded"
        members[name] = change == "paused"
        return {"Event": event, "Queue": queue, "Interface": f"PJSIP/{name}", "Paused": str(int(members[name]))}

    def set_callers(self, queue: str, count: int) -> dict[str, str]:
        event = "QueueCallerJoin" if count > self.callers[queue] else "QueueCallerLeave"
        self.callers[queue] = count
        return {"Event": event, "Queue": queue, "Count": str(count)}

    def set_channel(self, number: int, change: str) -> dict[str, str]:
        if number >= len(self.channels):
            self._count += 1
            uid = f"PJSIP/{NAMES[self._count % len(NAMES)]}-{self._count}"
            self.channels[uid] = ""
            return {"Event": "Newchannel", **self._channel(uid)}
        uid = list(self.channels)[number]
        if change == "hangup":
            bridge = self.channels.pop(uid)
            return {"Event": "Hangup", **self._channel(uid, bridge)}
        bridge = self.channels[uid]
        self.channels[uid] = "" if bridge else change
        event = {"Event": "BridgeLeave" if bridge else "BridgeEnter", "BridgeUniqueid": bridge or change}
        return event | self._channel(uid)

    # -- rows -----------------------------------------------------------------------------------------------------

    def device(self, name: str) -> dict[str, str]:
        return {"Event": "DeviceStateChange", "Device": f"PJSIP/{name}", "State": self.devices[name]}

    def hint(self, name: str) -> dict[str, str]:
        status = HINT_STATUS[self.hints[name]]
        return {"Event": "ExtensionStatus", "Exten": name, "Context": "c", "Hint": f"PJSIP/{name}", "Status": status}

    @staticmethod
    def _channel(uid: str, bridge: str = "") -> dict[str, str]:
        return {"Uniqueid": uid, "Channel": uid, "ChannelState": "6", "BridgeId": bridge}

    def rows(self, action: str) -> Iterator[dict[str, str]]:
        """Yield the rows of a list. Each says what is true when it is asked for."""
        match action:
            case "DeviceStateList":
                yield from map(self.device, NAMES)
            case "ExtensionStateList":
                yield from map(self.hint, NAMES)
            case "QueueStatus":
                for queue in QUEUES:
                    yield {"Event": "QueueParams", "Queue": queue, "Calls": str(self.callers[queue])}
                    for name in [*self.members[queue]]:
                        if name in self.members[queue]:
                            paused = str(int(self.members[queue][name]))
                            yield {
                                "Event": "QueueMember",
                                "Queue": queue,
                                "Location": f"PJSIP/{name}",
                                "Paused": paused,
                            }
            case _:
                for uid in [*self.channels]:
                    if uid in self.channels:
                        yield {"Event": "CoreShowChannel", **self._channel(uid, self.channels[uid])}


class Office:
    """A snapshot and a model of the calls, behind the protocol that reads the wire."""

    def __init__(self, chunk: int) -> None:
        self.pbx, self.snapshot, self.calls = Pbx(), Snapshot(), make_calls()
        self.chunk, self.count = chunk, 0
        self.listed: set[str] = set()
        self.running: tuple[str, Iterator[dict[str, str]]] | None = None
        self.protocol = _Protocol(self._on_event)
        self.protocol.connection_made(asyncio.Transport())
        self.protocol.data_received(b"Asterisk Call Manager/9.0.0\r\n")

    def _on_event(self, event: Message) -> None:
        self.snapshot.handle(event, T0)
        self.calls.handle(event, 0.0)

    def send(self, message: Mapping[str, str]) -> None:
        block = "".join(f"{key}: {value}\r\n" for key, value in message.items()).encode() + b"\r\n"
        for start in range(0, len(block), self.chunk):
            self.protocol.data_received(block[start : start + self.chunk])

    def start(self, action: str) -> None:
        self.finish()
        self.count += 1
        pending = _Pending(many=True, apply=lambda rows: self._apply(action, rows))
        self.protocol.pending[str(self.count)] = pending
        self.running = action, self.pbx.rows(action)
        self.listed.add(action)

    def _apply(self, action: str, rows: Sequence[Message]) -> None:
        match action:
            case "DeviceStateList":
                self.snapshot.poll_devices(rows)
            case "ExtensionStateList":
                self.snapshot.poll_extensions(rows, T0)
            case "QueueStatus":
                self.snapshot.poll_queues(rows, T0)
            case _:
                self.snapshot.poll_channels(rows, T0)
                self.calls.fill(rows, [], 0.0)

    def next_row(self) -> bool:
        row = next(self.running[1], None) if self.running is not None else None
        if row is not None:
            self.send(row | {"ActionID": str(self.count)})
        return row is not None

    def finish(self) -> None:
        while self.next_row():
            pass
        if self.running is not None:
            self.running = None
            self.send({"Event": "ListComplete", "ActionID": str(self.count), **DONE})
            self.protocol.pending.clear()

    def check(self) -> None:
        """Check each table whose list is complete."""
        pbx, snapshot = self.pbx, self.snapshot
        known = self.listed - ({self.running[0]} if self.running is not None else set())
        if "DeviceStateList" in known:
            assert snapshot.device_states == {f"PJSIP/{name}": state for name, state in pbx.devices.items()}
        if "ExtensionStateList" in known:
            statuses = {exten: str(hint.status) for (_, exten), hint in snapshot.hints.items()}
            assert statuses == {name: HINT_STATUS[state] for name, state in pbx.hints.items()}
        if "QueueStatus" in known:
            queues = snapshot.queues
            assert {name: queue.live_callers for name, queue in queues.items()} == pbx.callers
            assert pbx.members == {
                name: {interface[6:]: member.paused for interface, member in queue.members.items()}
                for name, queue in queues.items()
            }
        if "CoreShowChannels" in known:
            devices = {uid: channel.device for uid, channel in snapshot._channels.items()}
            assert devices == {uid: uid.rpartition("-")[0] for uid in pbx.channels}
            by_device = {uid: device for device, uids in snapshot._channels_of.items() for uid in uids}
            assert by_device == devices
            assert {uid: channel.bridge for uid, channel in self.calls._channels.items()} == pbx.channels


LISTS = ("DeviceStateList", "ExtensionStateList", "QueueStatus", "CoreShowChannels")
states = st.sampled_from(sorted(HINT_STATUS))
names, queues = st.sampled_from(NAMES), st.sampled_from(QUEUES)
changes: st.SearchStrategy[Callable[[Pbx], dict[str, str]]] = st.one_of(
    st.builds(lambda *args: lambda pbx: pbx.set_device(*args), names, states),
    st.builds(lambda *args: lambda pbx: pbx.set_hint(*args), names, states),
    st.builds(
        lambda *args: lambda pbx: pbx.set_member(*args), queues, names, st.sampled_from(["paused", "free", "removed"])
    ),
    st.builds(lambda *args: lambda pbx: pbx.set_callers(*args), queues, st.integers(0, 3)),
    st.builds(
        lambda *args: lambda pbx: pbx.set_channel(*args), st.integers(0, 3), st.sampled_from(["hangup", "b1", "b2"])
    ),
)
steps = st.one_of(
    st.tuples(st.just("event"), changes),
    st.tuples(st.just("event"), changes),
    st.tuples(st.just("list"), st.sampled_from(LISTS)),
    st.tuples(st.just("row"), st.none()),
    st.tuples(st.just("row"), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(changes, max_size=5), st.lists(steps, min_size=5, max_size=60), st.sampled_from([1, 7, 4096]))
def test_rows_and_events_hold_in_the_order_of_the_wire(
    lost: list[Callable[[Pbx], dict[str, str]]], moves: list[tuple[str, Any]], chunk: int
) -> None:
    """After a list, and after each event that follows it, the tables say what is true."""

    async def play() -> None:
        office = Office(chunk)
        for change in lost:
            change(office.pbx)
        for kind, argument in moves:
            match kind:
                case "event":
                    office.send(argument(office.pbx))
                case "list":
                    office.start(argument)
                case "row":
                    office.next_row()
            office.check()
        office.finish()
        office.check()

    asyncio.run(play())


# -- the same over a socket ---------------------------------------------------------------------------------------


def segment(*messages: Mapping[str, str]) -> bytes:
    return b"".join("".join(f"{k}: {v}\r\n" for k, v in m.items()).encode() + b"\r\n" for m in messages)


@pytest.mark.parametrize("where", ["before the rows", "between the rows", "behind the list"])
async def test_pause_that_comes_with_the_list_is_not_lost(where: str) -> None:
    """QueueMemberPause comes right behind QueueStatusComplete, or within the list, in one segment of TCP."""
    member = {"Event": "QueueMember", "Queue": "800", "Location": "PJSIP/101"}
    event = {"Event": "QueueMemberPause", "Queue": "800", "Interface": "PJSIP/101", "Paused": "1"}

    async def answer(connection: Connection, action: Action) -> None:
        own = {"ActionID": action.id}
        paused = str(int(where == "before the rows"))
        messages = [
            {"Response": "Success", "EventList": "start", **own},
            {"Event": "QueueParams", "Queue": "800", "Calls": "0", **own},
            member | {"Paused": paused, **own},
            {"Event": "QueueMember", "Queue": "800", "Location": "PJSIP/102", "Paused": "0", **own},
            {"Event": "QueueStatusComplete", **own, **DONE},
        ]
        messages.insert({"before the rows": 1, "between the rows": 3, "behind the list": 5}[where], event)
        await connection.write(segment(*messages))

    snapshot, received = Snapshot(), Received[Message]()

    def handle(message: Message) -> None:
        snapshot.handle(message, T0)
        received.append(message)

    async with fake_ami() as fake:
        fake.answers["QueueStatus"] = answer
        client = AmiClient(fake.host, fake.port, "bazang", "secret", on_event=handle, times=AmiTimes(booted=0.05))
        await client.start()
        await client.wait_connected(PATIENCE)
        snapshot.poll_queues([{"Event": "QueueParams", "Queue": "800"}, member], T0)
        await client.apply_list("QueueStatus", lambda rows: snapshot.poll_queues(rows, T0))
        await received.until(lambda events: [e for e in events if e.event == "QueueMemberPause"])
        members = snapshot.queues["800"].members
        assert {name: member.paused for name, member in members.items()} == {"PJSIP/101": True, "PJSIP/102": False}
        await client.stop()


async def test_list_is_applied_before_the_events_behind_it() -> None:
    order: list[str] = []

    async def answer(connection: Connection, action: Action) -> None:
        own = {"ActionID": action.id}
        await connection.write(
            segment(
                {"Event": "Row", **own},
                {"Event": "Between"},
                {"Event": "RowsComplete", **own, **DONE},
                {"Event": "Behind"},
            )
        )

    def apply(rows: Sequence[Message]) -> None:
        order.append("+".join(row.event for row in rows))

    async with fake_ami(booted=False) as fake:
        fake.answers["Rows"] = answer
        client = AmiClient(fake.host, fake.port, "bazang", "secret", on_event=lambda event: order.append(event.event))
        await client.start()
        await client.wait_connected(PATIENCE)
        await client.apply_list("Rows", apply)
        assert await client.send("Ping")
        assert order == ["Between", "Row+Between", "Behind"]
        assert [row.event for row in await client.collect("Rows")] == ["Row"]
        await client.stop()


async def test_error_of_the_consumer_goes_to_who_asked() -> None:
    async def answer(connection: Connection, action: Action) -> None:
        await connection.write(segment({"Event": "RowsComplete", "ActionID": action.id, **DONE}))

    def apply(rows: Sequence[Message]) -> None:
        raise ZeroDivisionError

    async with fake_ami() as fake:
        fake.answers["Rows"] = answer
        client = AmiClient(fake.host, fake.port, "bazang", "secret", on_event=lambda event: None)
        await client.start()
        await client.wait_connected(PATIENCE)
        with pytest.raises(ZeroDivisionError):
            await client.apply_list("Rows", apply)
        assert await client.send("Ping")
        await client.stop()
