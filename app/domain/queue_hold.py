"""Hold queues off: a member whom we ring for a request is given no caller by their queues meanwhile.

The PBX pauses the member for that time. Some queues send their callers away when all of their members are paused, so
a queue is held off only if another member could serve it.
"""

from collections.abc import Collection

from app.domain.policy import Facts, LineState

_NOBODY_THERE = (LineState.OFFLINE, LineState.UNKNOWN)


def queues_to_hold(agent: str, facts: Facts, rung: Collection[str]) -> tuple[str, ...]:
    """Return the names of the queues that give `agent` no caller while their phone rings for a request.

    `rung` are the agents who are rung for requests, or talk because of one. Their queues may be held off as well.
    """
    taken = {agent, *rung}
    return tuple(
        name
        for name, queue in facts.queues.items()
        if any(not member.paused for member in queue.by_extension.get(agent, ()))
        and any(
            not member.paused and member.extension not in taken and _is_there(member.extension, facts)
            for member in queue.members
        )
    )


def _is_there(extension: str, facts: Facts) -> bool:
    line = facts.lines.get(extension)
    return line is not None and line.state not in _NOBODY_THERE
