"""Names are asked for once, and seldom again: five hundred extensions must not mean five hundred questions a poll."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.policy import LineState
from app.telephony.ami import AmiDisconnected
from app.telephony.snapshot import Extension
from app.worker import extension_names as asking
from app.worker.extension_names import ExtensionNames

NOW = datetime.now(UTC)


class Exchange:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.names: dict[str, str] = {}
        self.gone_after = 10**6

    async def send(self, action: str, headers: Any = ()) -> Any:
        if len(self.asked) >= self.gone_after:
            raise AmiDisconnected("gone")
        extension = headers["Variable"].removeprefix("PJSIP_ENDPOINT(").partition(",")[0]
        self.asked.append(extension)
        return {"Value": f'"{self.names.get(extension, f"Name {extension}")}" <{extension}>'}


def extensions(*numbers: str) -> dict[str, Extension]:
    return {n: Extension(n, "hints", (f"PJSIP/{n}",), False, 0, LineState.FREE, NOW) for n in numbers}


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def learned() -> list[str]:
    return []


@pytest.fixture
def book(exchange: Exchange, learned: list[str]) -> ExtensionNames:
    return ExtensionNames(exchange, learned.append)  # type: ignore[arg-type]


async def test_each_is_asked_once(book: ExtensionNames, exchange: Exchange, learned: list[str]) -> None:
    office = extensions(*map(str, range(100, 600)))
    for _ in range(3):
        await book.learn(office, "asterisk")
    assert exchange.asked == learned == list(office)
    assert book.name("101") == "Name 101"
    assert book.name("999") is None


async def test_who_comes_later_is_asked_then(book: ExtensionNames, exchange: Exchange) -> None:
    await book.learn(extensions("101"), "asterisk")
    await book.learn(extensions("101", "102"), "asterisk")
    assert exchange.asked == ["101", "102"]


async def test_what_could_not_be_asked_is_asked_next(book: ExtensionNames, exchange: Exchange) -> None:
    exchange.gone_after = 1
    await book.learn(extensions("101", "102"), "asterisk")
    exchange.gone_after = 9
    await book.learn(extensions("101", "102"), "asterisk")
    assert exchange.asked == ["101", "102"]


async def test_name_that_has_changed_is_told_after_a_while(
    book: ExtensionNames, exchange: Exchange, learned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = extensions("101", "102")
    await book.learn(office, "asterisk")
    exchange.names["101"] = "Sara"
    monkeypatch.setattr(asking, "ASK_AGAIN", 0.0)
    await book.learn(office, "asterisk")
    assert (learned, book.name("101")) == (["101", "102", "101"], "Sara")


async def test_another_exchange_is_asked_anew_and_the_old_names_stay_until_then(
    book: ExtensionNames, exchange: Exchange
) -> None:
    await book.learn(extensions("101"), "asterisk")
    book.forget()
    assert book.name("101") == "Name 101"
    exchange.names["101"] = "Sara"
    await book.learn(extensions("101"), "asterisk")
    assert book.name("101") == "Sara"


async def test_who_is_gone_is_forgotten(book: ExtensionNames) -> None:
    await book.learn(extensions("101"), "asterisk")
    await book.learn(extensions("102"), "asterisk")
    assert book.name("101") is None
