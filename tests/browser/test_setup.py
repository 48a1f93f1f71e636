"""The setup and the PBX settings in a browser, with a real PBX."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.audio.prompt_texts import default_text
from app.domain.hours import ALWAYS, DAYTIME, format_week, parse_week
from app.domain.pbx_connection import ConnectionResult
from app.services.setup import first_administrator
from app.services.setup.checks import Check
from app.store.hours import WEEK
from app.store.models import ExtensionScenario, Module, User
from app.store.settings import read_setting, write_setting
from app.web.settings.wording import CONNECTION_RESULT
from script.office.asterisk import OfficeSetup, free_port
from script.office.bazang import Bazang
from script.office.freepbx import Extension, Freepbx
from script.office.freepbx import Product as OfficeProduct
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office
from tests.browser.conftest import OpenBrowser, add_administrator
from tests.browser.panel import Loop, Person, serve, session_cookie

pytestmark = pytest.mark.asterisk(22)
# Settings that are in the environment in other tests. Here they are entered in the panel.
UNSET: dict[str, Any] = dict.fromkeys(("AMI_PORT", "AMI_USERNAME", "AMI_SECRET", "OUTBOUND_CONTEXT", "DEFAULT_LOCALE"))

APPLIED = "connecting to the PBX at"  # in the worker's log, when it applies new PBX settings


def now() -> datetime:
    return datetime.now(UTC)


def submit(page: Page) -> None:
    page.locator("main form.card button.btn-primary").click()


def next_step(page: Page) -> None:
    page.locator("form.later button").click()


def expect_check(page: Page, name: str, result: str) -> None:
    expect(page.locator(f"[data-check={name}]")).to_have_class(f"check-{result}")


def config_lines(page: Page) -> list[str]:
    """Return the config snippets of the page, in their order."""
    return page.locator(".config-steps .copyable code").all_inner_texts()


def paste(office: Office, loop: Loop, name: str, text: str, reload: str) -> None:
    """Write a file of the PBX and reload it."""
    (office.bazang.asterisk.folder / "etc" / name).write_text(text)
    loop.run(office.bazang.asterisk.cli(reload))


def read_config(office: Office, name: str) -> str:
    return (office.bazang.asterisk.folder / "etc" / name).read_text()


async def reload_when_written(office: Office) -> None:
    """Reload the dialplan once the worker has written a new one."""
    await office.bazang.until(
        lambda: (state := office.bazang.worker_state()) and state.dialplan_detail == "reload_by_hand",
        PATIENCE,
        "the new dialplan waits for its reload",
    )
    await office.bazang.asterisk.reload()
    await office.bazang.wait_for_dialplan()


async def reload_until_current(office: Office) -> None:
    """Reload the dialplan until the PBX runs what the worker has written. The worker may write it once more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            state = office.bazang.worker_state()
            if state is not None and state.dialplan_running == state.dialplan_written != "":
                return
            await office.bazang.asterisk.reload()


@pytest.mark.parametrize("locale", ["fa", "en"])
@pytest.mark.long
def test_setup_of_a_new_office(loop: Loop, open_office: OpenOffice, open_browser: OpenBrowser, locale: str) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.setup.include = None  # the PBX does not include our dialplan

    setup = OfficeSetup(include_in_callers=False)
    with loop.enter(open_office(prepare, setup=setup, work=False, **UNSET)) as office:
        bazang = office.bazang
        bazang.launch_worker()
        token = first_administrator.make_token(bazang.database, now())
        with serve(bazang.app) as address:
            person = open_browser(address, timezone_id="Europe/Berlin", locale="en-GB")
            _set_up(person, office, loop, token, locale)
            person.ignore_errors("422", "403")
        loop.run(_call_in(office, locale))


def test_setup_on_freepbx(loop: Loop, open_office: OpenOffice, open_browser: OpenBrowser) -> None:
    """The PBX has our dialplan and our user already. One click on the proposal makes all checks succeed."""
    setup = Freepbx(OfficeProduct.FREEPBX, (Extension("101"),)).setup()
    with loop.enter(open_office(lambda bazang: None, setup=setup, work=False, phones=("101",), **UNSET)) as office:
        bazang = office.bazang
        bazang.launch_worker()
        token = first_administrator.make_token(bazang.database, now())
        with serve(bazang.app) as address:
            person = open_browser(address, timezone_id="Europe/Berlin", locale="en-GB")
            page = person.page
            _begin(page, token, "en")
            page.locator("#ami_port").fill(str(bazang.asterisk.ami_port))
            page.locator("#ami_secret").fill(bazang.asterisk.ami_secret)
            submit(page)
            proposal = page.locator("#proposal .note")
            expect(proposal).to_contain_text("This PBX is FreePBX, version 17 or later.")
            expect_check(page, "product", "fault")
            proposal.locator("button").click()
            expect(page.locator("input[value=freepbx]")).to_be_checked()
            expect(page.locator("#poll")).to_have_count(0)
            expect(page.locator("#checks .check-ok")).to_have_count(len(Check))
            expect(proposal).to_have_count(0)
            expect(page.locator("#lines")).to_contain_text("Settings → Asterisk Manager Users")
            person.ignore_errors("422", "403")


def _set_up(person: Person, office: Office, loop: Loop, token: str, locale: str) -> None:
    page = person.page
    _begin(page, token, locale)
    page.locator("#ami_port").fill(str(office.bazang.asterisk.ami_port))
    page.locator("#outbound_context").fill("outbound")
    submit(page)
    _connect(page, office, loop)
    next_step(page)

    page.wait_for_url("**/setup/module")
    page.locator("#extensions").fill("999")
    submit(page)
    expect(page.locator("#extensions-error")).to_be_visible()
    page.locator("#extensions").fill("۱۰۱")
    submit(page)

    page.wait_for_url("**/setup/call")
    # Our AMI user may not reload the dialplan, so a person does.
    loop.run(reload_when_written(office))
    expect(page.locator("#extension")).to_have_value("101")
    _test_phones(page, office, loop, locale)
    next_step(page)

    page.wait_for_url("**/setup/end")
    expect(page.locator(".check-fault")).to_have_count(0)
    page.locator("main form button.btn-primary").click()
    page.wait_for_url("**/requests")
    expect(page.locator(".setup-card")).to_have_count(0)


def _begin(page: Page, token: str, locale: str) -> None:
    """Open the link, create the administrator, tell where the office is, and come to the step of the PBX."""
    page.goto("/setup")
    expect(page.locator("main code")).to_have_text(".venv/bin/flask --app wsgi setup-link")
    page.goto(f"/setup?token={token}")
    assert token not in page.url
    if page.locator("html").get_attribute("lang") != locale:
        page.locator("button[name=locale]").click()

    page.locator("#name").fill("sara")
    page.locator("#password").fill("a good password")
    expect(page.locator("#strength")).to_have_class("strength strength-good")
    page.locator("#again").fill("another password")
    submit(page)
    expect(page.locator("#again-error")).to_be_visible()
    assert page.locator("#name").input_value() == "sara"
    page.locator("#password").fill("a good password")
    page.locator("#again").fill("a good password")
    submit(page)

    page.wait_for_url("**/setup/office")
    expect(page.locator("#timezone")).to_have_value("Europe/Berlin")
    page.locator("#locale").select_option(locale)
    search = page.locator("input[aria-controls=timezone]")
    search.fill("تهران" if locale == "fa" else "tehran")
    expect(page.locator("#timezone")).to_have_value("Asia/Tehran")
    page.locator("#area_code").fill("۰۲۱")
    submit(page)

    page.wait_for_url("**/setup/exchange")
    expect(page.locator("html")).to_have_attribute("lang", locale)


def _connect(page: Page, office: Office, loop: Loop) -> None:
    """Fix the problems on the PBX one by one. The checks show each of them."""
    expect_check(page, "service", "ok")
    expect_check(page, "reached", "ok")
    expect_check(page, "accepted", "fault")
    general, user, include_file, include_contexts = config_lines(page)
    harness = "\n[harness]\nsecret=harness\nread=system\n"
    without_reporting = user.replace(",reporting", "")
    assert without_reporting != user
    paste(office, loop, "manager.conf", f"[general]\n{general}\n{without_reporting}\n{harness}", "manager reload")
    page.locator("#checks-part form button").click()  # a PBX that refuses is asked less often
    expect_check(page, "accepted", "ok")
    expect_check(page, "rights", "fault")
    expect(page.locator("[data-check=rights]")).to_contain_text("reporting")
    paste(office, loop, "manager.conf", f"[general]\n{general}\n{user}\n{harness}", "manager reload")
    expect_check(page, "rights", "ok")
    expect_check(page, "dialplan", "fault")
    contexts = "".join(f"[{name}](+)\n{include_contexts}\n" for name in ("from-phones", "from-trunk"))
    dialplan = f"{read_config(office, 'extensions.conf')}\n{contexts}{include_file}\n"
    paste(office, loop, "extensions.conf", dialplan, "dialplan reload")
    loop.run(reload_until_current(office))
    expect_check(page, "dialplan", "ok")
    expect_check(page, "extensions", "ok")
    expect_check(page, "outbound", "ok")
    expect(page.locator("#poll")).to_have_count(0)


def _test_phones(page: Page, office: Office, loop: Loop, locale: str) -> None:
    """A phone that is not registered fails. Another phone rings and hears the text."""
    page.locator("#extension").fill("103")  # not registered
    submit(page)
    expect(page.locator("#call .note-fault")).to_be_visible()
    page.locator(".setup-end a").click()
    page.locator("#extension").fill("102")
    submit(page)
    sip_call = loop.run(office.phones["102"].next_call())
    expect(page.locator("#call .call-state")).to_be_visible()
    loop.run(sip_call.answer())
    loop.run(office.wait_for_text(sip_call, default_text("phone_call_test", locale), locale))
    expect(page.locator("#call .note-ok")).to_be_visible()


async def _call_in(office: Office, locale: str) -> None:
    """A customer finds 101 busy and leaves a request with the new module."""
    bazang = office.bazang
    await bazang.wait_for_dialplan()
    with bazang.database.read() as session:
        module, scenario = session.get_one(Module, 1), session.get_one(ExtensionScenario, "101")
    assert (module.targets, module.language) == (["101"], locale)
    assert (scenario.busy_kind, scenario.busy_code) == ("module", module.code)
    with bazang.database.write() as session:
        assert parse_week(read_setting(session, WEEK)) == DAYTIME
        write_setting(session, WEEK, format_week(ALWAYS))  # this test runs at any time of day
    await bazang.prepare_prompts()
    busy_call = await office.occupy("101")
    call = await office.call_in("101")
    await office.wait_for_prompt(call, "intro", locale)
    await call.press("1")
    await bazang.until(lambda: len(bazang.requests()) == 1, PATIENCE, "the request is stored")
    assert bazang.requests()[0].number == "+989121234567"
    await call.hang_up()
    await busy_call.end()


# -- the PBX settings -------------------------------------------------------------------------------------------------


def _fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f"#{name}").fill(value)


def _test_connection(page: Page, level: str) -> str:
    """Run the connection test. Return the text of its report, which must have this level."""
    page.locator("#report").evaluate("(report) => { report.textContent = ''; }")
    page.locator("#pbx-form button[formaction]").click()
    report = page.locator(f"#report .note-{level}")
    expect(report).to_be_visible()
    return report.inner_text()


def test_connection_test_finds_each_problem_and_the_worker_applies_saved_settings(
    loop: Loop, open_office: OpenOffice, open_browser: OpenBrowser
) -> None:
    options: dict[str, Any] = UNSET | {"DEFAULT_LOCALE": "en"}
    with (
        loop.enter(open_office(add_administrator, work=False, **options)) as office,
        serve(office.bazang.app) as address,
    ):
        bazang = office.bazang
        bazang.launch_worker()
        person = open_browser(address)
        page = person.open_session(session_cookie(bazang.app, 1, "en"))
        page.goto("/settings/exchange")
        here = {"ami_host": "127.0.0.1", "ami_port": str(bazang.asterisk.ami_port), "ami_username": "bazang"}
        _fill(page, **here, ami_secret=bazang.asterisk.ami_secret)
        found = _test_connection(page, "ok")
        assert "Asterisk 22" in found
        assert "Extensions found: 3" in found
        _fill(page, ami_secret="wrong")
        assert str(CONNECTION_RESULT[ConnectionResult.REFUSED]) in _test_connection(page, "fault")
        _fill(page, ami_secret=bazang.asterisk.ami_secret, ami_port=str(free_port()))
        assert str(CONNECTION_RESULT[ConnectionResult.NOTHING_LISTENS]) in _test_connection(page, "fault")
        _fill(page, ami_port=here["ami_port"], ami_host="no-such-machine.invalid")
        assert str(CONNECTION_RESULT[ConnectionResult.HOST_UNKNOWN]) in _test_connection(page, "fault")
        _fill(page, ami_host="two words")
        assert "Address of the PBX" in _test_connection(page, "fault")
        person.ignore_errors("422", "403")

        bazang.setup.ami_rights = "read=call,user\nwrite=originate,call"
        bazang.asterisk.write_files()
        loop.run(bazang.asterisk.cli("manager reload"))
        _fill(page, ami_host="127.0.0.1")
        report = _test_connection(page, "warning")
        assert "write = originate,call,agent,reporting" in report
        assert "reporting" in report.partition("Missing:")[2]
        assert page.locator("#ami_secret").input_value() == bazang.asterisk.ami_secret, (
            "the typed secret stays in the field"
        )
        bazang.setup.ami_rights = OfficeSetup().ami_rights
        _change_secret(page, office, loop, "first-secret")
        _change_secret(page, office, loop, "second-secret")
        assert "second-secret" not in page.content()


def _change_secret(page: Page, office: Office, loop: Loop, secret: str) -> None:
    """Change the secret in manager.conf and in the panel. The running worker applies it."""
    bazang = office.bazang
    bazang.asterisk.ami_secret = secret
    bazang.asterisk.write_files()
    loop.run(bazang.asterisk.cli("manager reload"))
    applied = bazang.worker_log().count(APPLIED)
    page.locator("#ami_secret").fill(secret)
    page.locator(".form-end button").click()
    expect(page.locator("#message")).to_contain_text("saved")

    def reconnected() -> bool:
        log = bazang.worker_log()
        return log.count(APPLIED) > applied and "PBX: connected" in log.rpartition(APPLIED)[2]

    loop.run(bazang.until(reconnected, PATIENCE, f"connected by {secret}"))


def test_setup_without_its_link_creates_no_administrator(
    loop: Loop, open_office: OpenOffice, open_browser: OpenBrowser
) -> None:
    with (
        loop.enter(open_office(lambda bazang: None, work=False, **UNSET)) as office,
        serve(office.bazang.app) as address,
    ):
        person = open_browser(address)
        for path in ("/setup", "/setup?token=guess"):
            person.page.goto(path)
            expect(person.page.locator("#password")).to_have_count(0)
        person.page.goto("/setup/office")
        person.page.wait_for_url("**/login?next=/setup/office")
        with office.bazang.database.read() as session:
            assert session.get(User, 1) is None
        person.ignore_errors("422", "403")
