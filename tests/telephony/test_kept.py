"""What the dialplan kept while our service was down: reading the records, and having them deleted."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.domain.routing import CameBy
from app.telephony.ami import AmiRefused, AmiTimeout
from app.telephony.ivr import CallerFacts
from app.telephony.kept import forget, list_keys, parse_record, read_kept

RECORD = "1782907260/+989121234567/7/101/extension/1/1782907230/1782907220/pbx-1782907200.5"


class FakeAsterisk:
    """A fake AMI client with the keys and records of the family."""

    def __init__(self, keys: str = "", records: Mapping[str, Any] = {}) -> None:
        self.keys, self.records = keys, records
        self.deleted: list[str] = []

    async def send(self, action: str, headers: Any = ()) -> Any:
        assert (action, headers) == ("Getvar", {"Variable": "DB_KEYS(bazang-kept)"})
        return {"Value": self.keys}

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        assert (action, headers["Family"]) == ("DBGet", "bazang-kept")
        found = self.records.get(headers["Key"], AmiRefused("Database entry not found"))
        if isinstance(found, Exception):
            raise found
        return [{"Event": "DBGetResponse", "Val": found}]

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        assert headers["Channel"] == "Local/s@bazang-kept/n"
        ((name, value),) = variables.items()
        assert name == "__BAZANG_FORGET" and len(value) < 1000
        self.deleted.append(value)


def test_record_tells_what_the_dialogue_would_have_known() -> None:
    call = parse_record("k", RECORD)
    assert (call.key, call.called_at) == ("k", 1782907260.0)
    assert call.facts == CallerFacts(
        module_id=7,
        uniqueid="pbx-1782907200.5",
        channel="",
        caller_number="+989121234567",
        caller_name="",
        wanted="101",
        first_called_at=1782907220.0,
        came_by=CameBy.EXTENSION,
    )


def test_record_of_a_second_module_has_the_id_of_its_dialogue() -> None:
    facts = parse_record("k", "1782907260/09121234567/7///2///1782907200.5").facts
    assert (facts.uniqueid, facts.came_by, facts.first_called_at) == ("1782907200.5/2", CameBy.MODULE, None)


@pytest.mark.parametrize(
    "record",
    [
        "x",
        RECORD.replace("+98912", "98912x"),
        RECORD.rpartition("/")[0],
        RECORD.replace("/7/", "//"),
        RECORD.replace("1782907260", "99999999999"),
        RECORD.replace("/101/", "/101 OR 1/"),
        "",
    ],
)
def test_malformed_record_is_refused(record: str) -> None:
    with pytest.raises(ValueError, match="no record"):
        parse_record("k", record)


async def test_keys_are_those_that_the_dialplan_writes() -> None:
    assert await list_keys(FakeAsterisk("1.1-1,pbx_2-3.4-1,,a b,x)y,۱")) == ["1.1-1", "pbx_2-3.4-1"]
    assert await list_keys(FakeAsterisk()) == []


async def test_key_that_asterisk_has_cut_comes_later() -> None:
    keys = [f"1782907200.{n}-1" for n in range(80)]
    answer = ",".join(keys)[:1023]
    assert await list_keys(FakeAsterisk(answer)) == keys[: answer.count(",")]


async def test_record_can_be_gone() -> None:
    asterisk = FakeAsterisk(records={"a": RECORD, "b": AmiTimeout("no answer")})
    assert [await read_kept(asterisk, key) for key in ("a", "c")] == [RECORD, ""]
    with pytest.raises(AmiTimeout):
        await read_kept(asterisk, "b")


async def test_records_are_deleted_in_lines_that_asterisk_accepts() -> None:
    asterisk = FakeAsterisk()
    await forget(asterisk, [])
    assert asterisk.deleted == []
    keys = [f"1782907200.{n}-1" for n in range(100)]
    await forget(asterisk, keys)
    assert "&".join(asterisk.deleted).split("&") == keys and len(asterisk.deleted) == 2
