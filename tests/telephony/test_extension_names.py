"""The names of extensions, as the PBX reports them and as they are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.telephony.ami import AmiDisconnected, AmiRefused
from app.telephony.extension_names import ask_name, clean_name


class FakePbx:
    """A fake AMI client. Getvar reads `variables`, "" if missing. DBGet reads `database`, refused if missing."""

    def __init__(self, variables: Mapping[str, str | Exception] = {}, database: Mapping[str, str] = {}) -> None:
        self.variables, self.database = variables, database
        self.asked: list[str] = []

    async def send(self, action: str, headers: Any = ()) -> Any:
        self.asked.append(headers["Variable"])
        value = self.variables.get(headers["Variable"], "")
        if isinstance(value, Exception):
            raise value
        return {"Value": value}

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        key = f"{headers['Family']}/{headers['Key']}"
        if key not in self.database:
            raise AmiRefused("Database entry not found")
        return [{"Event": "DBGetResponse", "Val": self.database[key]}]

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        raise AssertionError("asking for a name must not ring")


async def name(pbx: FakePbx, devices: Sequence[str] = ("PJSIP/101",), profile: str = "asterisk") -> str:
    return await ask_name(pbx, "101", devices, profile)


@pytest.mark.parametrize(
    ("caller_id", "expected"),
    [
        ('"Sara" <101>', "Sara"),
        ("Sara Rezaei <101>", "Sara Rezaei"),
        ('"سارا رضایی" <101>', "سارا رضایی"),
        ('"Sara \\"S\\" R" <101>', 'Sara "S" R'),
        ("Sara", "Sara"),
        ("<101>", ""),
        ('"" <101>', ""),
        ('"101" <101>', ""),
        ("<unknown>", ""),
        ('"unknown" <101>', ""),
        ("", ""),
        ('"Sa\u202era\x07" <101>', "Sara"),
        (f'"{"x" * 200}" <101>', "x" * 80),
        ("<<>>", ""),
    ],
)
async def test_name_comes_from_the_caller_id(caller_id: str, expected: str) -> None:
    assert await name(FakePbx({"PJSIP_ENDPOINT(101,callerid)": caller_id})) == expected


async def test_first_device_with_a_name_is_used() -> None:
    pbx = FakePbx(
        {
            "PJSIP_ENDPOINT(101,callerid)": AmiRefused("no such function"),
            "SIPPEER(201,callerid_name)": "Sara",
        }
    )
    devices = ("DAHDI/1", "PJSIP/101", "PJSIP/1)\r\nx", "SIP/201", "SIP/202")
    assert await name(pbx, devices) == "Sara"
    assert pbx.asked == ["PJSIP_ENDPOINT(101,callerid)", "SIPPEER(201,callerid_name)"]


async def test_name_comes_from_freepbxs_database_first() -> None:
    variables = {"PJSIP_ENDPOINT(101,callerid)": '"device" <101>'}
    freepbx = FakePbx(variables, {"AMPUSER/101/cidname": "سارا"})
    assert (await name(freepbx, profile="freepbx"), freepbx.asked) == ("سارا", [])
    assert await name(freepbx) == "device"
    assert await name(FakePbx(variables), profile="freepbx") == "device"


async def test_lost_connection_is_not_an_empty_name() -> None:
    with pytest.raises(AmiDisconnected):
        await name(FakePbx({"PJSIP_ENDPOINT(101,callerid)": AmiDisconnected("gone")}))


async def test_malformed_extension_is_not_sent() -> None:
    pbx = FakePbx()
    assert await ask_name(pbx, "1\r\n", ("PJSIP/1",), "freepbx") == ""
    assert pbx.asked == []


def test_name_that_equals_the_device_is_empty() -> None:
    assert clean_name("PJSIP/101", "PJSIP/101") == ""
    assert clean_name("Agent 101", "PJSIP/101") == "Agent 101"
