"""The benchmarks with phones, in a few rounds."""

import pytest

from app.domain.limits import RegistrationLimits
from script.benchmarks import burst, latency


async def test_latency_is_measured_in_more_rounds_than_a_customer_may_register_in() -> None:
    rounds = RegistrationLimits.number_hour + 1
    times = await latency.measure(rounds)
    assert [len(times[side]) for side in latency.SIDES] == [rounds] * len(latency.SIDES)


@pytest.mark.slow
async def test_burst_rings_each_agent_for_the_first_requests_in_their_order() -> None:
    (found,) = await burst.measure(1, agents=6, waiting=10)
    assert len(found.seconds) == 6
    assert (found.ordered, found.wrong) == (0, 0)
