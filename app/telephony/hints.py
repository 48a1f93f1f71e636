"""Find hints that Asterisk's list of hints does not show.

A pattern ("_1XX") is not in the list. The first question about an extension makes Asterisk create its hint, which is
listed from then on and has events. A reload of the dialplan removes it again.
"""

import time
from collections.abc import Iterable

from app.domain.routing import CONTEXT_PATTERN
from app.telephony.ami import AmiRefused
from app.telephony.devices import is_number, parse_hint
from app.telephony.dialer import Ami

ASK_AGAIN = 60.0  # seconds after which an extension without a hint is asked for again


class HintFinder:
    """Ask Asterisk for the hints of single extensions. `own_context` is never asked: we write its hints ourselves.

    The contexts come first, then those of the phone with the extension's number.
    """

    def __init__(self, ami: Ami, own_context: str) -> None:
        self._ami, self._own_context = ami, own_context
        self._asked: dict[tuple[str, tuple[str, ...]], float] = {}  # monotonic times of questions without a hint

    def forget_missing(self) -> None:
        """Ask again for extensions without a hint at the next `find`."""
        self._asked = {}

    async def find(self, extensions: Iterable[str], contexts: Iterable[str]) -> dict[str, str]:
        """Return the hints of those extensions that have one in a context, the first one counts. Raises AmiError."""
        asked = tuple(c for c in dict.fromkeys(contexts) if CONTEXT_PATTERN.fullmatch(c) and c != self._own_context)
        found = {}
        now = time.monotonic()
        self._asked = {key: at for key, at in self._asked.items() if now - at < ASK_AGAIN}
        for extension in sorted(extensions):
            if not is_number(extension) or (extension, asked) in self._asked:
                continue
            hint = await self._first(extension, asked)
            if not hint:
                hint = await self._first(extension, await self._phone_contexts(extension))
            if hint:
                found[extension] = hint
                self._asked = {key: at for key, at in self._asked.items() if key[0] != extension}
            else:
                self._asked[extension, asked] = now
        return found

    async def _phone_contexts(self, extension: str) -> list[str]:
        """Return the contexts in which the phone with this number sees the states of others, and calls."""
        contexts = []
        for name in ("subscribe_context", "context"):
            try:
                answer = await self._ami.send("Getvar", {"Variable": f"PJSIP_ENDPOINT({extension},{name})"})
            except AmiRefused:
                continue
            contexts.append(str(answer.get("Value", "")))
        return [context for context in contexts if CONTEXT_PATTERN.fullmatch(context)]

    async def _first(self, extension: str, contexts: Iterable[str]) -> str:
        for context in contexts:
            try:
                answer = await self._ami.send("ExtensionState", {"Exten": extension, "Context": context})
            except AmiRefused:
                continue
            hint = str(answer.get("Hint", ""))
            if str(answer.get("Status", "-1")) != "-1" and parse_hint(hint).devices:
                return hint
        return ""
