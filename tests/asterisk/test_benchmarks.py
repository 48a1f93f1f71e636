"""The benchmark of the latency, in a few rounds."""

from app.domain.limits import RegistrationLimits
from script.benchmarks import latency


async def test_latency_is_measured_in_more_rounds_than_a_customer_may_register_in() -> None:
    rounds = RegistrationLimits.number_hour + 1
    times = await latency.measure(rounds)
    assert [len(times[side]) for side in latency.SIDES] == [rounds] * len(latency.SIDES)
