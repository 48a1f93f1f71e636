"""What every test may ask for, and the rule for what this machine lacks: left out by name, and in CI a failure.

A test that takes `asterisk_version`, `browsers` or `postgres_url` gets the marker for it by itself.
"""

import asyncio
import functools
import gc
import inspect
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hypothesis
import pytest
from flask import Flask

from app import create_app
from app.config import PREFIX, Settings
from app.extensions import db
from app.store.database import Database
from script.lib.chromium import NoBrowser, find_chromium
from script.lib.login_provider import NoLoginProvider
from script.lib.login_provider import find_python as find_provider_python
from script.lib.package_files import CADDY, FAKETIME, NGINX, SLAPD, SYSTEMD_ANALYZE, NoPackageFile, PackageFile
from script.lib.postgresql import NoPostgres, find_programs
from script.lib.suite import DESELECTED_FILE, LEFT_OUT_FILE, ROOT, SLOW_FOLDERS
from script.office.asterisk import NoAsterisk, find_build
from script.office.database import build_database, make_settings
from script.office.postgres import PostgresServer
from script.office.server_database import migrated_database
from script.office.shared_caches import share_caches
from tests.support.passwords import hash_quickly

if TYPE_CHECKING:
    from tests.support.browsing import Browsers

gc.disable()  # till all is imported and collected: see pytest_collection_finish

T = TypeVar("T")
VERSIONS = (22, 16)
MARKERS = {"asterisk_version": "asterisk", "browsers": "browser", "postgres_url": "postgres"}
IN_CI = os.environ.get("CI") == "true"
MEMORY = Path("/dev/shm")
# The same examples in each run, without bounds on time: a busy machine is no failure.
hypothesis.settings.register_profile(
    "repeatable",
    max_examples=30 if os.environ.get("FEWER_EXAMPLES") else 100,
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")
ENOUGH = 2 * 1024**3  # bytes; only what is running, and what failed, lies there

_left_out: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    hash_quickly(monkeypatch)


# -- the application ----------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a fresh office, whatever the machine's environment and `.env` say."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    return make_settings(tmp_path / "data")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The panel on a database that the migrations built."""
    build_database(settings.data_dir)
    app = create_app(settings)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def database(app: Flask) -> Database:
    """The database of `app`."""
    database: Database = app.extensions["bazang"]["database"]
    return database


# -- what may be missing ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def asterisk_version(request: pytest.FixtureRequest) -> int:
    """Each of the Asterisk versions in turn; `@pytest.mark.asterisk(22)` narrows it to some."""
    version: int = request.param
    _need(lambda: find_build(version), NoAsterisk)
    return version


@pytest.fixture(scope="session")
def faketime() -> None:
    """The library by which a test moves the clock of a process (`script.office.fake_clock`)."""
    _need(FAKETIME.find, NoPackageFile)


@pytest.fixture(scope="session")
def systemd_analyze() -> PackageFile:
    _need(SYSTEMD_ANALYZE.find, NoPackageFile)
    return SYSTEMD_ANALYZE


@pytest.fixture(scope="session")
def nginx() -> PackageFile:
    _need(NGINX.find, NoPackageFile)
    return NGINX


@pytest.fixture(scope="session")
def caddy() -> PackageFile:
    _need(CADDY.find, NoPackageFile)
    return CADDY


@pytest.fixture(scope="session")
def slapd_program() -> PackageFile:
    """A real OpenLDAP server's program."""
    _need(SLAPD.find, NoPackageFile)
    return SLAPD


@pytest.fixture(scope="session")
def provider_python() -> Path:
    """The Python that has a real OpenID Connect provider."""
    return _need(find_provider_python, NoLoginProvider)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL's database, the same for the whole run: leave nothing behind in it."""
    _need(find_programs, NoPostgres)
    with PostgresServer() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database that the migrations built, to copy for each test (`new_database`).

    It is the same for the whole run. Tests of several files take turns, so one of a module would be built again and
    again.
    """
    with migrated_database(postgres_url, tmp_path_factory.mktemp("template")) as name:
        yield name


@pytest.fixture(scope="session")
def browsers() -> "Iterator[Browsers]":
    """Chromium under Playwright's synchronous API, for tests that are not `async` (their fixtures may be)."""
    from playwright.sync_api import sync_playwright

    from tests.support.browsing import Browsers

    chromium = _need(find_chromium, NoBrowser)
    playwright = sync_playwright().start()
    try:
        with _hide_from_asyncio(asyncio.get_running_loop()):
            browsers = Browsers(playwright, chromium)
            yield browsers
            browsers.close()
    finally:
        playwright.stop()


@contextmanager
def _hide_from_asyncio(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let coroutines run in this thread although Playwright's loop is suspended in it.

    Its synchronous API leaves that loop marked as the running one between two calls. Until the browser is closed,
    pytest-asyncio's runner would refuse every asynchronous fixture and test, and every other loop would refuse to run.
    """

    def hidden(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:
            if asyncio._get_running_loop() is not loop:
                return method(*arguments, **options)
            asyncio._set_running_loop(None)
            try:
                return method(*arguments, **options)
            finally:
                asyncio._set_running_loop(loop)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "run", hidden(asyncio.run))
        patch.setattr(asyncio.Runner, "run", hidden(asyncio.Runner.run))
        patch.setattr(asyncio.Runner, "close", hidden(asyncio.Runner.close))
        patch.setattr(asyncio.BaseEventLoop, "run_until_complete", hidden(asyncio.BaseEventLoop.run_until_complete))
        yield


def _need(find: Callable[[], T], missing: type[Exception]) -> T:
    try:
        return find()
    except missing as error:
        reason = str(error)
    if IN_CI:
        pytest.fail(f"{reason}; CI leaves nothing out", pytrace=False)
    pytest.skip(reason)


# -- collecting and reporting -------------------------------------------------------------------------------------


def pytest_configure() -> None:
    """Prepare what all tests of this process have in common."""
    share_caches()
    # Every commit waits for the disk, as it must. In memory there is nothing to wait for.
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes `asterisk_version` on each version, or on those that its marker names."""
    if "asterisk_version" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("asterisk")
        versions = (marker and marker.args) or VERSIONS
        ids = [f"asterisk{version}" for version in versions]
        metafunc.parametrize("asterisk_version", versions, indirect=True, ids=ids, scope="session")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before -m looks at the markers, and after pytest's own order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark each test with what it needs, and put them in an order in which all processors have work till the end.

    Those that take long come first, and the browser's, which compute, are spread among the telephones', which wait.
    """
    items[:] = [item for item in items if _has_its_version(item)]
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        for fixture, marker in MARKERS.items():
            if fixture in item.fixturenames and not item.get_closest_marker(marker):
                item.add_marker(marker)
        if any(item.path.is_relative_to(ROOT / folder) for folder in SLOW_FOLDERS):
            item.add_marker("slow")  # the run of the fast tests does not look there
        if "browsers" in item.fixturenames and inspect.iscoroutinefunction(item.obj):
            raise pytest.UsageError(f"{item.nodeid}: `browsers` is synchronous; make this test a plain `def`")
    yield
    with_browser = [item for item in items if item.get_closest_marker("browser")]
    without = [item for item in items if not item.get_closest_marker("browser")]
    place = {item: rank / len(kind) for kind in (with_browser, without) for rank, item in enumerate(kind)}
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, place[item]))
    if sys.gettrace() is not None:  # what is not counted comes last: it would fill the caches of what is
        items.sort(key=_has_many_values)


def _has_its_version(item: pytest.Item) -> bool:
    """Tell whether the version of Asterisk is one of its marker, which may be of this row of a table only."""
    marker, row = item.get_closest_marker("asterisk"), getattr(item, "callspec", None)
    return not (marker and marker.args and row) or row.params.get("asterisk_version") in (None, *marker.args)


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    """Write down the files of the tests that are not of this run, for the next one. All processes write the same."""
    if path := os.environ.get(DESELECTED_FILE):
        Path(path).write_text("".join(f"{file}\n" for file in sorted({str(item.path) for item in items})))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep modules and collected tests out of garbage collection, which would scan them again and again.

    Collect rarely: a test leaves much behind, but little of it is needed again.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count no branches in a test of many values: that takes longer than the test, and single examples cover them."""
    counting = sys.gettrace()
    if counting is None or not _has_many_values(item):
        yield
        return
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(counting)


def _has_many_values(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("many")) or getattr(getattr(item, "obj", None), "is_hypothesis_test", False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out a test that is marked `asterisk` but builds its office by itself, where there is none."""
    marker = item.get_closest_marker("asterisk")
    if marker and "asterisk_version" not in getattr(item, "fixturenames", ()):
        for version in marker.args or VERSIONS[:1]:
            _need(partial(find_build, version), NoAsterisk)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember why tests were skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _left_out[_reason(report)] += 1


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember why whole files were skipped."""
    if report.skipped:
        _left_out[_reason(report)] += 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hold CI to leaving nothing out."""
    if IN_CI and _left_out and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if path := os.environ.get(LEFT_OUT_FILE):
        Path(path).write_text("".join(f"{line}\n" for line in _left_out_lines()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Name what was left out, after all else."""
    yield
    if _left_out:
        terminalreporter.section("left out" + (", and therefore failed" if IN_CI else ""))
        for line in _left_out_lines():
            terminalreporter.write_line(line)


def _left_out_lines() -> list[str]:
    return [f"{reason}: {count} test{'s' if count > 1 else ''}" for reason, count in _left_out.most_common()]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)
