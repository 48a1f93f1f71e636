"""Run tests in forks of the process that has collected them: `pytest -p tests.support.forks --forks 2`.

A process of pytest-xdist imports and collects everything itself, and another one hands out the tests. For thousands of
tests that compute for milliseconds, that is one tenth of the work.
"""

import os
import signal
import sys
from collections.abc import Iterator
from itertools import groupby
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

import pytest

MOST = 20  # tests that a fork takes at a time, all of one file, so that they share the fixtures of a module
_NUMBER = 4  # bytes


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forks", type=int, default=0, metavar="number", help="run the tests in this many forks")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in forks and report what they report. In a fork: run those tests that it takes."""
    option = session.config.option
    if not option.forks or option.collectonly or session.testsfailed:  # errors of the collection end the usual loop
        return None
    portions = list(_divide(session.items))
    numbers, filling = os.pipe()  # forks take the numbers of portions out of it, one at a time
    os.write(filling, b"".join(number.to_bytes(_NUMBER, "big") for number in range(len(portions))))
    os.close(filling)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    capture.stop_global_capturing()  # each process captures into files of its own
    sys.stdout.flush()
    sys.stderr.flush()
    forks: dict[Connection, int] = {}
    for number in range(option.forks):
        ours, theirs = Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            os.environ["PYTEST_XDIST_WORKER"] = f"gw{number}"  # has its own share of the ports
            capture.start_global_capturing()
            _run(session, theirs, (portions[number] for number in _take(numbers)))
            return True
        theirs.close()
        forks[ours] = pid
    os.close(numbers)
    capture.start_global_capturing()
    try:
        _report(session, forks)
    except KeyboardInterrupt:
        for pid in forks.values():
            os.kill(pid, signal.SIGTERM)
        raise
    return True


def _divide(items: list[pytest.Item]) -> Iterator[list[pytest.Item]]:
    """Yield the tests in portions."""
    for _path, together in groupby(items, key=lambda item: item.path):
        tests = list(together)
        yield from (tests[at : at + MOST] for at in range(0, len(tests), MOST))


def _take(numbers: int) -> Iterator[int]:
    """Yield the numbers of portions that no other fork has taken. Each is taken when it is asked for."""
    while taken := os.read(numbers, _NUMBER):
        yield int.from_bytes(taken, "big")


def _run(session: pytest.Session, reports: Connection, portions: Iterator[list[pytest.Item]]) -> None:
    """Run portions of the tests in a fork. Send the name of each test as it begins, its reports, and at last None."""
    config: Any = session.config
    config.workerinput = {"workerid": os.environ["PYTEST_XDIST_WORKER"]}  # plugins know by it that another one reports
    config.pluginmanager.unregister(name="terminalreporter")
    config.pluginmanager.register(_Reports(config, reports))
    tests = (test for portion in portions for test in portion)
    test = next(tests, None)
    while test is not None:
        following = next(tests, None)  # tells which fixtures end with this test
        config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        if session.shouldfail or session.shouldstop:
            break
        test = following
    reports.send(None)


class _Reports:
    """Sends reports to the process that prints them."""

    def __init__(self, config: pytest.Config, reports: Connection) -> None:
        self._config, self._reports = config, reports

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._reports.send(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        hook.pytest_report_teststatus(report=report, config=self._config)  # a test of which a subtest failed has failed
        self._reports.send(hook.pytest_report_to_serializable(config=self._config, report=report))


def _report(session: pytest.Session, forks: dict[Connection, int]) -> None:
    """Hand on what the forks report, until all have ended. A fork that has died fails the run, with its test's name."""
    hook = session.config.hook
    terminal: Any = session.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None:
        terminal.showfspath = False  # tests of several files take turns
    died = list[str]()
    tests: dict[Connection, str | None] = dict.fromkeys(forks, "its first test")  # None: it has run its last one
    while tests:
        for end in wait(list(tests)):
            assert isinstance(end, Connection)
            try:
                said = end.recv()
            except EOFError:
                if (test := tests.pop(end)) is not None:
                    died.append(test)
                continue
            if isinstance(said, dict):
                report = hook.pytest_report_from_serializable(config=session.config, data=said)
                hook.pytest_runtest_logreport(report=report)
            else:
                tests[end] = said
    for pid in forks.values():
        os.waitpid(pid, 0)
    if died:
        raise pytest.UsageError(f"a fork died: {', '.join(died)}")
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
