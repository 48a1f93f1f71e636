"""Export and import the settings of an office as one JSON file: modules and scenarios, and what belongs to the office.

The part of the modules is `services/modules/transfer.py`. Here are the office, its hours, how long data is kept, the
customer program, voices, recorded digits, users, webhooks, e-mail and website forms. An import is all or nothing. What
the file does not name stays as it is, and so does what the environment gives. Not in the file: the connection to the
PBX with its secret, the key of the customer program, addresses and secrets of webhooks, the password of the mail
server, contacts, lists of numbers, special days, requests, and the keys of website forms; `backup` has all. Webhooks
and recipients of e-mail that are new or changed are paused after an import. A form that is new gets a new key: an old
file must not bring a key back that somebody has replaced because it was misused.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Annotated, Any

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from sqlalchemy import select

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES
from app.config import Settings
from app.domain.retention import Retention
from app.services import retention, sounds, users
from app.services.contacts import templates
from app.services.contacts.templates import ContactTemplates
from app.services.errors import Invalid, NotFound
from app.services.modules import transfer
from app.services.modules.transfer import BadFile
from app.services.prompts import digits, recordings, voice
from app.services.settings import hours, mail, office
from app.services.settings.hours import HoursInput
from app.services.settings.mail import MailInput
from app.services.settings.office import OfficeInput
from app.services.users import UserInput
from app.services.webhooks import destinations, mail_destinations
from app.services.webhooks.destinations import WebhookInput
from app.services.webhooks.mail_destinations import MailDestinationInput
from app.services.website import forms
from app.services.website.forms import FormInput
from app.store.database import Database, Joined
from app.store.models import Module, User
from app.store.settings import speech
from app.store.user_exchanges import sees_this, show_extensions_here

# The most expensive hash that is taken over: each log-in would cost this.
_LARGEST_HASH = {"memory_cost": 1 << 20, "time_cost": 20, "parallelism": 16}
_Line = Annotated[str, Field(max_length=80, pattern=r"^[^\x00]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _optional(input_class: type[Any], *but: str) -> type[BaseModel]:
    """Return a model with the fields of a dataclass, each of which a file may leave out."""
    types: dict[str, Any] = {each.name: each.type for each in fields(input_class) if each.name not in but}
    wanted: dict[str, Any] = {name: (kind | None, None) for name, kind in types.items()}
    return create_model(input_class.__name__, __base__=_Strict, **wanted)


_Office, _Hours = _optional(OfficeInput, "all_paused"), _optional(HoursInput)
_Kept = _optional(Retention)
_Contacts = _optional(ContactTemplates)


class _Voice(_Strict):
    voice: _Line = ""
    rate: int | None = None
    pitch: int | None = None


class _User(_Strict):
    name: _Line
    role: _Line
    extensions: list[_Line] = Field(default_factory=list)
    active: bool = True
    locale: _Line | None = None
    theme: _Line = "auto"
    password_hash: Annotated[str, Field(max_length=255)] | None = None

    def to_input(self) -> UserInput:
        return UserInput(self.role, tuple(self.extensions), self.active, self.locale, self.theme)


def _destination(input_class: type[Any], *but: str) -> type[BaseModel]:
    """Return a model of a destination. Its modules have other ids elsewhere, so the file has their codes."""
    lists: dict[str, Any] = {name: (list[_Line], Field(default_factory=list)) for name in ("modules", "events")}
    model = _optional(input_class, *lists, *but)
    return create_model(f"{input_class.__name__}OfFile", __base__=model, **lists)


_Mail = _optional(MailInput, "mail_password")
_Webhook = _destination(WebhookInput, "url", "header_value")
_Recipient = _destination(MailDestinationInput)


class _Form(_optional(FormInput, "name", "module_id", "origins")):  # type: ignore[misc]
    name: _Line
    module: _Line | None = None  # its code
    origins: list[_Line] | None = None


class _File(_Strict):
    office: _Office | None = None  # type: ignore[valid-type]
    hours: _Hours | None = None  # type: ignore[valid-type]
    kept_days: _Kept | None = None  # type: ignore[valid-type]
    customer_program: _Contacts | None = None  # type: ignore[valid-type]
    voices: dict[str, _Voice] = Field(default_factory=dict)
    digits: dict[str, dict[str, str]] = Field(default_factory=dict)  # language -> digit -> file below PROMPTS_DIR
    users: list[_User] = Field(default_factory=list)
    mail: _Mail | None = None  # type: ignore[valid-type]
    webhooks: list[_Webhook] = Field(default_factory=list)  # type: ignore[valid-type]
    recipients: list[_Recipient] = Field(default_factory=list)  # type: ignore[valid-type]
    website_forms: list[_Form] = Field(default_factory=list)


# -- export -----------------------------------------------------------------------------------------------------------


def export_settings(
    database: Database, settings: Settings, now: datetime, *, with_passwords: bool = False
) -> dict[str, Any]:
    """Return everything that the file has, ready for JSON. Passwords only as hashes, and only if they are wanted."""
    content = transfer.export_settings(database)
    of_office = asdict(office.load(database, settings))
    del of_office["all_paused"]
    content["office"] = of_office
    week = hours.load(database, settings, now)
    if week.is_set:  # otherwise the office is always open
        content["hours"] = asdict(week.input)
    content["kept_days"] = asdict(retention.load(database))
    content["customer_program"] = asdict(templates.load(database))
    with database.read() as session:
        spoken = {language: speech(session, language) for language in LANGUAGES}
        content["voices"] = {
            language: {"voice": found.voice, "rate": found.rate, "pitch": found.pitch}
            for language, found in spoken.items()
        }
        found = {language: digits.list_digit_files(session, language) for language in LANGUAGES}
        content["digits"] = {language: dict(sorted(files.items())) for language, files in found.items() if files}
        rows = session.scalars(
            select(User).where(User.password_hash != "", sees_this(session)).order_by(User.name)
        ).all()
        show_extensions_here(session, rows)
        content["users"] = [_export_user(row, with_passwords=with_passwords) for row in rows]
        codes = {row.id: row.code for row in session.execute(select(Module.id, Module.code))}
    server = asdict(mail.load(database))
    if server["mail_host"] or server["panel_url"]:
        del server["mail_password"]
        content["mail"] = server
    content["webhooks"] = [_export_destination(given, codes) for given in destinations.list_inputs(database)]
    content["recipients"] = [_export_destination(given, codes) for given in mail_destinations.list_inputs(database)]
    content["website_forms"] = [_export_form(given, codes) for given in forms.list_inputs(database)]
    return content


def _export_destination(given: WebhookInput | MailDestinationInput, codes: Mapping[int, str]) -> dict[str, Any]:
    """Return a destination without what is secret, with the codes of its modules."""
    values = {name: value for name, value in asdict(given).items() if name not in ("url", "header_value")}
    modules = [codes[module] for module in given.modules if module in codes]
    return values | {"events": list(given.events), "modules": modules}


def _export_form(given: FormInput, codes: Mapping[int, str]) -> dict[str, Any]:
    values = asdict(given)
    module = codes[values.pop("module_id")]
    return values | {"module": module, "origins": given.origins.split()}


def _export_user(row: User, *, with_passwords: bool) -> dict[str, Any]:
    given = asdict(users.as_input(row))
    del given["exchanges"]
    exported = {"name": row.name, **given, "extensions": list(given["extensions"])}
    return exported | {"password_hash": row.password_hash} if with_passwords else exported


# -- import -----------------------------------------------------------------------------------------------------------


def import_settings(
    database: Database, settings: Settings, library: SoundLibrary, content: Any, now: datetime, *, actor: str = ""
) -> tuple[int, list[str]]:
    """Store the content of a file. Return how many entries it has, and the new users who have no password yet.

    Raises BadFile; then nothing is stored.
    """
    if not isinstance(content, dict):
        raise BadFile(["the whole file: must be an object"])
    own = {name: value for name, value in content.items() if name in _File.model_fields}
    try:
        file = _File.model_validate(own)
    except ValidationError as error:
        raise BadFile([f"{transfer.path_in_file(e['loc'])}: {e['msg']}" for e in error.errors()]) from error
    unknown = users.unknown_password() if any(not user.password_hash for user in file.users) else ""
    with database.write() as session:
        joined = Joined(database, session)
        work = _Import(joined, settings, library, unknown, now, actor)
        count = work.store(file)
        try:
            others = {name: value for name, value in content.items() if name not in own}
            count += transfer.import_settings(joined, library, others, now, actor=actor)
        except BadFile as error:
            work.errors += error.errors
        else:
            count += work.store_with_modules(file)
        if work.errors:
            raise BadFile(work.errors)
    sounds.adopt(database, library.root)
    return count, work.without_password


class _Import:
    """One import within a transaction. After `errors` it must not be committed."""

    def __init__(
        self, database: Database, settings: Settings, library: SoundLibrary, unknown: str, now: datetime, actor: str
    ) -> None:
        self._database, self._settings, self._library = database, settings, library
        self._unknown, self._now, self._actor = unknown, now, actor
        self._modules: dict[str, int] = {}  # ids by code
        self.errors: list[str] = []
        self.without_password: list[str] = []

    def store(self, file: _File) -> int:
        """Store the content; return how many entries it has."""
        by: dict[str, Any] = {"actor": self._actor, "now": self._now}
        database, settings = self._database, self._settings
        if file.office is not None:
            given = replace(office.load(database, settings), **_named(file.office))
            self._try("office", lambda: office.save(database, settings, given, **by))
        if file.hours is not None:
            week = replace(hours.load(database, settings, self._now).input, **_named(file.hours))
            self._try("hours", lambda: hours.save(database, week, **by))
        if file.kept_days is not None:
            kept = replace(retention.load(database), **_named(file.kept_days))
            self._try("kept_days", lambda: retention.save(database, kept, **by))
        if file.customer_program is not None:
            of_program = replace(templates.load(database), **_named(file.customer_program))
            self._try("customer_program", lambda: templates.save(database, settings, of_program, **by))
        for language, spoken in file.voices.items():
            self._try(f"voices.{language}", lambda: self._store_voice(language, spoken))  # noqa: B023 - called at once
        for language, files in file.digits.items():
            for digit, name in files.items():
                place = f"digits.{language}.{digit}"
                self._try(place, lambda: self._store_digit(language, digit, name))  # noqa: B023 - called at once
        # Administrators first: the last one cannot be demoted before another one is there.
        for index, user in sorted(enumerate(file.users), key=lambda each: each[1].role != users.ROLES[0]):
            self._try(f"users[{index}]", lambda: self._store_user(user))  # noqa: B023 - called at once
        single = [part for part in (file.office, file.hours, file.kept_days, file.customer_program) if part is not None]
        return sum(map(len, (single, file.voices, file.users, *file.digits.values())))

    def store_with_modules(self, file: _File) -> int:
        """Store what names modules, which may be of the file, and the mail server; return how many entries they are."""
        by: dict[str, Any] = {"actor": self._actor, "now": self._now}
        database, settings = self._database, self._settings
        if file.mail is not None:
            server = replace(mail.load(database), **_named(file.mail))
            self._try("mail", lambda: mail.save(database, settings, server, needs_password=False, **by))
        with database.read() as session:
            self._modules = {row.code: row.id for row in session.execute(select(Module.id, Module.code))}
        for index, webhook in enumerate(file.webhooks):
            place = f"webhooks[{index}]"
            self._try(place, lambda: self._store_webhook(webhook))  # noqa: B023 - called at once
        for index, recipient in enumerate(file.recipients):
            place = f"recipients[{index}]"
            self._try(place, lambda: self._store_recipient(recipient))  # noqa: B023 - called at once
        for index, form in enumerate(file.website_forms):
            place = f"website_forms[{index}]"
            self._try(place, lambda: self._store_form(form))  # noqa: B023 - called at once
        return (file.mail is not None) + sum(map(len, (file.webhooks, file.recipients, file.website_forms)))

    def _store_webhook(self, model: BaseModel) -> None:
        given = WebhookInput(**self._with_ids(model))
        destinations.restore(self._database, self._settings, given, actor=self._actor, now=self._now)

    def _store_recipient(self, model: BaseModel) -> None:
        given = MailDestinationInput(**self._with_ids(model))
        mail_destinations.restore(self._database, given, actor=self._actor, now=self._now)

    def _store_form(self, model: _Form) -> None:
        values = _named(model)
        if (code := values.pop("module", None)) is not None:
            values["module_id"] = self._id_of("module", code)
        if "origins" in values:
            values["origins"] = "\n".join(values["origins"])
        form_id = forms.find(self._database, model.name)
        by: dict[str, Any] = {"actor": self._actor, "now": self._now}
        if form_id is None:
            forms.add(self._database, FormInput(**values), **by)
        else:
            forms.save(self._database, form_id, replace(forms.load_input(self._database, form_id), **values), **by)

    def _with_ids(self, model: BaseModel) -> dict[str, Any]:
        """Return what a file names of a destination, with the ids of its modules. Raises ValueError for a bad code."""
        values = _named(model)
        return values | {"modules": [self._id_of("modules", code) for code in values["modules"]]}

    def _id_of(self, field: str, code: str) -> int:
        """Return the id of a module. Raises ValueError."""
        if code not in self._modules:
            raise ValueError(f"{field}: {code!r} is not the code of a module")
        return self._modules[code]

    def _try(self, place: str, store: Callable[[], object]) -> None:
        try:
            store()
        except Invalid as invalid:
            self.errors += [f"{place}.{name}: {transfer.in_words(code)}" for name, code in invalid.errors.items()]
        except (NotFound, ValueError) as error:
            self.errors.append(f"{place}: {error}")

    def _store_voice(self, language: str, given: _Voice) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"must be one of {', '.join(LANGUAGES)}")
        with self._database.read() as session:
            current = speech(session, language)
        spoken = replace(current, voice=given.voice, rate=given.rate, pitch=given.pitch)
        voice.save(self._database, language, spoken, self._now, actor=self._actor)

    def _store_digit(self, language: str, digit: str, file: str) -> None:
        if not recordings.has_file(self._library, file):
            raise ValueError(f"{file!r} is not in the folder of the prompts: copy it there first")
        with self._database.write() as session:
            recordings.ensure_recording(session, file, "", self._now)
        digits.set_digit(self._database, language, digit, file, self._now, actor=self._actor)

    def _store_user(self, given: _User) -> None:
        if given.password_hash is not None:
            _check_hash(given.password_hash)
        is_new = users.restore(
            self._database,
            given.name,
            given.to_input(),
            given.password_hash,
            self._now,
            unknown=self._unknown,
            actor=self._actor,
        )
        if is_new and given.password_hash is None:
            self.without_password.append(given.name.strip())


def _named(model: BaseModel) -> dict[str, Any]:
    """Return what a file names."""
    return {name: value for name, value in model.model_dump().items() if value is not None}


def _check_hash(text: str) -> None:
    """Raise ValueError for what is no hash of a password, or one that is too expensive to check."""
    try:
        found = extract_parameters(text)
    except InvalidHashError:
        raise ValueError("password_hash: is no hash of Argon2") from None
    if any(getattr(found, name) > largest for name, largest in _LARGEST_HASH.items()):
        raise ValueError("password_hash: takes too much memory or time")
