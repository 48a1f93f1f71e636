"""In which order the extensions of a module are rung for a request that any of them may serve."""

from enum import StrEnum


class AgentOrder(StrEnum):
    LONGEST_IDLE = "longest_idle"
    LISTED = "listed"  # the first free one, as the module lists them
    IN_TURN = "in_turn"  # the one whose last ring by Bazang is longest ago
