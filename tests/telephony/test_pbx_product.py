"""The questions by which a PBX is recognized, with answers as Asterisk gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.domain.pbx_product import Product
from app.telephony.ami import AmiRefused
from app.telephony.pbx_product import dialling_contexts, existing_contexts, find_product

SECRETS = ("AMPMGRPASS", "AMPDBPASS", "AMPMGRUSER", "AMPDBUSER")


class FakePbx:
    """A dialplan: by context and extension the steps that ShowDialPlan lists, each a context and an application."""

    def __init__(
        self,
        steps: Mapping[tuple[str, str], Sequence[tuple[str, str]]],
        variables: Mapping[str, str] | None = None,
        *,
        may_list: bool = True,
    ) -> None:
        self.steps, self.variables, self.may_list = steps, variables or {}, may_list
        self.asked: list[str] = []

    async def send(self, action: str, headers: Any = ()) -> dict[str, str]:
        assert action == "Getvar"
        expression = headers["Variable"]
        self.asked.append(expression)
        function, _, argument = expression.removesuffix(")").partition("(")
        if function == "GLOBAL":
            return {"Value": self.variables.get(argument, "")}
        context, _, rest = argument.partition(",")
        extension = rest.removesuffix(",1")
        known = any(context == name and extension in ("", number) for name, number in self.steps)
        return {"Value": str(int(known))}

    async def collect(self, action: str, headers: Any = ()) -> list[dict[str, str]]:
        assert action == "ShowDialPlan"
        if not self.may_list:
            raise AmiRefused("Permission denied")
        rows = self.steps.get((headers["Context"], headers.get("Extension", "")), ())
        if not rows:
            exists = any(headers["Context"] == name for name, _ in self.steps)
            raise AmiRefused(f"Did not find {'extension' if exists else 'context'}")
        return [{"Context": context, "Application": application} for context, application in rows]

    async def originate(self, headers: Any, variables: Any) -> None:
        raise AssertionError("nothing is called")


def generated(*applications: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    return {
        ("from-did-direct", "101"): [("ext-local", "Gosub")],
        ("macro-exten-vm", "s"): [("macro-exten-vm", application) for application in applications],
    }


@pytest.mark.parametrize(
    ("pbx", "expected"),
    [
        (FakePbx({("from-internal", "101"): [("from-internal", "Dial")]}), Product.ASTERISK),
        (FakePbx(generated("Macro", "Gosub")), Product.ISSABEL),
        (FakePbx(generated("Macro", "Gosub"), {"AMPBIN": "/bin"}), Product.FREEPBX_16),
        (FakePbx(generated("Gosub", "Set"), {"ASTMANAGERHOST": "localhost"}), Product.FREEPBX_17),
        (FakePbx(generated("Gosub"), {"ASTMANAGERHOST": "localhost"}, may_list=False), Product.FREEPBX),
        (FakePbx({("from-did-direct", "101"): []}, {"ASTMANAGERHOST": "localhost"}), Product.ASTERISK),
    ],
)
async def test_product_is_found_without_reading_a_secret(pbx: FakePbx, expected: Product) -> None:
    assert await find_product(pbx) is expected
    assert not [question for question in pbx.asked if any(secret in question for secret in SECRETS)]


async def test_only_existing_contexts_with_harmless_names_are_found() -> None:
    pbx = FakePbx({("ext-local", "101"): []})
    assert await existing_contexts(pbx, ["ext-local", "nowhere", "a b", "x)\r\nAction: Logoff", ""]) == ("ext-local",)
    assert all("\r" not in question for question in pbx.asked)


async def test_context_that_only_refuses_a_number_does_not_dial_it() -> None:
    number = "09123456789"
    refusal = ("bad-number", "Playback")
    pbx = FakePbx(
        {
            ("from-internal", number): [("outrt-1", "Gosub"), refusal],
            ("no-route", number): [refusal],
            ("ours", number): [("bazang-module-1", "NoOp"), refusal],
            ("switch", number): [],
            ("other", "101"): [],
        }
    )
    contexts = ["no-route", "from-internal", "switch", "ours", "other", "nowhere"]
    assert await dialling_contexts(pbx, contexts, number) == ("from-internal", "switch")
    assert await dialling_contexts(pbx, contexts, "") == ("no-route", "from-internal", "switch", "ours", "other")
    assert await dialling_contexts(pbx, contexts, "0912)\r\n") == ()
    pbx.may_list = False
    assert "no-route" in await dialling_contexts(pbx, contexts, number), "it may not be read"
