"""The forms of websites, which administrators add and change."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audio.prompt_texts import LANGUAGES
from app.domain.website import parse_origin
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.services.requests.targets import format_target
from app.store.database import Database
from app.store.models import Module, WebsiteForm

MOST = 20
MOST_ORIGINS = 10
LONGEST_NAME = 80
LONGEST_PRIVACY = 300
MOST_DAILY = 1000
_AUDITED = ("name", "active", "origins", "language", "asks_name", "offers_times", "privacy", "daily_limit")


@dataclass(frozen=True)
class FormInput:
    """The values of the page. `origins` has one in each line."""

    name: str = ""
    active: bool = True
    module_id: int = 0
    target: str = ""
    origins: str = ""
    language: str = "fa"
    asks_name: bool = True
    offers_times: bool = False
    privacy: str = ""
    daily_limit: int = 50


@dataclass(frozen=True)
class FormView:
    """A form as its visitors and the list of forms see it. `module` is "" if it was deleted."""

    id: int
    name: str
    key: str
    active: bool
    module_id: int | None
    module: str
    target: str
    origins: Sequence[str]
    language: str
    asks_name: bool
    offers_times: bool  # and the module offers them
    privacy: str
    daily_limit: int

    @property
    def registers(self) -> bool:
        """Whether a visitor can leave a request now."""
        return self.active and bool(self.module)


def list_forms(session: Session) -> list[FormView]:
    """Return all forms by name."""
    query = select(WebsiteForm, Module).outerjoin(Module, Module.id == WebsiteForm.module_id)
    return [_to_view(row, module) for row, module in session.execute(query.order_by(func.lower(WebsiteForm.name)))]


def load(database: Database, form_id: int) -> FormView:
    """Return a form. Raises NotFound."""
    with database.read() as session:
        row = _get(session, form_id)
        return _to_view(row, session.get(Module, row.module_id) if row.module_id else None)


def load_input(database: Database, form_id: int) -> FormInput:
    """Return the values of a form for its page. Raises NotFound."""
    with database.read() as session:
        return _to_input(_get(session, form_id))


def list_inputs(database: Database) -> list[FormInput]:
    """Return the values of all forms by name, but of those whose module was deleted."""
    query = select(WebsiteForm).where(WebsiteForm.module_id.is_not(None)).order_by(func.lower(WebsiteForm.name))
    with database.read() as session:
        return [_to_input(row) for row in session.scalars(query)]


def find(database: Database, name: str) -> int | None:
    """Return the id of the form with a name, None if there is none."""
    with database.read() as session:
        return session.scalar(select(WebsiteForm.id).where(WebsiteForm.name == name.strip()))


def _to_input(row: WebsiteForm) -> FormInput:
    return FormInput(
        name=row.name,
        active=row.active,
        module_id=row.module_id or 0,
        target=row.target,
        origins="\n".join(row.origins),
        language=row.language,
        asks_name=row.asks_name,
        offers_times=row.offers_times,
        privacy=row.privacy,
        daily_limit=row.daily_limit,
    )


def _to_view(row: WebsiteForm, module: Module | None) -> FormView:
    serves = module is not None and module.active
    return FormView(
        id=row.id,
        name=row.name,
        key=row.key,
        active=row.active,
        module_id=row.module_id,
        module=module.name if module is not None and serves else "",
        target=row.target,
        origins=tuple(row.origins),
        language=row.language,
        asks_name=row.asks_name,
        offers_times=row.offers_times and module is not None and module.offers_times,
        privacy=row.privacy,
        daily_limit=row.daily_limit,
    )


def add(database: Database, given: FormInput, *, actor: str, now: datetime) -> int:
    """Add a form and return its id. Raises Invalid."""
    with database.write() as session:
        count = session.scalar(select(func.count()).select_from(WebsiteForm)) or 0
        values = _checked(session, given, None, too_many=count >= MOST)
        row = WebsiteForm(key=_new_key(), created_by=actor, created_at=now, **values)
        session.add(row)
        session.flush()
        audit.record(
            session, actor, AuditAction.WEBSITE_FORM_SAVED, row.name, audit.changes({}, _audited(session, row)), now
        )
        return row.id


def save(database: Database, form_id: int, given: FormInput, *, actor: str, now: datetime) -> None:
    """Change a form. Raises Invalid and NotFound."""
    with database.write() as session:
        row = _get(session, form_id, lock=True)
        values = _checked(session, given, row)
        before = _audited(session, row)
        for name, value in values.items():
            setattr(row, name, value)
        changed = audit.changes(before, _audited(session, row))
        if changed:
            audit.record(session, actor, AuditAction.WEBSITE_FORM_SAVED, row.name, changed, now)


def renew_key(database: Database, form_id: int, *, actor: str, now: datetime) -> None:
    """Give a form another key. Websites with the old one register nothing from now on. Raises NotFound."""
    with database.write() as session:
        row = _get(session, form_id, lock=True)
        row.key = _new_key()
        audit.record(session, actor, AuditAction.WEBSITE_KEY_RENEWED, row.name, {}, now)


def remove(database: Database, form_id: int, *, actor: str, now: datetime) -> None:
    """Remove a form. Its requests stay, with its name. Raises NotFound."""
    with database.write() as session:
        row = _get(session, form_id, lock=True)
        session.delete(row)
        audit.record(session, actor, AuditAction.WEBSITE_FORM_REMOVED, row.name, {}, now)


def _get(session: Session, form_id: int, *, lock: bool = False) -> WebsiteForm:
    row = session.get(WebsiteForm, form_id, with_for_update=lock or None)
    if row is None:
        raise NotFound(f"website form {form_id}")
    return row


def _audited(session: Session, row: WebsiteForm) -> dict[str, Any]:
    """Return the values of a form for the audit log, which names the module and the target."""
    module = session.get(Module, row.module_id) if row.module_id else None
    is_queue = module is not None and module.target_kind == "queue"
    values = {name: getattr(row, name) for name in _AUDITED}
    target = module.targets[0] if module is not None and is_queue else row.target
    return values | {"module": module.name if module else "", "target": format_target(is_queue, target)}


def _new_key() -> str:
    return secrets.token_urlsafe(18)


def _checked(session: Session, given: FormInput, own: WebsiteForm | None, *, too_many: bool = False) -> dict[str, Any]:
    """Return the values of the columns. Raises Invalid."""
    name, privacy = given.name.strip(), " ".join(given.privacy.split())
    errors = check_line("name", name, LONGEST_NAME, required=True)
    taken = session.scalar(select(WebsiteForm.id).where(WebsiteForm.name == name))
    if "name" not in errors and too_many:
        errors["name"] = ErrorCode.TOO_MANY
    elif taken is not None and (own is None or taken != own.id):
        errors["name"] = ErrorCode.TAKEN
    errors |= check_line("privacy", privacy, LONGEST_PRIVACY)
    origins: list[str] = []
    try:
        origins = list(dict.fromkeys(parse_origin(part) for part in given.origins.split()))
    except ValueError:
        errors["origins"] = ErrorCode.ORIGIN
    if "origins" not in errors and not origins:
        errors["origins"] = ErrorCode.REQUIRED
    elif len(origins) > MOST_ORIGINS:
        errors["origins"] = ErrorCode.TOO_MANY
    module = session.get(Module, given.module_id)
    if module is None:
        errors["module_id"] = ErrorCode.CHOICE
    elif given.target and (module.target_kind == "queue" or given.target not in module.targets):
        errors["target"] = ErrorCode.CHOICE
    if given.language not in LANGUAGES:
        errors["language"] = ErrorCode.CHOICE
    if not 1 <= given.daily_limit <= MOST_DAILY:
        errors["daily_limit"] = ErrorCode.RANGE
    if errors:
        raise Invalid(errors)
    return {
        "name": name,
        "active": given.active,
        "module_id": given.module_id,
        "target": given.target,
        "origins": origins,
        "language": given.language,
        "asks_name": given.asks_name,
        "offers_times": given.offers_times,
        "privacy": privacy,
        "daily_limit": given.daily_limit,
    }
