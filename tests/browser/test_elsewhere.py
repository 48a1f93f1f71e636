"""Log in with a real provider and a real directory, in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.config import Settings
from app.domain.external_users import Source
from app.identity.directory import Directory
from app.identity.oidc import Provider
from app.services import users
from app.store.database import Database
from script.lib.package_files import PackageFile
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import DEADLINE, Person
from tests.support.certificates import make_certificate
from tests.support.login_provider import PASSWORD, settings_for, start_provider
from tests.support.slapd import BASE, READER, READER_PASSWORD, start_slapd
from tests.support.slapd import PASSWORD as DIRECTORY_PASSWORD
from tests.web.conftest import ADMINISTRATOR
from tests.web.conftest import PASSWORD as LOCAL_PASSWORD


@pytest.fixture
def issuer(app: Flask, settings: Settings, provider_python: Path, address: str, tmp_path: Path) -> Iterator[str]:
    """A provider for the panel that is being served."""
    with start_provider(provider_python, tmp_path, [address]) as issuer:
        changed = settings_for(settings, issuer)
        app.extensions["bazang"]["settings"] = changed
        app.extensions["bazang_sources"][Source.OIDC] = Provider(changed)
        yield issuer


def log_in_there(page: Page, name: str) -> None:
    """Log in on the provider's pages."""
    for field, value in (("login", name), ("password", PASSWORD)):
        page.locator(f"input[name={field}]").fill(value)
        page.locator(f"input[name={field}]").press("Enter")


def begin(person: Person, locale: str = "en") -> Page:
    page = person.choose_language(locale)
    page.locator("a[href*='/login/provider']").click()
    return page


def test_log_in_with_a_real_provider_and_out_again(
    issuer: str, database: Database, address: str, open_browser: OpenBrowser
) -> None:
    person = open_browser()
    page = begin(person)
    assert page.url.startswith(issuer)
    log_in_there(page, "nima")
    page.wait_for_url(f"{address}/requests", timeout=DEADLINE)
    user = users.find_by_name(database, "nima")
    assert (user.role, user.password_hash) == ("administrator", "")
    page.goto("/account")
    expect(page.locator("#links")).to_contain_text("Office login")
    page.locator("button[formaction$='/logout']").first.evaluate("button => button.click()")
    page.wait_for_url(lambda url: url.startswith((issuer, f"{address}/login")), timeout=DEADLINE)
    page.wait_for_url(f"{address}/login", timeout=DEADLINE)
    begin(person)
    page.wait_for_selector("input[name=login]", timeout=DEADLINE)  # logged out there, too


def test_who_is_in_no_group_is_told_so(issuer: str, address: str, open_browser: OpenBrowser) -> None:
    person = open_browser()
    page = begin(person)
    log_in_there(page, "guest")
    expect(page.locator(".note-fault")).to_contain_text("None of your groups")
    person.ignore_errors("403")


def test_a_local_account_is_not_taken_over_by_its_name(
    issuer: str, database: Database, address: str, open_browser: OpenBrowser
) -> None:
    assert ADMINISTRATOR == "sara"
    person = open_browser()
    page = begin(person)
    log_in_there(page, "sara")
    expect(page.locator(".note-fault")).to_contain_text("has a user with this name already")
    person.ignore_errors("403")
    person.log_in(ADMINISTRATOR, LOCAL_PASSWORD)
    page.goto("/account")
    page.locator("a[href$='/account/links/new/oidc']").click()
    page.locator("main .btn-primary").click()
    page.wait_for_url(lambda url: url.startswith(f"{address}/account") and "links" not in url, timeout=DEADLINE)
    expect(page.locator("#links")).to_contain_text("sara")


def test_log_in_with_a_real_directory(
    app: Flask,
    settings: Settings,
    database: Database,
    address: str,
    slapd_program: PackageFile,
    tmp_path: Path,
    open_browser: OpenBrowser,
) -> None:
    certificate = make_certificate(tmp_path / "certificate")
    with start_slapd(slapd_program, tmp_path / "slapd", certificate) as server:
        changed = Settings(
            _env_file=None,  # type: ignore[call-arg]
            data_dir=settings.data_dir,
            ldap_servers=server.url,
            ldap_ca=str(certificate.ca),
            ldap_bind_dn=READER,
            ldap_bind_password=READER_PASSWORD,
            ldap_user_base=BASE,
            ldap_group_base=f"ou=groups,{BASE}",
            ldap_operator_groups="Operators",
            ldap_administrator_groups=f"CN=Bazang Admins, ou=groups,{BASE}",
        )
        app.extensions["bazang"]["settings"] = changed
        app.extensions["bazang_sources"][Source.LDAP] = Directory(changed)
        open_browser().log_in("parisa", DIRECTORY_PASSWORD)
        open_browser().log_in("mehdi", DIRECTORY_PASSWORD)
        assert users.find_by_name(database, "parisa").role == "operator"
        assert users.find_by_name(database, "mehdi").role == "administrator"
        person = open_browser()
        page = person.choose_language("en")
        page.locator("#name").fill("guest")
        page.locator("#password").fill(DIRECTORY_PASSWORD)
        page.locator("main button").click()
        expect(page.locator(".note-fault")).to_contain_text("None of your groups")
        person.ignore_errors("403")
