"""What the worker measures of itself, for Prometheus. The panel shows it; see `services/monitoring/figures.py`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from app.domain.lifecycle import Outcome

disable_created_metrics()  # type: ignore[no-untyped-call]
_RINGS = (0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_POLLS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class WorkerFigures:
    """Figures since the start of this worker. All durations are seconds."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.free_to_ring = Histogram(
            "bazang_free_to_ring_seconds",
            "From the news that a call may begin, such as a free line, until the PBX has taken the order to ring.",
            buckets=_RINGS,
            registry=registry,
        )
        self.poll = Histogram(
            "bazang_poll_seconds", "Reading the whole state of the PBX.", buckets=_POLLS, registry=registry
        )
        self.ami_lag = Gauge(
            "bazang_ami_lag_seconds",
            "From an action to the PBX until its response is handled, after all events before it. Longest of a poll.",
            registry=registry,
        )
        self.writes = Gauge("bazang_writes_waiting", "Writes to the database that wait.", registry=registry)
        self._attempts = Counter(
            "bazang_attempts", "Attempts that have ended, by outcome.", ["outcome"], registry=registry
        )
        for outcome in Outcome:  # a rate needs a beginning
            self._attempts.labels(outcome.value)

    def count_attempt(self, outcome: Outcome) -> None:
        """Count an attempt that has ended."""
        self._attempts.labels(outcome.value).inc()

    def text(self) -> str:
        """Return the figures in the text format of Prometheus."""
        return generate_latest(self._registry).decode()
