"""The names of extensions are read once, and seldom again: not with each poll."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.policy import LineState
from app.telephony.ami import AmiDisconnected
from app.telephony.snapshot import Extension
from app.worker import extension_names
from app.worker.extension_names import ExtensionNames

NOW = datetime.now(UTC)


class FakePbx:
    """A fake AMI client. It disconnects after `gone_after` questions."""

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
    return {n: Extension(n, (f"PJSIP/{n}",), None, LineState.FREE, NOW) for n in numbers}


@pytest.fixture
def pbx() -> FakePbx:
    return FakePbx()


@pytest.fixture
def changed() -> list[str]:
    """The extensions that were reported as changed."""
    return []


@pytest.fixture
def names(pbx: FakePbx, changed: list[str]) -> ExtensionNames:
    return ExtensionNames(pbx, changed.append)  # type: ignore[arg-type]


async def test_each_name_is_read_once(names: ExtensionNames, pbx: FakePbx, changed: list[str]) -> None:
    current = extensions(*map(str, range(100, 600)))
    for _ in range(3):
        await names.refresh(current, "asterisk")
    assert pbx.asked == changed == list(current)
    assert names.name("101") == "Name 101"
    assert names.name("999") is None


async def test_name_of_a_new_extension_is_read(names: ExtensionNames, pbx: FakePbx) -> None:
    await names.refresh(extensions("101"), "asterisk")
    await names.refresh(extensions("101", "102"), "asterisk")
    assert pbx.asked == ["101", "102"]


async def test_interrupted_refresh_is_continued(names: ExtensionNames, pbx: FakePbx) -> None:
    pbx.gone_after = 1
    await names.refresh(extensions("101", "102"), "asterisk")
    pbx.gone_after = 9
    await names.refresh(extensions("101", "102"), "asterisk")
    assert pbx.asked == ["101", "102"]


async def test_changed_name_is_reported_after_a_while(
    names: ExtensionNames, pbx: FakePbx, changed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    current = extensions("101", "102")
    await names.refresh(current, "asterisk")
    pbx.names["101"] = "Sara"
    monkeypatch.setattr(extension_names, "REFRESH_AFTER", 0.0)
    await names.refresh(current, "asterisk")
    assert (changed, names.name("101")) == (["101", "102", "101"], "Sara")


async def test_outdated_names_stay_until_they_are_read_again(names: ExtensionNames, pbx: FakePbx) -> None:
    await names.refresh(extensions("101"), "asterisk")
    names.mark_outdated()
    assert names.name("101") == "Name 101"
    pbx.names["101"] = "Sara"
    await names.refresh(extensions("101"), "asterisk")
    assert names.name("101") == "Sara"


async def test_name_of_a_removed_extension_is_forgotten(names: ExtensionNames) -> None:
    await names.refresh(extensions("101"), "asterisk")
    await names.refresh(extensions("102"), "asterisk")
    assert names.name("101") is None
