"""A clock that stands still until a test moves it."""

from datetime import datetime, timedelta


class Clock:
    """Called like `utcnow`, it returns the time that the test has reached."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **interval: float) -> None:
        """Move the clock. The arguments are those of `timedelta`."""
        self.now += timedelta(**interval)
