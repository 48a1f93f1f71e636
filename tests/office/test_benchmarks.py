"""The benchmarks that need no Asterisk, in a few rounds."""

from pathlib import Path

import pytest

from script.benchmarks import agi, dispatch, events, expire, poll, wait
from script.benchmarks.dispatch import Size
from script.office.database import build_database, make_settings, open_database
from script.office.ports import free_port


@pytest.mark.slow
def test_bench_of_decisions_decides_for_one_agent(tmp_path: Path) -> None:
    sizes = {"small": Size(stored=150, waiting=100, extensions=20, queues=2)}
    with dispatch.open_sqlite(tmp_path, sizes) as offices:
        office = offices["small"]
        for turn in range(3):
            _, decided = office.free_an_agent(turn)
            assert [order.agent for order in decided.orders] == [str(1001 + turn * 7)]
        _, decided = office.free_an_agent_without_requests()
        assert decided.orders == ()


@pytest.mark.slow
def test_bench_of_events_digests_all_calls(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(events, "CALLS", 30)
    monkeypatch.setattr(events, "CALLS_AT_ONCE", 10)
    assert events.run(2) in (0, 1)  # too short to say how fast it is
    assert "of 30 calls" in capsys.readouterr().out


@pytest.mark.slow
def test_bench_of_polls_reads_all_lists(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rows in poll.LISTS.items():
        monkeypatch.setitem(poll.LISTS, name, rows[:21])
    assert poll.run(2) in (0, 1)  # too short to say how fast it is
    assert "polled: 63 rows, 2 times" in (shown := capsys.readouterr().out)
    assert ", 0 writes" in shown


@pytest.mark.slow
def test_bench_of_waits_estimates_those_of_the_last_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "TESTED", 10)
    clinic = wait.KINDS[1]
    result = wait.measure(clinic, 0)
    assert 10 <= result.asked < 20 and len(result.errors) > 5
    assert wait.measure(clinic, 0).errors == result.errors, "every run has the same history"


def test_simulated_calls_differ_in_all_that_names_them() -> None:
    recorded = events.RecordedCall(events.RECORDED / "queue.txt")
    names = {"101": "1001", "102": "1002", "103": "103", "800": "queue1", "801": "queue2"}
    one, other = (b"".join(recorded.copy(number, names)).decode() for number in (1, 2))
    found = [set(events._TOKENS.findall(text)) for text in (one, other)]
    assert one.count("\r\n") == other.count("\r\n") and not found[0] & found[1]


@pytest.mark.slow
def test_bench_of_callers_stores_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(agi, "LEVELS", (0, 30))
    settings = make_settings(tmp_path, agi_port=free_port(), agi_bind="127.0.0.1")
    database = open_database(build_database(tmp_path))
    assert agi.measure("SQLite", database, settings, 1, callers=20) in (0, 1)  # too short to say how fast it is
    database.engine.dispose()
    assert "   30 wait: " in (shown := capsys.readouterr().out)
    assert "not stored" not in shown


@pytest.mark.slow
def test_bench_of_expiry_expires_all_that_are_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {side: Size(stored=200, waiting=100, extensions=20, queues=2) for side in ("large", "small")}
    with dispatch.open_sqlite(tmp_path, sizes) as offices:
        expire.measure("SQLite", offices, 2, 60)
    assert "60 expire at once" in (shown := capsys.readouterr().out)
    assert "nothing has expired" in shown
