"""Phone calls to record a prompt or to test a phone. A page creates a call and watches its row; the worker makes it."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from app.audio.prompt_texts import LANGUAGES, default_text
from app.domain.phone_calls import FINAL, CallFailure, CallKind, CallState
from app.domain.routing import EXTENSION_PATTERN
from app.services import commands
from app.services.errors import Invalid, NotFound
from app.services.prompts.recordings import validate_name
from app.store import pbx_state
from app.store.database import Database
from app.store.models import PhoneCall

RETENTION = timedelta(days=7)  # how long a call's row is kept after its end
CLAIM_TIMEOUT = timedelta(seconds=15)  # a call that is not claimed by then is not made any more
MAX_TEXT_LENGTH = 1500
# A folder below PROMPTS_DIR where Asterisk, which is another user, writes what it records. The mode lets every user add
# files, but not list or read them.
INBOX, INBOX_MODE = "inbox", 0o1733


@dataclass(frozen=True)
class PhoneCallView:
    """A call for a page. `detail`: the CallFailure if `state` is failed; `file`: the recording, once it is saved.

    `text`: what to say; `name`: of the recording.
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
    def is_over(self) -> bool:
        return self.state in FINAL


# -- called by the panel --------------------------------------------------------------------------------------------


def create_recording_call(
    database: Database, *, extension: str, language: str, name: str, text: str, actor: str, now: datetime
) -> str:
    """Create a call that records a prompt at an extension; return its id. Raises Invalid."""
    name = name.strip()
    errors = _validate(extension, language)
    if error := validate_name(name):
        errors["name"] = error
    if len(text) > MAX_TEXT_LENGTH:
        errors["text"] = "too_long"
    if errors:
        raise Invalid(errors)
    call = PhoneCall(kind=CallKind.RECORD.value, extension=extension, language=language, name=name, text=text)
    return _create(database, call, actor, now)


def create_test_call(database: Database, *, extension: str, language: str, actor: str, now: datetime) -> str:
    """Create a call that plays a text at an extension; return its id. Raises Invalid."""
    errors = _validate(extension, language)
    if errors:
        raise Invalid(errors)
    text = default_text("phone_call_test", language)
    call = PhoneCall(kind=CallKind.TEST.value, extension=extension, language=language, name="", text=text)
    return _create(database, call, actor, now)


def _validate(extension: str, language: str) -> dict[str, str]:
    errors = {}
    if not EXTENSION_PATTERN.fullmatch(extension):
        errors["extension"] = "code" if extension else "required"
    if language not in LANGUAGES:
        errors["language"] = "choice"
    return errors


def _create(database: Database, call: PhoneCall, actor: str, now: datetime) -> str:
    call.id, call.state, call.detail = str(uuid.uuid4()), CallState.REQUESTED.value, ""
    call.created_by, call.created_at, call.updated_at = actor, now, now
    call_id = call.id
    with database.write() as session:
        session.add(call)
    commands.send(database, commands.MAKE_PHONE_CALL, {"call": call_id}, actor=actor, now=now)
    return call_id


def load(database: Database, call_id: str, now: datetime) -> PhoneCallView:
    """Return a call. It counts as failed if the worker does not claim it in time or stops. Raises NotFound."""
    with database.read() as session:
        row = session.get(PhoneCall, call_id)
        if row is None:
            raise NotFound(call_id)
        state, detail = CallState(row.state), row.detail
        # The row keeps its state until the worker runs again and corrects it.
        if _is_unclaimed(row, now) or (_is_active(state) and not pbx_state.worker_runs(session, now)):
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


def _is_unclaimed(row: PhoneCall, now: datetime) -> bool:
    """Return whether the worker has not claimed the call in time."""
    return row.state == CallState.REQUESTED.value and row.created_at + CLAIM_TIMEOUT <= now


def _is_active(state: CallState) -> bool:
    """Return whether the worker has claimed the call and not ended it."""
    return state not in FINAL and state is not CallState.REQUESTED


def cancel(database: Database, call_id: str, actor: str, now: datetime) -> None:
    """End a call, unless it is over. Raises NotFound."""
    with database.read() as session:
        if session.get(PhoneCall, call_id) is None:
            raise NotFound(call_id)
    if update_state(database, call_id, CallState.CANCELLED, now):
        commands.send(database, commands.CANCEL_PHONE_CALL, {"call": call_id}, actor=actor, now=now)


# -- called by the worker -------------------------------------------------------------------------------------------


def claim(database: Database, call_id: str, now: datetime) -> PhoneCallView | None:
    """Claim a requested call and return it; None if it is claimed or cancelled already, or too old."""
    with database.write() as session:
        row = session.get(PhoneCall, call_id, with_for_update=True)
        if row is None or row.state != CallState.REQUESTED.value:
            return None
        if _is_unclaimed(row, now):
            row.state, row.detail, row.updated_at = CallState.FAILED.value, CallFailure.TOO_LATE.value, now
            return None
        row.state, row.updated_at = CallState.RINGING.value, now
    return load(database, call_id, now)


def update_state(
    database: Database, call_id: str, state: CallState, now: datetime, *, detail: str = "", file: str | None = None
) -> bool:
    """Store a call's new state. Return False, and change nothing, if the call is over already."""
    with database.write() as session:
        row = session.get(PhoneCall, call_id, with_for_update=True)
        if row is None or CallState(row.state) in FINAL:
            return False
        row.state, row.detail, row.file, row.updated_at = state.value, detail, file, now
        return True


def delete_old(database: Database, now: datetime) -> int:
    """Delete the calls that ended RETENTION ago; return their number. Their recordings stay."""
    is_over = PhoneCall.state.in_([state.value for state in FINAL])
    old = delete(PhoneCall).where(is_over, PhoneCall.updated_at <= now - RETENTION).returning(PhoneCall.id)
    with database.write() as session:
        return len(session.scalars(old, execution_options={"synchronize_session": False}).all())


def fail_abandoned(database: Database, now: datetime) -> list[str]:
    """Fail the calls that a previous worker had claimed and those that were not claimed in time; return their ids."""
    failed = []
    with database.write() as session:
        final = [state.value for state in FINAL]
        for row in session.scalars(select(PhoneCall).where(PhoneCall.state.not_in(final))):
            if _is_active(CallState(row.state)) or _is_unclaimed(row, now):
                row.state, row.detail, row.updated_at = CallState.FAILED.value, CallFailure.SERVICE_DOWN.value, now
                failed.append(row.id)
    return failed
