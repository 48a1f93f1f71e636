"""The tables. The partial unique indexes at the end guarantee that there is one attempt in flight at most."""

from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from app.domain import module_defaults
from app.domain.lifecycle import ACTIVE, IN_FLIGHT, Status
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
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        **dict.fromkeys((dict[str, Any], list[str], list[int], list[float]), JSON),
    }


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))  # "": no password, the user logs in elsewhere
    role: Mapped[str] = mapped_column(String(16))  # administrator, supervisor, operator
    locale: Mapped[str | None] = mapped_column(String(8))
    theme: Mapped[str] = mapped_column(String(8), default="auto")  # auto, light, dark
    generation: Mapped[int] = mapped_column(default=0)  # increased to end all sessions of the user
    extensions: Mapped[list[str]] = mapped_column(default=list)  # those of an operator in the first exchange
    active: Mapped[bool] = mapped_column(default=True)
    opens_screen_pop: Mapped[bool] = mapped_column(default=False, server_default=false())  # in a new tab, by itself
    # whether they may see the first exchange; for the others see UserExchange. Administrators see all
    sees_first: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime]


class Exchange(Base):
    """An exchange (PBX) of the office, such as that of a branch. The first one has id 1; see store/exchanges.py."""

    __tablename__ = "exchanges"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20), unique=True)  # in addresses, BAZANG_EXCHANGE and the schema's name
    name: Mapped[str] = mapped_column(String(80))  # "": the first one, which nobody has named yet
    created_at: Mapped[datetime]


class UserExchange(Base):
    """A further exchange that a user may see, and the user's extensions there."""

    __tablename__ = "user_exchanges"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    exchange_id: Mapped[int] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), primary_key=True)
    extensions: Mapped[list[str]] = mapped_column(default=list)


class UserSession(Base):
    """A session of a user in one browser. The browser's cookie has a token, of which only a digest is stored."""

    __tablename__ = "user_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    generation: Mapped[int]  # of the user when the session started
    started_at: Mapped[datetime]
    used_at: Mapped[datetime]  # accurate to a few minutes
    address: Mapped[str] = mapped_column(String(45), default="")
    browser: Mapped[str] = mapped_column(String(200), default="")  # as it calls itself
    source: Mapped[str] = mapped_column(String(8), default="")  # where the user logged in: oidc, ldap; "": here
    id_token: Mapped[str] = mapped_column(Text, default="")  # of the provider, encrypted; to log out there


class UserIdentity(Base):
    """Who a user is at a provider or in a directory. Only `issuer` and `subject` say it; names may change hands."""

    __tablename__ = "user_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"), UniqueConstraint("user_id", "issuer"))

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    source: Mapped[str] = mapped_column(String(8))  # oidc, ldap
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    login: Mapped[str] = mapped_column(String(80))  # the name there, as of the last log-in
    linked_at: Mapped[datetime]


class SecondFactor(Base):
    """The second factor of a user: the secret in their phone. It counts from its first code on.

    Until then it belongs to the session that sets it up.
    """

    __tablename__ = "second_factors"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(String(255))  # encrypted, see store/encryption.py
    # the session that sets it up; None: it counts
    session_id: Mapped[int | None] = mapped_column(ForeignKey("user_sessions.id", ondelete="CASCADE"))
    started_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    used_step: Mapped[int | None]  # the time step of the last accepted code, see domain/second_factor.py


class RecoveryCode(Base):
    """A recovery code that was not used yet. Only its digest is stored."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)


class PendingLogin(Base):
    """A log-in whose password was right, and that waits for the code. The browser has the token of the digest."""

    __tablename__ = "pending_logins"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    generation: Mapped[int]  # of the user when the password was checked
    started_at: Mapped[datetime]


class LoginFailures(Base):
    """How often logging in has failed in a row, for an account, an address, or both."""

    __tablename__ = "login_failures"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)


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
    min_wait: Mapped[int] = mapped_column(default=module_defaults.MIN_WAIT)
    rest: Mapped[int] = mapped_column(default=module_defaults.REST)
    retries: Mapped[int] = mapped_column(default=module_defaults.RETRIES)
    retry_pauses: Mapped[list[int]] = mapped_column(default=lambda: list(module_defaults.RETRY_PAUSES))
    busy_pause: Mapped[int] = mapped_column(default=module_defaults.BUSY_PAUSE)  # 0: as if nobody had answered
    agent_pause: Mapped[int] = mapped_column(default=module_defaults.AGENT_PAUSE)
    agent_ring: Mapped[int] = mapped_column(default=module_defaults.AGENT_RING)
    customer_ring: Mapped[int] = mapped_column(default=module_defaults.CUSTOMER_RING)
    agent_confirms: Mapped[str] = mapped_column(
        String(8), default=module_defaults.AGENT_CONFIRMS, server_default=module_defaults.AGENT_CONFIRMS
    )  # a dial_order.Confirmation
    asks_customer: Mapped[bool] = mapped_column(default=False, server_default=false())
    customer_first: Mapped[bool] = mapped_column(default=False, server_default=false())
    office_name: Mapped[str] = mapped_column(String(80), default="", server_default="")  # as customers hear it
    expire_after: Mapped[int] = mapped_column(default=module_defaults.EXPIRE_AFTER)  # 0: never
    hours: Mapped[str] = mapped_column(
        String(600), default="", server_default=""
    )  # see hours.parse_week; "": the office's
    holidays: Mapped[bool] = mapped_column(default=True, server_default=true())  # closed on the office's special days
    outside: Mapped[str] = mapped_column(
        String(16), default=module_defaults.OUTSIDE, server_default=module_defaults.OUTSIDE
    )  # an hours.Outside
    stop_before: Mapped[int] = mapped_column(default=module_defaults.STOP_BEFORE, server_default="0")
    at_closing: Mapped[str] = mapped_column(
        String(16), default=module_defaults.AT_CLOSING, server_default=module_defaults.AT_CLOSING
    )  # an hours.AtClosing
    agent_order: Mapped[str] = mapped_column(
        String(16), default=module_defaults.AGENT_ORDER, server_default=module_defaults.AGENT_ORDER
    )  # an agent_order.AgentOrder
    preferred_for: Mapped[int] = mapped_column(default=module_defaults.PREFERRED_FOR, server_default="0")
    fallback_after: Mapped[int] = mapped_column(default=module_defaults.FALLBACK_AFTER, server_default="0")  # 0: never
    fallback_kind: Mapped[str] = mapped_column(String(16), default="", server_default="")  # extension, queue
    fallback_code: Mapped[str] = mapped_column(String(80), default="", server_default="")
    place: Mapped[str] = mapped_column(
        String(16), default=module_defaults.PLACE, server_default=module_defaults.PLACE
    )  # a place_in_line.Place
    callers_lead: Mapped[int] = mapped_column(
        default=module_defaults.CALLERS_LEAD, server_default=str(module_defaults.CALLERS_LEAD)
    )  # 0: without an end
    callers_share: Mapped[int] = mapped_column(
        default=module_defaults.CALLERS_SHARE, server_default=str(module_defaults.CALLERS_SHARE)
    )
    offers_times: Mapped[bool] = mapped_column(default=False, server_default=false())  # callers may choose the time
    # of chosen times in a quarter of an hour; 0: no limit
    quarter_limit: Mapped[int] = mapped_column(default=module_defaults.QUARTER_LIMIT, server_default="0")
    tells_place: Mapped[bool] = mapped_column(default=False, server_default=false())  # callers hear their place
    tells_wait: Mapped[bool] = mapped_column(default=False, server_default=false())  # and how long it will take
    asks_name: Mapped[bool] = mapped_column(default=False, server_default=false())  # callers may say their name
    keeps_while_down: Mapped[bool] = mapped_column(default=False, server_default=false())  # the dialplan takes requests
    # The key by which callers who wait in the queue come to the module, "": they are not offered that. Then how often
    # they hear of it, in seconds, and from how many waiting callers on at once, in all and for each agent who is logged
    # in and not paused (0: never at once).
    offer_key: Mapped[str] = mapped_column(String(1), default="", server_default="")
    offer_after: Mapped[int] = mapped_column(
        default=module_defaults.OFFER_AFTER, server_default=str(module_defaults.OFFER_AFTER)
    )
    offer_callers: Mapped[int] = mapped_column(default=module_defaults.OFFER_CALLERS, server_default="0")
    offer_callers_per_agent: Mapped[int] = mapped_column(
        default=module_defaults.OFFER_CALLERS_PER_AGENT, server_default="0"
    )
    caller_id: Mapped[str] = mapped_column(String(32), default="")
    target_kind: Mapped[str] = mapped_column(String(16))  # extension, queue
    targets: Mapped[list[str]]
    next_kind: Mapped[str] = mapped_column(String(16))  # extension, queue, module, custom, hangup
    next_code: Mapped[str] = mapped_column(String(80), default="")
    error_kind: Mapped[str] = mapped_column(String(16))
    error_code: Mapped[str] = mapped_column(String(80), default="")
    next: Mapped[Destination] = composite("next_kind", "next_code")
    error: Mapped[Destination] = composite("error_kind", "error_code")
    fallback: Mapped[Destination] = composite("fallback_kind", "fallback_code")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    prompts: Mapped[list["Prompt"]] = relationship(back_populates="module", cascade="all, delete-orphan")


class FormerCode(Base):
    """A code that a module had before, which the PBX may still have somewhere.

    `module_id` is None if the module is deleted. Then `name` is what it was called, and callers go to `error`.
    """

    __tablename__ = "former_codes"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    module_id: Mapped[int | None] = mapped_column(ForeignKey("modules.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(String(80), default="")
    error_kind: Mapped[str] = mapped_column(String(16))
    error_code: Mapped[str] = mapped_column(String(80), default="")
    error: Mapped[Destination] = composite("error_kind", "error_code")


class Prompt(Base):
    """One of the prompts of a module. Without a row, the default text is synthesized."""

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


class PromptRecording(Base):
    """A default text that is played from a recording instead of being synthesized, in all modules of the language."""

    __tablename__ = "prompt_recordings"

    language: Mapped[str] = mapped_column(String(8), primary_key=True)
    key: Mapped[str] = mapped_column(String(24), primary_key=True)
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


class MissedCallRule(Base):
    """An extension or a queue whose missed calls are listed, and how they become requests."""

    __tablename__ = "missed_call_rules"
    __table_args__ = (UniqueConstraint("queue", "target"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    queue: Mapped[bool]
    target: Mapped[str] = mapped_column(String(80))
    # None: the first module that serves the target
    module_id: Mapped[int | None] = mapped_column(ForeignKey("modules.id", ondelete="SET NULL"))
    minutes: Mapped[int] = mapped_column(default=0)  # after which a request is made by itself; 0: never


class MissedCall(Base):
    """A call from outside whose caller reached nobody and left no request. `outcome`: see domain/missed_calls.py."""

    __tablename__ = "missed_calls"

    id: Mapped[int] = mapped_column(primary_key=True)
    call_uniqueid: Mapped[str] = mapped_column(String(80), unique=True)  # of the caller's channel
    queue: Mapped[bool]
    target: Mapped[str] = mapped_column(String(80))
    number: Mapped[str] = mapped_column(String(24), default="", index=True)  # normalized; "": withheld or no number
    caller_name: Mapped[str] = mapped_column(String(80), default="")
    at: Mapped[datetime] = mapped_column(index=True)  # when the caller hung up
    outcome: Mapped[str] = mapped_column(String(12))
    outcome_at: Mapped[datetime | None]
    outcome_by: Mapped[str] = mapped_column(String(80), default="")  # an extension, a queue, or a user's name
    request_id: Mapped[int | None] = mapped_column(ForeignKey("call_requests.id", ondelete="SET NULL"), index=True)


class CallRequest(Base):
    __tablename__ = "call_requests"
    # A call can register once with each module at each entry; see `call_uniqueid`.
    __table_args__ = (UniqueConstraint("call_uniqueid", "module_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    module_id: Mapped[int | None] = mapped_column(ForeignKey("modules.id", ondelete="SET NULL"))
    module_name: Mapped[str] = mapped_column(String(80))  # kept in case the module is deleted
    queue: Mapped[bool] = mapped_column(default=False)
    target: Mapped[str] = mapped_column(String(80), default="")  # "" = any extension of the module
    number: Mapped[str] = mapped_column(String(24))  # normalized
    number_source: Mapped[str] = mapped_column(String(12), default="caller_id")  # a number_policy.Source
    caller_number: Mapped[str] = mapped_column(String(40), default="")  # as the PBX reported it
    caller_name: Mapped[str] = mapped_column(String(80), default="")
    created_by: Mapped[str] = mapped_column(String(80), default="")  # a user's name; "" = the caller, by phone
    came_by: Mapped[str] = mapped_column(String(12), default="", server_default="")  # a routing.CameBy
    # the name of the website form, kept in case the form is removed; "": it came another way
    website: Mapped[str] = mapped_column(String(80), default="", server_default="")
    # the Uniqueid of the caller's channel; "/2" follows at the second module that the call entered, and so on
    call_uniqueid: Mapped[str | None] = mapped_column(String(80))
    status: Mapped[str] = mapped_column(String(12))
    priority: Mapped[int] = mapped_column(default=0)
    first_called_at: Mapped[datetime]
    registered_at: Mapped[datetime] = mapped_column(index=True)
    # how many requests and live callers came before it when the caller registered it; NULL: unknown
    ahead: Mapped[int | None]
    free_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    postponed_until: Mapped[datetime | None]
    # postponed_until was chosen at the registration, and nobody has postponed the request since
    time_chosen: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Until then the dispatcher need not look at it: it has seen that it waits for its own time. NULL: unknown, look.
    held_until: Mapped[datetime | None]
    held_for: Mapped[str | None] = mapped_column(String(20))  # the preferred agent for whom it waits until held_until
    preferred: Mapped[str] = mapped_column(String(20), default="", server_default="")  # see lifecycle.Request
    fell_back: Mapped[bool] = mapped_column(default=False, server_default=false())  # see lifecycle.Request
    agent_first: Mapped[bool] = mapped_column(default=False, server_default=false())  # see lifecycle.Request
    call_now: Mapped[bool] = mapped_column(default=False)
    call_now_agent: Mapped[str | None] = mapped_column(String(20))
    call_now_at: Mapped[datetime | None]  # when a person asked for it
    customer_attempts: Mapped[int] = mapped_column(default=0)
    agent_misses: Mapped[int] = mapped_column(default=0)
    route_failures: Mapped[int] = mapped_column(default=0)  # in a row
    attempt: Mapped[str | None] = mapped_column(String(36))
    step: Mapped[str | None] = mapped_column(String(20))
    last_outcome: Mapped[str | None] = mapped_column(String(24))
    registered_again_at: Mapped[datetime | None]  # when the caller last registered it again
    again: Mapped[bool] = mapped_column(default=False)  # that was during the attempt in flight
    reopened_at: Mapped[datetime | None]  # when a person last reopened it
    note: Mapped[str] = mapped_column(Text, default="")  # by the person who marked it done or talked with the customer
    done_by: Mapped[str] = mapped_column(String(80), default="")  # the agent's extension, or a user's name
    reached_at: Mapped[datetime | None]  # when they first talked, or somebody marked it done
    done_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer)

    # Compare-and-set: an UPDATE raises StaleDataError if the version has changed since it was read.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class SpokenName(Base):
    """The name that the caller of a request has said."""

    __tablename__ = "spoken_names"

    request_id: Mapped[int] = mapped_column(ForeignKey("call_requests.id", ondelete="CASCADE"), primary_key=True)
    file: Mapped[str] = mapped_column(String(60), unique=True)  # path below PROMPTS_DIR


class StoredSound(Base):
    """The content of a recording or of a spoken name, with which it goes. On SQLite there are none.

    Either `recording` or `request_id` is set. See services/sounds.py.
    """

    __tablename__ = "sounds"

    file: Mapped[str] = mapped_column(String(200), primary_key=True)  # path below PROMPTS_DIR
    recording: Mapped[str | None] = mapped_column(ForeignKey("recordings.file", ondelete="CASCADE"), unique=True)
    request_id: Mapped[int | None] = mapped_column(
        ForeignKey("spoken_names.request_id", ondelete="CASCADE"), unique=True
    )
    sha256: Mapped[str] = mapped_column(String(64))  # of the content
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Contact(Base):
    """Somebody whom the office knows. A number belongs to one contact."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    organisation: Mapped[str] = mapped_column(String(120), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    search_key: Mapped[str] = mapped_column(Text, index=True)  # of name and organisation, see contacts.search_text
    updated_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ContactNumber(Base):
    """A number of a contact."""

    __tablename__ = "contact_numbers"

    number: Mapped[str] = mapped_column(String(24), primary_key=True)  # normalized
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)


class ContactImport(Base):
    """A file of contacts that a user has uploaded and not stored yet."""

    __tablename__ = "contact_imports"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    file_name: Mapped[str] = mapped_column(String(200))
    content: Mapped[dict[str, Any]]  # its cells, and what each column is
    created_at: Mapped[datetime]


class LookedUpName(Base):
    """What another program said about a number when it was asked for a name. It is a cache."""

    __tablename__ = "looked_up_names"

    number: Mapped[str] = mapped_column(String(24), primary_key=True)  # normalized
    name: Mapped[str] = mapped_column(String(120), default="")  # "": it knows none
    asked_at: Mapped[datetime] = mapped_column(index=True)
    failure: Mapped[str] = mapped_column(String(16), default="")  # a code of push/names.py; then `name` may be older


class LastTalk(Base):
    """Who of the office talked with a number last. It is kept if a module prefers them."""

    __tablename__ = "last_talks"

    number: Mapped[str] = mapped_column(String(40), primary_key=True)  # normalized
    extension: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(index=True)


class Attempt(Base):
    """One attempt to connect an agent with a customer. `ended_at` is NULL while it is in flight.

    Attempts in a row in which nothing rang are one row: `repeats` counts them, and `since` is the start of the first.
    """

    __tablename__ = "attempts"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # UUID; also the channels' Uniqueid
    request_id: Mapped[int] = mapped_column(ForeignKey("call_requests.id", ondelete="CASCADE"), index=True)
    agent: Mapped[str] = mapped_column(String(20))
    number: Mapped[str] = mapped_column(String(24))
    route: Mapped[str] = mapped_column(String(80), default="")  # the outbound context; "" = a call inside
    manual: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    dialled_at: Mapped[datetime | None]
    waited_at: Mapped[datetime | None]  # since when a customer who was rung first waited for the agent
    connected_at: Mapped[datetime | None]
    talked_at: Mapped[datetime | None]  # when they had been connected for the shortest talk
    stood_still_at: Mapped[datetime | None]  # when the PBX was first seen to stand still in their talk
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(24))
    cause: Mapped[str] = mapped_column(String(80), default="")  # what the PBX reported, for technicians
    agent_pause_until: Mapped[datetime | None]  # for all requests; after a talk, the end of the queue's wrap-up time
    request_pause_until: Mapped[datetime | None]  # of the agent, for this request
    repeats: Mapped[int] = mapped_column(default=1)
    since: Mapped[datetime | None]  # NULL = started_at
    trace_cleared: Mapped[bool] = mapped_column(default=False)  # Asterisk has deleted its record of the attempt


class RouteTroubleRow(Base):
    """An outbound context through which calls fail now. Without a row, it works."""

    __tablename__ = "routes"

    context: Mapped[str] = mapped_column(String(80), primary_key=True)
    failures: Mapped[int]  # in a row
    since: Mapped[datetime]
    failed_at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(String(24))
    cause: Mapped[str] = mapped_column(String(80), default="")  # what the PBX reported, for technicians


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
    # column -> its value before, of what the change changed in the request; NULL if it cannot be undone
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class ListedNumber(Base):
    """A number or range of numbers whose requests are refused, not limited, or served first."""

    __tablename__ = "listed_numbers"
    __table_args__ = (UniqueConstraint("first", "last"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))  # a limits.ListKind
    first: Mapped[str] = mapped_column(String(24))  # normalized
    last: Mapped[str] = mapped_column(String(24), default="")  # "": all numbers that begin with `first`
    agent: Mapped[str] = mapped_column(String(20), default="", server_default="")  # the fixed one, with priority only
    note: Mapped[str] = mapped_column(String(200), default="")
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]


class NumberRule(Base):
    """A country whose numbers may be called, or a prefix of numbers that may (allow) or may not be called (refuse)."""

    __tablename__ = "number_rules"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))  # country, allow, refuse
    value: Mapped[str] = mapped_column(String(24), unique=True)  # "GB", or "+4420"
    typed: Mapped[bool] = mapped_column(default=False)  # also for numbers that callers type; without meaning for refuse
    note: Mapped[str] = mapped_column(String(200), default="")
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]


class SpecialDay(Base):
    """A day that differs from the week: a holiday, or one with other hours."""

    __tablename__ = "special_days"

    date: Mapped[date] = mapped_column(Date, primary_key=True)
    hours: Mapped[str] = mapped_column(String(100), default="")  # see hours.parse_spans; "" = closed
    name: Mapped[str] = mapped_column(String(80), default="")
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]


class RefusedRegistrations(Base):
    """How many requests of callers were refused in an hour, for a reason."""

    __tablename__ = "refused_registrations"

    hour: Mapped[datetime] = mapped_column(primary_key=True)  # its beginning
    reason: Mapped[str] = mapped_column(String(16), primary_key=True)
    count: Mapped[int]


class KeptRegistration(Base):
    """A registration that the dialplan kept while our service was down, and that is done."""

    __tablename__ = "kept_registrations"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)  # of the record in Asterisk's database
    called_at: Mapped[datetime]
    stored_at: Mapped[datetime] = mapped_column(index=True)
    refused: Mapped[str] = mapped_column(String(16), default="")  # a KeptRefusal or a LimitReason, "": it is registered


class ExtensionRow(Base):
    """The state of an extension, as the PBX reports it."""

    __tablename__ = "lines"

    extension: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), default="")
    context: Mapped[str] = mapped_column(String(80), default="")  # context of its hint
    devices: Mapped[str] = mapped_column(Text, default="")  # devices of its hint, without Custom: ones
    state: Mapped[str] = mapped_column(String(12))
    since: Mapped[datetime]
    idle_since: Mapped[datetime | None]  # the end of its last call, or when we last rang it; NULL: none is known


class QueueRow(Base):
    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    live_callers: Mapped[int] = mapped_column(default=0)
    callers_joined: Mapped[list[float]] = mapped_column(
        default=list, server_default="[]"
    )  # seconds since 1970; it may lack some of them
    callers_answered: Mapped[int] = mapped_column(default=0, server_default="0")  # since a request was last called
    wrapup: Mapped[int | None]  # seconds, as queues.conf has it; None: the PBX does not let us read it


class QueueMemberRow(Base):
    __tablename__ = "queue_members"

    queue: Mapped[str] = mapped_column(String(80), primary_key=True)
    extension: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), default="")
    paused: Mapped[bool] = mapped_column(default=False)
    penalty: Mapped[int] = mapped_column(default=0)
    wrapup_until: Mapped[datetime | None]


class PbxDestination(Base):
    """A place in the dialplan of FreePBX that leads to a module: in a situation of an extension or a queue."""

    __tablename__ = "pbx_destinations"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)  # extension, queue
    owner: Mapped[str] = mapped_column(String(80), primary_key=True)
    situation: Mapped[str] = mapped_column(String(16), primary_key=True)  # no_answer, busy, unavailable, failed
    code: Mapped[str] = mapped_column(String(20))


class WorkerState(Base):
    """The state of the worker, in a single row (id 1)."""

    __tablename__ = "worker_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    heartbeat: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ami_status: Mapped[str] = mapped_column(String(16), default="down")  # an AMI status or `not_given`
    ami_detail: Mapped[str] = mapped_column(String(200), default="")
    asterisk_version: Mapped[str] = mapped_column(String(40), default="")
    dialplan_written: Mapped[str] = mapped_column(String(40), default="")  # revision in the file
    dialplan_running: Mapped[str] = mapped_column(
        String(40), default=""
    )  # revision that Asterisk runs; "" = none of ours
    dialplan_detail: Mapped[str] = mapped_column(String(200), default="")
    obstacle: Mapped[str] = mapped_column(String(24), default="")  # a policy.ReasonCode that blocks all calls
    outbound_context: Mapped[str] = mapped_column(String(80), default="")  # that the worker dials customers through
    region: Mapped[str] = mapped_column(String(3), default="")  # the office's country, as the worker knows it
    timezone: Mapped[str] = mapped_column(String(64), default="", server_default="")  # the office's, likewise
    poll_seconds: Mapped[float] = mapped_column(default=5.0)
    holder: Mapped[str] = mapped_column(String(36), default="", server_default="")  # who leads, see worker/lease.py
    host: Mapped[str] = mapped_column(String(80), default="", server_default="")  # the machine of the worker
    boot_id: Mapped[str] = mapped_column(String(40), default="")  # of the machine of the heartbeat; "" = unknown
    booted_at: Mapped[datetime | None]  # when that machine was started, by the clock of the heartbeat
    jumped_at: Mapped[datetime | None]  # when the wall clock last jumped, by the new time
    jump_seconds: Mapped[int] = mapped_column(default=0)  # how far; negative: it was put back
    # how many times old requests were deleted, or moved by the clock; cached reports are outdated when it grows
    deletions: Mapped[int] = mapped_column(default=0, server_default="0")
    # what the worker measures, in the text format of Prometheus; pages do not load it
    figures: Mapped[str] = mapped_column(Text, default="", server_default="", deferred=True)


class NumberOnLine(Base):
    """A normalized number that is in a call with the office now."""

    __tablename__ = "numbers_on_line"

    number: Mapped[str] = mapped_column(String(40), primary_key=True)


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


class NotificationPreferences(Base):
    """What a user has chosen for notifications. Without a row, it is the default of domain/notifications.py."""

    __tablename__ = "notification_preferences"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    kinds: Mapped[list[str]]  # each a notifications.Kind
    quiet_from: Mapped[str] = mapped_column(String(5))  # "20:00" by the office's time
    quiet_until: Mapped[str] = mapped_column(String(5))
    shows_numbers: Mapped[bool]


class PushSubscription(Base):
    """A browser to which notifications of a user go, as long as the session lasts in which it was added."""

    __tablename__ = "push_subscriptions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("user_sessions.id", ondelete="CASCADE"), index=True)
    endpoint: Mapped[str] = mapped_column(Text)  # at the browser's push service
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # of the endpoint
    p256dh: Mapped[str] = mapped_column(String(120))  # the browser's public key
    auth: Mapped[str] = mapped_column(String(40))  # a secret that only the browser has, too
    contact: Mapped[str] = mapped_column(String(255))  # how the push service can find who sends
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]  # when the push service last took a notification
    failed_at: Mapped[datetime | None]  # when it last did not; NULL: what was sent last was taken
    failure: Mapped[str] = mapped_column(String(16), default="")  # a code of push/send.py


class PushMessage(Base):
    """A notification for one browser. The row stays for a day, so that nothing is said twice."""

    __tablename__ = "push_messages"
    __table_args__ = (UniqueConstraint("subscription_id", "key"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    subscription_id: Mapped[int] = mapped_column(ForeignKey("push_subscriptions.id", ondelete="CASCADE"))
    request_id: Mapped[int | None] = mapped_column(ForeignKey("call_requests.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(8))  # a notifications.Kind
    key: Mapped[str] = mapped_column(String(60))  # of what it says
    created_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]
    next_at: Mapped[datetime]  # when it is sent, or sent again
    tries: Mapped[int] = mapped_column(default=0)
    done: Mapped[bool] = mapped_column(default=False)


class ApiToken(Base):
    """A token by which a program uses the API as a user. Only its digest is stored."""

    __tablename__ = "api_tokens"
    # Else a page that still shows a revoked token could revoke the next one.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    beginning: Mapped[str] = mapped_column(String(12))  # of the token, by which a person recognises it
    scopes: Mapped[list[str]]  # see domain/api_scopes.py
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # accurate to a few minutes
    used_from: Mapped[str] = mapped_column(String(45), default="")  # the address of the last use
    expires_at: Mapped[datetime | None]  # it is refused from then on; NULL: it never expires


class ApiAnswer(Base):
    """The answer to an API call with an idempotency key. The same call gets it again for a day."""

    __tablename__ = "api_answers"

    token_id: Mapped[int] = mapped_column(ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # of what was sent
    status: Mapped[int | None]  # of HTTP; None until the transaction that made the row ends
    body: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(index=True)


class Count(Base):
    """How often something happened in a span of time that ends at `until`, in all processes. See services/counts.py."""

    __tablename__ = "counts"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    until: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    hits: Mapped[int]


class WebsiteForm(Base):
    """A form by which visitors of a website leave requests. Its key is public: every visitor can read it."""

    __tablename__ = "website_forms"
    # Else a page that still shows a removed form could change the next one.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    key: Mapped[str] = mapped_column(String(32), unique=True)
    active: Mapped[bool] = mapped_column(default=True)
    # NULL: the module was deleted, and the form registers nothing
    module_id: Mapped[int | None] = mapped_column(ForeignKey("modules.id", ondelete="SET NULL"), index=True)
    target: Mapped[str] = mapped_column(String(80), default="")  # an extension of the module; "": any, or the queue
    origins: Mapped[list[str]]  # such as https://www.example.org; see domain/website.py
    language: Mapped[str] = mapped_column(String(8))
    asks_name: Mapped[bool] = mapped_column(default=True)
    offers_times: Mapped[bool] = mapped_column(default=False)  # if the module offers them, too
    privacy: Mapped[str] = mapped_column(Text, default="")  # a sentence below the form
    daily_limit: Mapped[int]  # requests in 24 hours
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]


class Webhook(Base):
    """A destination of events: a URL to which they are posted, or a person who gets them by e-mail.

    What is secret is encrypted, see store/encryption.py. An e-mail destination has no URL and no secret; its recipient
    is an address, which is its name as well.
    """

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    channel: Mapped[str] = mapped_column(String(8), default="http", server_default="http")  # a webhooks.Channel
    active: Mapped[bool] = mapped_column(default=True)  # otherwise nothing is kept for it
    url: Mapped[str] = mapped_column(Text)  # encrypted: chats and SMS gateways have their key in it
    secret: Mapped[str] = mapped_column(Text)  # encrypted; what signs the messages
    inside: Mapped[bool] = mapped_column(default=False)  # it may have an address of the office
    header_name: Mapped[str] = mapped_column(String(60), default="")
    header_value: Mapped[str] = mapped_column(Text, default="")  # encrypted
    events: Mapped[str] = mapped_column(Text)  # each a webhooks.WebhookEvent, with a space before and after
    modules: Mapped[str] = mapped_column(Text, default="")  # ids, with a space before and after; "": all
    body_format: Mapped[str] = mapped_column(String(8), default="standard")  # a webhook_bodies.BodyFormat
    template: Mapped[str] = mapped_column(Text, default="")
    text: Mapped[str] = mapped_column(Text, default="")
    to_customer: Mapped[bool] = mapped_column(default=False)  # the recipient is the customer
    recipient: Mapped[str] = mapped_column(String(120), default="")  # otherwise; and that of a test
    lasts: Mapped[int]  # seconds for which a message is tried
    language: Mapped[str] = mapped_column(String(8), default="", server_default="")  # of e-mail
    summary: Mapped[str] = mapped_column(String(8), default="none", server_default="none")  # a summaries.Schedule
    summary_hour: Mapped[int] = mapped_column(default=8, server_default="8")  # in the office's time zone
    summary_day: Mapped[date | None]  # on which the last one was due; NULL: none yet
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    failing_since: Mapped[datetime | None]  # NULL: what was sent last was taken
    next_at: Mapped[datetime | None]  # nothing is sent before
    paused_at: Mapped[datetime | None]  # messages are kept, but not sent
    sent_at: Mapped[datetime | None]  # when a message was last taken


class WebhookMessage(Base):
    """A message to one destination: the outbox, and the log of what was sent.

    It is stored in the transaction of the change that it tells of.
    """

    __tablename__ = "webhook_messages"
    __table_args__ = (UniqueConstraint("webhook_id", "uid"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    uid: Mapped[str] = mapped_column(String(40))  # the same for all destinations, and whenever it is sent again
    event: Mapped[str] = mapped_column(String(24))  # a webhooks.WebhookEvent
    request_id: Mapped[int | None]  # no foreign key: a deleted request is told of all the same
    at: Mapped[datetime]  # when it happened
    data: Mapped[dict[str, Any]]  # as it was then
    agent: Mapped[str] = mapped_column(String(20), default="")  # of the attempt
    since: Mapped[datetime] = mapped_column(index=True)  # when it was queued, or queued again by a person
    next_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(8))  # waiting, sent, failed, skipped
    tries: Mapped[int] = mapped_column(default=0)
    tried_at: Mapped[datetime | None]
    took: Mapped[int] = mapped_column(default=0)  # milliseconds of the last try
    result: Mapped[str] = mapped_column(String(16), default="")  # of the last try: a code of push/webhook.py
    reply: Mapped[str] = mapped_column(String(200), default="")  # the beginning of it


class SavedFilter(Base):
    """A search of the report that a user has given a name."""

    __tablename__ = "saved_filters"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(60))
    query: Mapped[str] = mapped_column(Text)  # the arguments of the report's address
    created_at: Mapped[datetime]


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
# Requests that may have expired, see store/requests.py.
_partial(
    "ix_call_requests_expiry",
    CallRequest.module_id,
    CallRequest.registered_at,
    CallRequest.customer_attempts,
    where=_in("status", frozenset({Status.UNCERTAIN, Status.WAITING})),
    unique=False,
)
# All that the page of pending requests needs to choose its rows and to number the lines, in the order of service.
_partial(
    "ix_call_requests_order",
    CallRequest.call_now.desc(),
    CallRequest.priority.desc(),
    CallRequest.first_called_at,
    CallRequest.id,
    CallRequest.status,
    CallRequest.queue,
    CallRequest.target,
    CallRequest.module_id,
    where=_ACTIVE,
    unique=False,
)
# The dispatcher finds the next requests of a target by these, see store/waiting.py.
_partial(
    "ix_call_requests_turn",
    CallRequest.queue,
    CallRequest.target,
    CallRequest.module_id,
    CallRequest.priority.desc(),
    CallRequest.first_called_at,
    CallRequest.id,
    where=text("status = 'waiting' AND held_until IS NULL"),
    unique=False,
)
_partial(
    "ix_call_requests_held",
    CallRequest.queue,
    CallRequest.target,
    CallRequest.held_until,
    where=text("status = 'waiting' AND held_until IS NOT NULL"),
    unique=False,
)
_partial(
    "ix_call_requests_preferred",
    CallRequest.held_for,
    CallRequest.module_id,
    CallRequest.priority.desc(),
    CallRequest.first_called_at,
    CallRequest.id,
    where=text("status = 'waiting' AND held_until IS NOT NULL AND held_for IS NOT NULL"),
    unique=False,
)
# Requests that the fallback of their module may serve.
_partial(
    "ix_call_requests_fell_back",
    CallRequest.module_id,
    CallRequest.priority.desc(),
    CallRequest.first_called_at,
    CallRequest.id,
    where=text("status = 'waiting' AND held_until IS NULL AND fell_back"),
    unique=False,
)
_partial(
    "ix_call_requests_fell_back_held",
    CallRequest.module_id,
    CallRequest.held_until,
    where=text("status = 'waiting' AND held_until IS NOT NULL AND fell_back"),
    unique=False,
)
_partial(
    "ix_call_requests_never_free",
    CallRequest.queue,
    CallRequest.target,
    CallRequest.module_id,
    where=text("status = 'waiting' AND free_at IS NULL"),
    unique=False,
)
_partial(
    "ix_call_requests_call_now",
    CallRequest.status,  # for SQLite, which else prefers an index on this column
    where=text("status = 'waiting' AND call_now"),
    unique=False,
)
# Estimates of the wait read these, see store/past_waits.py: the first call connected customer and agent.
_partial(
    "ix_call_requests_waits",
    CallRequest.module_id,
    CallRequest.queue,
    CallRequest.target,
    CallRequest.registered_at,
    where=text(
        "status = 'done' AND last_outcome = 'connected' AND customer_attempts = 0 AND postponed_until IS NULL"
        " AND reopened_at IS NULL"
    ),
    unique=False,
)
# Notes are deleted by the age of their requests, of which few have one.
_partial("ix_call_requests_noted", CallRequest.done_at, where=text("note <> ''"), unique=False)
# The report filters, sorts and counts by these columns.
Index("ix_call_requests_done_at", CallRequest.done_at)
Index("ix_call_requests_number", CallRequest.number)
Index("ix_call_requests_caller", CallRequest.caller_number, CallRequest.registered_at)
Index("ix_call_requests_done_by", CallRequest.done_by, CallRequest.registered_at)
Index("ix_call_requests_target", CallRequest.target, CallRequest.registered_at)
Index("ix_call_requests_status", CallRequest.status, CallRequest.registered_at)
Index("ix_call_requests_module", CallRequest.module_id, CallRequest.registered_at)
Index("ix_attempts_pause", Attempt.agent_pause_until)
Index("ix_attempts_request_pause", Attempt.request_pause_until)
# All that counts for the calls of a day, so that only the index is read.
Index("ix_attempts_started", Attempt.started_at, Attempt.manual, Attempt.route, Attempt.dialled_at, Attempt.ended_at)
Index("ix_attempts_agent", Attempt.agent, Attempt.started_at)
Index(
    "ix_attempts_trace",
    Attempt.trace_cleared,
    sqlite_where=text("NOT trace_cleared"),
    postgresql_where=text("NOT trace_cleared"),
)
Index("ix_commands_open", Command.done_at)
_partial("ix_push_messages_open", PushMessage.next_at, where=text("NOT done"), unique=False)
for _name, _rows in (
    ("open", "state = 'waiting'"),
    ("tests", "state = 'waiting' AND event = 'test'"),
    ("failed", "state = 'failed'"),
):
    _partial(
        f"ix_webhook_messages_{_name}", WebhookMessage.webhook_id, WebhookMessage.id, where=text(_rows), unique=False
    )
Index("ix_webhook_messages_log", WebhookMessage.webhook_id, WebhookMessage.id)
