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


class FakePbx:
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
def pbx() -> FakePbx:
    return FakePbx()


@pytest.fixture
def changed() -> list[str]:
    return []


@pytest.fixture
def names(pbx: FakePbx, changed: list[str]) -> ExtensionNames:
    return ExtensionNames(pbx, changed.append)  # type: ignore[arg-type]


async def test_each_is_asked_once(names: ExtensionNames, pbx: FakePbx, changed: list[str]) -> None:
    office = extensions(*map(str, range(100, 600)))
    for _ in range(3):
        await names.refresh(office, "asterisk")
    assert pbx.asked == changed == list(office)
    assert names.name("101") == "Name 101"
    assert names.name("999") is None


async def test_who_comes_later_is_asked_then(names: ExtensionNames, pbx: FakePbx) -> None:
    await names.refresh(extensions("101"), "asterisk")
    await names.refresh(extensions("101", "102"), "asterisk")
    assert pbx.asked == ["101", "102"]


async def test_what_could_not_be_asked_is_asked_next(names: ExtensionNames, pbx: FakePbx) -> None:
    pbx.gone_after = 1
    await names.refresh(extensions("101", "102"), "asterisk")
    pbx.gone_after = 9
    await names.refresh(extensions("101", "102"), "asterisk")
    assert pbx.asked == ["101", "102"]


async def test_name_that_has_changed_is_told_after_a_while(
    names: ExtensionNames, pbx: FakePbx, changed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = extensions("101", "102")
    await names.refresh(office, "asterisk")
    pbx.names["101"] = "Sara"
    monkeypatch.setattr(asking, "REFRESH_AFTER", 0.0)
    await names.refresh(office, "asterisk")
    assert (changed, names.name("101")) == (["101", "102", "101"], "Sara")


async def test_another_exchange_is_asked_anew_and_the_old_names_stay_until_then(
    names: ExtensionNames, pbx: FakePbx
) -> None:
    await names.refresh(extensions("101"), "asterisk")
    names.mark_outdated()
    assert names.name("101") == "Name 101"
    pbx.names["101"] = "Sara"
    await names.refresh(extensions("101"), "asterisk")
    assert names.name("101") == "Sara"


async def test_who_is_gone_is_forgotten(names: ExtensionNames) -> None:
    await names.refresh(extensions("101"), "asterisk")
    await names.refresh(extensions("102"), "asterisk")
    assert names.name("101") is None
