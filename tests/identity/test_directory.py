"""Log in with a real OpenLDAP server, whose entries look like OpenLDAP's and like Active Directory's."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.config import Settings
from app.identity import directory as directory_module
from app.identity.directory import Directory
from app.identity.errors import Refused, Unreachable, WrongCredentials
from script.lib.package_files import PackageFile
from script.office.ports import free_port
from tests.support.certificates import Certificate, make_certificate
from tests.support.slapd import BASE, GUID, PASSWORD, PEOPLE, READER, READER_PASSWORD, Slapd, start_slapd


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def slapd(
    slapd_program: PackageFile, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Slapd]:
    with start_slapd(slapd_program, tmp_path_factory.mktemp("slapd"), certificate) as server:
        yield server


def directory(servers: str, certificate: Certificate | None = None, **changes: str) -> Directory:
    """Return a directory whose users are found by an account that searches."""
    given = {
        "ldap_servers": servers,
        "ldap_ca": str(certificate.ca) if certificate else "",
        "ldap_bind_dn": READER,
        "ldap_bind_password": READER_PASSWORD,
        "ldap_user_base": BASE,
        "ldap_group_base": f"ou=groups,{BASE}",
        "ldap_operator_groups": "operators",
    }
    return Directory(Settings(_env_file=None, **{**given, **changes}))  # type: ignore[arg-type,call-arg]


@pytest.mark.parametrize("scheme", ["ldaps", "starttls"])
def test_a_user_is_found_and_checked_over_tls(slapd: Slapd, certificate: Certificate, scheme: str) -> None:
    url = slapd.tls_url if scheme == "ldaps" else slapd.url
    user = directory(url, certificate, ldap_extension_attribute="telephoneNumber").authenticate("MEHDI", PASSWORD)
    assert (user.name, user.issuer, user.extensions) == ("mehdi", "ldap", ("101",))
    assert len(user.subject) == 36, "the entryUUID, which no other entry gets"
    assert {"operators", "bazang admins", f"cn=bazang admins,ou=groups,{BASE}"} <= user.groups


@pytest.mark.parametrize("password", ["wrong", PASSWORD.upper(), "", " ", "\0", f"{PASSWORD}\0", "x" * 5000])
@pytest.mark.parametrize("direct", [False, True], ids=["search", "template"])
def test_no_other_password_counts_and_an_empty_one_never(
    slapd: Slapd, certificate: Certificate, password: str, direct: bool
) -> None:
    template = {"ldap_user_dn": f"uid={{name}},ou=people,{BASE}"} if direct else {}
    with pytest.raises(WrongCredentials):
        directory(slapd.tls_url, certificate, **template).authenticate("mehdi", password)


@pytest.mark.parametrize("name", ["*", "m*", "mehdi)(uid=*", "*)(|(uid=*", "mehdi\0", "\\2a", "", " ", "x" * 300, "(("])
@pytest.mark.parametrize("direct", [False, True], ids=["search", "template"])
def test_names_cannot_change_what_is_searched(slapd: Slapd, certificate: Certificate, name: str, direct: bool) -> None:
    template = {"ldap_user_dn": f"uid={{name}},ou=people,{BASE}"} if direct else {}
    with pytest.raises(WrongCredentials):
        directory(slapd.tls_url, certificate, **template).authenticate(name, PASSWORD)


def test_a_name_cannot_lead_to_another_entry_of_the_template(slapd: Slapd, certificate: Certificate) -> None:
    asked = directory(slapd.tls_url, certificate, ldap_user_dn=f"uid={{name}},ou=people,{BASE}")
    for name in (f"mehdi,ou=people,{BASE}", "mehdi+cn=mehdi", "#6d65686469", 'mehdi",', "parisa,ou=x"):
        with pytest.raises(WrongCredentials):
            asked.authenticate(name, PASSWORD)


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("direct", [False, True], ids=["search", "template"])
def test_unusual_names_can_log_in(slapd: Slapd, certificate: Certificate, name: str, direct: bool) -> None:
    template = {"ldap_user_dn": f"uid={{name}},ou=people,{BASE}", "ldap_bind_dn": ""} if direct else {}
    user = directory(slapd.tls_url, certificate, **template).authenticate(name, PASSWORD)
    assert user.name == name
    assert ("operators" in user.groups) == (name != "guest")


def test_groups_of_the_attribute(slapd: Slapd, certificate: Certificate) -> None:
    """slapd fills memberOf for groups that are changed while its overlay runs, so this asks for another attribute."""
    user = directory(slapd.tls_url, certificate, ldap_group_base="", ldap_group_attribute="sn").authenticate(
        "mehdi", PASSWORD
    )
    assert user.groups == {"x"}


def test_active_directory(slapd: Slapd, certificate: Certificate) -> None:
    user = directory(
        slapd.tls_url,
        certificate,
        ldap_user_filter="(&(objectClass=user)(sAMAccountName={name}))",
        ldap_name_attribute="sAMAccountName",
        ldap_id_attribute="objectGUID",
    ).authenticate("zahra", PASSWORD)
    assert (user.name, user.subject) == ("zahra", GUID)
    assert "bazang admins" in user.groups


def test_a_filter_that_finds_several_is_refused(slapd: Slapd, certificate: Certificate) -> None:
    with pytest.raises(Refused, match="several entries"):
        directory(slapd.tls_url, certificate, ldap_user_filter="(|(uid={name})(uid=*))").authenticate("mehdi", PASSWORD)


def test_a_certificate_that_nobody_vouches_for_is_refused(slapd: Slapd, tmp_path: Path) -> None:
    other = make_certificate(tmp_path / "other")
    for url in (slapd.tls_url, slapd.url):
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            directory(url, other).authenticate("mehdi", PASSWORD)
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            directory(url).authenticate("mehdi", PASSWORD)


def test_a_certificate_for_another_name_is_refused(slapd_program: PackageFile, tmp_path: Path) -> None:
    made = make_certificate(tmp_path / "certificate", "directory.example.org")
    with start_slapd(slapd_program, tmp_path / "slapd", made) as server:
        for url in (server.tls_url, server.url):
            with pytest.raises(Unreachable, match=r"(?i)127.0.0.1|match"):
                directory(url, made).authenticate("mehdi", PASSWORD)


def test_a_server_without_tls_gets_no_password_unless_that_is_allowed(
    slapd_program: PackageFile, tmp_path: Path
) -> None:
    with start_slapd(slapd_program, tmp_path / "slapd") as server:
        with pytest.raises(Unreachable):
            directory(server.url).authenticate("mehdi", PASSWORD)
        assert directory(server.url, ldap_tls="none").authenticate("mehdi", PASSWORD).name == "mehdi"


def test_the_next_server_answers_for_one_that_is_gone(slapd: Slapd, certificate: Certificate) -> None:
    asked = directory(f"ldaps://127.0.0.1:{free_port()}, {slapd.tls_url}", certificate)
    assert asked.authenticate("mehdi", PASSWORD).name == "mehdi"
    with pytest.raises(WrongCredentials):  # its word counts: no other server is asked
        directory(f"{slapd.tls_url}, ldaps://127.0.0.1:{free_port()}", certificate).authenticate("mehdi", "wrong")


def test_a_silent_server_makes_nobody_wait_twice(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "ANSWER_SECONDS", 1)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        asked = directory(f"ldap://127.0.0.1:{silent.getsockname()[1]}", certificate)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            asked.authenticate("mehdi", PASSWORD)
        first = time.monotonic() - began
        began = time.monotonic()
        with pytest.raises(Unreachable, match="a moment ago"):
            asked.authenticate("mehdi", PASSWORD)
        assert time.monotonic() - began < 1
    assert 1 <= first < 2 * (directory_module.CONNECT_SECONDS + 1) + 5


@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b"\x30\x84\xff\xff\xff\xff", b"\x30\x00", b""])
def test_an_answer_that_is_no_ldap_is_no_crash(answer: bytes) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def reply() -> None:
            connection, _ = server.accept()
            with closing(connection):
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(Unreachable):
            directory(f"ldap://127.0.0.1:{server.getsockname()[1]}", ldap_tls="none").authenticate("mehdi", PASSWORD)
        thread.join(10)


def test_the_check_says_what_is_wrong(slapd: Slapd, certificate: Certificate) -> None:
    good = directory(slapd.tls_url, certificate)
    good.check(good.servers[0])
    for changes, message in (
        ({"ldap_bind_password": "wrong"}, "does not let us in as cn=reader"),
        ({"ldap_user_base": "ou=nowhere,dc=example,dc=org"}, "there is no entry 'ou=nowhere"),
        ({"ldap_user_filter": "(uid={name}"}, "127.0.0.1|malformed|filter"),
    ):
        bad = directory(slapd.tls_url, certificate, **changes)
        with pytest.raises((Refused, Unreachable), match=message):
            bad.check(bad.servers[0])
