"""What Asterisk's answer about a file means."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.telephony import sound_check
from app.telephony.ami import AmiUnsafe
from app.telephony.sound_check import Readable, SoundCheck


class Pbx:
    """Answers an Originate with an event, if it has one."""

    def __init__(self, check: SoundCheck, event: Mapping[str, str] | None) -> None:
        self.check, self.event = check, event
        self.called: list[tuple[str, Mapping[str, str]]] = []

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        if "," in next(iter(variables.values())):
            raise AmiUnsafe("unsafe")
        self.called.append((headers["Channel"], variables))
        if self.event is not None:
            self.check.add({"Event": "UserEvent", "UserEvent": "bazang-readable", **self.event})

    async def send(self, action: str, headers: Any = ()) -> Any: ...

    async def collect(self, action: str, headers: Any = ()) -> list[Any]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("event", "readable"),
    [
        ({"Root": "1", "Exists": "1", "Read": "4"}, Readable.YES),
        ({"Root": "1", "Exists": "1", "Read": "0"}, Readable.CLOSED),
        ({"Root": "1", "Exists": "0", "Read": "0"}, Readable.MISSING),
        ({"Root": "", "Exists": "", "Read": "0"}, Readable.UNKNOWN),  # no functions for files
        (None, Readable.UNKNOWN),
    ],
)
async def test_answer(monkeypatch: pytest.MonkeyPatch, event: dict[str, str] | None, readable: Readable) -> None:
    monkeypatch.setattr(sound_check, "EVENT_SECONDS", 0.05)
    check = SoundCheck()
    check.add({"UserEvent": "bazang-readable", "Root": "1", "Exists": "1", "Read": "4"})  # of an earlier question
    check.add({"Event": "Newchannel"})
    pbx = Pbx(check, event)
    assert await check.ask(pbx, "/prompts/a.wav") is readable
    assert pbx.called == [("Local/s@bazang-readable/n", {"__BAZANG_FILE": "/prompts/a.wav"})]


async def test_path_that_cannot_be_sent_is_unknown() -> None:
    check = SoundCheck()
    assert await check.ask(Pbx(check, None), "/prompts/a,b.wav") is Readable.UNKNOWN
