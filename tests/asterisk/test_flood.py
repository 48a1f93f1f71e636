"""Calls while the PBX floods the worker with events. script/bench flood compares their times."""

import pytest

from script.benchmarks import flood


@pytest.mark.asterisk(22)
async def test_calls_are_made_during_a_flood_and_its_memory_is_given_back() -> None:
    result = await flood.measure(2)
    assert {side: len(times) for side, times in result.times.items()} == {"quiet": 2, "flood": 2}
    assert min(result.rates) > 1000, "a busy machine adds fewer events"
    assert result.memory[-1] < result.memory[0] + 20
