"""The setup and the PBX settings in a browser, with a real Asterisk and a worker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.audio.prompt_texts import default_text
from app.services import users
from app.services.setup import first_administrator
from app.store.models import ExtensionScenario, Module, User
from app.web.settings.wording import CONNECTION_RESULT
from script.office.asterisk import OfficeSetup, free_port
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene
from tests.browser.conftest import Meet
from tests.browser.panel import Loop, Person, serve, session_of
from tests.web.conftest import ADMINISTRATOR, PASSWORD

pytestmark = pytest.mark.asterisk(22)
# Settings that the environment gives in other tests; here the panel does.
UNSET = dict.fromkeys(("AMI_PORT", "AMI_USERNAME", "AMI_SECRET", "OUTBOUND_CONTEXT", "DEFAULT_LOCALE"))
EXPECTED = ("422", "403")
APPLIED = "from now on"  # in the worker's log, when it applies new PBX settings


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@contextmanager
def opened(loop: Loop, stage: Stage, prepare: Callable[[Bazang], object], **options: Any) -> Iterator[Scene]:
    """Open an office in the loop's thread. Close it at the end."""
    office = stage(prepare, **options)
    scene = loop.run(office.__aenter__())
    try:
        yield scene
    except BaseException:
        print(scene.bazang.describe())
        raise
    finally:
        loop.run(office.__aexit__(None, None, None))


def ignore_expected_errors(person: Person) -> None:
    """Remove the browser's messages about responses that the test provokes."""
    person.complaints[:] = [c for c in person.complaints if not any(code in c for code in EXPECTED)]


def submit(page: Page) -> None:
    page.locator("main form.card button.btn-primary").click()


def next_step(page: Page) -> None:
    page.locator("form.later button").click()


def expect_check(page: Page, name: str, result: str) -> None:
    expect(page.locator(f"[data-check={name}]")).to_have_class(f"check-{result}")


def config_lines(page: Page) -> list[str]:
    """Return the lines that the page asks to paste, in their order."""
    return page.locator(".config-steps .copyable code").all_inner_texts()


def paste(scene: Scene, loop: Loop, name: str, text: str, reload: str) -> None:
    """Write a file of the PBX and reload it."""
    (scene.bazang.asterisk.folder / "etc" / name).write_text(text)
    loop.run(scene.bazang.asterisk.cli(reload))


def file_of(scene: Scene, name: str) -> str:
    return (scene.bazang.asterisk.folder / "etc" / name).read_text()


@pytest.mark.parametrize("locale", ["fa", "en"])
@pytest.mark.long
def test_the_setup_of_a_new_office(loop: Loop, stage: Stage, meet: Meet, locale: str) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.setup.include = None  # the PBX does not include our dialplan

    setup = OfficeSetup(include_in_callers=False)
    with opened(loop, stage, prepare, setup=setup, work=False, **UNSET) as scene:
        bazang = scene.bazang
        bazang.launch_worker()
        token = first_administrator.make_token(bazang.database, now())
        with serve(bazang.app) as address:
            person = meet(address, timezone_id="Europe/Berlin", locale="en-GB")
            _set_up(person, scene, loop, token, locale)
            ignore_expected_errors(person)
        loop.run(_call_in(scene, locale))


def _set_up(person: Person, scene: Scene, loop: Loop, token: str, locale: str) -> None:
    page = person.page
    page.goto("/setup")
    expect(page.locator("main code")).to_have_text("flask --app wsgi setup-link")
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
    page.locator("#ami_port").fill(str(scene.bazang.asterisk.ami_port))
    page.locator("#outbound_context").fill("outbound")
    submit(page)
    _connect(page, scene, loop)
    next_step(page)

    page.wait_for_url("**/setup/module")
    page.locator("#extensions").fill("999")
    submit(page)
    expect(page.locator("#extensions-error")).to_be_visible()
    page.locator("#extensions").fill("۱۰۱")
    submit(page)

    page.wait_for_url("**/setup/call")
    expect(page.locator("#extension")).to_have_value("101")
    _hear(page, scene, loop, locale)
    next_step(page)

    page.wait_for_url("**/setup/end")
    expect(page.locator(".check-fault")).to_have_count(0)
    page.locator("main form button.btn-primary").click()
    page.wait_for_url("**/requests")
    expect(page.locator(".setup-card")).to_have_count(0)


def _connect(page: Page, scene: Scene, loop: Loop) -> None:
    """Fix one problem after the other on the PBX. The checks show each of them."""
    expect_check(page, "service", "ok")
    expect_check(page, "reached", "ok")
    expect_check(page, "accepted", "fault")
    general, user, take_in, includes = config_lines(page)
    harness = "\n[harness]\nsecret=harness\nread=system\n"
    poor = user.replace("reporting,", "")
    paste(scene, loop, "manager.conf", f"[general]\n{general}\n{poor}\n{harness}", "manager reload")
    expect_check(page, "accepted", "ok")
    expect_check(page, "rights", "fault")
    expect(page.locator("[data-check=rights]")).to_contain_text("reporting")
    paste(scene, loop, "manager.conf", f"[general]\n{general}\n{user}\n{harness}", "manager reload")
    expect_check(page, "rights", "ok")
    expect_check(page, "dialplan", "fault")
    contexts = "".join(f"[{name}](+)\n{includes}\n" for name in ("from-phones", "from-trunk"))
    dialplan = f"{file_of(scene, 'extensions.conf')}\n{contexts}{take_in}\n"
    paste(scene, loop, "extensions.conf", dialplan, "dialplan reload")
    expect_check(page, "dialplan", "ok")
    expect_check(page, "extensions", "ok")
    expect_check(page, "outbound", "ok")
    expect(page.locator("#poll")).to_have_count(0)


def _hear(page: Page, scene: Scene, loop: Loop, locale: str) -> None:
    """A phone that is not registered fails. Another phone rings and hears the text."""
    page.locator("#extension").fill("103")  # not registered
    submit(page)
    expect(page.locator("#call .note-fault")).to_be_visible()
    page.locator(".setup-end a").click()
    page.locator("#extension").fill("102")
    submit(page)
    ring = loop.run(scene.phones["102"].next_call())
    expect(page.locator("#call .call-state")).to_be_visible()
    loop.run(ring.answer())
    loop.run(scene.hears_text(ring, default_text("phone_call_test", locale), locale))
    expect(page.locator("#call .note-ok")).to_be_visible()


async def _call_in(scene: Scene, locale: str) -> None:
    """A customer finds 101 busy and leaves a request with the new module."""
    bazang = scene.bazang
    await bazang.wait_for_dialplan()
    with bazang.database.read() as session:
        module, scenario = session.get_one(Module, 1), session.get_one(ExtensionScenario, "101")
    assert (module.targets, module.language) == (["101"], locale)
    assert (scenario.busy_kind, scenario.busy_code) == ("module", module.code)
    talk = await scene.occupy("101")
    call = await scene.knock("101")
    await scene.hears(call, "intro", locale)
    await call.press("1")
    await bazang.until(lambda: len(bazang.requests()) == 1, PATIENCE, "the request is stored")
    assert bazang.requests()[0].number == "+989121234567"
    await call.hang_up()
    await talk.end()


# -- the PBX settings -------------------------------------------------------------------------------------------------


def _administrator(bazang: Bazang) -> None:
    users.create(bazang.database, ADMINISTRATOR, PASSWORD, "administrator", now())


def _fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f"#{name}").fill(value)


def _test_connection(page: Page, level: str) -> str:
    """Test the connection and return the text of the report."""
    page.locator("#report").evaluate("(report) => { report.textContent = ''; }")
    page.locator("main button[formaction]").click()
    report = page.locator(f"#report .note-{level}")
    expect(report).to_be_visible()
    return report.inner_text()


def test_the_connection_test_finds_each_problem_and_changes_are_applied(loop: Loop, stage: Stage, meet: Meet) -> None:
    options = UNSET | {"DEFAULT_LOCALE": "en"}
    with opened(loop, stage, _administrator, work=False, **options) as scene, serve(scene.bazang.app) as address:
        bazang = scene.bazang
        bazang.launch_worker()
        person = meet(address)
        page = person.take(session_of(bazang.app, 1, "en"))
        page.goto("/settings/exchange")
        here = {"ami_host": "127.0.0.1", "ami_port": str(bazang.asterisk.ami_port), "ami_username": "bazang"}
        _fill(page, **here, ami_secret=bazang.asterisk.ami_secret)
        found = _test_connection(page, "ok")
        assert "Asterisk 22" in found
        assert "Extensions found: 3" in found
        _fill(page, ami_secret="wrong")
        assert str(CONNECTION_RESULT["refused"]) in _test_connection(page, "fault")
        _fill(page, ami_secret=bazang.asterisk.ami_secret, ami_port=str(free_port()))
        assert str(CONNECTION_RESULT["nothing_listens"]) in _test_connection(page, "fault")
        _fill(page, ami_port=here["ami_port"], ami_host="no-such-machine.invalid")
        assert str(CONNECTION_RESULT["host_unknown"]) in _test_connection(page, "fault")
        _fill(page, ami_host="two words")
        assert "Address of the PBX" in _test_connection(page, "fault")
        ignore_expected_errors(person)

        bazang.setup.ami_rights = "read=call,user\nwrite=originate,call"
        bazang.asterisk.write_files()
        loop.run(bazang.asterisk.cli("manager reload"))
        _fill(page, ami_host="127.0.0.1")
        report = _test_connection(page, "warning")
        assert "write = originate,call,agent,reporting,config" in report
        assert "reporting" in report.partition("Missing:")[2]
        assert page.locator("#ami_secret").input_value() == bazang.asterisk.ami_secret, (
            "the typed secret is still there"
        )
        bazang.setup.ami_rights = OfficeSetup().ami_rights
        _change_secret(page, scene, loop, "first-secret")
        _change_secret(page, scene, loop, "second-secret")
        assert "second-secret" not in page.content()


def _change_secret(page: Page, scene: Scene, loop: Loop, secret: str) -> None:
    """Change the secret in manager.conf and in the panel. The running worker applies it."""
    bazang = scene.bazang
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


def test_without_the_link_there_is_no_administrator(loop: Loop, stage: Stage, meet: Meet) -> None:
    with opened(loop, stage, lambda bazang: None, work=False, **UNSET) as scene, serve(scene.bazang.app) as address:
        person = meet(address)
        for path in ("/setup", "/setup?token=guess"):
            person.page.goto(path)
            expect(person.page.locator("#password")).to_have_count(0)
        person.page.goto("/setup/office")
        person.page.wait_for_url("**/login?next=/setup/office")
        with scene.bazang.database.read() as session:
            assert session.get(User, 1) is None
        ignore_expected_errors(person)
