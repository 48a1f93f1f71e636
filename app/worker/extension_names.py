"""Ask the PBX for the names of extensions, in the background and seldom."""

import asyncio
import time
from collections.abc import Callable, Mapping

from app.telephony.ami import AmiClient, AmiError
from app.telephony.extension_names import ask_name
from app.telephony.snapshot import Extension

REFRESH_AFTER = 3600.0  # seconds; names change rarely


class ExtensionNames:
    """Cache the names of extensions. `on_change` is called in the event loop with an extension whose name changed."""

    def __init__(self, ami: AmiClient, on_change: Callable[[str], None]) -> None:
        self._ami, self._on_change = ami, on_change
        self._names: dict[str, tuple[float, str]] = {}  # time of the question (monotonic), and the name
        self._asking = asyncio.Lock()

    def name(self, extension: str) -> str | None:
        """Return the name of an extension, None if it was not asked yet."""
        known = self._names.get(extension)
        return None if known is None else known[1]

    def mark_outdated(self) -> None:
        """Mark all names as outdated, because the PBX may be another one. They stay until they are asked again."""
        self._names = {extension: (-REFRESH_AFTER, name) for extension, (_, name) in self._names.items()}

    async def refresh(self, extensions: Mapping[str, Extension], profile: str) -> None:
        """Ask for missing and outdated names. If the PBX does not answer, the next call asks again."""
        if self._asking.locked():
            return
        async with self._asking:
            self._names = {extension: known for extension, known in self._names.items() if extension in extensions}
            due = time.monotonic() - REFRESH_AFTER
            for extension in [e for e in extensions.values() if self._names.get(e.extension, (due, ""))[0] <= due]:
                try:
                    name = await ask_name(self._ami, extension.extension, extension.devices, profile)
                except AmiError:
                    return
                changed = self.name(extension.extension) != name
                self._names[extension.extension] = (time.monotonic(), name)
                if changed:
                    self._on_change(extension.extension)
