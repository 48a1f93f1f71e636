"""The codes that modules had before. They lead callers on until an administrator removes them.

A PBX copies the location of a module as text, FreePBX into its custom destinations. It would lose the callers whom it
sends to a code that has changed, or whose module is deleted.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.routing import Destination, DestinationKind, FormerCodePlan
from app.services import audit, commands
from app.services.audit import AuditAction
from app.services.errors import NotFound
from app.store.database import Database
from app.store.models import FormerCode, Module


def list_former_codes(session: Session) -> Sequence[FormerCode]:
    """Return the former codes of all modules, ordered by code."""
    return session.scalars(select(FormerCode).order_by(FormerCode.code)).all()


def plans(session: Session) -> tuple[FormerCodePlan, ...]:
    """Return where each former code leads: to its module, or to the error destination of a module that is deleted."""
    codes = dict(session.execute(select(Module.id, Module.code)).all())
    return tuple(
        FormerCodePlan(
            row.code,
            Destination(DestinationKind.MODULE, codes[row.module_id]) if row.module_id in codes else row.error,
        )
        for row in list_former_codes(session)
    )


def is_of_another(session: Session, code: str, module_id: int | None) -> bool:
    """Tell whether a code still leads to a module that exists, and that is not this one."""
    row = session.get(FormerCode, code)
    return row is not None and row.module_id is not None and row.module_id != module_id


def keep(session: Session, module: Module, before: str) -> None:
    """Keep the code that a module had before it was stored now, "" if it is new. Its present code is no former one."""
    taken = session.get(FormerCode, module.code)
    if taken is not None:
        session.delete(taken)
    if before and before != module.code:
        session.merge(FormerCode(code=before, module_id=module.id, name="", error=module.error))


def keep_deleted(session: Session, module: Module) -> None:
    """Keep all codes of a module that is deleted now. They lead to its error destination."""
    session.merge(FormerCode(code=module.code, module_id=module.id, name="", error=module.error))
    session.flush()
    for row in session.scalars(select(FormerCode).where(FormerCode.module_id == module.id)):
        row.module_id, row.name, row.error = None, module.name, module.error


def remove_former_code(database: Database, code: str, now: datetime, *, actor: str) -> None:
    """Remove a former code: callers who still come by it are hung up. Raises NotFound."""
    with database.write() as session:
        row = session.get(FormerCode, code)
        if row is None:
            raise NotFound(f"former code {code}")
        session.delete(row)
        audit.record(session, actor, AuditAction.FORMER_CODE_REMOVED, code, {}, now)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)
