"""What a new office has to do until its first call request is done, and what of it is done already."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.store.models import CallRequest, Module


@dataclass(frozen=True)
class FirstSteps:
    """The module to try, "" as its code if there is none, and whether a caller has left a request."""

    code: str
    name: str
    silent: bool
    queue: bool
    targets: tuple[str, ...]
    registered: bool


def load_first_steps(session: Session) -> FirstSteps | None:
    """Return the steps; None when a request was done."""
    if session.scalar(select(CallRequest.id).where(CallRequest.status == Status.DONE).limit(1)) is not None:
        return None
    by_phone = select(CallRequest.id).where(CallRequest.created_by == "").limit(1)
    registered = session.scalar(by_phone) is not None
    module = session.scalar(select(Module).where(Module.active).order_by(Module.id).limit(1))
    if module is None:
        return FirstSteps("", "", False, False, (), registered)
    queue = module.target_kind == "queue"
    return FirstSteps(module.code, module.name, module.silent, queue, tuple(module.targets), registered)
