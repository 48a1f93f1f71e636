"""Settings from the environment and from `.env`.

Settings that an administrator edits in the panel are in `store/settings.py`; a value from here wins over them.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.hosts import host_name
from app.domain.routing import Context

PREFIX = "BAZANG_"
AMI_TLS_PORT = 5039
FIRST_EXCHANGE = "main"  # the code of the exchange that an office with a single one has
EXCHANGE_CODE = "[a-z][a-z0-9]{0,19}"  # a regular expression
PROGRAM = Path(__file__).resolve().parents[1]
PACKAGE = Path("/usr/lib/bazang")  # where the Debian package has the program
UMASK = 0o077  # of our processes; what Asterisk reads gets its rights explicitly
# Never part of an error message.
_SECRETS = frozenset(
    {"secret_key", "ami_secret", "database_url", "metrics_token", "oidc_client_secret", "ldap_bind_password"}
)


def command(arguments: str, exchange: str = FIRST_EXCHANGE) -> str:
    """Return what to type here for a command of Bazang about an exchange, such as `doctor`. It is shown, not run."""
    setting = "" if exchange == FIRST_EXCHANGE else f"{PREFIX}EXCHANGE={exchange} "
    if not PROGRAM.is_relative_to(PACKAGE):
        return f"{setting}.venv/bin/flask --app wsgi {arguments}"
    if arguments == "worker":  # a second one beside the service would only wait
        return f"sudo systemctl start bazang-worker{f'-{exchange}' if setting else ''}"
    return f"sudo {setting}bazang {arguments}"


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
    ami_tls: bool = False
    ami_ca: str = ""  # a file with the CA of the PBX's certificate; empty: the CAs of this machine
    ami_fingerprint: str = ""  # SHA-256 of the PBX's certificate; it decides alone
    agi_host: str = "127.0.0.1"  # where Asterisk reaches the worker
    agi_port: int = Field(4573, ge=0, le=65535)  # default: see AGI_PORTS; 0: any free port (for tests)
    agi_bind: str = "127.0.0.1"
    agi_allow: str = ""  # addresses and networks from which calls come, besides this machine; empty: the PBX's address
    dialplan_file: Path | None = None  # None: data_dir/dialplan/bazang.conf
    prompts_dir: Path | None = None  # None: data_dir/prompts
    asterisk_prompts_dir: str = ""  # path of prompts_dir on the machine of Asterisk; empty: the same
    voices_dir: Path | None = None  # optional piper voices; None: data_dir/voices
    # the exchange of the worker and of the commands, see docs/exchanges.md
    exchange: str = Field(FIRST_EXCHANGE, pattern=f"^{EXCHANGE_CODE}$")
    pbx_profile: Literal["asterisk", "freepbx"] = "asterisk"
    extension_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    queue_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    outbound_context: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    timezone: str = "Asia/Tehran"
    default_region: str = "IR"
    area_code: str = Field("", pattern=r"^[0-9]*$")
    default_locale: Literal["fa", "en"] = "fa"
    listen: str = Field(
        "127.0.0.1:8000", pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+|\*):[0-9]{1,5}$"
    )  # of the panel
    trusted_proxies: int = Field(0, ge=0, le=9)  # number of reverse proxies in front of the panel
    allowed_hosts: str = ""  # its public names, with commas; empty: those by which somebody logs in at first
    session_idle_hours: float = Field(12.0, ge=0.1, le=8760)  # a session ends when it was not used for so long
    session_days: float = Field(14.0, ge=0.01, le=365)  # a session ends so long after the log-in
    hsts_days: int = Field(365, ge=0, le=730)  # how long browsers insist on https after a visit by https; 0: not
    url_prefix: str = ""  # "/bazang" if a reverse proxy serves the panel below https://host/bazang/
    log_format: Literal["text", "json"] = "text"  # of the log lines of panel and worker
    metrics_token: str = ""  # who sends it may read the figures at /metrics; empty: nobody
    poll_seconds: float = Field(5.0, ge=0.2, le=60)  # how often the worker reads the whole state of the PBX
    # Logging in with an OpenID Connect provider; see docs/login.md. Groups have semicolons between.
    oidc_issuer: str = ""  # its address; empty: none
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_title: str = ""  # what the button says; empty: the host of the issuer
    oidc_scopes: str = "openid profile email"
    oidc_ca: str = ""  # a file with the CA of its certificate, besides those that this machine trusts
    oidc_name_claim: str = "preferred_username"
    oidc_groups_claim: str = "groups"
    oidc_extension_claim: str = ""  # empty: administrators choose the extensions of users
    oidc_administrator_groups: str = ""
    oidc_supervisor_groups: str = ""
    oidc_operator_groups: str = ""
    # Logging in with an LDAP directory.
    ldap_servers: str = ""  # "ldaps://dc1.example.org, ldap://dc2.example.org", asked in this order; empty: none
    ldap_tls: Literal["required", "none"] = "required"  # none: ldap:// without STARTTLS, readable for others
    ldap_ca: str = ""  # a file with the CA of their certificates; empty: the CAs of this machine
    ldap_bind_dn: str = ""  # who searches; empty: anonymously
    ldap_bind_password: str = ""
    ldap_user_dn: str = ""  # "uid={name},ou=people,dc=example,dc=org": users bind at once, without a search
    ldap_user_base: str = ""
    ldap_user_filter: str = "(uid={name})"
    ldap_name_attribute: str = "uid"
    ldap_id_attribute: str = ""  # empty: entryUUID, objectGUID, nsUniqueId or ipaUniqueID
    ldap_group_attribute: str = "memberOf"
    ldap_group_base: str = ""  # where groups are searched; empty: the attribute tells them
    ldap_group_filter: str = "(member={dn})"
    ldap_extension_attribute: str = ""
    ldap_administrator_groups: str = ""
    ldap_supervisor_groups: str = ""
    ldap_operator_groups: str = ""

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of zones, such as "Asia"
            raise ValueError(f"unknown time zone: {value!r} (expected a name such as Asia/Tehran)") from error
        return value

    @field_validator("default_region")
    @classmethod
    def _check_region(cls, value: str) -> str:
        if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"unknown country: {value!r} (expected two letters such as IR)")
        return value.upper()

    @field_validator("ami_fingerprint")
    @classmethod
    def _check_fingerprint(cls, value: str) -> str:
        digits = re.sub(r"[:\s]", "", value.rpartition("=")[2]).lower()  # also as `openssl x509` prints it
        if digits and not re.fullmatch(r"[0-9a-f]{64}", digits):
            raise ValueError("expected the SHA-256 of a certificate: 64 hex digits")
        return digits

    @field_validator("url_prefix")
    @classmethod
    def _check_url_prefix(cls, value: str) -> str:
        prefix = f"/{value.strip('/')}" if value.strip("/") else ""
        if prefix and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
            raise ValueError("expected a path such as /bazang")
        return prefix

    @field_validator("allowed_hosts")
    @classmethod
    def _check_allowed_hosts(cls, value: str) -> str:
        for name in _split_names(value):
            if name != "*" and host_name(name.removeprefix(".")) != name.removeprefix("."):
                raise ValueError("expected names or addresses without port, such as calls.example.org,192.168.1.5")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _check_metrics_token(cls, value: str) -> str:
        if value and not re.fullmatch(r"[!-~]{16,200}", value):
            raise ValueError("expected 16 letters and digits or more, such as openssl rand -hex 24 makes them")
        return value

    @field_validator("agi_allow")
    @classmethod
    def _check_agi_allow(cls, value: str) -> str:
        for part in filter(None, map(str.strip, value.split(","))):
            try:
                ip_network(part)
            except ValueError as error:
                raise ValueError(f"{error} (expected 192.0.2.7 or 192.0.2.0/24, with commas between)") from error
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (not parts.hostname or parts.query or parts.fragment or parts.username is not None):
            raise ValueError("expected an address such as https://login.example.org/realms/office")
        if value and parts.scheme != "https" and not is_loopback(value):
            raise ValueError("expected an https address (http only on this machine)")
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _check_scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError('expected "openid" among the scopes')
        return value

    @field_validator("oidc_ca", "ldap_ca")
    @classmethod
    def _check_ca(cls, value: str) -> str:
        if value and not Path(value).is_file():
            raise ValueError("expected a file with certificates")
        return value

    @field_validator("ldap_servers")
    @classmethod
    def _check_ldap_servers(cls, value: str) -> str:
        for part in value.replace(",", " ").split():
            parts = urlsplit(part)
            parts.port  # noqa: B018 - raises ValueError if invalid
            if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/") or parts.query:
                raise ValueError("expected ldaps://HOST or ldap://HOST, with commas between")
        return value

    @field_validator("ldap_user_dn", "ldap_user_filter")
    @classmethod
    def _check_has_name(cls, value: str) -> str:
        if value and "{name}" not in value:
            raise ValueError("expected {name} where the user name belongs")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if value and not re.match(r"sqlite:///(?!:memory:).|postgresql(\+psycopg)?://.", value):
            raise ValueError("expected sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
        urlsplit(value).port  # noqa: B018 - raises ValueError if invalid
        return value

    @model_validator(mode="after")
    def _check_logins(self) -> "Settings":
        """Refuse a half configured log-in. Otherwise nobody, or the wrong people, could log in."""
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError(f"{PREFIX}OIDC_CLIENT_ID: expected the id that the provider has given to the panel")
        if self.ldap_servers and not (self.ldap_user_base or "=" in self.ldap_user_dn):
            raise ValueError(f"{PREFIX}LDAP_USER_BASE: expected where users are, such as ou=people,dc=example,dc=org")
        if self.ldap_bind_dn and not self.ldap_bind_password:
            raise ValueError(f"{PREFIX}LDAP_BIND_PASSWORD: expected the password of {self.ldap_bind_dn!r}")
        for source, on in (("oidc", self.oidc_issuer), ("ldap", self.ldap_servers)):
            names = [f"{source}_{role}_groups" for role in ("administrator", "supervisor", "operator")]
            if on and not any(getattr(self, name).strip("; ") for name in names):
                raise ValueError(
                    f"{PREFIX}{names[2].upper()}: expected the groups that may log in as operators (or as others: "
                    f"{PREFIX}{names[0].upper()}, {PREFIX}{names[1].upper()}); * means everybody"
                )
        return self

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
        for name in _PATHS:
            _check_path(name if getattr(self, name) else "data_dir", str(values[name]))
        _check_include("dialplan_file" if self.dialplan_file else "data_dir", str(values["dialplan_file"]))
        values["asterisk_prompts_dir"] = self._playable_folder(str(values["prompts_dir"]))
        if self.ami_tls and "ami_port" not in self.model_fields_set:
            values["ami_port"] = AMI_TLS_PORT
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the model is frozen
        return self

    def _playable_folder(self, prompts: str) -> str:
        """Return the prompts folder as Asterisk has it, without a slash at its end.

        It is part of a Playback argument and of an AMI variable. Raises ValueError for characters that end either.
        """
        folder = (self.asterisk_prompts_dir or prompts).rstrip("/")
        if re.search(r"[,&|;()\"\\\x00-\x1f]", folder):
            names = ("asterisk_prompts_dir", "prompts_dir", "data_dir")
            given = next((name for name in names if getattr(self, name)), "")
            raise ValueError(
                f'{PREFIX}{given.upper()}: Asterisk cannot play files from {folder!r}; remove , & | ; ( ) " and \\'
            )
        return folder

    @property
    def oidc_name(self) -> str:
        """What people call the provider."""
        return self.oidc_title or urlsplit(self.oidc_issuer).hostname or ""

    @property
    def allowed_host_names(self) -> tuple[str, ...]:
        return _split_names(self.allowed_hosts)

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

    def for_exchange(self, code: str) -> "Settings":
        """Return the settings of an exchange.

        For a further one, the environment gives nothing that the panel can give: it belongs to the first exchange. Its
        prompts and its dialplan have places of their own, so that two workers on one machine do not meet there.
        """
        if code == FIRST_EXCHANGE:
            return self
        fields = type(self).model_fields
        copy = self.model_copy()
        dialplan = self.dialplan_path
        values = {name: fields[name].default for name in _OF_PANEL - _OFFICE_DEFAULTS} | {
            "ami_port": AMI_TLS_PORT if self.ami_tls else fields["ami_port"].default,
            "prompts_dir": self.prompts_path / "exchanges" / code,
            "asterisk_prompts_dir": f"{self.asterisk_prompts_dir}/exchanges/{code}",
            "dialplan_file": dialplan.with_name(f"{dialplan.stem}-{code}{dialplan.suffix}"),
        }
        values |= CONTEXTS["asterisk"]
        for name, value in values.items():
            object.__setattr__(copy, name, value)  # the model is frozen
        object.__setattr__(copy, "__pydantic_fields_set__", self.model_fields_set - _OF_PANEL)
        return copy

    def environment(self, exchange: str) -> dict[str, str]:
        """Return the environment in which another process of ours has these settings, for an exchange."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        ours = {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items() if value is not None}
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return {**others, **ours, f"{PREFIX}EXCHANGE": exchange}

    def only_for_first(self) -> list[str]:
        """Return the variables of the environment that do not count for a further exchange."""
        return sorted(f"{PREFIX}{name.upper()}" for name in self.model_fields_set & (_OF_PANEL - _OFFICE_DEFAULTS))

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


# What the panel stores for each exchange, see store/settings.py. The defaults of some hold for all exchanges.
_OFFICE_DEFAULTS = frozenset({"timezone", "default_region", "default_locale"})
_OF_PANEL = _OFFICE_DEFAULTS | {
    *("area_code", "ami_host", "ami_port", "ami_username", "ami_secret", "agi_host"),
    *("pbx_profile", "extension_context", "queue_context", "outbound_context"),
}


# The default port of the FastAGI server in each PBX profile. FreePBX has a FastAGI service of its own on 4573.
AGI_PORTS = {"asterisk": 4573, "freepbx": 4574}

_PATHS = ("data_dir", "database_url", "dialplan_file", "prompts_dir", "voices_dir")


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip("[]").lower() for name in re.split(r"[\s,]+", text) if name)


def _check_path(name: str, path: str) -> None:
    """Raise ValueError for a path that is no line of text."""
    if re.search(r"[\x00-\x1f\x7f]", path):
        given = "" if name in _SECRETS else f" (got {path!r})"
        raise ValueError(f"{PREFIX}{name.upper()}: a path has no line breaks or control characters{given}")


def _check_include(name: str, path: str) -> None:
    """Raise ValueError for characters by which Asterisk includes another file than this one, or none."""
    if re.search(r"[;\\*?\[\]{}]", path):
        raise ValueError(f"{PREFIX}{name.upper()}: Asterisk cannot include {path!r}; remove ; \\ * ? [ ] {{ and }}")


def is_loopback(address: str) -> bool:
    """Return whether an http or https address leads to this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    return settings.secret_key or _stored_secret(settings, "secret_key", 32)


def agi_secret(settings: Settings) -> str:
    """Return the secret by which the dialplan identifies itself to the FastAGI server. It is made like the key."""
    return _stored_secret(settings, "agi_secret", 16)


def _stored_secret(settings: Settings, name: str, size: int) -> str:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return _stored_key(settings.data_dir / name, lambda: secrets.token_hex(size))


def _stored_key(path: Path, make: Callable[[], str]) -> str:
    """Return the key in a file that only its owner can read. The first call makes the key."""
    if not path.exists():
        # Write a temporary file and link it: a process that starts at the same time must see the whole key or none.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        finally:
            Path(temporary).unlink()
    return path.read_text().strip()
