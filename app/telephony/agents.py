"""Find out whose phones a queue member rings: those of an extension, or those of an agent without one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.telephony.devices import (
    LONGEST_AGENT,
    HintText,
    agent_name,
    is_agent_name,
    is_real,
    normalized,
    parse_hint,
    place_of,
)
from app.telephony.fields import integer


@dataclass
class Hint:
    """A hint of the PBX. `status` is its ExtensionStatus."""

    extension: str
    context: str
    text: HintText
    status: int

    @property
    def devices(self) -> tuple[str, ...]:
        return self.text.devices

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "Hint":
        """Return the hint of a row of ExtensionStateList."""
        text = parse_hint(row.get("Hint", ""))
        return cls(row.get("Exten", ""), row.get("Context", ""), text, integer(row.get("Status", ""), -1))


class AgentFinder:
    """Find the agents of queue members. `phones` are the devices and the hint of each extension; agents are added."""

    def __init__(
        self, phones: dict[str, tuple[tuple[str, ...], Hint | None]], hints: Mapping[tuple[str, str], Hint]
    ) -> None:
        self._phones, self._hints = phones, hints
        self.owners: dict[str, list[str]] = {}
        for extension, (devices, _) in phones.items():
            self._own(extension, devices)

    def _own(self, agent: str, devices: Iterable[str]) -> None:
        for device in devices:
            self.owners.setdefault(device, []).append(agent)

    def find(self, state_interface: str, interface: str) -> str:
        """Return the agent of a queue member: an extension if its phones have one."""
        for device in dict.fromkeys((state_interface, interface)):
            agent = self._of_device(device)
            if agent:
                return agent
        for device in (state_interface, interface):
            place = place_of(device)
            if place is not None and place[0].isdecimal() and len(place[0]) <= LONGEST_AGENT:
                return self._add(place[0], (), None)
        return self._add(agent_name(interface, full=True), (), None)

    def _of_device(self, device: str) -> str:
        owners = self.owners.get(normalized(device))
        if owners:
            return best_owner(device, owners)
        place = place_of(device)
        if place is not None:
            return self._of_place(*place)
        if not is_real(device):
            return ""
        named = (hint for hint in self._hints.values() if device in hint.devices)
        hint = min(named, key=lambda hint: (hint.context, hint.extension), default=None)
        return self._of_hint(hint) if hint is not None else self._add(agent_name(device), (device,), None)

    def _of_place(self, extension: str, context: str) -> str:
        """Return the agent of an extension in a context. The context may only include the one that has the hint."""
        hint = self._hints.get((context, extension))
        if hint is not None and hint.devices:
            return self._of_hint(hint)
        if extension in self._phones:
            return extension
        others = (hint for hint in self._hints.values() if hint.extension == extension and hint.devices)
        hint = min(others, key=lambda hint: hint.context, default=None)
        return self._of_hint(hint) if hint is not None else ""

    def _of_hint(self, hint: Hint) -> str:
        if hint.extension in self._phones and self._phones[hint.extension][0] == hint.devices:
            return hint.extension
        for device in hint.devices:
            if device in self.owners:
                return best_owner(device, self.owners[device])
        taken = hint.extension in self._phones or not is_agent_name(hint.extension)
        return self._add(agent_name(hint.devices[0]) if taken else hint.extension, hint.devices, hint)

    def _add(self, name: str, devices: tuple[str, ...], hint: Hint | None) -> str:
        if name in self._phones and self._phones[name][0] != devices and devices:
            name = agent_name(devices[0], full=True)  # another phone has this name
        if name not in self._phones:
            self._phones[name] = (devices, hint)
            self._own(name, devices)
        return name


def best_owner(device: str, owners: Sequence[str]) -> str:
    if len(owners) == 1:
        return owners[0]
    return min(owners, key=lambda owner: (owner != agent_name(device), len(owner), owner))
