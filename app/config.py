"""The environment (and `.env`), as typed settings. Nonsense fails at once, in words.

What an office manager changes lives in the panel's settings instead (`store/settings.py`); a value given here wins.
"""

import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.routing import Context

PREFIX = "BAZANG_"
_SECRET = frozenset({"secret_key", "ami_secret", "database_url"})  # never repeated in a message


class ConfigError(Exception):
    """A setting of the environment makes no sense; the message names it and says what is expected."""


class Settings(BaseSettings):
    """Every `BAZANG_…` setting. Durations are seconds, folders are paths of this machine unless said otherwise."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Path("var")
    database_url: str = ""  # empty: SQLite in data_dir
    secret_key: str = ""  # empty: made once and kept in data_dir
    ami_host: str = "127.0.0.1"
    ami_port: int = Field(5038, ge=1, le=65535)
    ami_username: str = "bazang"
    ami_secret: str = ""
    agi_host: str = "127.0.0.1"  # as Asterisk reaches us
    agi_port: int = Field(4573, ge=0, le=65535)  # 0: any free one (tests)
    agi_bind: str = "127.0.0.1"
    dialplan_file: Path | None = None  # None: dialplan in data_dir
    prompts_dir: Path | None = None  # None: prompts in data_dir
    asterisk_prompts_dir: str = ""  # empty: the same as prompts_dir
    voices_dir: Path | None = None  # piper's voices, an option; None: voices in data_dir
    pbx_profile: Literal["asterisk", "freepbx"] = "asterisk"
    extension_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    queue_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    outbound_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    timezone: str = "Asia/Tehran"
    default_region: str = "IR"
    area_code: str = Field("", pattern=r"^[0-9]*$")
    default_locale: Literal["fa", "en"] = "fa"
    trusted_proxies: int = Field(0, ge=0, le=9)  # reverse proxies before the panel, whose headers are believed
    poll_seconds: float = Field(5.0, ge=0.2, le=60)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no such time zone: {value!r} (write it as Asia/Tehran)") from error
        return value

    @field_validator("default_region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"no such country: {value!r} (two letters, as IR)")
        return value.upper()

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not re.match(r"sqlite:///(?!:memory:).|postgresql(\+psycopg)?://.", value):
            raise ValueError("expected sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
        urlsplit(value).port  # noqa: B018 - raises ValueError for one that is none
        return value

    @model_validator(mode="after")
    def _fill_in(self) -> "Settings":
        data = self.data_dir.absolute()
        fills: dict[str, object] = {
            "data_dir": data,
            "database_url": self.database_url or f"sqlite:///{data / 'bazang.sqlite3'}",
            "dialplan_file": (self.dialplan_file or data / "dialplan" / "bazang.conf").absolute(),
            "prompts_dir": (self.prompts_dir or data / "prompts").absolute(),
            "voices_dir": (self.voices_dir or data / "voices").absolute(),
        }
        contexts = CONTEXTS[self.pbx_profile]
        for name, default in contexts.items():
            fills[name] = getattr(self, name) or default
        folder = (self.asterisk_prompts_dir or str(fills["prompts_dir"])).rstrip("/")
        # It stands among other sounds in an argument of Playback, and in a variable of an AMI action.
        if re.search(r"[,&|;\"\\\x00-\x1f]", folder):
            raise ValueError(
                f'{PREFIX}ASTERISK_PROMPTS_DIR: no sound can be played from {folder!r}: one of , & | ; " \\'
            )
        fills["asterisk_prompts_dir"] = folder
        for name, value in fills.items():
            object.__setattr__(self, name, value)  # the model is frozen for everybody else
        return self

    @property
    def dialplan_path(self) -> Path:
        assert self.dialplan_file is not None
        return self.dialplan_file

    @property
    def prompts_path(self) -> Path:
        assert self.prompts_dir is not None
        return self.prompts_dir

    @property
    def voices_path(self) -> Path:
        assert self.voices_dir is not None
        return self.voices_dir

    def from_environment(self, name: str) -> bool:
        """Tell whether a setting was given by the environment, and is therefore read-only in the panel."""
        return name in self.model_fields_set


# What each kind of exchange calls its contexts, where nobody says otherwise.
CONTEXTS: dict[str, dict[str, str]] = {
    "asterisk": {
        "extension_context": Context.EXTENSIONS,
        "queue_context": Context.QUEUES,
        "outbound_context": "",
    },
    "freepbx": {
        "extension_context": "from-did-direct",
        "queue_context": "ext-queues",
        "outbound_context": "from-internal",
    },
}


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` win over the environment. Raises ConfigError with a line per fault."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError("\n".join(map(_fault, error.errors()))) from error


def _fault(error: Any) -> str:
    name, words = "_".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")
    if not name:  # of several settings together; `words` name them
        return str(words)
    return f"{PREFIX}{name.upper()}: {words}" + ("" if name in _SECRET else f" (got {error['input']!r})")


def secret_key(settings: Settings) -> str:
    """Return the key that signs sessions; one is made at the first start and kept, readable by its owner only."""
    if settings.secret_key:
        return settings.secret_key
    path = settings.data_dir / "secret_key"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Linked when it is whole: another process that starts now must not read half a key, nor make its own.
        descriptor, made = tempfile.mkstemp(dir=settings.data_dir)  # readable by the owner only
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(made)
        except FileExistsError:
            pass
        finally:
            Path(made).unlink()
    return path.read_text().strip()
