"""The wrap-up times in queues.conf, as GetConfig answers."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from app.telephony import queue_config
from app.telephony.ami import AmiRefused
from app.telephony.queue_config import WrapupReader, parse, parse_wrapups

ANSWER = {
    "Response": "Success",
    "Category-000000": "general",
    "Line-000000-000000": "wrapuptime=99",
    "Category-000001": "800",
    "Line-000001-000000": "strategy=ringall",
    "Line-000001-000001": "wrapuptime=10",
    "Category-000002": "فروش تهران",
    "Line-000002-000000": "WrapUpTime => 7",
    "Category-000003": "empty",
    "Category-000004": "odd",
    "Line-000004-000000": "wrapuptime=-5",
    "Line-000009-000000": "wrapuptime=5",
    "Category-000005": "huge",
    "Line-000005-000000": "wrapuptime=999999",
}


def test_times_are_those_of_the_queues() -> None:
    assert parse_wrapups(ANSWER) == {"800": 10, "فروش تهران": 7, "empty": 0, "odd": 0, "huge": 3600}
    assert parse_wrapups({name.lower(): value for name, value in ANSWER.items()}) == parse_wrapups(ANSWER)
    assert parse(ANSWER, "strategy") == {"800": "ringall", "فروش تهران": "", "empty": "", "odd": "", "huge": ""}


class FakeAsterisk:
    def __init__(self, answer: Mapping[str, str] | Exception) -> None:
        self.answer, self.asked = answer, 0

    async def send(self, action: str, headers: Any = ()) -> Any:
        assert (action, headers) == ("GetConfig", {"Filename": "queues.conf"})
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        raise AssertionError("nothing else is asked")

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        raise AssertionError("reading must not ring")


async def test_file_is_read_seldom_and_after_a_change_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    asterisk = FakeAsterisk(ANSWER)
    reader = WrapupReader(asterisk)
    for _ in range(2):
        assert (await reader.read() or {})["800"] == 10
    assert asterisk.asked == 1
    reader.forget()
    await reader.read()
    now += queue_config.ASK_AGAIN
    await reader.read()
    assert asterisk.asked == 3


async def test_user_without_the_right_reads_nothing() -> None:
    assert await WrapupReader(FakeAsterisk(AmiRefused("Permission denied"))).read() is None
