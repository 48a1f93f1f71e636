"""The watchdog of a dialogue, postponed through AMI while a command of FastAGI runs."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.telephony.agi import AgiServer, AgiSession, HungUp, Sound
from app.telephony.ami import AmiClient
from app.telephony.variables import GRACE
from app.telephony.watchdog import DialogueChannel, Watchdog
from script.office.patience import PATIENCE
from tests.support.fake_agi import FakeCall, HangUp, Press, make_access
from tests.support.fake_ami import FakeAmi, listing, no_reply, refuse

STEP = 0.01  # seconds; nothing here depends on its length
SOUND = Sound("/prompts/intro", 60)


class FakeWatchdog(Watchdog):
    """Answers with `answers`, and then with True. `postponed` has the channels and the seconds."""

    def __init__(self, *answers: bool, available: bool = True) -> None:
        self._answers, self._available = list(answers), available
        self.postponed: list[tuple[str, float]] = []
        self.enough = asyncio.Event()
        self.wanted = 3

    @property
    def available(self) -> bool:
        return self._available

    async def postpone(self, channel: DialogueChannel, seconds: float) -> bool:
        self.postponed.append((channel.name, seconds))
        if len(self.postponed) >= self.wanted:
            self.enough.set()
        return self._answers.pop(0) if self._answers else True


async def play(watchdog: FakeWatchdog, call: FakeCall) -> list[str]:
    """Play a sound until `watchdog.enough`. Return the keys that interrupted it."""
    keys: list[str] = []

    async def until_enough(command: str) -> None:
        if command.startswith("STREAM"):
            async with asyncio.timeout(PATIENCE):
                await watchdog.enough.wait()

    async def dialogue(session: AgiSession) -> None:
        keys.append(await session.play([SOUND], "1"))
        keys.append(await session.get_digit(5))

    call.on_command = until_enough
    server = AgiServer("127.0.0.1", 0, dialogue, make_access(), watchdog=watchdog)
    await server.start()
    await call.run(server.port)
    await server.stop()
    return keys


@pytest.fixture(autouse=True)
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.telephony.agi.STEP", STEP)


@pytest.mark.parametrize("answers", [[], [False, False]])
async def test_watchdog_never_ends_later_than_a_step_and_the_grace(answers: list[bool]) -> None:
    watchdog = FakeWatchdog(*answers)
    call = FakeCall(Press("intro", "1", early=True), headers={"agi_channel": "PJSIP/trunk-1"})
    assert await play(watchdog, call) == ["1", ""]
    assert len(watchdog.postponed) >= 3
    assert {channel for channel, _ in watchdog.postponed} == {"PJSIP/trunk-1"}
    assert max([*call.watchdog, *(seconds for _, seconds in watchdog.postponed)]) <= STEP + GRACE


async def test_watchdog_lasts_as_long_as_the_sound_if_it_cannot_be_postponed() -> None:
    watchdog = FakeWatchdog(available=False)
    watchdog.enough.set()
    call = FakeCall()
    await play(watchdog, call)
    assert call.watchdog[0] == SOUND.seconds + GRACE
    assert watchdog.postponed == []


async def test_caller_who_hangs_up_ends_the_postponing() -> None:
    watchdog = FakeWatchdog()
    call = FakeCall(hang_up=HangUp(1))
    outcomes: list[str] = []

    async def dialogue(session: AgiSession) -> None:
        try:
            await session.play([SOUND])
        except HungUp:
            outcomes.append("hung up")

    server = AgiServer("127.0.0.1", 0, dialogue, make_access(), watchdog=watchdog)
    await server.start()
    await call.run(server.port)
    await server.stop()
    assert outcomes == ["hung up"]
    assert not [task for task in asyncio.all_tasks() if "AgiSession" in repr(task)]


# -- through AMI ----------------------------------------------------------------------------------------------


@pytest.fixture
async def pbx() -> AsyncIterator[FakeAmi]:
    fake = FakeAmi()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def ami(pbx: FakeAmi) -> AsyncIterator[AmiClient]:
    client = AmiClient(pbx.host, pbx.port, "bazang", pbx.secret, on_event=lambda event: None)
    await client.start()
    await client.wait_connected(PATIENCE)
    yield client
    await client.stop()


async def test_it_sets_the_time_limit_of_the_channel(pbx: FakeAmi, ami: AmiClient) -> None:
    watchdog = Watchdog(ami)
    assert watchdog.available
    assert await watchdog.postpone(DialogueChannel("PJSIP/trunk-1", "1.1"), 4.25)
    (action,) = pbx.named("Setvar")
    assert [action.get(name) for name in ("Channel", "Variable", "Value")] == [
        "PJSIP/trunk-1",
        "TIMEOUT(absolute)",
        "4.2",
    ]


async def test_channel_that_took_over_the_dialogue_is_found_by_its_variable(pbx: FakeAmi, ami: AmiClient) -> None:
    rows = [
        [("Event", "Status"), ("Channel", "PJSIP/101-2"), ("Uniqueid", "1.1"), ("Variable", "BAZANG_DIALOGUE=")],
        [("Event", "Status"), ("Channel", "PJSIP/trunk-9"), ("Uniqueid", "1.9"), ("Variable", "BAZANG_DIALOGUE=1.1")],
    ]
    pbx.answers["Status"] = listing(rows, complete="StatusComplete")
    pbx.answers["Setvar"] = refuse("No such channel")
    channel = DialogueChannel("PJSIP/trunk-1", "1.1")
    assert not await Watchdog(ami).postpone(channel, 5)
    assert [action.get("Channel") for action in pbx.named("Setvar")] == ["PJSIP/trunk-1", "PJSIP/trunk-9"]
    del pbx.answers["Setvar"]
    assert await Watchdog(ami).postpone(channel, 5)
    assert len(pbx.named("Status")) == 1, "the new name is remembered"


@pytest.mark.parametrize("name", ["", "PJSIP/1\r\nAction: Logoff"])
async def test_name_that_is_no_channel_is_not_sent(pbx: FakeAmi, ami: AmiClient, name: str) -> None:
    pbx.answers["Status"] = listing([], complete="StatusComplete")
    assert not await Watchdog(ami).postpone(DialogueChannel(name, "1.1"), 5)
    assert pbx.named("Setvar") == []


async def test_silent_pbx_is_not_waited_for(pbx: FakeAmi, ami: AmiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.telephony.watchdog.REPLY_SECONDS", 0.05)
    pbx.answers["Setvar"] = no_reply
    assert not await Watchdog(ami).postpone(DialogueChannel("PJSIP/trunk-1", "1.1"), 5)
