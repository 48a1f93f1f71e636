"""Hints that Asterisk makes of patterns when it is asked."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.telephony import hints
from app.telephony.ami import AmiRefused
from app.telephony.hints import HintFinder

OWN = "bazang-extensions"


class Pbx:
    """Answers by context and extension. `contexts` are those of phones."""

    def __init__(self, found: Mapping[tuple[str, str], str], contexts: Mapping[str, str] | None = None) -> None:
        self.found, self.contexts = found, contexts or {}
        self.asked: list[tuple[str, str]] = []

    async def send(self, action: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        if action == "Getvar":
            value = self.contexts.get(headers["Variable"])
            if value is None:
                raise AmiRefused("no such function")
            return {"Value": value}
        assert action == "ExtensionState"
        self.asked.append((headers["Context"], headers["Exten"]))
        hint = self.found.get(self.asked[-1])
        return {"Status": "-1", "Hint": ""} if hint is None else {"Status": "0", "Hint": hint}


def finder(pbx: Any) -> HintFinder:
    return HintFinder(pbx, OWN)


async def test_first_context_with_a_hint_counts() -> None:
    pbx = Pbx({("b", "101"): "PJSIP/b101", ("c", "101"): "PJSIP/c101"})
    assert await finder(pbx).find({"101"}, ["a", "b", "c", "a"]) == {"101": "PJSIP/b101"}
    assert pbx.asked == [("a", "101"), ("b", "101")]


async def test_own_context_and_odd_names_are_not_asked() -> None:
    pbx = Pbx({(OWN, "101"): "PJSIP/101"})
    assert await finder(pbx).find({"101", "sara", "*5", ""}, [OWN, "", "a b"]) == {}
    assert pbx.asked == []


async def test_hint_without_a_phone_is_none() -> None:
    assert await finder(Pbx({("a", "701"): "park:701@lot"})).find({"701"}, ["a"]) == {}


async def test_context_of_the_phone_is_asked_last() -> None:
    contexts = {"PJSIP_ENDPOINT(101,subscribe_context)": "", "PJSIP_ENDPOINT(101,context)": "phones"}
    pbx = Pbx({("phones", "101"): "PJSIP/101"}, contexts)
    assert await finder(pbx).find({"101"}, ["a"]) == {"101": "PJSIP/101"}
    assert pbx.asked == [("a", "101"), ("phones", "101")]


async def test_extension_without_a_hint_is_seldom_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pbx = Pbx({})
    one = finder(pbx)
    for _ in range(3):
        await one.find({"101"}, ["a"])
    assert pbx.asked == [("a", "101")]
    await one.find({"101"}, ["a", "b"])  # there are others to ask now
    assert pbx.asked == [("a", "101"), ("a", "101"), ("b", "101")]
    monkeypatch.setattr(hints, "ASK_AGAIN", 0.0)
    await one.find({"101"}, ["a"])
    assert len(pbx.asked) == 4


async def test_hint_that_a_reload_has_removed_is_asked_for_at_once() -> None:
    pbx = Pbx({("a", "101"): "PJSIP/101"})
    one = finder(pbx)
    for _ in range(2):
        assert await one.find({"101"}, ["a"]) == {"101": "PJSIP/101"}
