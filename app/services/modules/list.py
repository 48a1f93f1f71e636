"""List and load modules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.services.errors import NotFound
from app.services.modules.input import ModuleInput, from_row
from app.store import requests
from app.store.models import CallRequest, FormerCode, Module
from app.store.search import contains

PAGE_SIZE = 25
FIRST_CODE = 5001  # *5001, *5002, … are suggested
SORT_COLUMNS: Mapping[str, Any] = {
    "code": Module.code,
    "name": func.lower(Module.name),
    "kind": Module.target_kind,
    "active": Module.active,
}


@dataclass(frozen=True)
class ModulePage:
    """One page of the list. `total` counts the modules of all pages."""

    modules: Sequence[Module]
    total: int
    page: int
    pages: int


def list_modules(session: Session, *, search: str, column: str, descending: bool, page: int) -> ModulePage:
    """Return a page of the modules whose name or code contains `search`; the last page if there is no such page.

    `column` is a key of SORT_COLUMNS.
    """
    found = select(Module)
    if search:
        found = found.where(or_(contains(Module.name, search), contains(Module.code, search)))
    total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(page, pages)
    order = SORT_COLUMNS[column].desc() if descending else SORT_COLUMNS[column].asc()
    query = found.order_by(order, Module.code).offset((page - 1) * PAGE_SIZE).limit(PAGE_SIZE)
    return ModulePage(session.scalars(query).all(), total, page, pages)


def load_module(session: Session, module_id: int) -> ModuleInput:
    """Return the fields of a module. Raises NotFound."""
    return from_row(get_module(session, module_id))


def get_module(session: Session, module_id: int) -> Module:
    """Return the row of a module. Raises NotFound."""
    module = session.get(Module, module_id)
    if module is None:
        raise NotFound(f"module {module_id}")
    return module


def list_names(session: Session) -> list[tuple[str, str]]:
    """Return code and name of every module, ordered by code."""
    return [(code, name) for code, name in session.execute(select(Module.code, Module.name).order_by(Module.code))]


def names_by_id(session: Session) -> dict[int, tuple[str, str]]:
    """Return code and name of every module by its id."""
    return {id_: (code, name) for id_, code, name in session.execute(select(Module.id, Module.code, Module.name))}


def suggest_code(session: Session) -> str:
    """Return the first code from FIRST_CODE on that no module has or had."""
    existing = {*session.scalars(select(Module.code)), *session.scalars(select(FormerCode.code))}
    number = FIRST_CODE
    while f"*{number}" in existing:
        number += 1
    return f"*{number}"


def count_open_requests(session: Session, module_id: int) -> int:
    """Return how many active requests a module has."""
    of_module = select(func.count()).where(CallRequest.module_id == module_id, requests.has_status())
    return session.scalar(of_module) or 0
