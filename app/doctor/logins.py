"""Check where users log in besides the panel: the OpenID Connect provider and the LDAP directory."""

from collections.abc import Iterator

from app.config import Settings
from app.domain.findings import Finding, Line, fault, ok, say, warning
from app.identity.directory import Directory
from app.identity.errors import Refused, Unreachable
from app.identity.http import HttpClient
from app.identity.oidc import Provider
from app.services.hosts import learned_names
from app.store import settings as store_settings
from app.store.database import Database


def check_logins(settings: Settings, database: Database) -> Iterator[Finding]:
    """Check the provider and each server of the directory, if the settings have any."""
    if settings.oidc_issuer:
        yield from check_provider(settings, database)
    if settings.ldap_servers:
        yield from check_directory(settings)


def check_provider(settings: Settings, database: Database, http: HttpClient | None = None) -> Iterator[Finding]:
    """Check what the provider publishes, and say which address to register there."""
    provider = Provider(settings, http)
    try:
        metadata = provider.metadata()
        keys = len(provider.keys().keys)
    except Unreachable as error:
        yield fault(
            "provider-unreachable",
            say("Nobody can log in with the OpenID Connect provider: %(error)s", error=str(error)),
            say("Check BAZANG_OIDC_ISSUER, the network, and the provider's certificate (BAZANG_OIDC_CA)."),
        )
        return
    yield ok(
        "provider",
        say(
            "The OpenID Connect provider %(issuer)s answers, with %(keys)s keys.",
            issuer=str(metadata["issuer"]),
            keys=keys,
        ),
    )
    for address in _addresses(settings, database):
        yield ok(
            "provider-addresses",
            say(
                "Register at the provider: %(address)s (after the log-out: %(after)s)",
                address=f"{address}/login/provider/back",
                after=f"{address}/login",
            ),
        )
    methods = metadata.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        yield warning(
            "provider-without-pkce",
            say("The OpenID Connect provider does not know PKCE with S256."),
            say("Update the provider."),
        )
    scopes = metadata.get("scopes_supported")
    missing = set(settings.oidc_scopes.split()) - set(scopes) if isinstance(scopes, list) else set()
    if missing:
        yield warning(
            "provider-scopes",
            say("The OpenID Connect provider does not name these scopes: %(scopes)s.", scopes=tuple(sorted(missing))),
            say("Change BAZANG_OIDC_SCOPES. It has: %(scopes)s.", scopes=tuple(map(str, scopes or ()))),
        )


def _addresses(settings: Settings, database: Database) -> list[str]:
    """Return the addresses of the panel, as browsers have them."""
    with database.read() as session:
        names = settings.allowed_host_names or tuple(learned_names(store_settings.read_all(session)))
    hosts = [name for name in names if name != "*" and not name.startswith(".")] or ["HOST"]
    return [f"https://{host}{settings.url_prefix}" for host in hosts]


def check_directory(settings: Settings) -> Iterator[Finding]:
    """Connect to each server, check its certificate, bind and search."""
    directory = Directory(settings)
    for server in directory.servers:
        try:
            directory.check(server)
        except Unreachable as error:
            yield fault(
                "directory-unreachable",
                say("The directory %(server)s cannot be used: %(error)s", server=str(server), error=str(error)),
                say("Check BAZANG_LDAP_SERVERS, the network, and the certificate (BAZANG_LDAP_CA, BAZANG_LDAP_TLS)."),
            )
        except Refused as error:
            yield fault(
                "directory-refuses",
                say(
                    "The directory %(server)s answers, but nobody can log in: %(error)s",
                    server=str(server),
                    error=str(error),
                ),
                say("Check BAZANG_LDAP_BIND_DN, BAZANG_LDAP_BIND_PASSWORD, BAZANG_LDAP_USER_BASE and the filter."),
            )
        else:
            yield ok("directory", say("The directory %(server)s lets us in and search.", server=str(server)))
        if not server.secure and settings.ldap_tls == "none":
            yield warning(
                "directory-in-plain",
                say("Passwords are sent to %(server)s without encryption.", server=str(server)),
                say("Use %(scheme)s, or %(line)s.", scheme="ldaps://", line=Line("BAZANG_LDAP_TLS=required")),
            )
