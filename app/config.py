"""Settings from the environment and from `.env`.

Settings that an administrator edits in the panel are in `store/settings.py`; a value from here wins over them.
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
_SECRETS = frozenset({"secret_key", "ami_secret", "database_url"})  # never part of an error message


class ConfigError(Exception):
    """A setting is invalid. The message names it and says what is expected."""


class Settings(BaseSettings):
    """All `BAZANG_…` settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Path("var")
    database_url: str = ""  # empty: SQLite in data_dir
    secret_key: str = ""  # empty: generated once and stored in data_dir
    ami_host: str = "127.0.0.1"
    ami_port: int = Field(5038, ge=1, le=65535)
    ami_username: str = "bazang"
    ami_secret: str = ""
    agi_host: str = "127.0.0.1"  # where Asterisk reaches the worker
    agi_port: int = Field(4573, ge=0, le=65535)  # 0: any free port (for tests)
    agi_bind: str = "127.0.0.1"
    dialplan_file: Path | None = None  # None: data_dir/dialplan/bazang.conf
    prompts_dir: Path | None = None  # None: data_dir/prompts
    asterisk_prompts_dir: str = ""  # path of prompts_dir on the machine of Asterisk; empty: the same
    voices_dir: Path | None = None  # optional piper voices; None: data_dir/voices
    pbx_profile: Literal["asterisk", "freepbx"] = "asterisk"
    extension_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    queue_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    outbound_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    timezone: str = "Asia/Tehran"
    default_region: str = "IR"
    area_code: str = Field("", pattern=r"^[0-9]*$")
    default_locale: Literal["fa", "en"] = "fa"
    trusted_proxies: int = Field(0, ge=0, le=9)  # number of reverse proxies in front of the panel
    poll_seconds: float = Field(5.0, ge=0.2, le=60)  # how often the worker reads the whole state of the PBX

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone: {value!r} (expected a name such as Asia/Tehran)") from error
        return value

    @field_validator("default_region")
    @classmethod
    def _check_region(cls, value: str) -> str:
        if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"unknown country: {value!r} (expected two letters such as IR)")
        return value.upper()

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if value and not re.match(r"sqlite:///(?!:memory:).|postgresql(\+psycopg)?://.", value):
            raise ValueError("expected sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
        urlsplit(value).port  # noqa: B018 - raises ValueError if invalid
        return value

    @model_validator(mode="after")
    def _set_defaults(self) -> "Settings":
        data = self.data_dir.absolute()
        values: dict[str, object] = {
            "data_dir": data,
            "database_url": self.database_url or f"sqlite:///{data / 'bazang.sqlite3'}",
            "dialplan_file": (self.dialplan_file or data / "dialplan" / "bazang.conf").absolute(),
            "prompts_dir": (self.prompts_dir or data / "prompts").absolute(),
            "voices_dir": (self.voices_dir or data / "voices").absolute(),
        }
        values |= {name: getattr(self, name) or default for name, default in CONTEXTS[self.pbx_profile].items()}
        values["asterisk_prompts_dir"] = _playable_folder(self.asterisk_prompts_dir or str(values["prompts_dir"]))
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the model is frozen
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
        """Return whether the environment gives this setting, so that the panel shows it read-only."""
        return name in self.model_fields_set


# The default contexts of each PBX profile.
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


def _playable_folder(folder: str) -> str:
    """Return the folder without a slash at its end.

    The path is part of a Playback argument and of an AMI variable. Raises ValueError for characters that end either.
    """
    folder = folder.rstrip("/")
    if re.search(r"[,&|;\"\\\x00-\x1f]", folder):
        raise ValueError(
            f'{PREFIX}ASTERISK_PROMPTS_DIR: Asterisk cannot play files from {folder!r}; remove , & | ; " and \\'
        )
    return folder


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` win over the environment. Raises ConfigError with one line per error."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError("\n".join(map(_describe, error.errors()))) from error


def _describe(error: Any) -> str:
    name, message = "_".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")
    if not name:  # from `_set_defaults`; the message names the setting
        return str(message)
    return f"{PREFIX}{name.upper()}: {message}" + ("" if name in _SECRETS else f" (got {error['input']!r})")


def secret_key(settings: Settings) -> str:
    """Return the key that signs sessions. The first start generates it and stores it, readable only by its owner."""
    if settings.secret_key:
        return settings.secret_key
    path = settings.data_dir / "secret_key"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Write a temporary file and link it: a process that starts at the same time must see the whole key or none.
        descriptor, temporary = tempfile.mkstemp(dir=settings.data_dir)  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        finally:
            Path(temporary).unlink()
    return path.read_text().strip()
