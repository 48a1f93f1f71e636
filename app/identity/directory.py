"""Log in with an LDAP directory, such as OpenLDAP or Active Directory: find the entry, and bind as it.

Several servers are asked in their order. One that does not answer is left alone for half a minute, so that it makes
nobody wait again and again.
"""

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from app.config import Settings
from app.domain.external_users import ExternalUser, Source, fold_group, read_extensions
from app.domain.text import is_displayable
from app.identity.errors import Refused, Unreachable, WrongCredentials

CONNECT_SECONDS, ANSWER_SECONDS = 3, 5  # for each step
LEFT_ALONE = 30.0  # seconds
AT_ONCE = 4  # log-ins that wait for a directory; the threads of the panel have other work, too
PATIENCE_SECONDS = 5.0  # for one's turn
ISSUER = "ldap"  # one directory, whichever server answers
LONGEST_NAME, LONGEST_PASSWORD = 200, 1024
# Attributes that never change and are never given to another entry: OpenLDAP, Active Directory, 389 and FreeIPA.
IDS = ("entryUUID", "objectGUID", "nsUniqueId", "ipaUniqueID")
_INVALID_CREDENTIALS, _SUCCESS = 49, 0
_PLAIN_NAME = re.compile(r"[\w.\\-]+", re.ASCII)  # in a template that is no DN, such as {name}@example.org
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LdapServer:
    """A server of the setting. `secure`: TLS from the beginning (ldaps)."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        return f"{'ldaps' if self.secure else 'ldap'}://{self.host}:{self.port}"


@dataclass(frozen=True)
class _Entry:
    dn: str
    values: dict[str, list[Any]]

    def texts(self, name: str) -> tuple[str, ...]:
        found = next((values for key, values in self.values.items() if key.lower() == name.lower()), [])
        return tuple(_as_text(name, value) for value in found)


class _Tls(ldap3.Tls):  # type: ignore[misc]  # ldap3 has no types
    """TLS in which OpenSSL checks the certificate with its name. The library's own check of the name is outdated."""

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        host = connection.server.host
        connection.socket = context.wrap_socket(
            connection.socket, server_hostname=host, do_handshake_on_connect=do_handshake
        )


class Directory:
    """The directory of the settings. One object for a process; its methods may be called from several threads."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self._clock = settings, clock
        self.servers = parse_servers(settings.ldap_servers)
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._alone_until: dict[LdapServer, float] = {}

    def authenticate(self, name: str, password: str) -> ExternalUser:
        """Return the user whose entry accepts the password. Raises WrongCredentials, Refused and Unreachable."""
        name = name.strip()
        # An empty password makes a bind that succeeds without a check (RFC 4513, 5.1.2).
        if not name or not password or "\0" in password or not is_displayable(name):
            raise WrongCredentials
        if len(name) > LONGEST_NAME or len(password) > LONGEST_PASSWORD:
            raise WrongCredentials
        if not self._turns.acquire(timeout=PATIENCE_SECONDS):
            raise Unreachable("too many log-ins wait for the directory")
        try:
            return self._first_answer(lambda server: self._authenticate(server, name, password))
        finally:
            self._turns.release()

    def _first_answer(self, ask: Callable[[LdapServer], ExternalUser]) -> ExternalUser:
        """Return the answer of the first server that gives one."""
        reasons = []
        for server in self.servers:
            if self._clock() < self._alone_until.get(server, 0.0):
                reasons.append(f"{server} did not answer a moment ago")
                continue
            try:
                return ask(server)
            except Unreachable as error:
                self._alone_until[server] = self._clock() + LEFT_ALONE
                reasons.append(f"{server}: {error}")
                log.warning("the directory %s cannot be used: %s", server, error)
        raise Unreachable("; ".join(reasons))

    def check(self, server: LdapServer) -> None:
        """Connect, bind and search as for a log-in. Raises Unreachable and Refused, which say what is wrong."""
        with _errors(), self._connect(server, *self._service()) as connection:
            if self.settings.ldap_user_dn and not self.settings.ldap_bind_dn:
                return  # without an account of our own nothing can be searched
            self._search(connection, self.settings.ldap_user_base, self._user_filter("bazang-doctor"), ["1.1"])

    # -- finding and binding ------------------------------------------------------------------------------------------

    def _authenticate(self, server: LdapServer, name: str, password: str) -> ExternalUser:
        with _errors():
            if self.settings.ldap_user_dn:
                return self._bind_directly(server, name, password)
            with self._connect(server, *self._service()) as service:
                entry = self._find(service, name)
                with self._connect(server, entry.dn, password):
                    pass
                return self._describe(service, entry)

    def _bind_directly(self, server: LdapServer, name: str, password: str) -> ExternalUser:
        """Bind by the template of the settings, and read one's own entry."""
        template = self.settings.ldap_user_dn
        is_dn = "=" in template
        if not is_dn and not _PLAIN_NAME.fullmatch(name):
            raise WrongCredentials
        login = template.replace("{name}", escape_rdn(name) if is_dn else name)
        with self._connect(server, login, password) as connection:
            entry = self._read(connection, login) if is_dn else self._find(connection, name)
            return self._describe(connection, entry)

    def _service(self) -> tuple[str, str]:
        return self.settings.ldap_bind_dn, self.settings.ldap_bind_password

    def _find(self, connection: ldap3.Connection, name: str) -> _Entry:
        """Return the only entry with this name. Raises WrongCredentials for none, Refused for several."""
        base = self.settings.ldap_user_base
        found = self._search(connection, base, self._user_filter(name), self._attributes(), most=2)
        if not found:
            raise WrongCredentials
        if len(found) > 1:
            raise Refused("several entries have this name (BAZANG_LDAP_USER_FILTER)")
        if not found[0].dn:
            raise Refused("the entry has no name of its own")
        return found[0]

    def _read(self, connection: ldap3.Connection, dn: str) -> _Entry:
        found = self._search(connection, dn, "(objectClass=*)", self._attributes(), scope=ldap3.BASE)
        if len(found) != 1:
            raise Refused("users cannot read their own entry")
        return found[0]

    def _user_filter(self, name: str) -> str:
        return self.settings.ldap_user_filter.replace("{name}", escape_filter_chars(name))

    def _attributes(self) -> list[str]:
        settings = self.settings
        ids = (settings.ldap_id_attribute,) if settings.ldap_id_attribute else IDS
        more = (settings.ldap_name_attribute, settings.ldap_group_attribute, settings.ldap_extension_attribute)
        return [*ids, *filter(None, more)]

    def _search(
        self,
        connection: ldap3.Connection,
        base: str,
        query: str,
        attributes: Sequence[str],
        *,
        scope: str = ldap3.SUBTREE,
        most: int = 0,
    ) -> list[_Entry]:
        connection.search(
            base, query, search_scope=scope, attributes=attributes, size_limit=most, time_limit=ANSWER_SECONDS
        )
        result = connection.result["result"]
        size_limit_exceeded, no_such_object = 4, 32
        if result not in (_SUCCESS, size_limit_exceeded):
            if result == no_such_object:
                raise Refused(f"there is no entry {base!r}, or it may not be read")
            raise Refused(f"the search failed: {connection.result['description']} {connection.result['message']}")
        rows = [row for row in connection.response or () if row["type"] == "searchResEntry"]  # others are referrals
        return [_Entry(row["dn"], row["raw_attributes"]) for row in rows]

    @contextmanager
    def _connect(self, server: LdapServer, dn: str, password: str) -> Iterator[ldap3.Connection]:
        """Connect with TLS unless plain connections are allowed, and bind. Without a name: anonymously.

        Raises WrongCredentials.
        """
        where = ldap3.Server(
            server.host,
            server.port,
            use_ssl=server.secure,
            tls=_Tls(ca_certs_file=self.settings.ldap_ca or None),
            get_info=ldap3.NONE,
            connect_timeout=CONNECT_SECONDS,
        )
        how = {"user": dn, "password": password, "authentication": ldap3.SIMPLE} if dn else {}
        connection = ldap3.Connection(
            where, auto_referrals=False, auto_range=True, receive_timeout=ANSWER_SECONDS, read_only=True, **how
        )
        try:
            connection.open(read_server_info=False)
            needs_tls = not server.secure and self.settings.ldap_tls == "required"
            if needs_tls and not connection.start_tls(read_server_info=False):
                raise Unreachable(f"it offers no STARTTLS: {connection.result['description']}")
            if not connection.bind(read_server_info=False):
                self._judge(dn, connection.result)
            yield connection
        finally:
            with suppress(LDAPException, OSError):  # it has ended by itself
                connection.unbind()
            if connection.socket is not None:  # ldap3 leaves it open if it could not connect
                connection.socket.close()

    def _judge(self, dn: str, result: dict[str, Any]) -> None:
        """Raise what a failed bind means."""
        if result["result"] == _INVALID_CREDENTIALS and dn != self.settings.ldap_bind_dn:
            raise WrongCredentials
        whose = f"as {dn}" if dn == self.settings.ldap_bind_dn and dn else "as the user" if dn else "anonymously"
        raise Refused(f"it does not let us in {whose}: {result['description']} {result['message']}".strip())

    # -- what an entry says -------------------------------------------------------------------------------------------

    def _describe(self, connection: ldap3.Connection, entry: _Entry) -> ExternalUser:
        settings = self.settings
        ids = (settings.ldap_id_attribute,) if settings.ldap_id_attribute else IDS
        subject = next((value for name in ids for value in entry.texts(name) if value), "")
        if not subject:
            raise Refused(f"the entry has none of {', '.join(ids)} (BAZANG_LDAP_ID_ATTRIBUTE)")
        extensions = None
        if settings.ldap_extension_attribute and entry.texts(settings.ldap_extension_attribute):
            extensions = read_extensions(entry.texts(settings.ldap_extension_attribute))
        return ExternalUser(
            Source.LDAP,
            ISSUER,
            subject,
            next(iter(entry.texts(settings.ldap_name_attribute)), ""),
            self._groups(connection, entry),
            extensions,
        )

    def _groups(self, connection: ldap3.Connection, entry: _Entry) -> frozenset[str]:
        """Return the groups of an entry: their names in the tree, and the short ones."""
        settings = self.settings
        if settings.ldap_group_base:
            query = settings.ldap_group_filter.replace("{dn}", escape_filter_chars(entry.dn))
            name = next(iter(entry.texts(settings.ldap_name_attribute)), "")
            query = query.replace("{name}", escape_filter_chars(name))
            names = [group.dn for group in self._search(connection, settings.ldap_group_base, query, ["1.1"])]
        else:
            names = list(entry.texts(settings.ldap_group_attribute))
        return frozenset(form for name in names for form in _forms(name))


def parse_servers(text: str) -> tuple[LdapServer, ...]:
    """Return the servers of the setting, which is valid."""
    servers = []
    for address in text.replace(",", " ").split():
        parts = urlsplit(address)
        secure = parts.scheme == "ldaps"
        servers.append(LdapServer(parts.hostname or "", parts.port or (636 if secure else 389), secure))
    return tuple(servers)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn what goes wrong on the way into Unreachable. A hostile answer may break the library anywhere."""
    try:
        yield
    except (WrongCredentials, Refused, Unreachable):
        raise
    except (LDAPException, OSError, ssl.CertificateError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise Unreachable(f"its answer cannot be read ({type(error).__name__})") from error


def _forms(dn: str) -> tuple[str, ...]:
    """Return the forms of a group's name that a setting may give: the whole one, and its first part."""
    try:
        short = parse_dn(dn)[0][1]
    except (LDAPException, IndexError):
        return (fold_group(dn),)
    return fold_group(dn), fold_group(short)


def _as_text(attribute: str, value: bytes | str) -> str:
    if isinstance(value, str):
        return value
    if attribute.lower() == "objectguid" and len(value) == 16:
        return str(UUID(bytes_le=value))
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
