"""Whose extension it is, in the exchange's words and ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.telephony.ami import AmiDisconnected, AmiRefused
from app.telephony.extension_names import ask_name, clean_name


class Exchange:
    """Answers Getvar from `variables` and DBGet from `database`; what is not there is refused, or empty."""

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
        raise AssertionError("nobody is rung for a name")


async def name(exchange: Exchange, devices: Sequence[str] = ("PJSIP/101",), profile: str = "asterisk") -> str:
    return await ask_name(exchange, "101", devices, profile)


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
async def test_name_of_a_phone_is_that_of_its_caller_id(caller_id: str, expected: str) -> None:
    assert await name(Exchange({"PJSIP_ENDPOINT(101,callerid)": caller_id})) == expected


async def test_first_device_that_has_a_name_gives_it() -> None:
    exchange = Exchange(
        {
            "PJSIP_ENDPOINT(101,callerid)": AmiRefused("no such function"),
            "SIPPEER(201,callerid_name)": "Sara",
        }
    )
    devices = ("DAHDI/1", "PJSIP/101", "PJSIP/1)\r\nx", "SIP/201", "SIP/202")
    assert await name(exchange, devices) == "Sara"
    assert exchange.asked == ["PJSIP_ENDPOINT(101,callerid)", "SIPPEER(201,callerid_name)"]


async def test_freepbx_has_it_in_its_database() -> None:
    variables = {"PJSIP_ENDPOINT(101,callerid)": '"device" <101>'}
    known = Exchange(variables, {"AMPUSER/101/cidname": "سارا"})
    assert (await name(known, profile="freepbx"), known.asked) == ("سارا", [])
    assert await name(known) == "device"
    assert await name(Exchange(variables), profile="freepbx") == "device"


async def test_exchange_that_does_not_answer_has_not_said_that_there_is_no_name() -> None:
    with pytest.raises(AmiDisconnected):
        await name(Exchange({"PJSIP_ENDPOINT(101,callerid)": AmiDisconnected("gone")}))


async def test_what_is_no_extension_is_not_asked_for() -> None:
    exchange = Exchange()
    assert await ask_name(exchange, "1\r\n", ("PJSIP/1",), "freepbx") == ""
    assert exchange.asked == []


def test_name_that_is_only_the_device_is_none() -> None:
    assert clean_name("PJSIP/101", "PJSIP/101") == ""
    assert clean_name("Agent 101", "PJSIP/101") == "Agent 101"
