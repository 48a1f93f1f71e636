"""Calls of the studio: a page asks for one and watches its row, the telephone service makes it."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select

from app.audio.prompt_texts import LANGUAGES, default_text
from app.domain.phone_calls import FINAL, CallFailure, CallKind, CallState
from app.domain.text import is_displayable
from app.services import commands
from app.services.errors import Invalid, NotFound
from app.services.modules.save import EXTENSION
from app.store import pbx_state
from app.store.database import Database
from app.store.models import PhoneCall

RETENTION = timedelta(days=7)  # once it is over
CLAIM_TIMEOUT = timedelta(seconds=15)  # whoever has waited so long has gone away
MAX_NAME_LENGTH, MAX_TEXT_LENGTH = 80, 1500
# Of PROMPTS_DIR: there Asterisk, which is another user, puts what it records. Nobody may list it or take what is there.
INBOX, INBOX_MODE = "inbox", 0o1733

__all__ = [
    "FINAL",
    "CallFailure",
    "CallKind",
    "CallState",
    "PhoneCallView",
    "ask_recording",
    "ask_test",
    "cancel",
    "load",
]


@dataclass(frozen=True)
class PhoneCallView:
    """A call as a page shows it. `detail`: a Failure's code where `state` is failed; `file`: the recording, once kept.

    `text`: what is to be said; `name`: of the recording.
    """

    id: str
    kind: CallKind
    extension: str
    language: str
    name: str
    text: str
    state: CallState
    detail: str
    file: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def over(self) -> bool:
        return self.state in FINAL


def create_recording_call(
    database: Database, *, extension: str, language: str, name: str, text: str, actor: str, now: datetime
) -> str:
    """Have an extension rung to speak a recording into it; return the call's id. Raises Invalid."""
    name = name.strip()
    errors = _check(extension, language)
    if not name or len(name) > MAX_NAME_LENGTH:
        errors["name"] = "too_long" if name else "required"
    elif not is_displayable(name):
        errors["name"] = "characters"
    if len(text) > MAX_TEXT_LENGTH:
        errors["text"] = "too_long"
    return _ask(database, CallKind.RECORD, extension, language, name, text, errors, actor=actor, now=now)


def create_test_call(database: Database, *, extension: str, language: str, actor: str, now: datetime) -> str:
    """Have an extension rung and told that all is well; return the call's id. Raises Invalid."""
    errors = _check(extension, language)
    text = default_text("phone_call_test", language) if language in LANGUAGES else ""
    return _ask(database, CallKind.TEST, extension, language, "", text, errors, actor=actor, now=now)


def _check(extension: str, language: str) -> dict[str, str]:
    errors = {}
    if not EXTENSION.fullmatch(extension):
        errors["extension"] = "code" if extension else "required"
    if language not in LANGUAGES:
        errors["language"] = "choice"
    return errors


def _ask(
    database: Database,
    kind: CallKind,
    extension: str,
    language: str,
    name: str,
    text: str,
    errors: dict[str, str],
    *,
    actor: str,
    now: datetime,
) -> str:
    if errors:
        raise Invalid(errors)
    call = PhoneCall(id=str(uuid.uuid4()), kind=kind.value, extension=extension, language=language)
    call.name, call.text, call.state, call.detail, call.created_by = name, text, CallState.ASKED.value, "", actor
    call.created_at = call.updated_at = now
    with database.write() as session:
        session.add(call)
    commands.ask(database, commands.STUDIO_CALL, {"call": call.id}, actor=actor, now=now)
    return call.id


def load(database: Database, call_id: str, now: datetime | None = None) -> PhoneCallView:
    """Return a call as it stands. One that the telephone service does not see to has failed. Raises NotFound."""
    now = now or datetime.now(UTC)
    with database.read() as session:
        row = session.get(PhoneCall, call_id)
        if row is None:
            raise NotFound(call_id)
        state, detail = CallState(row.state), row.detail
        late = state is CallState.ASKED and row.created_at + CLAIM_TIMEOUT <= now
        # The row of a call in the middle stays as it is until the service comes back and puts it right.
        gone = state not in FINAL and state is not CallState.ASKED and not pbx_state.service_runs(session, now)
    if late or gone:
        state, detail = CallState.FAILED, CallFailure.SERVICE_DOWN.value
    return PhoneCallView(
        id=row.id,
        kind=CallKind(row.kind),
        extension=row.extension,
        language=row.language,
        name=row.name,
        text=row.text,
        state=state,
        detail=detail,
        file=row.file,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def cancel(database: Database, call_id: str, actor: str, now: datetime) -> None:
    """End a call, if it is not over. Raises NotFound."""
    with database.read() as session:
        if session.get(PhoneCall, call_id) is None:
            raise NotFound(call_id)
    if update_state(database, call_id, CallState.CANCELLED, now):
        commands.ask(database, commands.STUDIO_CANCEL, {"call": call_id}, actor=actor, now=now)


# -- the telephone service's side ---------------------------------------------------------------------------------


def claim(database: Database, call_id: str, now: datetime) -> PhoneCallView | None:
    """Take a call that was asked for; None when it was taken, cancelled, or nobody waits for it any more."""
    with database.write() as session:
        row = session.get(PhoneCall, call_id, with_for_update=True)
        if row is None or row.state != CallState.ASKED.value:
            return None
        if row.created_at + CLAIM_TIMEOUT <= now:
            row.state, row.detail, row.updated_at = CallState.FAILED.value, CallFailure.TOO_LATE.value, now
            return None
        row.state, row.updated_at = CallState.RINGING.value, now
    return load(database, call_id, now)


def update_state(
    database: Database, call_id: str, state: CallState, now: datetime, *, detail: str = "", file: str | None = None
) -> bool:
    """Note how far a call is; False, and nothing changes, when it is over already."""
    with database.write() as session:
        row = session.get(PhoneCall, call_id, with_for_update=True)
        if row is None or CallState(row.state) in FINAL:
            return False
        row.state, row.detail, row.file, row.updated_at = state.value, detail, file, now
        return True


def delete_old(database: Database, now: datetime) -> int:
    """Delete the calls that were over long ago; return how many. What they recorded stays."""
    over = PhoneCall.state.in_([state.value for state in FINAL])
    old = delete(PhoneCall).where(over, PhoneCall.updated_at <= now - RETENTION).returning(PhoneCall.id)
    with database.write() as session:
        return len(session.scalars(old, execution_options={"synchronize_session": False}).all())


def fail_abandoned(database: Database, now: datetime) -> list[str]:
    """Give up the calls that a service before us had taken, and what was asked too long ago; return their ids."""
    ended = []
    with database.write() as session:
        over = [state.value for state in FINAL]
        for row in session.scalars(select(PhoneCall).where(PhoneCall.state.not_in(over))):
            if row.state != CallState.ASKED.value or row.created_at + CLAIM_TIMEOUT <= now:
                row.state, row.detail, row.updated_at = CallState.FAILED.value, CallFailure.SERVICE_DOWN.value, now
                ended.append(row.id)
    return ended
