"""Which requests a user may see and change: as a condition for queries and as a check of a single request."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import Session

from app.services.errors import Forbidden
from app.store.models import CallRequest, Module, QueueMemberRow

SEES_EVERYTHING = frozenset({"administrator", "supervisor"})


class _UserLike(Protocol):
    name: str
    role: str
    extensions: list[str]


@dataclass(frozen=True)
class Scope:
    """The user as services see them.

    `everything` is true for administrators and supervisors. Other users see the requests for their `extensions` and
    for the queues in which these are members.
    """

    name: str
    everything: bool = False
    extensions: tuple[str, ...] = ()

    def own(self) -> "Scope":
        """Return the scope of the page "My requests": the user's own requests only."""
        return replace(self, everything=False)

    def require_everything(self) -> None:
        """Raise Forbidden unless the user sees everything."""
        if not self.everything:
            raise Forbidden(self.name)


def scope_of(user: _UserLike) -> Scope:
    """Return the scope of a user. An unknown role sees as little as an operator."""
    return Scope(user.name, user.role in SEES_EVERYTHING, tuple(user.extensions))


@dataclass(frozen=True)
class Visibility:
    """What a scope covers at this moment.

    `queues` are those in which one of the extensions is a member now. `modules` are the ids of the modules that serve
    one of the extensions: their requests without a target are for any of their extensions. `fallbacks` are those of the
    modules whose fallback is one of the extensions or queues: requests that have fallen back are for it, too.
    """

    everything: bool
    extensions: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    modules: tuple[int, ...] = ()
    fallbacks: tuple[int, ...] = ()

    def condition(self, *, use_index: bool = True) -> ColumnElement[bool]:
        """Return the condition on call_requests for what the user may see.

        Set `use_index` to False if another condition selects fewer rows. SQLite would otherwise choose the indexes of
        this condition.
        """
        if self.everything:
            return true()
        target: Any = CallRequest.target if use_index else CallRequest.target.concat("")
        kinds: list[ColumnElement[bool]] = []
        if self.extensions:
            kinds.append(and_(CallRequest.queue.is_(False), target.in_(self.extensions)))
        if self.queues:
            kinds.append(and_(CallRequest.queue.is_(True), target.in_(self.queues)))
        if self.modules:
            module = CallRequest.module_id if use_index else CallRequest.module_id + 0
            kinds.append(and_(CallRequest.queue.is_(False), target == "", module.in_(self.modules)))
        if self.fallbacks:
            module = CallRequest.module_id if use_index else CallRequest.module_id + 0
            kinds.append(and_(CallRequest.fell_back, module.in_(self.fallbacks)))
        return or_(*kinds) if kinds else false()

    def covers(self, row: CallRequest) -> bool:
        """Tell whether the user may see this request."""
        is_fallback = row.fell_back and row.module_id in self.fallbacks
        return is_fallback or self.covers_target(row.module_id, row.queue, row.target)

    def covers_target(self, module_id: int | None, queue: bool, target: str) -> bool:
        """Tell whether the user may see requests of this module for this target."""
        if self.everything:
            return True
        if queue:
            return target in self.queues
        return target in self.extensions if target else module_id in self.modules

    def may_ring(self, extension: str) -> bool:
        """Tell whether the user may choose this extension as the agent of a call."""
        return self.everything or extension in self.extensions


def visibility_of(session: Session, scope: Scope) -> Visibility:
    """Return what a scope covers now."""
    if scope.everything:
        return Visibility(True)
    own = set(scope.extensions)
    if not own:
        return Visibility(False)
    queues = set(session.scalars(select(QueueMemberRow.queue).where(QueueMemberRow.extension.in_(own))))
    modules = session.execute(select(Module.id, Module.targets).where(Module.target_kind == "extension"))
    with_fallback = session.execute(
        select(Module.id, Module.fallback_kind, Module.fallback_code).where(Module.fallback_after > 0)
    )
    return Visibility(
        everything=False,
        extensions=tuple(sorted(own)),
        queues=tuple(sorted(queues)),
        modules=tuple(module for module, targets in modules if own & set(targets)),
        fallbacks=tuple(module for module, kind, code in with_fallback if code in (queues if kind == "queue" else own)),
    )
