"""A fake AMI client that answers questions about a dialplan as Asterisk does."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.telephony.ami import AmiRefused

Step = tuple[str, str, str, str]  # context, extension, application, arguments


class FakeDialplan:
    """`steps`: what is found for a context and an extension, or in a whole context ("": everything). None: no context.

    `includes`: the names of what a context includes. `values`: what Getvar returns; others are refused.
    """

    def __init__(
        self,
        steps: Mapping[tuple[str, str], Sequence[Step]] | None = None,
        *,
        contexts: Sequence[str] = (),
        includes: Mapping[str, Sequence[str]] | None = None,
        values: Mapping[str, str] | None = None,
        database: Mapping[str, str] | None = None,
    ) -> None:
        self.steps, self.contexts, self.includes = steps or {}, contexts, includes or {}
        self.values, self.database = values or {}, database or {}
        self.asked: list[Any] = []

    async def send(self, action: str, headers: Any = ()) -> Any:
        assert action == "Getvar"
        self.asked.append(headers["Variable"])
        if headers["Variable"] not in self.values:
            raise AmiRefused("no such function")
        return {"Value": self.values[headers["Variable"]]}

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        given = dict(headers)
        self.asked.append((action, *given.values()))
        if action == "DBGet":
            key = f"{given['Family']}/{given['Key']}"
            if key not in self.database:
                raise AmiRefused("Database entry not found")
            return [{"Event": "DBGetResponse", "Val": self.database[key]}]
        context, extension = given.get("Context", ""), given.get("Extension", "")
        if context and context not in self.contexts:
            raise AmiRefused(f"Did not find context {context}")
        found = self.steps.get((context, extension), ())
        if extension and not found:
            raise AmiRefused(f"Did not find extension {extension}@{context}")
        rows: list[Any] = [dict(zip(("Context", "Extension", "Application", "AppData"), s, strict=True)) for s in found]
        return rows + [{"Context": context, "IncludeContext": name} for name in self.includes.get(context, ())]

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        raise AssertionError("a question must not ring")
