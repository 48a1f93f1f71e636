"""The tables. The partial unique indexes at the foot are what makes "one attempt in flight" a fact and not a hope."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from app.domain.lifecycle import ACTIVE, IN_FLIGHT
from app.domain.routing import Destination


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in Python, UTC in the database, on SQLite as well (which keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))  # administrator, supervisor, operator
    locale: Mapped[str | None] = mapped_column(String(8))
    theme: Mapped[str] = mapped_column(String(8), default="auto")  # auto, light, dark
    generation: Mapped[int] = mapped_column(default=0)  # of the user's sessions; raised to end those that there are
    extensions: Mapped[list[str]] = mapped_column(default=list)  # an operator's own
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Module(Base):
    """A call request module. Durations are seconds; `targets` are extensions, or the one queue."""

    __tablename__ = "modules"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    code: Mapped[str] = mapped_column(String(20), unique=True)
    active: Mapped[bool] = mapped_column(default=True)
    silent: Mapped[bool] = mapped_column(default=False)
    automatic: Mapped[bool] = mapped_column(default=True)
    language: Mapped[str] = mapped_column(String(8), default="fa")
    voice: Mapped[str] = mapped_column(String(80), default="")  # "": the office's voice of this language
    rate: Mapped[int | None]  # words per minute; None: the office's
    pitch: Mapped[int | None]  # 0-99; None: the office's
    min_wait: Mapped[int] = mapped_column(default=0)
    rest: Mapped[int] = mapped_column(default=10)
    retries: Mapped[int] = mapped_column(default=2)
    retry_pause: Mapped[int] = mapped_column(default=300)
    agent_pause: Mapped[int] = mapped_column(default=60)
    agent_ring: Mapped[int] = mapped_column(default=20)
    customer_ring: Mapped[int] = mapped_column(default=40)
    expire_after: Mapped[int] = mapped_column(default=0)  # 0: never
    caller_id: Mapped[str] = mapped_column(String(32), default="")
    target_kind: Mapped[str] = mapped_column(String(16))  # extension, queue
    targets: Mapped[list[str]]
    next_kind: Mapped[str] = mapped_column(String(16))  # extension, queue, module, custom, hangup
    next_code: Mapped[str] = mapped_column(String(80), default="")
    error_kind: Mapped[str] = mapped_column(String(16))
    error_code: Mapped[str] = mapped_column(String(80), default="")
    next: Mapped[Destination] = composite("next_kind", "next_code")
    error: Mapped[Destination] = composite("error_kind", "error_code")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    prompts: Mapped[list["Prompt"]] = relationship(back_populates="module", cascade="all, delete-orphan")


class Prompt(Base):
    """One of a module's eight prompts. No row: the default text of the module's language, spoken."""

    __tablename__ = "prompts"

    module_id: Mapped[int] = mapped_column(ForeignKey("modules.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(20), primary_key=True)
    mode: Mapped[str] = mapped_column(String(8))  # none, speech, file
    text: Mapped[str] = mapped_column(Text, default="")  # speech; empty: the default text
    file: Mapped[str | None] = mapped_column(ForeignKey("recordings.file"))  # of mode file
    original_name: Mapped[str] = mapped_column(String(200), default="")

    module: Mapped[Module] = relationship(back_populates="prompts")


class Recording(Base):
    """A finished sound of the office's own, which prompts and digits may use; the same sound is here once.

    What still uses it keeps it: the foreign keys refuse its deletion.
    """

    __tablename__ = "recordings"

    file: Mapped[str] = mapped_column(String(200), primary_key=True)  # path below PROMPTS_DIR
    name: Mapped[str] = mapped_column(String(80))
    original_name: Mapped[str] = mapped_column(String(200), default="")
    origin: Mapped[str] = mapped_column(String(8))  # upload, browser, phone
    seconds: Mapped[float | None]
    loudness: Mapped[float | None]  # dBFS
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]


class DigitRecording(Base):
    """A digit read out by a recording instead of a voice."""

    __tablename__ = "digit_recordings"

    language: Mapped[str] = mapped_column(String(8), primary_key=True)
    digit: Mapped[str] = mapped_column(String(1), primary_key=True)
    file: Mapped[str] = mapped_column(ForeignKey("recordings.file"))


class PhoneCall(Base):
    """A call to a phone of the office that is no call request: to record a prompt, or to try the telephones out.

    A page asks for it and watches its state; the telephone service makes it.
    """

    __tablename__ = "studio_calls"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # UUID
    kind: Mapped[str] = mapped_column(String(8))  # record, test
    extension: Mapped[str] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(80), default="")  # of the recording
    text: Mapped[str] = mapped_column(Text, default="")  # what is to be said, or, in a test, what is heard
    state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(String(200), default="")
    file: Mapped[str | None] = mapped_column(ForeignKey("recordings.file", ondelete="SET NULL"))
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ExtensionScenario(Base):
    """Where a caller goes whom the extension does not take. An empty kind: nowhere, the call ends."""

    __tablename__ = "extension_scenarios"

    extension: Mapped[str] = mapped_column(String(20), primary_key=True)
    ring: Mapped[int] = mapped_column(default=25)  # seconds
    no_answer_kind: Mapped[str] = mapped_column(String(16), default="")
    no_answer_code: Mapped[str] = mapped_column(String(80), default="")
    busy_kind: Mapped[str] = mapped_column(String(16), default="")
    busy_code: Mapped[str] = mapped_column(String(80), default="")
    unavailable_kind: Mapped[str] = mapped_column(String(16), default="")
    unavailable_code: Mapped[str] = mapped_column(String(80), default="")
    no_answer: Mapped[Destination] = composite("no_answer_kind", "no_answer_code")
    busy: Mapped[Destination] = composite("busy_kind", "busy_code")
    unavailable: Mapped[Destination] = composite("unavailable_kind", "unavailable_code")


class QueueScenario(Base):
    """A queue's failed-call destination, its maximum wait and the wrap-up time of its members, in seconds."""

    __tablename__ = "queue_scenarios"

    queue: Mapped[str] = mapped_column(String(80), primary_key=True)
    max_wait: Mapped[int] = mapped_column(default=60)
    wrapup: Mapped[int] = mapped_column(default=0)
    failed_kind: Mapped[str] = mapped_column(String(16), default="")
    failed_code: Mapped[str] = mapped_column(String(80), default="")
    failed: Mapped[Destination] = composite("failed_kind", "failed_code")


class CallRequest(Base):
    __tablename__ = "call_requests"
    # A call that registers twice with a module has registered once; two modules in one call are two wishes.
    __table_args__ = (UniqueConstraint("call_uniqueid", "module_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    module_id: Mapped[int | None] = mapped_column(ForeignKey("modules.id", ondelete="SET NULL"))
    module_name: Mapped[str] = mapped_column(String(80))  # as it was, should the module be deleted
    queue: Mapped[bool] = mapped_column(default=False)
    target: Mapped[str] = mapped_column(String(80), default="")  # "" = any extension of the module
    number: Mapped[str] = mapped_column(String(24))  # canonical
    caller_number: Mapped[str] = mapped_column(String(40), default="")  # as the exchange gave it
    caller_name: Mapped[str] = mapped_column(String(80), default="")
    created_by: Mapped[str] = mapped_column(String(80), default="")  # "" = the caller by phone, else a user's name
    call_uniqueid: Mapped[str | None] = mapped_column(String(80))
    status: Mapped[str] = mapped_column(String(12))
    priority: Mapped[int] = mapped_column(default=0)
    first_called_at: Mapped[datetime]
    registered_at: Mapped[datetime] = mapped_column(index=True)
    free_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    postponed_until: Mapped[datetime | None]
    call_now: Mapped[bool] = mapped_column(default=False)
    call_now_agent: Mapped[str | None] = mapped_column(String(20))
    customer_attempts: Mapped[int] = mapped_column(default=0)
    agent_misses: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[str | None] = mapped_column(String(36))
    step: Mapped[str | None] = mapped_column(String(20))
    last_outcome: Mapped[str | None] = mapped_column(String(24))
    note: Mapped[str] = mapped_column(Text, default="")  # of who marked it done, or spoke with the customer
    done_by: Mapped[str] = mapped_column(String(80), default="")  # the agent's extension, or a user's name
    reached_at: Mapped[datetime | None]  # when the two first talked, or somebody said that it is done
    done_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer)

    # Compare-and-set: an UPDATE that meets another version than it read raises StaleDataError.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Attempt(Base):
    """One try to connect an agent with a customer. `ended_at` is NULL while it is in flight."""

    __tablename__ = "attempts"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # UUID; also the channels' Uniqueid
    request_id: Mapped[int] = mapped_column(ForeignKey("call_requests.id", ondelete="CASCADE"), index=True)
    agent: Mapped[str] = mapped_column(String(20))
    number: Mapped[str] = mapped_column(String(24))
    manual: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    dialled_at: Mapped[datetime | None]
    connected_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(24))
    cause: Mapped[str] = mapped_column(String(80), default="")  # the exchange's own words, for the technician
    agent_pause_until: Mapped[datetime | None]
    trace_cleared: Mapped[bool] = mapped_column(default=False)  # Asterisk's own record of it is deleted


class HistoryEntry(Base):
    """Every change of a request: what happened, what it made of the status, who did it."""

    __tablename__ = "history"

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("call_requests.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(24))
    old_status: Mapped[str] = mapped_column(String(12))
    new_status: Mapped[str] = mapped_column(String(12))
    attempt: Mapped[str | None] = mapped_column(String(36))
    detail: Mapped[str] = mapped_column(String(200), default="")
    actor: Mapped[str] = mapped_column(String(80), default="")  # "" = the system or the caller
    version: Mapped[int] = mapped_column(default=0)  # of the request after this change


class ExtensionRow(Base):
    """An extension as the exchange reports it."""

    __tablename__ = "lines"

    extension: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), default="")
    context: Mapped[str] = mapped_column(String(80), default="")  # of its hint
    devices: Mapped[str] = mapped_column(Text, default="")  # of its hint, less Custom:
    state: Mapped[str] = mapped_column(String(12))
    since: Mapped[datetime]


class QueueRow(Base):
    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    live_callers: Mapped[int] = mapped_column(default=0)


class QueueMemberRow(Base):
    __tablename__ = "queue_members"

    queue: Mapped[str] = mapped_column(String(80), primary_key=True)
    extension: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), default="")
    paused: Mapped[bool] = mapped_column(default=False)
    penalty: Mapped[int] = mapped_column(default=0)
    wrapup_until: Mapped[datetime | None]


class WorkerState(Base):
    """What the telephone service last said of itself: a single row (id 1)."""

    __tablename__ = "worker_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    heartbeat: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ami_status: Mapped[str] = mapped_column(String(16), default="down")  # connecting, connected, refused, down
    ami_detail: Mapped[str] = mapped_column(String(200), default="")
    asterisk_version: Mapped[str] = mapped_column(String(40), default="")
    dialplan_written: Mapped[str] = mapped_column(String(40), default="")  # revision in the file
    dialplan_running: Mapped[str] = mapped_column(String(40), default="")  # revision that Asterisk runs; "" = none
    dialplan_detail: Mapped[str] = mapped_column(String(200), default="")
    obstacle: Mapped[str] = mapped_column(String(24), default="")  # a policy.Why that keeps all calls back
    poll_seconds: Mapped[float] = mapped_column(default=5.0)


class Command(Base):
    """What a page asks of the telephone service. The service answers in the row, and never does an expired one."""

    __tablename__ = "commands"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    payload: Mapped[dict[str, Any]]
    actor: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    ok: Mapped[bool | None]
    result: Mapped[str] = mapped_column(Text, default="")  # a code, or more by JSON


class AuditEntry(Base):
    """Who changed what in the panel. Rows are added, never changed."""

    __tablename__ = "log_entries"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(80))  # a user's name; "" = the system
    action: Mapped[str] = mapped_column(String(32))  # such as module_saved
    subject: Mapped[str] = mapped_column(String(120), default="")  # what it was done to, as people know it
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what changed: {"name": ["old", "new"]}


class Setting(Base):
    """A value of the settings page, by name."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


def _in(column: str, statuses: frozenset[Any]) -> Any:
    return text(f"{column} IN ({', '.join(sorted(repr(status.value) for status in statuses))})")


_ACTIVE, _IN_FLIGHT, _OPEN = _in("status", ACTIVE), _in("status", IN_FLIGHT), text("ended_at IS NULL")


def _partial(name: str, *columns: Any, where: Any, unique: bool = True) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_partial(
    "uq_active_request",
    CallRequest.module_id,
    CallRequest.queue,
    CallRequest.target,
    CallRequest.number,
    where=_ACTIVE,
)
_partial("uq_attempt_request", Attempt.request_id, where=_OPEN)
_partial("uq_attempt_number", Attempt.number, where=_OPEN)
_partial("uq_attempt_agent", Attempt.agent, where=_OPEN)
_partial("ix_call_requests_active", CallRequest.status, where=_ACTIVE, unique=False)
# The report filters, sorts and counts by these.
Index("ix_call_requests_done_at", CallRequest.done_at)
Index("ix_call_requests_number", CallRequest.number)
Index("ix_call_requests_done_by", CallRequest.done_by, CallRequest.registered_at)
Index("ix_call_requests_target", CallRequest.target, CallRequest.registered_at)
Index("ix_call_requests_status", CallRequest.status, CallRequest.registered_at)
Index("ix_call_requests_module", CallRequest.module_id, CallRequest.registered_at)
Index("ix_attempts_pause", Attempt.agent_pause_until)
Index(
    "ix_attempts_trace",
    Attempt.trace_cleared,
    sqlite_where=text("NOT trace_cleared"),
    postgresql_where=text("NOT trace_cleared"),
)
Index("ix_commands_open", Command.done_at)
