"""One tiny round of script/chaos: an office with faults, judged by what its phones saw."""

from pathlib import Path

import pytest

from script.chaos_run.history import read
from script.chaos_run.judge import judge, summarize
from script.chaos_run.plan import draw
from script.chaos_run.play import play
from tests.asterisk.office import ONE_VERSION

REQUESTS = 6
FAULTS = ("worker_kill", "ami_cut", "dialplan_reload")


@pytest.mark.long
@ONE_VERSION
async def test_round_with_faults_loses_nothing(asterisk_version: int, tmp_path: Path) -> None:
    plan = draw(1, REQUESTS, len(FAULTS), FAULTS)
    await play(plan, tmp_path, asterisk_version, postgres=False)
    history = read(tmp_path)
    counts = summarize(history)
    assert judge(history) == []
    assert counts["requests"] == REQUESTS and counts["faults"] == dict.fromkeys(sorted(FAULTS), 1)
    assert counts["acknowledged"] > 0 and counts["talks"] > 0
