"""The names of the extensions: asked once of each, and seldom again, beside everything that is urgent."""

import asyncio
import time
from collections.abc import Callable, Mapping

from app.telephony.ami import AmiClient, AmiError
from app.telephony.extension_names import ask_name
from app.telephony.snapshot import Extension

ASK_AGAIN = 3600.0  # seconds; a name is changed once in years


class ExtensionNames:
    """`learned` is called, in the loop, with an extension whose name is new or has changed."""

    def __init__(self, ami: AmiClient, learned: Callable[[str], None]) -> None:
        self._ami, self._learned = ami, learned
        self._names: dict[str, tuple[float, str]] = {}  # when it was asked (monotonic), and what it was
        self._asking = asyncio.Lock()

    def name(self, extension: str) -> str | None:
        """Return a name; None while nobody was asked."""
        known = self._names.get(extension)
        return None if known is None else known[1]

    def forget(self) -> None:
        """Ask all of them anew: it may be another exchange. Until then the names that are known stay."""
        self._names = {extension: (-ASK_AGAIN, name) for extension, (_, name) in self._names.items()}

    async def learn(self, extensions: Mapping[str, Extension], profile: str) -> None:
        """Ask for the names that are not known, or not lately. What cannot be asked now, the next call asks."""
        if self._asking.locked():
            return
        async with self._asking:
            self._names = {extension: known for extension, known in self._names.items() if extension in extensions}
            due = time.monotonic() - ASK_AGAIN
            for extension in [e for e in extensions.values() if self._names.get(e.extension, (due, ""))[0] <= due]:
                try:
                    name = await ask_name(self._ami, extension.extension, extension.devices, profile)
                except AmiError:
                    return
                changed = self.name(extension.extension) != name
                self._names[extension.extension] = (time.monotonic(), name)
                if changed:
                    self._learned(extension.extension)
