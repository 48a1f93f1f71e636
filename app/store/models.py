"""The tables. The partial unique indexes at the end guarantee that there is one attempt in flight at most."""

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
    """Aware datetimes in Python, UTC in the database. SQLite stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone")
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
    generation: Mapped[int] = mapped_column(default=0)  # increased to end all sessions of the user
    extensions: Mapped[list[str]] = mapped_column(default=list)  # the extensions of an operator
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Module(Base):
    """A call request module. Durations are seconds. `targets` are extensions, or one queue."""

    __tablename__ = "modules"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    code: Mapped[str] = mapped_column(String(20), unique=True)
    active: Mapped[bool] = mapped_column(default=True)
    silent: Mapped[bool] = mapped_column(default=False)
    automatic: Mapped[bool] = mapped_column(default=True)
    language: Mapped[str] = mapped_column(String(8), default="fa")
    voice: Mapped[str] = mapped_column(String(80), default="")  # "": the office's voice for this language
    rate: Mapped[int | None]  # words per minute; None: the office's rate
    pitch: Mapped[int | None]  # 0-99; None: the office's pitch
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
    """One of the eight prompts of a module. Without a row, the default text is synthesized."""

    __tablename__ = "prompts"

    module_id: Mapped[int] = mapped_column(ForeignKey("modules.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(20), primary_key=True)
    mode: Mapped[str] = mapped_column(String(8))  # none, speech, file
    text: Mapped[str] = mapped_column(Text, default="")  # for mode speech; empty: the default text
    file: Mapped[str | None] = mapped_column(ForeignKey("recordings.file"))  # for mode file
    original_name: Mapped[str] = mapped_column(String(200), default="")

    module: Mapped[Module] = relationship(back_populates="prompts")


class Recording(Base):
    """A recording of the office, for prompts and digits. The same sound is stored once.

    Foreign keys prevent the deletion of a recording in use.
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
    """A digit that is played from a recording instead of being synthesized."""

    __tablename__ = "digit_recordings"

    language: Mapped[str] = mapped_column(String(8), primary_key=True)
    digit: Mapped[str] = mapped_column(String(1), primary_key=True)
    file: Mapped[str] = mapped_column(ForeignKey("recordings.file"))


class PhoneCall(Base):
    """A call to a phone of the office, by which somebody records a prompt or tests a phone. It is no call request.

    A page asks for it and watches its state; the telephone service makes it.
    """

    __tablename__ = "studio_calls"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # UUID
    kind: Mapped[str] = mapped_column(String(8))  # record, test
    extension: Mapped[str] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(80), default="")  # of the recording
    text: Mapped[str] = mapped_column(Text, default="")  # the text to record, or the text played in a test
    state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(String(200), default="")
    file: Mapped[str | None] = mapped_column(ForeignKey("recordings.file", ondelete="SET NULL"))
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ExtensionScenario(Base):
    """The scenario of an extension: where its unanswered callers go. An empty kind ends the call."""

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
    """The scenario of a queue: its failed-call destination, and its maximum wait and wrap-up time in seconds."""

    __tablename__ = "queue_scenarios"

    queue: Mapped[str] = mapped_column(String(80), primary_key=True)
    max_wait: Mapped[int] = mapped_column(default=60)
    wrapup: Mapped[int] = mapped_column(default=0)
    failed_kind: Mapped[str] = mapped_column(String(16), default="")
    failed_code: Mapped[str] = mapped_column(String(80), default="")
    failed: Mapped[Destination] = composite("failed_kind", "failed_code")


class CallRequest(Base):
    __tablename__ = "call_requests"
    # A call can register once with each module.
    __table_args__ = (UniqueConstraint("call_uniqueid", "module_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    module_id: Mapped[int | None] = mapped_column(ForeignKey("modules.id", ondelete="SET NULL"))
    module_name: Mapped[str] = mapped_column(String(80))  # kept in case the module is deleted
    queue: Mapped[bool] = mapped_column(default=False)
    target: Mapped[str] = mapped_column(String(80), default="")  # "" = any extension of the module
    number: Mapped[str] = mapped_column(String(24))  # normalized
    caller_number: Mapped[str] = mapped_column(String(40), default="")  # as the PBX reported it
    caller_name: Mapped[str] = mapped_column(String(80), default="")
    created_by: Mapped[str] = mapped_column(String(80), default="")  # a user's name; "" = the caller, by phone
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
    note: Mapped[str] = mapped_column(Text, default="")  # by the person who marked it done or talked with the customer
    done_by: Mapped[str] = mapped_column(String(80), default="")  # the agent's extension, or a user's name
    reached_at: Mapped[datetime | None]  # when they first talked, or somebody marked it done
    done_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer)

    # Compare-and-set: an UPDATE raises StaleDataError if the version has changed since it was read.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Attempt(Base):
    """One attempt to connect an agent with a customer. `ended_at` is NULL while it is in flight."""

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
    cause: Mapped[str] = mapped_column(String(80), default="")  # what the PBX reported, for technicians
    agent_pause_until: Mapped[datetime | None]
    trace_cleared: Mapped[bool] = mapped_column(default=False)  # Asterisk has deleted its record of the attempt


class HistoryEntry(Base):
    """One change of a request: the event, the status before and after, and who did it."""

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
    version: Mapped[int] = mapped_column(default=0)  # version of the request after this change


class ExtensionRow(Base):
    """The state of an extension, as the PBX reports it."""

    __tablename__ = "lines"

    extension: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), default="")
    context: Mapped[str] = mapped_column(String(80), default="")  # context of its hint
    devices: Mapped[str] = mapped_column(Text, default="")  # devices of its hint, without Custom: ones
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
    """The state of the worker, in a single row (id 1)."""

    __tablename__ = "worker_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    heartbeat: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ami_status: Mapped[str] = mapped_column(String(16), default="down")  # connecting, connected, refused, down
    ami_detail: Mapped[str] = mapped_column(String(200), default="")
    asterisk_version: Mapped[str] = mapped_column(String(40), default="")
    dialplan_written: Mapped[str] = mapped_column(String(40), default="")  # revision in the file
    dialplan_running: Mapped[str] = mapped_column(
        String(40), default=""
    )  # revision that Asterisk runs; "" = none of ours
    dialplan_detail: Mapped[str] = mapped_column(String(200), default="")
    obstacle: Mapped[str] = mapped_column(String(24), default="")  # a policy.ReasonCode that blocks all calls
    poll_seconds: Mapped[float] = mapped_column(default=5.0)


class Command(Base):
    """A command from a page to the worker. The worker answers in the row and ignores expired commands."""

    __tablename__ = "commands"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    payload: Mapped[dict[str, Any]]
    actor: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    ok: Mapped[bool | None]
    result: Mapped[str] = mapped_column(Text, default="")  # a code, or JSON


class AuditEntry(Base):
    """An audit log entry: who changed what in the panel. Rows are never changed."""

    __tablename__ = "log_entries"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(80))  # a user's name; "" = the system
    action: Mapped[str] = mapped_column(String(32))  # such as module_saved
    subject: Mapped[str] = mapped_column(String(120), default="")  # display name of the changed object
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what changed: {"name": ["old", "new"]}


class Setting(Base):
    """One value of the settings pages."""

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
# The report filters, sorts and counts by these columns.
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
