"""Who may see and act on which requests. One place says it for whole queries and for a single request."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import Session

from app.services.errors import Forbidden
from app.store.models import CallRequest, Module, QueueMemberRow

SEE_ALL = frozenset({"administrator", "supervisor"})


class _UserLike(Protocol):
    name: str
    role: str
    extensions: list[str]


@dataclass(frozen=True)
class Scope:
    """A user who asks: `everything` for administrators and supervisors, else what concerns `extensions`."""

    name: str
    everything: bool = False
    extensions: tuple[str, ...] = ()

    def own(self) -> "Scope":
        """Return what is this user's own, whatever else they may see: the page "my requests"."""
        return replace(self, everything=False)

    def require_everything(self) -> None:
        """Raise Forbidden for whoever does not see everything."""
        if not self.everything:
            raise Forbidden(self.name)


def scope_of(user: _UserLike) -> Scope:
    """Return the scope of a user; a role that is not known sees no more than an operator."""
    return Scope(user.name, user.role in SEE_ALL, tuple(user.extensions))


@dataclass(frozen=True)
class Visibility:
    """A scope as of this moment: the queues are those in which one of the extensions is a member now, `modules` those
    by which any of several extensions is wanted, one of them the user's."""

    everything: bool
    extensions: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    modules: tuple[int, ...] = ()

    def condition(self, *, leads: bool = True) -> ColumnElement[bool]:
        """Return what holds for exactly those rows of call_requests that may be seen.

        `leads`: no other condition narrows it down as well, so the rows are looked up by this one; SQLite would
        choose its indexes also where those of a day, say, are far fewer.
        """
        if self.everything:
            return true()
        target: Any = CallRequest.target if leads else CallRequest.target.concat("")
        kinds: list[ColumnElement[bool]] = []
        if self.extensions:
            kinds.append(and_(CallRequest.queue.is_(False), target.in_(self.extensions)))
        if self.queues:
            kinds.append(and_(CallRequest.queue.is_(True), target.in_(self.queues)))
        if self.modules:
            module = CallRequest.module_id if leads else CallRequest.module_id + 0
            kinds.append(and_(CallRequest.queue.is_(False), target == "", module.in_(self.modules)))
        return or_(*kinds) if kinds else false()

    def covers(self, row: CallRequest) -> bool:
        """Tell whether this one request may be seen."""
        return self.reaches(row.module_id, row.queue, row.target)

    def reaches(self, module_id: int | None, queue: bool, target: str) -> bool:
        """Tell whether a request of this module and target may be seen, be there one or not."""
        if self.everything:
            return True
        if queue:
            return target in self.queues
        return target in self.extensions if target else module_id in self.modules

    def has_extension(self, extension: str) -> bool:
        """Tell whether the user may have this phone rung."""
        return self.everything or extension in self.extensions


def visibility_of(session: Session, scope: Scope) -> Visibility:
    """Look up what a scope means now."""
    if scope.everything:
        return Visibility(True)
    own = set(scope.extensions)
    if not own:
        return Visibility(False)
    queues = session.scalars(select(QueueMemberRow.queue).where(QueueMemberRow.extension.in_(own)).distinct())
    modules = session.execute(select(Module.id, Module.targets).where(Module.target_kind == "extension"))
    return Visibility(
        everything=False,
        extensions=tuple(sorted(own)),
        queues=tuple(sorted(queues)),
        modules=tuple(module for module, targets in modules if own & set(targets)),
    )
