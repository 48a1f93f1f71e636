"""Generate realistic requests for demonstrations and measurements.

The numbers are random and may belong to real people. So automatic calls are paused when the first waiting request is
stored.
"""

import itertools
import math
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from sqlalchemy import Table, exists, func, insert, or_, select, text
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.lifecycle import Outcome, Rules, Side, Status
from app.domain.number_policy import Source
from app.services import audit
from app.services.modules.input import ModuleInput
from app.services.modules.list import list_names
from app.services.modules.save import save_module
from app.services.report.periods import DAY
from app.services.requests import pause as pausing
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Attempt, CallRequest, HistoryEntry, Module
from app.store.requests import has_status, rules_of

ACTOR = "fill"
MARK = "fill-"  # prefix of the call id of a generated request
MOST_WAITING = 300
BATCH = 2000  # requests per transaction
BUSY_DAY = 150  # requests per day
LATELY = timedelta(hours=12)
LONGEST_PAUSE, MOST_RETRIES = timedelta(minutes=10), 5  # so that a generated request ends before now
OPENS, CLOSES = time(8), time(17)
BUSY_HOURS = (6, 9, 12, 11, 7, 5, 9, 10, 7)  # weights of the hours from 8 o'clock
FRIDAY = 4
SATURDAY, SUNDAY = 5, 6

FIRST_NAMES = {
    "fa": "سارا امید مریم رضا زهرا علی نگار حسین لیلا مهدی شیرین بابک پریسا کاوه الهام آرش مینا فرهاد نازنین",
    "en": "Anna Brian Clara David Emma Frank Grace Henry Irene James Karen Liam Maria Noah Olivia Peter Rose Tom",
}
LAST_NAMES = {
    "fa": "احمدی رضایی کریمی حسینی موسوی محمدی جعفری صادقی نوری یزدانی کاظمی رستمی شریفی بهرامی تهرانی قاسمی",
    "en": "Adams Baker Carter Dixon Evans Foster Green Hughes Irwin Jones King Lewis Moore Nolan Parker Reed",
}
NOTES = {
    "fa": ("پیگیری شد", "فاکتور را خواست", "فردا دوباره تماس می‌گیرد", "موضوع حل شد"),
    "en": ("Settled", "Wanted the invoice", "Will call again tomorrow", "Question answered"),
}
MISSES = (Outcome.AGENT_NO_ANSWER, Outcome.AGENT_BUSY, Outcome.AGENT_REFUSED)
FAILURES = (Outcome.CUSTOMER_NO_ANSWER, Outcome.CUSTOMER_BUSY, Outcome.CUSTOMER_UNREACHABLE)
ENDINGS = {  # weights of the endings of a request
    "connected": 70,
    "reached": 7,
    "marked_done": 5,
    "failed": 9,
    "cancelled": 4,
    "expired": 5,
}


def has_real_requests(database: Database) -> bool:
    """Return whether there is a request that this module did not generate."""
    with database.read() as session:
        real = or_(CallRequest.call_uniqueid.is_(None), ~CallRequest.call_uniqueid.startswith(MARK))
        return session.scalar(select(exists().where(real))) or False


def fill(
    database: Database, settings: Settings, count: int, now: datetime, *, seed: int = 0, waiting: int | None = None
) -> int:
    """Store `count` requests and return how many of them wait (`waiting`, by default one in 300)."""
    waiting = min(MOST_WAITING, max(3, count // 300)) if waiting is None else waiting
    waiting = min(waiting, count)
    with database.read() as session:
        office = store_settings.office(session, settings)
        module_count = session.scalar(select(func.count()).select_from(Module)) or 0
    if not module_count:
        _create_modules(database, office.locale, now)
    with database.write() as session:
        first = (session.scalar(select(func.max(CallRequest.id))) or 0) + 1
        targets = [_Target.of(module) for module in session.scalars(select(Module).order_by(Module.id))]
        active = _active_keys(session)
        if waiting and pausing.load_pause(session) is None:
            pausing.save_pause(session, pausing.Pause(ACTOR, now), ACTOR, now)
        audit.record(session, ACTOR, "requests_made_up", "", {"requests": ["", count]}, now)
    generator = _Generator(random.Random(seed), targets, office, now, active)  # noqa: S311 - not for secrets
    requests = itertools.chain(
        (
            generator.ended(number, at)
            for number, at in enumerate(_registration_times(generator.random, count - waiting, office, now), first)
        ),
        (generator.waiting(number) for number in range(first + count - waiting, first + count)),
    )
    while batch := list(
        itertools.islice(requests, BATCH)
    ):  # one transaction per batch, so other writers are not blocked
        with database.write() as session:
            _store(session, batch)
    return waiting


def _store(session: Session, batch: Sequence["_Request"]) -> None:
    rows = (
        (CallRequest.__table__, [request.row for request in batch]),
        (Attempt.__table__, [row for request in batch for row in request.attempts]),
        (HistoryEntry.__table__, [row for request in batch for row in request.history]),
    )
    for table, values in rows:
        assert isinstance(table, Table)
        if values:
            session.execute(insert(table), values)
    _advance_sequence(session)


def _advance_sequence(session: Session) -> None:
    """Advance PostgreSQL's sequence past the ids that were stored explicitly."""
    if session.get_bind().dialect.name == "postgresql":
        sequence = "pg_get_serial_sequence('call_requests', 'id')"
        session.execute(text(f"SELECT setval({sequence}, (SELECT max(id) FROM call_requests))"))  # noqa: S608 - names of ours


def _create_modules(database: Database, locale: str, now: datetime) -> None:
    names = ("فروش", "پشتیبانی", "حسابداری") if locale == "fa" else ("Sales", "Support", "Accounts")
    kinds = (("extension", ("101", "102", "103")), ("queue", ("support",)), ("extension", ("104",)))
    with database.read() as session:
        free = (code for code in (f"*5{n:03}" for n in range(1, 999)) if code not in dict(list_names(session)))
        codes = [next(free) for _ in names]
    for name, code, (kind, targets) in zip(names, codes, kinds, strict=True):
        given = ModuleInput(
            name=name,
            code=code,
            target_kind=kind,
            targets=targets,
            language=locale,
        )
        save_module(database, given, now, actor=ACTOR)


def _registration_times(
    rng: random.Random, count: int, office: store_settings.OfficeSettings, now: datetime
) -> Iterator[datetime]:
    """Yield `count` registration times on the days before now, earliest first."""
    zone = ZoneInfo(office.timezone)
    usual = min(BUSY_DAY, max(12, count // 30))
    rest_days = (FRIDAY,) if office.locale == "fa" else (SATURDAY, SUNDAY)
    day, left = now.astimezone(zone).date(), count
    if now < datetime.combine(day, CLOSES, zone):
        day -= DAY  # today has not ended
    days: list[tuple[date, int]] = []
    while left > 0:
        busy = usual * (0.1 if day.weekday() in rest_days else rng.uniform(0.7, 1.3))
        days.append((day, min(left, max(1, round(busy)))))
        left -= days[-1][1]
        day -= DAY
    for day, many in reversed(days):
        hours = rng.choices(range(OPENS.hour, CLOSES.hour), BUSY_HOURS, k=many)
        for seconds in sorted(3600 * hour + rng.random() * 3600 for hour in hours):
            yield (datetime.combine(day, time(0), zone) + timedelta(seconds=seconds)).astimezone(now.tzinfo)


DuplicateKey = tuple[int | None, bool, str, str]  # module, queue, target, number: unique among active requests


def _active_keys(session: Session) -> set[DuplicateKey]:
    query = select(CallRequest.module_id, CallRequest.queue, CallRequest.target, CallRequest.number).where(has_status())
    return {(module, queue, target, number) for module, queue, target, number in session.execute(query)}


@dataclass(frozen=True)
class _Target:
    """The values of a module that requests need."""

    module_id: int
    name: str
    queue: bool
    targets: tuple[str, ...]
    rules: Rules

    @staticmethod
    def of(module: Module) -> "_Target":
        queue = module.target_kind == "queue"
        return _Target(module.id, module.name, queue, tuple(module.targets), rules_of(module))


@dataclass(frozen=True)
class _Customer:
    number: str
    name: str
    shown: str


class _Generator:
    """Generates requests with their attempts and history events."""

    def __init__(
        self,
        rng: random.Random,
        targets: Sequence[_Target],
        office: store_settings.OfficeSettings,
        now: datetime,
        active: set[DuplicateKey],
    ) -> None:
        self.random, self._targets, self._office, self._now = rng, targets, office, now
        self._active = active
        self._customers: list[_Customer] = []

    def ended(self, number: int, registered: datetime) -> "_Request":
        """Return a request that has ended."""
        (ending,) = self.random.choices(list(ENDINGS), list(ENDINGS.values()))
        lately = self._now - registered < LATELY
        if lately and ending in ("failed", "expired"):
            ending = "connected"  # a recent request cannot have failed or expired yet
        request = self._begin(number, registered)
        moment = registered + self._wait()
        if lately:
            moment = min(moment, registered + (self._now - registered) / 4)
        if ending in ("connected", "failed"):
            agents = self._agents(request.row)
            for _ in range(0 if lately else self.random.choices((0, 1, 2), (75, 20, 5))[0]):
                moment = self._miss(request, self.random.choice(agents), moment)
            again = 0 if lately else min(request.retries, self.random.choices((0, 1), (85, 15))[0])
            for _ in range(request.retries + 1 if ending == "failed" else again):
                moment = self._try(request, self.random.choice(agents), moment)
            if ending == "connected":
                self._connect(request, self.random.choice(agents), moment)
        else:
            self._close(request, ending, moment)
        return request

    def waiting(self, number: int) -> "_Request":
        """Return a waiting request of the last hours. Some have a later time, some have a failed attempt."""
        registered = self._now - timedelta(seconds=self.random.uniform(20, 3 * 3600))
        request = self._begin(number, registered, new_customer=True)
        while request.duplicate_key in self._active:  # a duplicate is never stored
            request = self._begin(number, registered, new_customer=True)
        self._active.add(request.duplicate_key)
        kind = self.random.choices(("plain", "tried", "postponed", "urgent", "uncertain"), (60, 20, 12, 5, 3))[0]
        if kind == "tried" and request.retries:
            self._try(request, self.random.choice(self._agents(request.row)), registered + timedelta(seconds=15))
            request.row["not_before"] = self._now + timedelta(seconds=self.random.uniform(20, 300))
        elif kind == "postponed":
            until = self._now + timedelta(minutes=self.random.uniform(5, 900))
            request.row |= {"postponed_until": until, "time_chosen": number % 2 == 0}
            if number % 2 == 0:
                request.note("time_chosen", registered, detail=until.isoformat())
            else:
                request.note("postponed", registered + timedelta(seconds=10), actor=ACTOR)
        elif kind == "urgent":
            request.row["priority"] = 1
        elif kind == "uncertain":
            request.row["status"] = Status.UNCERTAIN.value
        return request

    def _begin(self, number: int, registered: datetime, *, new_customer: bool = False) -> "_Request":
        chosen = self.random.choice(self._targets)
        target = chosen.targets[0] if chosen.queue else self.random.choice((*chosen.targets, *chosen.targets, ""))
        customer = self._customer(new=new_customer)
        row = dict.fromkeys(CallRequest.__table__.columns.keys()) | {
            "id": number,
            "module_id": chosen.module_id,
            "module_name": chosen.name,
            "queue": chosen.queue,
            "target": target,
            "number": customer.number,
            "number_source": Source.CALLER_ID.value,
            "caller_number": customer.shown,
            "caller_name": customer.name,
            "came_by": "",
            "website": "",
            "preferred": "",
            "fell_back": False,
            "agent_first": False,
            "created_by": ACTOR if self.random.random() < 0.03 else "",
            "call_uniqueid": f"{MARK}{number}",
            "status": Status.WAITING.value,
            "priority": 0,
            "first_called_at": registered - timedelta(seconds=self.random.uniform(20, 90)),
            "registered_at": registered,
            "time_chosen": False,
            "call_now": False,
            "again": False,
            "customer_attempts": 0,
            "agent_misses": 0,
            "route_failures": 0,
            "note": "",
            "done_by": "",
            "version": 0,
        }
        return _Request(row, min(chosen.rules.retries, MOST_RETRIES))

    def _customer(self, *, new: bool) -> _Customer:
        """Return a new customer, or one who has called before if `new` is false."""
        if self._customers and not new and self.random.random() < 0.6:
            return self.random.choice(self._customers)
        number = self._number()
        locale = self._office.locale if self._office.locale in FIRST_NAMES else "en"
        name = ""
        if self.random.random() < 0.65:
            name = " ".join(self.random.choice(names[locale].split()) for names in (FIRST_NAMES, LAST_NAMES))
        shown = numbers.national(number, self._office.region) if self.random.random() < 0.9 else ""
        self._customers.append(_Customer(number, name, shown))
        return self._customers[-1]

    def _number(self) -> str:
        """Return a random number of the office's country in E.164, built from an example number."""
        if self._office.region == "IR":
            prefix = self.random.choice(("912", "912", "919", "935", "936", "901", "990", "2188", "2166"))
            return f"+98{prefix}" + "".join(self.random.choices("0123456789", k=10 - len(prefix)))
        kind = phonenumbers.PhoneNumberType.MOBILE
        example = phonenumbers.example_number_for_type(self._office.region, kind)
        assert example is not None, "every country has mobile phones"
        whole = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        return whole[:-5] + "".join(self.random.choices("0123456789", k=5))

    def _target(self, row: dict[str, Any]) -> _Target:
        return next(target for target in self._targets if target.module_id == row["module_id"])

    def _agents(self, row: dict[str, Any]) -> Sequence[str]:
        if row["queue"]:
            return ("105", "106", "107")
        return (row["target"],) if row["target"] else self._target(row).targets

    def _wait(self) -> timedelta:
        """Return the time until the call-back: mostly minutes, sometimes hours."""
        return timedelta(seconds=min(6 * 3600, max(15, self.random.lognormvariate(math.log(420), 1.1))))

    def _miss(self, request: "_Request", agent: str, moment: datetime) -> datetime:
        """Add an attempt that the agent missed. Return the time of the next one."""
        outcome = self.random.choice(MISSES)
        end = moment + timedelta(seconds=self.random.uniform(3, 20))
        request.attempt(agent, moment, outcome, end)
        return end + timedelta(seconds=60)

    def _try(self, request: "_Request", agent: str, moment: datetime) -> datetime:
        """Add an attempt that the customer missed. Return the time of the next one."""
        answered = moment + timedelta(seconds=self.random.uniform(2, 10))
        end = answered + timedelta(seconds=self.random.uniform(8, 40))
        outcome = self.random.choice(FAILURES)
        request.attempt(agent, moment, outcome, end, answered, answered + timedelta(seconds=2))
        pause = self._target(request.row).rules.retry_pause(request.row["customer_attempts"], outcome)
        return end + min(pause, LONGEST_PAUSE)

    def _connect(self, request: "_Request", agent: str, moment: datetime) -> None:
        answered = moment + timedelta(seconds=self.random.uniform(2, 10))
        talking = answered + timedelta(seconds=self.random.uniform(5, 25))
        end = talking + timedelta(seconds=self.random.lognormvariate(math.log(150), 0.8))
        request.attempt(agent, moment, Outcome.CONNECTED, end, answered, answered + timedelta(seconds=2), talking)

    def _close(self, request: "_Request", ending: str, moment: datetime) -> None:
        """End a request without an attempt."""
        row = request.row
        status = {"cancelled": Status.CANCELLED, "expired": Status.EXPIRED}.get(ending, Status.DONE)
        by_hand = ending in ("marked_done", "cancelled")
        row["status"], row["done_at"] = status.value, moment
        row["reached_at"] = moment if status is Status.DONE else None
        row["done_by"] = ACTOR if by_hand else self._agents(row)[0] if status is Status.DONE else ""
        if ending == "marked_done":
            row["note"] = self.random.choice(NOTES[self._office.locale if self._office.locale in NOTES else "en"])
        detail = row["note"] or (row["done_by"] if ending == "reached" else "")
        request.note(ending, moment, status, detail=detail, actor=ACTOR if by_hand else "")


class _Request:
    """The row of a request, and the rows of its attempts and history events."""

    def __init__(self, row: dict[str, Any], retries: int) -> None:
        self.row, self.retries, self._status = row, retries, ""
        self.attempts: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.note("registered", row["registered_at"], detail=row["number"])

    @property
    def duplicate_key(self) -> DuplicateKey:
        row = self.row
        return row["module_id"], row["queue"], row["target"], row["number"]

    def note(
        self,
        event: str,
        at: datetime,
        status: Status = Status.WAITING,
        *,
        detail: str = "",
        attempt: str | None = None,
        actor: str = "",
    ) -> None:
        self.row["version"] += 1
        self.history.append(
            {
                "request_id": self.row["id"],
                "at": at,
                "event": event,
                "old_status": self._status,
                "new_status": status.value,
                "attempt": attempt,
                "detail": detail,
                "actor": actor,
                "version": self.row["version"],
            }
        )
        self._status = status.value

    def attempt(
        self,
        agent: str,
        started: datetime,
        outcome: Outcome,
        ended: datetime,
        answered: datetime | None = None,
        dialled: datetime | None = None,
        connected: datetime | None = None,
    ) -> None:
        """Add an attempt with its history events, and update the request by its outcome."""
        row = self.row
        attempt = str(uuid.UUID(int=row["id"] << 64 | len(self.attempts)))
        self.attempts.append(
            {
                "id": attempt,
                "request_id": row["id"],
                "agent": agent,
                "number": row["number"],
                "manual": False,
                "started_at": started,
                "answered_at": answered,
                "dialled_at": dialled,
                "connected_at": connected,
                "ended_at": ended,
                "outcome": outcome.value,
                "cause": "",
                "agent_pause_until": None,
                "trace_cleared": True,
            }
        )
        self.note("claimed", started, Status.DIALLING, detail=agent, attempt=attempt)
        if connected is not None:
            self.note("connected", connected, Status.CONNECTED, attempt=attempt)
        status = self._after(outcome)
        self.note("ended", ended, status, detail=outcome.value, attempt=attempt)
        row["status"], row["last_outcome"] = status.value, outcome.value
        if status is not Status.WAITING:
            row["done_at"], row["reached_at"], row["done_by"] = ended, connected, agent

    def _after(self, outcome: Outcome) -> Status:
        row = self.row
        row["agent_misses"] += outcome.side is Side.AGENT
        row["customer_attempts"] += outcome.side is Side.CUSTOMER
        if outcome is Outcome.CONNECTED:
            return Status.DONE
        return Status.FAILED if row["customer_attempts"] > self.retries else Status.WAITING
