"""The doctor checks where users log in besides the panel."""

from pathlib import Path

from app.config import Settings
from app.doctor.logins import check_directory, check_logins, check_provider
from app.domain.findings import Level
from app.store.database import Database
from script.lib.package_files import PackageFile
from script.office.ports import free_port
from tests.identity.provider_double import CLIENT, ISSUER, ProviderDouble
from tests.support.certificates import make_certificate
from tests.support.slapd import BASE, READER, READER_PASSWORD, start_slapd


def test_nothing_is_said_of_what_is_not_set_up(settings: Settings, database: Database) -> None:
    assert list(check_logins(settings, database)) == []


def test_the_provider_and_the_address_to_register(database: Database) -> None:
    double = ProviderDouble()
    double.metadata |= {"code_challenge_methods_supported": ["plain"], "scopes_supported": ["openid", "profile"]}
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        oidc_issuer=ISSUER,
        oidc_client_id=CLIENT,
        oidc_operator_groups="*",
        allowed_hosts="calls.example.org",
        url_prefix="/bazang",
    )
    findings = list(check_provider(settings, database, double))
    assert [finding.level for finding in findings] == [Level.OK, Level.OK, Level.WARNING, Level.WARNING]
    assert "https://calls.example.org/bazang/login/provider/back" in findings[1].text
    assert "PKCE" in findings[2].text
    assert "email" in findings[3].text
    double.down = True
    (finding,) = check_provider(settings, database, double)
    assert finding.level is Level.FAULT


def test_each_server_of_the_directory(slapd_program: PackageFile, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "certificate")
    with start_slapd(slapd_program, tmp_path / "slapd", certificate) as server:
        given = {
            "ldap_servers": f"ldaps://127.0.0.1:{free_port()}, {server.tls_url}",
            "ldap_ca": str(certificate.ca),
            "ldap_bind_dn": READER,
            "ldap_bind_password": READER_PASSWORD,
            "ldap_user_base": BASE,
            "ldap_operator_groups": "operators",
        }
        settings = Settings(_env_file=None, **given)  # type: ignore[arg-type,call-arg]
        down, up = check_directory(settings)
        assert (down.level, up.level) == (Level.FAULT, Level.OK)
        wrong = settings.model_copy(update={"ldap_bind_password": "wrong", "ldap_servers": server.url})
        (finding,) = check_directory(wrong)
        assert finding.level is Level.FAULT
        assert "does not let us in" in finding.text
        plain = settings.model_copy(update={"ldap_tls": "none", "ldap_servers": server.url})
        assert [finding.level for finding in check_directory(plain)] == [Level.OK, Level.WARNING]
